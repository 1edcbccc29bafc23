package actors

import (
	"sync/atomic"
	"time"
)

// clock is the one place that reads the time.
//
// The wall decides when a job is due, so that no step of it makes one early.
// Scheduler time is what is written down: the latest the wall has ever shown,
// restarts included, so that it never goes back (G15).
type clock struct {
	read    func() time.Time
	base    time.Time // a monotonic reading
	highest atomic.Int64
}

func newClock(read func() time.Time, highWater time.Time) *clock {
	c := &clock{read: read, base: time.Now()}
	if !highWater.IsZero() {
		c.highest.Store(highWater.UnixMilli())
	}
	return c
}

// wall is what the wall clock shows, without a monotonic reading.
func (c *clock) wall() time.Time { return c.read().Round(0) }

// now is scheduler time, in whole milliseconds, cut off.
func (c *clock) now() time.Time { return c.raise(c.wall()) }

// seen is the wall for functions, who may write down what they see: scheduler
// time is never behind it from here on.
func (c *clock) seen() time.Time {
	wall := c.wall()
	c.raise(wall)
	return wall
}

// raise has scheduler time not be behind the wall, and returns it.
func (c *clock) raise(wall time.Time) time.Time {
	ms := wall.UnixMilli()
	for {
		highest := c.highest.Load()
		if ms <= highest {
			return time.UnixMilli(highest).UTC()
		}
		if c.highest.CompareAndSwap(highest, ms) {
			return time.UnixMilli(ms).UTC()
		}
	}
}

// elapsed is monotonic time since the engine was opened. It stands still while
// the machine is suspended.
func (c *clock) elapsed() time.Duration { return time.Since(c.base) }

// skew is how far the wall has run ahead of monotonic time. It changes only
// when the wall is stepped or the machine was suspended.
func (c *clock) skew() time.Duration { return c.wall().Sub(c.base.Round(0)) - c.elapsed() }
