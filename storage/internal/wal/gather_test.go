package wal

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestCallersWhoComeBackAreWaitedFor: for as many as are expected, for a quarter of the
// batch before at most, and not at all when that was in vain, for a while.
func TestCallersWhoComeBackAreWaitedFor(t *testing.T) {
	const batch = 400 * time.Microsecond
	// coming says that so many are there at first, and one more each 10 us, up to all.
	coming := func(first, all int) func() int {
		n, calls := first, 0
		return func() int {
			if calls++; calls > 100 {
				t.Fatal("it waits without end")
			}
			if calls > 1 {
				time.Sleep(10 * time.Microsecond)
				n = min(n+1, all)
			}
			return n
		}
	}
	for _, tt := range []struct {
		what     string
		expected int
		there    func() int
		want     time.Duration
		vain     bool
	}{
		{"all are there", 5, coming(5, 5), 0, false},
		{"more are", 5, coming(7, 7), 0, false},
		{"alone", 1, coming(1, 1), 0, false},
		{"the last comes in time", 10, coming(1, 20), 90 * time.Microsecond, false},
		{"half of them come", 9, coming(1, 5), 100 * time.Microsecond, false},
		{"fewer than half come", 9, coming(1, 4), 100 * time.Microsecond, true},
		{"none comes", 2, coming(1, 1), 100 * time.Microsecond, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			g, began := gatherer{expected: tt.expected, took: batch}, time.Now()
			g.wait(tt.there)
			if took := time.Since(began); took != tt.want || tt.vain != (g.skip > 0) {
				t.Errorf("%s: waited for %v, want %v; in vain %v", tt.what, took, tt.want, g.skip > 0)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		g, waited := gatherer{expected: 2, took: batch}, 0
		for range 1000 {
			began := time.Now()
			g.wait(coming(1, 1))
			if time.Since(began) > 0 {
				waited++
			}
		}
		g = gatherer{expected: 2, took: time.Hour}
		began := time.Now()
		if g.wait(coming(1, 1)); time.Since(began) != maxWait {
			t.Errorf("behind a batch of an hour it waits for %v", time.Since(began))
		}
		if waited < 3 || waited > 25 {
			t.Errorf("of 1000 batches %d were waited for in vain", waited)
		}
		for g.skip > 0 {
			g.wait(coming(1, 1))
		}
		g.wait(coming(1, 2))
		if g.vain != 0 || g.skip != 0 {
			t.Errorf("%+v after one who came back", g)
		}
	})
}
