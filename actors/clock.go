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
	skew    time.Duration // how far the wall had run ahead of monotonic time then
	moves   int           // how often that has changed
}

// newClock makes the clock of an engine whose store has the high-water mark.
func newClock(read func() time.Time, highWater time.Time) *clock {
	c := &clock{read: read, base: time.Now(), shown: highWater}
	wall, elapsed := c.both()
	c.skew = wall.Sub(c.base.Round(0)) - elapsed
	return c
}

// noise is how far apart two readings of the wall and of monotonic time may be
// though nothing has moved: the wall is disciplined, and they are not read at once.
const noise = time.Millisecond

// both reads the wall and monotonic time at one moment.
func (c *clock) both() (wall time.Time, elapsed time.Duration) {
	for range 4 {
		before := c.elapsed()
		wall, elapsed = c.read().Round(0), c.elapsed()
		if elapsed-before < noise/2 {
			break // else it was interrupted in between
		}
	}
	return wall, elapsed
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
	wall, elapsed := c.both()
	if skew := wall.Sub(c.base.Round(0)) - elapsed; (skew - c.skew).Abs() >= noise {
		c.skew = skew
		c.moves++
	}
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

// moved is how often the wall has moved apart from monotonic time: it was stepped,
// or the machine was suspended. Every reading of the clock notices.
func (c *clock) moved() int {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moves
}
