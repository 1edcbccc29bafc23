package cron

import (
	"math/bits"
	"time"
)

// calendar is the parsed form of a cron expression: which wall times match. It
// has never heard of zones. Sets are bit sets, bit n standing for the value n.
type calendar struct {
	second, minute, hour uint64 // Invariant: none is empty
	month                uint64 // bits 1 to 12. Invariant: not empty
	days                 dayRule
	open                 int64 // the first second of a day that matches

	// wild is whether the hour field starts with a star: such a spec follows
	// the clock through its changes, the others run once per wall time.
	wild bool
}

// next is the least wall time in [w, limit) that matches. A wall time is
// counted in seconds since 1970-01-01 00:00 on the local clock, so every day
// has daySeconds of them.
//
// The work is bounded: one step for each month between w and the result, and
// accepted specs have a result within horizonYears.
func (c *calendar) next(w, limit int64) (int64, bool) {
	day := floorDiv(w, daySeconds)
	year, month, dom := time.Unix(w, 0).UTC().Date()
	first := day - int64(dom-1) // the first of the month, in days since 1970
	days := c.inMonth(year, month, first)
	if days>>dom&1 != 0 {
		if s, ok := c.clock(int(w - day*daySeconds)); ok {
			w = day*daySeconds + s
			return w, w < limit
		}
	}
	days &^= 1<<(dom+1) - 1 // the days after today
	for days == 0 {
		first += int64(daysIn(year, month))
		if first*daySeconds >= limit {
			return 0, false
		}
		if month++; month > time.December {
			year, month = year+1, time.January
		}
		days = c.inMonth(year, month, first)
	}
	w = (first+int64(bits.TrailingZeros64(days))-1)*daySeconds + c.open
	return w, w < limit
}

// inMonth is the set of days that match in a month, whose first day is given
// in days since 1970.
func (c *calendar) inMonth(year int, month time.Month, first int64) uint64 {
	if c.month>>month&1 == 0 {
		return 0
	}
	weekday := int((first%7 + 7 + 4) % 7) // day 0 was a Thursday
	return c.days.set(daysIn(year, month), weekday)
}

// clock is the first second of the day at or after s that matches.
func (c *calendar) clock(s int) (int64, bool) {
	hour, minute, second := s/3600, s/60%60, s%60
	if c.hour>>hour&1 != 0 {
		if c.minute>>minute&1 != 0 {
			if x := c.second >> second; x != 0 {
				return int64(s + bits.TrailingZeros64(x)), true
			}
		}
		if x := c.minute >> (minute + 1); x != 0 {
			minute += 1 + bits.TrailingZeros64(x)
			return int64(hour*3600 + minute*60 + bits.TrailingZeros64(c.second)), true
		}
	}
	if x := c.hour >> (hour + 1); x != 0 {
		hour += 1 + bits.TrailingZeros64(x)
		return int64(hour*3600) + c.open%3600, true
	}
	return 0, false
}

// check says whether the calendar ever has an occurrence. Leap years and
// weekdays repeat every 400 years and no pattern of theirs has a pause of more
// than 40, so one window of 45 years speaks for all (TestG21_LongestPause).
func (c *calendar) check() bool {
	from := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	to := time.Date(2000+horizonYears, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	_, ok := c.next(from, to)
	return ok
}

// daysIn is the length of a month.
func daysIn(year int, month time.Month) int {
	switch month {
	case time.April, time.June, time.September, time.November:
		return 30
	case time.February:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	default:
		return 31
	}
}
