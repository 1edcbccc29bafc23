package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// doubt is how far ahead of what was written down last the wall may be for its age
// of rows to be believed, and believedAfter how long it must have run so before it
// is believed nonetheless.
const (
	doubt         = 24 * time.Hour
	believedAfter = time.Hour
)

// eras are the stretches of time between steps of the wall. What is made of a
// reading of the clock bears its era, so that it can be put right once that proves
// false. They belong to the clock, under its lock.
type eras struct {
	list     []storage.Era // the one that lasts is the last
	steps    int           // noticed since the store was opened
	behind   time.Duration // the wall, when it was opened, what had been written down
	accepted storage.EraID // a person has accepted the steps up to here
	settled  storage.EraID // the wall is believed up to here
	wait     time.Duration // until when, in monotonic time, what lasts is in doubt; 0: it is not
}

// openEras takes up the eras of a store that was opened when the wall showed the
// instant. What was written down last was in an era that goes on, unless the wall is
// behind that by more than bridged, which is a step, or ahead, which is downtime.
func openEras(store *storage.Store, wall, high time.Time) (eras, error) {
	e := eras{list: slices.Clone(store.Eras())}
	for mark, id := range map[storage.EraMark]*storage.EraID{storage.EraAccepted: &e.accepted, storage.EraSettled: &e.settled} {
		var err error
		// Without the volume that knows, nothing was accepted.
		if *id, err = store.Mark(mark); err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return e, err
		}
	}
	gap := wall.Sub(high)
	if !high.IsZero() && gap < 0 {
		e.behind = -gap
		if -gap <= bridged {
			e.steps++ // else begin counts it
		}
	}
	known := len(e.list) > 0
	switch {
	case high.IsZero():
		e.begin(store, wall, wall, 0) // a new store
	case known && gap.Abs() <= bridged:
		store.BeginEra(e.list)
	case gap < -bridged:
		e.begin(store, wall, high, gap)
	default:
		e.begin(store, wall, high, 0)
	}
	e.watch(0)
	return e, nil
}

// latest is the era that lasts.
func (e *eras) latest() storage.Era { return e.list[len(e.list)-1] }

// begin ends the era that lasts, in which last was written down, and begins another,
// by a step if that is not 0.
func (e *eras) begin(store *storage.Store, wall, last time.Time, step time.Duration) {
	list := slices.Clone(e.list)
	if len(list) == 0 {
		list = []storage.Era{{}} // of a release that knew none
	}
	was := &list[len(list)-1]
	was.Last = last.Truncate(time.Millisecond)
	step = step.Truncate(time.Millisecond)
	list = append(list, storage.Era{ID: store.NextEra(), Began: wall.Truncate(time.Millisecond), Offset: was.Offset + step, Step: step})
	if e.list = list; step != 0 {
		e.steps++
	}
	store.BeginEra(list)
}

// watch has the era that lasts doubted for some time if the wall has run far ahead.
func (e *eras) watch(elapsed time.Duration) {
	e.wait = 0
	if e.doubtful() {
		e.wait = elapsed + believedAfter
	}
}

// doubtful says whether the era that lasts began more than doubt ahead of all that
// was written down in those that are believed.
func (e *eras) doubtful() bool {
	var known time.Time
	for _, era := range e.list {
		ahead := !known.IsZero() && era.Began.Sub(known) > doubt
		if ahead && era.ID > e.settled {
			if era.ID == e.latest().ID {
				return true
			}
			continue
		}
		if era.Last.After(known) {
			known = era.Last
		}
	}
	return false
}

// ClockState is what the engine knows of the wall clock.
type ClockState struct {
	Wall    time.Time // as it is now
	Written time.Time // what would be written down now: the wall, smoothed
	// Steps counts the steps of more than five minutes that were noticed since Open,
	// and a wall behind what had been written down at Open.
	Steps int
	// Doubted is for how much longer nothing is purged by age, because the wall has
	// run more than a day ahead of what was written down; 0: it is.
	Doubted time.Duration
	// Notes say, a line each, what a person should look at. AcceptClock ends them.
	Notes []string
}

// Clock returns what the engine knows of the wall clock.
func (e *Engine) Clock() ClockState {
	at := e.clock.look()
	c := e.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ClockState{Wall: at.wall, Written: at.now, Steps: c.eras.steps}
	if c.eras.wait > 0 {
		s.Doubted = max(c.eras.wait-c.elapsed(), 0)
	}
	s.Notes = storage.ClockNotes(c.eras.list, c.eras.accepted)
	if c.eras.behind > 0 && c.eras.behind <= bridged {
		s.Notes = append(s.Notes, fmt.Sprintf("the wall clock was %v behind what had been written down when the store was opened", c.eras.behind))
	}
	if s.Doubted > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("nothing is purged by age for another %v of running: the wall clock is more than a day ahead of what was written down", s.Doubted))
	}
	return s
}

// AcceptClock says, durably when it returns, that the wall clock is right as it is:
// it ends every caution because of it, and the notes of Clock.
func (e *Engine) AcceptClock(ctx context.Context) error {
	if e.closing.Load() {
		return errShutdown()
	}
	id := e.clock.look().era
	done := make(chan error, 1)
	e.handlers.spawn("", func() result {
		return result{err: e.settle(id, true, e.auditOf(ctx, "")...)}
	}, func(res result) { done <- res.err })
	select {
	case err := <-done:
		return asError(err)
	case <-ctx.Done():
		return contextError(ctx, "")
	}
}

// settle remembers that the eras up to id are believed, and if accepted that a
// person has said so. It blocks until that is durable.
func (e *Engine) settle(id storage.EraID, accepted bool, by ...storage.AuditEntry) error {
	if err := e.store.SetMark(storage.EraSettled, id); err != nil {
		return dispatch.AsError(err)
	}
	if accepted {
		if err := e.store.SetMark(storage.EraAccepted, id, by...); err != nil {
			return dispatch.AsError(err)
		}
	}
	c := e.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	c.eras.settled = max(c.eras.settled, id)
	if accepted {
		c.eras.accepted, c.eras.behind = max(c.eras.accepted, id), 0
	}
	if c.eras.latest().ID == id {
		c.eras.wait = 0
	}
	return nil
}

// doubted says whether the wall may not be right, so that its age is no reason to
// delete anything.
func (c *clock) doubted() bool { return c.doubtedFor() > 0 }

// doubtedFor is for how long it will be in doubt; 0: it is not.
func (c *clock) doubtedFor() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eras.wait == 0 {
		return 0
	}
	return max(c.eras.wait-c.elapsed(), 0)
}

// believe remembers that a wall that was in doubt has run for long enough.
func (e *Engine) believe() {
	c := e.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eras.wait == 0 || c.elapsed() < c.eras.wait || e.closing.Load() {
		return
	}
	c.eras.wait = 0
	id := c.eras.latest().ID
	e.handlers.spawn("", func() result { return result{err: e.settle(id, false)} }, func(res result) {
		if res.err != nil && !e.closing.Load() {
			e.opts.Logger.Error("remembering that the wall clock is believed", "err", res.err)
		}
	})
}
