package actors

import (
	"sync"
	"time"
)

// bridged is how far behind the latest instant it has shown the wall may be for
// what is written down to be bridged: a larger step back is followed at once.
const bridged = 5 * time.Minute

// clock is the one place that reads the time.
//
// The wall as read decides when a job is due, so that no step of it makes one
// early. What is written down and shown is the wall, smoothed: after a step back
// of up to bridged it runs at half the speed until the wall has caught up. No order
// hangs on either: sequence numbers carry it (G15).
type clock struct {
	read func() time.Time
	base time.Time // a monotonic reading

	mu      sync.Mutex
	shown   time.Time     // what now was last
	shownAt time.Duration // and when, in monotonic time
}

// newClock makes the clock of an engine whose store has the high-water mark.
func newClock(read func() time.Time, highWater time.Time) *clock {
	return &clock{read: read, base: time.Now(), shown: highWater}
}

// reading is what the clock says at one moment.
type reading struct {
	wall time.Time // as read, without a monotonic reading
	now  time.Time // smoothed, in whole milliseconds, cut off
}

// look reads the clock.
func (c *clock) look() reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, elapsed := c.read().Round(0), c.elapsed()
	c.shown, c.shownAt = c.shown.Add((elapsed-c.shownAt)/2), elapsed
	if ahead := c.shown.Sub(wall); ahead < 0 || ahead > bridged {
		c.shown = wall
	}
	return reading{wall: wall, now: time.UnixMilli(c.shown.UnixMilli()).UTC()}
}

// wall is what the wall clock shows.
func (c *clock) wall() time.Time { return c.look().wall }

// now is the instant to be written down.
func (c *clock) now() time.Time { return c.look().now }

// elapsed is monotonic time since the engine was opened. It stands still while
// the machine is suspended.
func (c *clock) elapsed() time.Duration { return time.Since(c.base) }

// skew is how far the wall has run ahead of monotonic time. It changes only
// when the wall is stepped or the machine was suspended.
func (c *clock) skew() time.Duration { return c.wall().Sub(c.base.Round(0)) - c.elapsed() }
