package cron

// dayRule is the two day fields together: which days of a month match. All of
// it is decided on the civil date, before any zone is thought of.
type dayRule struct {
	dom      uint64 // days of the month, bits 1 to 31
	last     uint64 // L-n: bit n is the day n days before the last
	near     uint64 // nW: bit n is the weekday nearest to day n
	nearLast uint64 // L-nW: bit n is the weekday nearest to L-n

	dow     uint64    // days of the week, bits 0 (Sunday) to 6
	nth     [5]uint64 // d#n: nth[n-1] holds the days of the week d
	lastDow uint64    // dL: the last such day of the week of the month

	// both is whether a day must match both fields rather than one of them.
	// Invariant: it is set if either field starts with a star.
	both bool
}

// set is the set of days that match in a month of n days whose first day is a
// given day of the week.
func (r *dayRule) set(n, weekday int) uint64 {
	dom, dow := r.inDate(n, weekday), r.inWeek(n, weekday)
	if r.both {
		return dom & dow
	}
	return dom | dow
}

// inDate is what the day-of-month field allows.
func (r *dayRule) inDate(n, weekday int) uint64 {
	days := r.dom & allDays(n)
	if r.last|r.near|r.nearLast == 0 {
		return days
	}
	for day := 1; day <= n; day++ {
		if r.last>>(n-day)&1 != 0 {
			days |= 1 << day
		}
		if r.near>>day&1 != 0 || r.nearLast>>(n-day)&1 != 0 {
			days |= 1 << nearest(day, n, weekday)
		}
	}
	return days
}

// inWeek is what the day-of-week field allows.
func (r *dayRule) inWeek(n, weekday int) uint64 {
	const everyWeek = 1<<1 | 1<<8 | 1<<15 | 1<<22 | 1<<29
	var days uint64
	for i := range 7 { // i days after the first of the month
		d := (weekday + i) % 7
		if r.dow>>d&1 != 0 {
			days |= everyWeek << i
		}
		if r.lastDow>>d&1 != 0 {
			days |= 1 << (1 + i + (n-1-i)/7*7)
		}
		for k := range r.nth {
			if r.nth[k]>>d&1 != 0 {
				days |= 1 << (1 + i + 7*k)
			}
		}
	}
	return days & allDays(n)
}

// nearest is the day from Monday to Friday that is nearest to a day, in the
// same month: a Saturday the 1st gives Monday the 3rd, and a Sunday that ends
// the month gives the Friday before.
func nearest(day, n, weekday int) int {
	switch (weekday + day - 1) % 7 {
	case 6:
		if day > 1 {
			return day - 1
		}
		return day + 2
	case 0:
		if day < n {
			return day + 1
		}
		return day - 2
	default:
		return day
	}
}

// allDays has the bits 1 to n.
func allDays(n int) uint64 {
	return 1<<(n+1) - 2
}
