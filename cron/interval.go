package cron

import (
	"strings"
	"time"
)

// everyPrefix begins the text form of an interval.
const everyPrefix = "@every "

// parseEvery reads a duration and returns it in milliseconds. A duration must
// be whole milliseconds because that is the resolution slots are stored with:
// the next slot is computed from the stored one, and a slot that lost a
// fraction would be found again by Next and run twice.
func parseEvery(s string) (int64, error) {
	if strings.HasPrefix(s, "+") {
		return 0, faultf("%q is not a duration", s)
	}
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		return 0, faultf("%q is not a duration", s)
	case d < MinEvery:
		return 0, faultf("%v is shorter than %v", d, MinEvery)
	case d > MaxEvery:
		return 0, faultf("%v is longer than %v", d, MaxEvery)
	case d%time.Millisecond != 0:
		return 0, faultf("%v is not a whole number of milliseconds", d)
	}
	return d.Milliseconds(), nil
}

// nextInterval is the least anchor + k*every that is after the instant ms, all
// in Unix milliseconds. The slots reach in both directions from the anchor.
//
// Cutting an instant to its millisecond before asking is right: slots are
// whole milliseconds, so the least slot after the cut is after the instant.
func nextInterval(ms, anchor, every int64) int64 {
	return anchor + (floorDiv(ms-anchor, every)+1)*every
}

// floorDiv divides and rounds towards minus infinity.
func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
