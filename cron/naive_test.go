package cron_test

import (
	"strconv"
	"strings"
	"time"
)

// naive answers one question, whether a wall time matches an expression, in the
// most plain way there is. It shares no code and no idea with the package: sets
// are tables of booleans, day rules are tried one by one with package time. It
// takes correct expressions only.
type naive struct {
	sec, min, hour [60]bool
	month          [13]bool
	dom, dow       []string
	both, wild     bool
	known          map[int]bool // day since 1970 -> whether the date matches
}

func newNaive(expr string) *naive {
	f := strings.Fields(strings.ToUpper(expr))
	if len(f) == 5 {
		f = append([]string{"0"}, f...)
	}
	star := func(s string) bool { return s[0] == '*' || s[0] == '?' }
	n := &naive{
		dom: strings.Split(f[3], ","), dow: strings.Split(f[5], ","),
		both: star(f[3]) || star(f[5]), wild: star(f[2]), known: map[int]bool{},
	}
	for i := range 60 {
		n.sec[i] = inList(f[0], i, 0, 59)
		n.min[i] = inList(f[1], i, 0, 59)
		n.hour[i] = i < 24 && inList(f[2], i, 0, 23)
	}
	for m := 1; m <= 12; m++ {
		n.month[m] = inList(f[4], m, 1, 12)
	}
	return n
}

// second says whether the wall second w (seconds since 1970 on the local clock)
// matches.
func (n *naive) second(w int64) bool {
	s := int(((w % 86400) + 86400) % 86400)
	if !n.hour[s/3600] || !n.min[s/60%60] || !n.sec[s%60] {
		return false
	}
	day := int((w - int64(s)) / 86400)
	ok, known := n.known[day]
	if !known {
		ok = n.date(time.Unix(w, 0).UTC())
		n.known[day] = ok
	}
	return ok
}

// date says whether a civil date matches; d is in UTC.
func (n *naive) date(d time.Time) bool {
	if !n.month[d.Month()] {
		return false
	}
	dom, dow := false, false
	for _, item := range n.dom {
		dom = dom || domItem(item, d)
	}
	for _, item := range n.dow {
		dow = dow || dowItem(item, d)
	}
	if n.both {
		return dom && dow
	}
	return dom || dow
}

func domItem(item string, d time.Time) bool {
	last := time.Date(d.Year(), d.Month()+1, 0, 0, 0, 0, 0, time.UTC)
	target, near := strings.CutSuffix(item, "W")
	var day time.Time
	switch {
	case strings.HasPrefix(target, "L"):
		back := 0
		if len(target) > 1 {
			back = toInt(target[2:])
		}
		day = last.AddDate(0, 0, -back)
	case near:
		day = time.Date(d.Year(), d.Month(), toInt(target), 0, 0, 0, 0, time.UTC)
	default:
		return inList(item, d.Day(), 1, 31)
	}
	if day.Month() != d.Month() {
		return false // the month has no such day
	}
	if near {
		// Try distances 0, 1, 2, 3, backwards first for a Saturday.
		for _, try := range []int{0, -1, 1, -2, 2} {
			c := day.AddDate(0, 0, try)
			if c.Month() == day.Month() && c.Weekday() != time.Saturday && c.Weekday() != time.Sunday {
				day = c
				break
			}
		}
	}
	return day.Day() == d.Day()
}

func dowItem(item string, d time.Time) bool {
	wd := int(d.Weekday())
	if day, nth, ok := strings.Cut(item, "#"); ok {
		return toInt(day)%7 == wd && (d.Day()-1)/7 == toInt(nth)-1
	}
	if day, ok := strings.CutSuffix(item, "L"); ok {
		return toInt(day)%7 == wd && d.AddDate(0, 0, 7).Month() != d.Month()
	}
	span, step, stepped := strings.Cut(item, "/")
	from, to, ranged := strings.Cut(span, "-")
	switch {
	case span == "*" || span == "?":
		return inList(item, wd, 0, 6)
	case !ranged && !stepped:
		return toInt(from)%7 == wd
	case !ranged:
		return wd >= toInt(from)%7 && inList(strconv.Itoa(toInt(from)%7)+"/"+step, wd, 0, 6)
	}
	by := 1
	if stepped {
		by = toInt(step)
	}
	days := (toInt(to) - toInt(from) + 7) % 7 // days from the beginning to the end
	if days == 0 && toInt(to) != toInt(from) {
		days = 7 // "0-7" goes all the way round
	}
	at := (wd - toInt(from) + 7) % 7
	return at <= days && at%by == 0
}

// inList says whether v is in a list of plain items.
func inList(list string, v, lo, hi int) bool {
	for _, item := range strings.Split(list, ",") {
		span, step, stepped := strings.Cut(item, "/")
		by, a, b := 1, lo, hi
		if stepped {
			by = toInt(step)
		}
		if span != "*" && span != "?" {
			from, to, ranged := strings.Cut(span, "-")
			a = toInt(from)
			b = a
			if ranged {
				b = toInt(to)
			} else if stepped {
				b = hi
			}
		}
		if v >= a && v <= b && (v-a)%by == 0 {
			return true
		}
	}
	return false
}

var names = strings.Fields("SUN MON TUE WED THU FRI SAT - JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")

func toInt(s string) int {
	for i, name := range names {
		if s == name {
			if i > 7 {
				return i - 7
			}
			return i
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(s)
	}
	return n
}
