package wal

import (
	"runtime"
	"time"
)

// gatherer waits, before a batch is made, for the callers whom the batch before has
// answered: most come back at once with their next record. Without it they come when the
// others' batch is on its way, the callers fall into two groups that take turns, and each
// sync serves half of them.
//
// It waits by yielding, since no timer is so short, for a quarter of what a batch takes, and
// for 200 us at most, and stops trying for a while when that was in vain.
type gatherer struct {
	expected int           // callers of the batch before, and who had come when it was durable
	took     time.Duration // by the batch before, until it was durable
	vain     int           // how many batches are not waited for after the next time in vain
	skip     int           // how many are not waited for now
}

const (
	maxWait = 200 * time.Microsecond
	maxVain = 64
)

// wait waits until as many are there as are expected.
func (g *gatherer) wait(there func() int) {
	first := there()
	switch missing := g.expected - first; {
	case missing <= 0:
		return
	case g.skip > 0:
		g.skip--
		return
	default:
		n, limit := first, min(g.took/4, maxWait)
		for began := time.Now(); n < g.expected && time.Since(began) < limit; n = there() {
			runtime.Gosched()
		}
		if n-first >= (missing+1)/2 {
			g.vain = 0
			return
		}
		g.vain = min(2*g.vain+1, maxVain)
		g.skip = g.vain
	}
}
