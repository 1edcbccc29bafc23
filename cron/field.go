package cron

import (
	"strconv"
	"strings"
)

// field describes one field of an expression.
type field struct {
	name     string
	min, max int
	names    []string // names[i] stands for min+i
}

// The fields in the order in which an expression has them.
const (
	fieldSecond = iota
	fieldMinute
	fieldHour
	fieldDayOfMonth
	fieldMonth
	fieldDayOfWeek
	fieldCount
)

// week is the number of days in one; 7 is a second number for Sunday.
const week = 7

var fields = [fieldCount]field{
	{name: "second", min: 0, max: 59},
	{name: "minute", min: 0, max: 59},
	{name: "hour", min: 0, max: 23},
	{name: "day-of-month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, names: []string{
		"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
	}},
	{name: "day-of-week", min: 0, max: week, names: []string{
		"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT",
	}},
}

// ordinary reads one item of a list, which is a star, a value or a range, each
// with an optional step, and returns it in the form that the third party parser
// reads without surprises: numbers only, in range, ascending. The item is upper
// case.
func (f *field) ordinary(item string) (string, error) {
	span, by, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		// A larger step would mean no more than its first value: it is always a
		// mistake, most often "*/90" meant as ninety minutes.
		var err error
		if step, err = number(by); err != nil || step < 1 || step > f.max {
			return "", faultf("step %q of %q is not a number from 1 to %d", by, item, f.max)
		}
	}
	if span == "*" {
		return "*/" + strconv.Itoa(step), nil
	}
	from, to, ranged := strings.Cut(span, "-")
	lo, err := f.value(from)
	if err != nil {
		return "", err
	}
	hi := lo
	switch {
	case ranged:
		if hi, err = f.value(to); err != nil {
			return "", err
		}
	case stepped:
		hi = f.top()
	}
	if f.max == week {
		return weekdays(lo, hi, step), nil
	}
	if hi < lo {
		return "", faultf("range %q runs backwards; write %d-%d,%d-%d", span, lo, f.max, f.min, hi)
	}
	return strconv.Itoa(lo) + "-" + strconv.Itoa(hi) + "/" + strconv.Itoa(step), nil
}

// top is the last value that an open range such as "5/10" reaches.
func (f *field) top() int {
	if f.max == week {
		return week - 1
	}
	return f.max
}

// weekdays lists a range of days of the week. The week is the one field that
// is a circle: "FRI-MON" and "SAT-SUN" are what people say, and a Sunday at
// the end of a range is the one after its beginning.
func weekdays(lo, hi, step int) string {
	if lo == hi { // "7-7" is one Sunday, not a week that ends with one
		return strconv.Itoa(lo % week)
	}
	lo %= week
	if hi < lo {
		hi += week
	}
	var b strings.Builder
	for d := lo; d <= hi; d += step {
		if d > lo {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(d % week))
	}
	return b.String()
}

// value reads a number or a name.
func (f *field) value(s string) (int, error) {
	for i, name := range f.names {
		if s == name {
			return f.min + i, nil
		}
	}
	n, err := number(s)
	switch {
	case err != nil && s == "":
		return 0, faultf("a number is missing")
	case err != nil && f.names != nil:
		return 0, faultf("%q is neither a number of one or two digits nor a name such as %s", s, f.names[0])
	case err != nil:
		return 0, faultf("%q is not a number of one or two digits", s)
	case n < f.min:
		return 0, faultf("%d is below %d", n, f.min)
	case n > f.max:
		return 0, faultf("%d is above %d", n, f.max)
	}
	return n, nil
}

// number reads one or two decimal digits and nothing else: no sign, no space.
func number(s string) (int, error) {
	if len(s) < 1 || len(s) > 2 {
		return 0, fault("not a number")
	}
	n := 0
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fault("not a number")
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}
