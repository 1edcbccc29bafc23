package actors

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage"
)

// bridged is how far the wall may be stepped back for what is written down to be
// bridged, and otherwise be followed at once. It is also how far a step must reach,
// either way, to begin another clock era.
const bridged = 5 * time.Minute

// noise is how far apart two readings of the wall and of monotonic time may be
// though nothing has moved: the wall is disciplined, and they are not read at once.
const noise = time.Millisecond

// clock is the one place that reads the time.
//
// The wall as read decides when a job is due, so that no step of it makes one
// early. What is written down and shown is the wall, smoothed: after a step back
// of up to bridged it runs at half the speed until the wall has caught up. No order
// hangs on either: sequence numbers carry it (G15).
//
// Every reading compares the wall with monotonic time. A step of more than bridged
// that no suspend accounts for begins another era (eras.go).
type clock struct {
	read      func() time.Time
	system    bool // read is time.Now
	suspended func() time.Duration
	base      time.Time // a monotonic reading
	store     *storage.Store

	steps      atomic.Int64  // that were noticed
	latestStep atomic.Uint64 // the storage.EraID that the latest step began, noticed or on record

	mu      sync.Mutex
	stepped func(storage.Era) // see watch
	shown   time.Time         // what now was last
	shownAt time.Duration     // and when, in monotonic time
	skew    time.Duration     // how far the wall had run ahead of monotonic time then
	slept   time.Duration     // and for how long the machine had been suspended
	moves   int               // how often the skew has changed
	eras    eras
}

// newClock makes the clock of an engine that has just opened the store.
func newClock(opts *Options, store *storage.Store) (*clock, error) {
	c := &clock{
		read: opts.Testing.Clock, system: opts.systemClock, suspended: opts.Testing.Suspended, base: time.Now(), store: store, stepped: func(storage.Era) {},
		shown: store.HighWater(),
	}
	wall, elapsed := c.both()
	c.skew, c.slept = c.skewOf(wall, elapsed), c.suspended()
	var err error
	c.eras, err = openEras(store, wall, c.shown)
	for _, e := range c.eras.list {
		if e.Step != 0 {
			c.latestStep.Store(uint64(e.ID))
		}
	}
	if wall.After(c.shown) || c.shown.Sub(wall) > bridged {
		c.shown = wall
	}
	return c, err
}

// watch has fn told of each step from now on. fn must not block, nor read the clock.
func (c *clock) watch(fn func(storage.Era)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stepped = fn
}

// glance reads the wall and monotonic time, which the system tells together. If it was
// interrupted in between, they seem to have moved apart.
func (c *clock) glance() (wall time.Time, elapsed time.Duration) {
	if !c.system {
		return c.both()
	}
	now := time.Now()
	return now.Round(0), now.Sub(c.base)
}

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

// skewOf is how far the wall has run ahead of monotonic time.
func (c *clock) skewOf(wall time.Time, elapsed time.Duration) time.Duration {
	return wall.Sub(c.base.Round(0)) - elapsed
}

// reading is what the clock says at one moment.
type reading struct {
	wall time.Time // as read, without a monotonic reading
	now  time.Time // smoothed, in whole milliseconds, cut off
	era  storage.EraID
}

// look reads the clock.
func (c *clock) look() reading {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, elapsed := c.glance()
	if (c.skewOf(wall, elapsed) - c.skew).Abs() >= noise {
		wall, elapsed = c.both()
	}
	if moved := c.skewOf(wall, elapsed) - c.skew; moved.Abs() >= noise {
		if moved.Abs() > bridged {
			wall, elapsed = c.step()
		}
		c.skew = c.skewOf(wall, elapsed)
		c.moves++
	}
	c.run(elapsed)
	if ahead := c.shown.Sub(wall); ahead < 0 || ahead > bridged {
		c.shown = wall
	}
	return reading{wall: wall, now: time.UnixMilli(c.shown.UnixMilli()).UTC(), era: c.eras.latest().ID}
}

// run lets what is written down pass at half the speed.
func (c *clock) run(elapsed time.Duration) {
	c.shown, c.shownAt = c.shown.Add((elapsed-c.shownAt)/2), elapsed
}

// step looks again whether the wall was stepped, and begins another era if so. A
// process that was stopped between two readings may believe it for a moment.
func (c *clock) step() (wall time.Time, elapsed time.Duration) {
	slept := c.suspended()
	wall, elapsed = c.both()
	by := c.skewOf(wall, elapsed) - c.skew - (slept - c.slept)
	c.slept = slept
	if by.Abs() <= bridged {
		return wall, elapsed // the machine was suspended
	}
	last := wall.Add(-by) // what the wall would show now, however long ago it was read
	if c.shown.After(last) {
		last = c.shown
	}
	c.eras.begin(c.store, wall, last, by)
	c.eras.watch(elapsed)
	if by < 0 {
		c.shown = wall
	}
	c.steps.Add(1)
	c.latestStep.Store(uint64(c.eras.latest().ID))
	c.stepped(c.eras.latest())
	return wall, elapsed
}

// fixes are what steps of the wall after the era since have proved false.
func (c *clock) fixes(since storage.EraID) fixes {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fixesOf(c.eras.list, since)
}

// steppedSince says whether the wall was stepped since the era, as far as that is on
// record.
func (c *clock) steppedSince(era storage.EraID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.eras.list, func(e storage.Era) bool { return e.ID == era })
	return i < 0 || slices.ContainsFunc(c.eras.list[i+1:], func(e storage.Era) bool { return e.Step != 0 })
}

// due is what dues that are relative count from.
func (c *clock) due() (time.Time, storage.EraID) {
	at := c.look()
	return at.wall, at.era
}

// wall is what the wall clock shows.
func (c *clock) wall() time.Time { return c.look().wall }

// now is the instant to be written down.
func (c *clock) now() time.Time { return c.look().now }

// elapsed is monotonic time since the engine was opened. It stands still while
// the machine is suspended.
func (c *clock) elapsed() time.Duration { return time.Since(c.base) }

// check is how often the wall has moved apart from monotonic time: it was stepped,
// or the machine was suspended. Its caller asks every Options.ClockCheck.
func (c *clock) check() (moves int) {
	c.look()
	c.mu.Lock()
	defer c.mu.Unlock()
	if slept := c.suspended(); (slept - c.slept).Abs() > bridged {
		// The wall has not moved on while the machine was suspended.
		wall, elapsed := c.step()
		c.skew = c.skewOf(wall, elapsed)
		c.moves++
	} else {
		c.slept = slept
	}
	return c.moves
}
