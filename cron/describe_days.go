package cron

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// describeDays says on which days the calendar matches. If that is every day
// it is empty, or "every day" where one is needed.
func (c *calendar) describeDays(needed bool) string {
	months := c.describeMonths()
	dom, dow := c.days.describeDate(), c.days.describeWeek("and")
	if !c.days.both && (dom == "" || dow == "") {
		dom, dow = "", "" // either field will do, and one of them takes every day
	}
	switch {
	case dom == "" && dow == "" && months == "" && !needed:
		return ""
	case dom == "" && dow == "" && months == "":
		return "every day"
	case dom == "" && dow == "" && !needed:
		return "in " + months
	case dom == "" && dow == "":
		return "every day in " + months
	case dom == "":
		return c.days.describeWeekIn(months, dow)
	}
	dom = "on " + dom + " of " + orEvery(months)
	switch {
	case dow == "":
		return dom
	case c.days.both:
		return dom + " when that is " + c.days.describeWeek("or")
	default:
		return dom + " or " + c.days.describeWeekIn(months, dow)
	}
}

// describeWeekIn puts the day-of-week field and the months together.
func (r *dayRule) describeWeekIn(months, dow string) string {
	switch {
	case r.monthly():
		return "on " + dow + " of " + orEvery(months)
	case months == "":
		return "on " + dow
	default:
		return "on " + dow + " in " + months
	}
}

// orEvery is the months, or every month if there is no restriction: a day of
// the month needs a month even if it can be any.
func orEvery(months string) string {
	if months == "" {
		return "every month"
	}
	return months
}

// monthly is whether the day-of-week field counts within a month.
func (r *dayRule) monthly() bool {
	return r.lastDow|r.nth[0]|r.nth[1]|r.nth[2]|r.nth[3]|r.nth[4] != 0
}

// describeMonths is empty if every month will do.
func (c *calendar) describeMonths() string {
	months := values(c.month)
	if len(months) == 12 {
		return ""
	}
	return join(runs(months, func(m int) string { return time.Month(m).String() }), "and")
}

// describeDate is the day-of-month field, empty if every day will do.
func (r *dayRule) describeDate() string {
	if r.dom == allDays(31) {
		return ""
	}
	var all []string
	if r.dom != 0 {
		all = runs(values(r.dom), func(d int) string { return "the " + ordinal(d) })
	}
	for _, n := range values(r.last) {
		all = append(all, "the "+fromLast(n))
	}
	for _, d := range values(r.near) {
		all = append(all, "the weekday nearest to the "+ordinal(d))
	}
	for _, n := range values(r.nearLast) {
		if n == 0 {
			all = append(all, "the last weekday")
			continue
		}
		all = append(all, "the weekday nearest to the "+fromLast(n))
	}
	return join(all, "and")
}

// describeWeek is the day-of-week field as a list with the given word before
// its end, empty if every day will do.
func (r *dayRule) describeWeek(word string) string {
	if r.dow == 1<<week-1 {
		return ""
	}
	var all []string
	if r.dow != 0 {
		days := values(r.dow)
		if len(days) > 1 && days[0] == 0 { // people begin the week on Monday
			days = append(days[1:], week)
		}
		all = runs(days, weekday)
	}
	for k, nth := range r.nth {
		for _, d := range values(nth) {
			all = append(all, "the "+[...]string{"first", "second", "third", "fourth", "fifth"}[k]+" "+weekday(d))
		}
	}
	for _, d := range values(r.lastDow) {
		all = append(all, "the last "+weekday(d))
	}
	return join(all, word)
}

// weekday is the English name of a day, 7 being Sunday too.
func weekday(d int) string {
	return time.Weekday(d % week).String()
}

// fromLast is "last day", "day before the last" or "3rd day before the last".
func fromLast(n int) string {
	switch n {
	case 0:
		return "last day"
	case 1:
		return "day before the last"
	}
	return ordinal(n) + " day before the last"
}

// ordinal is 1st, 2nd, 3rd, 4th, ...
func ordinal(n int) string {
	end := "th"
	if n/10 != 1 {
		switch n % 10 {
		case 1:
			end = "st"
		case 2:
			end = "nd"
		case 3:
			end = "rd"
		}
	}
	return strconv.Itoa(n) + end
}

// values lists the members of a bit set in order.
func values(set uint64) []int {
	var all []int
	for ; set != 0; set &= set - 1 {
		all = append(all, bits.TrailingZeros64(set))
	}
	return all
}

// even is whether the values have equal distances.
func even(v []int) bool {
	for i := 2; i < len(v); i++ {
		if v[i]-v[i-1] != v[1]-v[0] {
			return false
		}
	}
	return true
}

// consecutive is whether the values have no holes.
func consecutive(v []int) bool {
	return v[len(v)-1]-v[0] == len(v)-1
}

// runs names the values, three or more in a row as "1 to 3", and a long even
// row with holes by its beginning and its end.
func runs(v []int, name func(int) string) []string {
	if len(v) > 5 && even(v) && !consecutive(v) {
		return []string{name(v[0]) + ", " + name(v[1]) + ", ... " + name(v[len(v)-1])}
	}
	var all []string
	for i := 0; i < len(v); {
		j := i
		for j+1 < len(v) && v[j+1] == v[j]+1 {
			j++
		}
		if j-i >= 2 {
			all = append(all, name(v[i])+" to "+name(v[j]))
			i = j + 1
			continue
		}
		all = append(all, name(v[i]))
		i++
	}
	return all
}

// join writes a list as English does: "a, b and c".
func join(all []string, word string) string {
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	n := len(all) - 1
	return strings.Join(all[:n], ", ") + " " + word + " " + all[n]
}
