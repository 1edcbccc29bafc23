package cron_test

import (
	"fmt"
	"testing"
	"time"
)

// shape is what makes one clock change different from another: the offsets
// before and after it, in seconds, and the wall time at which it comes.
type shape struct {
	before, after int
	wall          int // second of the day, by the old offset
}

// change is one clock change that has a shape.
type change struct {
	shape
	zone string
	at   int64
}

func (c change) String() string {
	return fmt.Sprintf("%s %s (%+ds)", c.zone, time.Unix(c.at, 0).UTC().Format("2006-01-02T15:04Z"), c.after-c.before)
}

// found keeps what mustChanges found, which takes it a second. Tests here do not
// run in parallel.
var found = map[bool][]change{}

// mustChanges walks through all zones from 1975 to the end of 2037 and returns
// the first clock change of each shape. The short form tells shapes apart by
// how far and at what time the clock moves; the long form by both offsets.
func mustChanges(tb testing.TB, long bool) []change {
	tb.Helper()
	if all := found[long]; all != nil {
		return all
	}
	from := time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	to := time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	seen := map[shape]bool{}
	var all []change
	for _, zone := range mustZones(tb) {
		loc := mustZone(tb, zone)
		for _, at := range changesOf(loc, from, to) {
			c := change{zone: zone, at: at}
			_, c.before = time.Unix(at-1, 0).In(loc).Zone()
			_, c.after = time.Unix(at, 0).In(loc).Zone()
			c.wall = int(((at+int64(c.before))%86400 + 86400) % 86400)
			key := c.shape
			if !long {
				key.before, key.after = 0, c.after-c.before
			}
			if !seen[key] {
				seen[key] = true
				all = append(all, c)
			}
		}
	}
	found[long] = all
	return all
}

// changesOf finds the instants at which the offset of a zone changes. It does
// not trust time.Time.ZoneBounds, which the package uses: it looks at every
// fifth day and halves the interval when the offset differs. No zone has gone
// back and forth within five days since 1975.
func changesOf(loc *time.Location, from, to int64) []int64 {
	offset := func(u int64) int {
		_, off := time.Unix(u, 0).In(loc).Zone()
		return off
	}
	const step = 5 * 24 * 3600
	var all []int64
	last := offset(from)
	for u := from; u < to; u += step {
		next := offset(u + step)
		if next == last {
			continue
		}
		lo, hi := u, u+step
		for hi-lo > 1 {
			if mid := (lo + hi) / 2; offset(mid) == last {
				lo = mid
			} else {
				hi = mid
			}
		}
		all = append(all, hi)
		last = next
	}
	return all
}

// mustZones is the names of all zones.
func mustZones(tb testing.TB) []string {
	tb.Helper()
	lines := mustLines(tb, "zones.txt")
	var zones []string
	for n := range len(lines) + 20 {
		if zone, ok := lines[n]; ok && zone != "Factory" {
			zones = append(zones, zone)
		}
	}
	return zones
}
