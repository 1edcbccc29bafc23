package cron

import "strings"

// dateItem reads an item of the day-of-month field that has an L or a W: L,
// L-3, LW, L-3W, 15W. It says false if the item is an ordinary one.
func (r *dayRule) dateItem(item string) (bool, error) {
	day, near := strings.CutSuffix(item, "W")
	back, last := strings.CutPrefix(day, "L")
	switch {
	case !near && !last:
		return false, nil
	case !last:
		if day == "" {
			return true, faultf("W needs a day before it, such as 15W for the weekday nearest to the 15th")
		}
		if strings.ContainsAny(day, "-/*") {
			return true, faultf("W in %q goes with one day, not with a range", item)
		}
		n, err := fields[fieldDayOfMonth].value(day)
		if err != nil {
			return true, err
		}
		r.near |= 1 << n
		return true, nil
	}
	n := 0
	if back != "" {
		digits, ok := strings.CutPrefix(back, "-")
		n2, err := number(digits)
		if !ok || err != nil {
			return true, faultf("%q is none of L, L-n, LW and L-nW", item)
		}
		if n = n2; n > 30 {
			return true, faultf("%d in %q is above 30", n, item)
		}
	}
	if near {
		r.nearLast |= 1 << n
	} else {
		r.last |= 1 << n
	}
	return true, nil
}

// weekItem reads an item of the day-of-week field that has an L or a #: 5L,
// FRIL, 5#2, FRI#2. It says false if the item is an ordinary one.
func (r *dayRule) weekItem(item string) (bool, error) {
	f := &fields[fieldDayOfWeek]
	if day, nth, ok := strings.Cut(item, "#"); ok {
		d, err := f.value(day)
		if err != nil {
			return true, err
		}
		n, err := number(nth)
		if err != nil || n < 1 || n > len(r.nth) {
			return true, faultf("%q after # is not a number from 1 to %d", nth, len(r.nth))
		}
		r.nth[n-1] |= 1 << (d % week)
		return true, nil
	}
	if day, ok := strings.CutSuffix(item, "L"); ok {
		if day == "" {
			return true, faultf("L needs a day before it, such as 5L for the last Friday")
		}
		d, err := f.value(day)
		if err != nil {
			return true, err
		}
		r.lastDow |= 1 << (d % week)
		return true, nil
	}
	return false, nil
}
