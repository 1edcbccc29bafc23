package cron

import "time"

const (
	daySeconds = 24 * 60 * 60
	// maxShift is more than a clock can be moved at once: an offset is less than
	// a day, so the difference of two is less than two days.
	maxShift = 2 * daySeconds
	// horizonYears is how soon a spec must have an occurrence to be accepted.
	// The rarest pattern there is, a 29 February that is a given weekday, comes
	// after 40 years at most.
	horizonYears = 45

	// Instants are looked for after earliest and before latest: the years 1 to
	// 9999, which is what RFC 3339 can write. The first is also the zero
	// time.Time, which Next returns for "none".
	earliest = -62135596800
	latest   = 253402300800
)

// Next is the first slot strictly after t (C1): a whole second in the
// schedule's zone, or a whole millisecond for an interval, without a monotonic
// reading. It is the zero Time if there is none before the year 10000. A t
// before the year 1 counts as the beginning of that year.
//
// Next allocates nothing and does a bounded amount of work (C3).
func (s *Schedule) Next(t time.Time) time.Time {
	u := t.Unix()
	if u >= latest || s.never {
		return time.Time{}
	}
	if s.every != 0 {
		ms := int64(earliest * 1000)
		if u >= earliest {
			ms = t.UnixMilli()
		}
		ms = nextInterval(ms, s.anchor, s.every)
		if ms >= latest*1000 {
			return time.Time{}
		}
		return time.UnixMilli(ms).In(s.loc)
	}
	u = max(u, earliest) + 1
	if s.cal.wild {
		u = s.nextWild(u)
	} else {
		u = s.nextFixed(u)
	}
	if u >= latest {
		return time.Time{}
	}
	return time.Unix(u, 0).In(s.loc)
}

// Last is the last slot after one instant and not after another, and the zero
// Time if there is none between them. It is how a catch-up finds the one late
// run to make after a long downtime: it halves the span, so ten years of a slot
// every second take no more than forty calls of Next.
func (s *Schedule) Last(after, until time.Time) time.Time {
	if until.Unix() >= latest {
		until = time.Unix(latest-1, 0)
	}
	slot := s.Next(after)
	if slot.IsZero() || slot.After(until) {
		return time.Time{}
	}
	// Invariant: slot is a slot, and none is after hi and not after until.
	hi := until.UnixMilli()
	for slot.UnixMilli() < hi {
		lo := slot.UnixMilli()
		mid := lo + (hi-lo)/2
		if next := s.Next(time.UnixMilli(mid)); next.IsZero() || next.After(until) {
			hi = mid
		} else {
			slot = next
		}
	}
	return slot
}

// nextWild is the first slot at or after the instant u, or latest or more, for
// a spec whose hour is a wildcard. Such a spec follows the clock: a slot is
// every instant at which the clock shows a time that matches. So each stretch
// is asked in turn, in its own wall time.
//
//	         gap                   repeat
//	wall    |   /                 | /|  /
//	        |  /                  |/ | /
//	        | |  <- no instant    /  |/   <- two instants
//	        |/                   /|
//	        +------ instants     +------ instants
func (s *Schedule) nextWild(u int64) int64 {
	for u < latest {
		st := stretchAt(s.loc, u)
		end := min(st.end, latest)
		if w, ok := s.cal.next(u+st.off, end+st.off); ok {
			return w - st.off
		}
		u = end
	}
	return latest
}

// nextFixed is the first slot at or after the instant u, or latest or more, for
// a spec with fixed hours. Such a spec runs once for every wall time that
// matches: at the first instant at which the clock shows that time or has gone
// past it. The one sentence gives the whole rule of Vixie cron: a time in a gap
// runs at the end of the gap, a time in a repeated hour runs the first time.
func (s *Schedule) nextFixed(u int64) int64 {
	st := stretchAt(s.loc, u)
	// Before the instant u, the clock has shown or jumped over every wall time
	// that is less than seen. Right after the clock was put back that is more
	// than it shows at u; right at the end of a gap, the gap is still to come.
	seen := int64(noStart)
	if st.start < u {
		seen = u + st.off
	}
	for at := st.start; at > u-maxShift; {
		before := stretchAt(s.loc, at-1)
		seen = max(seen, at+before.off)
		at = before.start
	}
	w, ok := s.cal.next(seen, latest+maxShift)
	if !ok {
		return latest
	}
	// The clock cannot show w earlier than this, so whole years of stretches
	// need no look.
	if at := w - maxShift; at > u {
		u = at
		st = stretchAt(s.loc, u)
	}
	for {
		switch {
		case u+st.off >= w:
			return u
		case w-st.off < st.end:
			return w - st.off
		}
		u = st.end
		st = stretchAt(s.loc, u)
	}
}
