package actors

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/storage"
)

// This file is what a step of the wall makes false, and how it is put right, app by
// app, in bounded steps, before anything more is claimed (A14):
//
//	claims not begun   are taken back
//	ticks not begun    of slots that are yet to come are undone
//	relative dues      are moved by the difference of the eras, never to before now
//	instants written   that lie after the wall become the present one
//	triggers           go back to what they had decided before the false era; what was
//	                   skipped there is undone, what fired there does not fire again

// fixes are what steps of the wall have proved false. They follow from the eras alone,
// and not from when they are asked for: an app may be put right hours later.
type fixes struct {
	era   storage.EraID                   // the present one
	shift map[storage.EraID]time.Duration // how far dues that count from a reading in the era are moved
	ahead map[storage.EraID]overshoot     // eras at whose end the wall was ahead
}

// overshoot is an era whose end was ahead of the instant that the wall was set back to.
type overshoot struct {
	began time.Time // the era
	back  time.Time // that instant, by the present wall
}

// whole says whether the era lies beyond that instant from its beginning on.
func (o overshoot) whole() bool { return o.began.After(o.back.Add(bridged)) }

// fixesOf says which eras the steps after the era since have proved false. One that
// ended after a later one began was ahead. One that was stepped back to, and forward
// from again, was behind, as far as the wall had been ahead of it before: a step forward
// by itself proves nothing.
func fixesOf(list []storage.Era, since storage.EraID) fixes {
	present := list[len(list)-1]
	f := fixes{era: present.ID, shift: map[storage.EraID]time.Duration{}, ahead: map[storage.EraID]overshoot{}}
	for i, e := range list[:len(list)-1] {
		later := list[i+1:]
		for len(later) > 0 && later[0].ID <= since {
			later = later[1:]
		}
		if !slices.ContainsFunc(later, func(p storage.Era) bool { return p.Step != 0 }) {
			continue
		}
		by := present.Offset - e.Offset
		back := later[0].Began.Add(present.Offset - later[0].Offset)
		for _, p := range later[1:] {
			back = earlier(back, p.Began.Add(present.Offset-p.Offset))
		}
		if e.Last.After(back.Add(bridged)) {
			f.ahead[e.ID] = overshoot{e.Began, back}
			if by < 0 && e.ID != 0 { // what is of no era is absolute
				f.shift[e.ID] = by
			}
			continue
		}
		before := e.Offset
		for _, p := range list[:i] {
			before = max(before, p.Offset)
		}
		if by = min(by, before-e.Offset); by > bridged && e.ID != 0 {
			f.shift[e.ID] = by
		}
	}
	return f
}

func (f *fixes) none() bool { return len(f.shift) == 0 && len(f.ahead) == 0 }

// job puts a pending job right, of which an attempt may have begun, and says whether
// anything of it was false.
func (f *fixes) job(job *storage.Job, begun bool, at reading) bool {
	changed := job.Bound(at.now)
	if (begun || job.Attempts > 0) && !job.Slot.IsZero() && job.Due.After(at.wall.Add(bridged)) && job.Era == 0 {
		// An attempt of this tick began when its slot seemed to have come.
		job.Due, job.Era, changed = at.wall.Add(time.Millisecond-1).Truncate(time.Millisecond).UTC(), f.era, true
	}
	if by, ok := f.shift[job.Era]; ok {
		due := job.Due.Add(by)
		if due.Before(at.wall) {
			due = at.wall.Add(time.Millisecond - 1)
		}
		job.Due, job.Era, changed = due.Truncate(time.Millisecond), f.era, true
	}
	if by, ok := f.shift[job.AskedEra]; ok {
		job.ScheduledFor, job.AskedEra, changed = job.ScheduledFor.Add(by), f.era, true
		if first := time.UnixMilli(1); job.ScheduledFor.Before(first) {
			job.ScheduledFor = first.UTC()
		}
	}
	return changed
}

// correction is how far an app has come in being put right.
type correction struct {
	fixes
	step     storage.EraID // the latest step of the wall
	jobs     storage.Place
	allJobs  bool
	ended    storage.EndedCursor
	triggers int // of those by name
}

// How much one step of a correction looks at.
const (
	correctJobs     = 256
	correctEnded    = 64
	correctTriggers = 16
)

// uncorrected says whether the wall was stepped since the app was last put right.
// Nothing is claimed, or begun, meanwhile.
func (app *appState) uncorrected() bool {
	return storage.EraID(app.eng.clock.latestStep.Load()) > app.store.Corrected()
}

// correct does one step of putting the app right. It is false if there is nothing to do.
func (s *scheduler) correct() bool {
	if s.phase().draining() || !s.uncorrected() {
		return false
	}
	at := s.eng.clock.look()
	if step := storage.EraID(s.eng.clock.latestStep.Load()); s.correction == nil || s.correction.step != step {
		s.correction = &correction{fixes: s.eng.clock.fixes(s.store.Corrected()), step: step}
	}
	c := s.correction
	tx := s.begin(at)
	tx.Pin()
	err := s.correctSome(tx, c, at)
	if errors.Is(err, storage.ErrUnavailable) {
		s.rollback(tx, nil, nil)
		s.breakDown(err)
		return true
	}
	if err != nil {
		s.eng.opts.Logger.Error("putting right what a wrong clock has left", "app", s.id, "err", err)
	}
	s.yields = true
	if tx.Unchanged() {
		s.rollback(tx, nil, nil)
	} else {
		s.commit(tx, nil, nil)
	}
	return true
}

// correctSome does the next step. The errors that it returns are of records that it
// had to leave as they are, unless nothing can be read or written at all.
func (s *scheduler) correctSome(tx *storage.Tx, c *correction, at reading) error {
	switch {
	case c.none():
	case s.walks.claimed().runs > 0:
		return s.unclaim(tx)
	case !c.allJobs:
		jobs, next, more, err := tx.Due(c.jobs, correctJobs)
		if err != nil && len(jobs) == 0 {
			more = false
		}
		for i := range jobs {
			err = errors.Join(err, s.correctJob(tx, c, jobs[i], at))
		}
		// What was moved to behind here is met again, and right by then.
		c.jobs, c.allJobs = next, !more
		return err
	case !c.ended.Over():
		next, err := tx.BoundEnded(c.ended, correctEnded)
		if err != nil && next == c.ended {
			c.ended = storage.EndedCursor{}.End()
			return err
		}
		c.ended = next
		return err
	default:
		list, err := tx.JobWriter().System().Triggers()
		if err != nil {
			break
		}
		var errs error
		for _, t := range list[min(c.triggers, len(list)):min(c.triggers+correctTriggers, len(list))] {
			if t.Unreadable() {
				continue
			}
			err := tx.JobWriter().Nested(func(w storage.JobWriter) error { return s.planner.correct(w, &t, &c.fixes, at) })
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("trigger %s: %w", t.Name, err))
			}
		}
		if c.triggers += correctTriggers; c.triggers < len(list) {
			return errs
		}
		s.corrected(tx, c)
		return errs
	}
	s.corrected(tx, c)
	return nil
}

// correctJob puts a pending job right. One that has begun goes on by what is stored of
// it, should it be cut off: by then nothing looks at it again.
func (s *scheduler) correctJob(tx *storage.Tx, c *correction, job storage.Job, at reading) error {
	r := s.runs.get(job.ID)
	begun := r != nil && s.runs.live(job.ID)
	if r != nil && !begun {
		return nil
	}
	if r == nil && len(c.ahead) > 0 && job.Trigger != "" && !job.Slot.IsZero() && job.Attempts == 0 && len(job.History) == 0 {
		undone := false
		err := tx.JobWriter().Nested(func(w storage.JobWriter) (err error) {
			undone, err = s.planner.undo(w, &job, &c.fixes, at)
			return err
		})
		if undone || err != nil {
			return err
		}
	}
	if !c.job(&job, begun, at) {
		return nil
	}
	err := tx.Amend(&job)
	if err == nil && begun {
		r.job.Follow(job)
	}
	return err
}

// corrected ends the correction.
func (s *scheduler) corrected(tx *storage.Tx, c *correction) {
	if err := tx.SetCorrected(c.step); err != nil {
		return // the transaction is lost, and the correction begins anew
	}
	s.correction = nil
	s.doubtTriggers()
	s.claimFrom(storage.Place{})
}

// correct puts a trigger right.
func (p *planner) correct(w storage.JobWriter, t *storage.Trigger, f *fixes, at reading) error {
	changed := false
	for _, instant := range []*time.Time{&t.CreatedAt, &t.LastEndedAt, &t.LastSuccessAt} {
		if instant.After(at.now) {
			*instant, changed = at.now, true
		}
	}
	if t.AtStart {
		if !changed {
			return nil
		}
		return w.PutTrigger(t) // it has no slots
	}
	if t.Anchor.After(at.wall) {
		t.Anchor, changed = p.anchorBy(t, at.wall), true
	}
	decided, marks := f.decided(t, at.wall)
	for _, m := range t.Marks {
		if o, ahead := f.ahead[m.Era]; ahead && o.whole() && t.LastSuccess.After(o.back) && !m.LastSuccess.After(o.back) {
			t.LastSuccess, t.LastSuccessSeq = m.LastSuccess, m.LastSuccessSeq
		}
	}
	changed = changed || len(marks) < len(t.Marks)
	if !changed && decided.Equal(t.Decided) {
		return nil
	}
	if t.Marks = marks; decided.Before(t.Decided) {
		schedule, err := p.schedule(t)
		if err == nil {
			err = w.UndoSlots(t.Name, decided, func(from time.Time) (time.Time, int) {
				last := schedule.Last(from.Add(-time.Millisecond), decided)
				return last, p.count(t, from, last)
			})
		}
		if err != nil && schedule != nil {
			return err
		}
		t.Decided = decided
	}
	if t.NextJob != "" {
		if _, err := w.RemoveTick(t.NextJob); err != nil {
			return err
		}
		p.waits(t.Name, "")
	}
	return p.wind(w, t, time.Time{}, at.now)
}

// decided is up to where what was decided of the trigger's slots stands, and the marks
// of the eras in which that was.
func (f *fixes) decided(t *storage.Trigger, wall time.Time) (decided time.Time, marks []storage.TriggerMark) {
	decided = earlier(t.Decided, wall.UTC())
	if o, ahead := f.ahead[0]; ahead && len(t.Marks) == 0 {
		decided = earlier(decided, o.back) // in an era of a release that knew none
	}
	for _, m := range t.Marks {
		o, ahead := f.ahead[m.Era]
		if ahead && o.whole() {
			decided = earlier(decided, m.Decided)
			continue
		}
		if marks = append(marks, m); ahead {
			decided = earlier(decided, o.back) // what was decided before it stands
		}
	}
	return decided, marks
}

// undoneReason is why a slot is undone whose tick was there.
const undoneReason = "the clock was set back before the tick began"

// undo takes back a tick that has not begun, of a slot that the trigger comes to again.
func (p *planner) undo(w storage.JobWriter, job *storage.Job, f *fixes, at reading) (undone bool, err error) {
	t, ok, err := w.System().Trigger(job.Trigger)
	if err != nil || !ok || t.AtStart || job.ID == t.NextJob || ticks.Predates(job, &t) {
		return false, err
	}
	if decided, _ := f.decided(&t, at.wall); !job.Slot.After(decided) {
		return false, nil
	}
	if job.Backfill != 0 && !job.Slot.After(at.wall) {
		return false, nil // it has come by any clock
	}
	if undone, err = w.RemoveTick(job.ID); err != nil || !undone {
		return false, err
	}
	if job.Backfill != 0 {
		return true, p.beginAgain(w, &t, job, storage.SlotUndone, undoneReason, at.now) // or not: its slot is yet to come
	}
	return true, p.relog(w, &t, job, storage.SlotUndone, undoneReason, at.now)
}

// anchorBy is where the trigger begins whose anchor is ahead of the wall: at the wall, or
// a whole number of intervals before it, so that it has the slots that it had.
func (p *planner) anchorBy(t *storage.Trigger, wall time.Time) time.Time {
	at := wall.Truncate(time.Millisecond).UTC()
	if schedule, err := p.schedule(t); err == nil {
		if every, ok := schedule.Interval(); ok {
			return t.Anchor.Add(-(t.Anchor.Sub(at) + every - 1) / every * every)
		}
	}
	return at
}
