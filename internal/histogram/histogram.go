// Package histogram counts values by their size, for less than a lock would cost: an engine
// counts always, and whether it is read is for its host to say.
package histogram

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Bounds is how many bounds a histogram has; values beyond the last are counted, too.
const Bounds = 20

// Histogram counts values in buckets whose bounds double from Unit on. The zero value counts
// with a unit of 1. Any goroutine may use it; it must not be copied.
type Histogram struct {
	Unit   int64
	counts [Bounds + 1]atomic.Uint64
	sum    atomic.Int64
}

// Observe counts a value; what is less than zero is taken for zero.
func (h *Histogram) Observe(value int64) {
	value = max(value, 0)
	at := 0
	if value > 0 {
		at = min(bits.Len64(uint64((value-1)/max(h.Unit, 1))), Bounds)
	}
	h.counts[at].Add(1)
	h.sum.Add(value)
}

// Since observes the time since began, in nanoseconds.
func (h *Histogram) Since(began time.Time) { h.Observe(int64(time.Since(began))) }

// Counts returns what was counted so far. A value that is being counted may be in it in part.
func (h *Histogram) Counts() (c Counts) {
	c.Unit, c.Sum = max(h.Unit, 1), h.sum.Load()
	for i := range c.Counts {
		c.Counts[i] = h.counts[i].Load()
	}
	return c
}

// Counts is how many values of each size there were.
type Counts struct {
	Unit   int64              // the first bound; each other one is twice that before it
	Counts [Bounds + 1]uint64 // of values up to each bound, and above the one before; at last of those above all
	Sum    int64              // of the values
}

// Bound is the bound of Counts[i].
func (c *Counts) Bound(i int) int64 { return c.Unit << i }

// Total is how many values there were.
func (c *Counts) Total() (n uint64) {
	for _, m := range c.Counts {
		n += m
	}
	return n
}

// Add adds what another histogram of the same unit has counted.
func (c *Counts) Add(other *Counts) {
	c.Unit, c.Sum = other.Unit, c.Sum+other.Sum
	for i := range c.Counts {
		c.Counts[i] += other.Counts[i]
	}
}
