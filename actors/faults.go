package actors

import (
	"errors"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/storage"
)

// This file is what becomes of a trigger that cannot go on: it is shown as
// faulty, with the reason, and without a tick. Such are one whose zone this
// machine does not know, or whose tick could not be made. It is wound anew when
// its app is next taken up after a start, is resumed, or is given another
// definition; the slots up to then are skipped for the reason.

// faultOf is why a slot was skipped while its trigger was faulty.
func faultOf(reason string) string { return "faulty: " + reason }

// fault takes the trigger's tick back and stores why it has none.
func (p *planner) fault(w storage.JobWriter, t *storage.Trigger, cause error, now time.Time) error {
	if t.NextJob != "" {
		if _, err := w.RemoveTick(t.NextJob); err != nil {
			return err
		}
		if t.AtStart { // no gap is looked back at
			if err := p.decide(w, t, t.Next, t.Next, storage.SlotSkipped, faultOf(cause.Error()), "", now); err != nil {
				return err
			}
		}
	}
	p.waits(t.Name, "")
	if t.Fault != cause.Error() {
		p.log.Error("trigger is faulty", "app", p.app, "trigger", t.Name, "err", cause)
	}
	t.Next, t.NextJob, t.Fault = time.Time{}, "", cause.Error()
	return w.PutTrigger(t)
}

// next is the first slot of the trigger after the instant, and last the last one
// in [from, until]. They are the zero time if there is none, or none is known
// because the trigger is faulty.
func (p *planner) next(t *storage.Trigger, after time.Time) time.Time {
	schedule, err := p.schedule(t)
	if err != nil {
		return time.Time{}
	}
	return schedule.Next(after)
}

func (p *planner) last(t *storage.Trigger, from, until time.Time) time.Time {
	schedule, err := p.schedule(t)
	if err != nil || from.IsZero() {
		return time.Time{}
	}
	if t.AtStart {
		return from // the one that is pending
	}
	return schedule.Last(from.Add(-time.Millisecond), until)
}

// transient says whether the error is one of the volume's or the transaction's
// and says nothing about what was to be done.
func transient(err error) bool {
	for _, other := range []error{storage.ErrUnavailable, storage.ErrClosed, storage.ErrTxDone, storage.ErrUnknownOutcome, storage.ErrNotApplied, storage.ErrFenced} {
		if errors.Is(err, other) {
			return true
		}
	}
	return false
}

// tickFailed deals with an error of judging a tick, whose writes were dropped: if
// the tick is its trigger's next, that is shown as faulty. Otherwise, or if the
// volume is at fault, the tick is judged again in a second.
func (s *scheduler) tickFailed(tx *storage.Tx, tick *storage.Job, cause error) ticks.Verb {
	if transient(cause) {
		return ticks.Wait
	}
	v := ticks.Wait
	err := tx.JobWriter().Nested(func(w storage.JobWriter) error {
		t, ok, err := w.System().Trigger(tick.Trigger)
		if err != nil || !ok || t.NextJob != tick.ID {
			return err
		}
		v = ticks.Drop
		return s.planner.fault(w, &t, cause, tx.Now())
	})
	if err != nil {
		v = ticks.Wait
	}
	if v == ticks.Wait && s.planner.complains(tick.Trigger, cause) {
		s.eng.opts.Logger.Error("judging a tick", "app", s.id, "trigger", tick.Trigger, "err", errors.Join(cause, err))
	}
	return v
}

// complains notes the error of a trigger and says whether it is a new one, so
// that one that stays is logged once.
func (p *planner) complains(trigger string, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := err.Error()
	fresh := p.complaints[trigger] != text
	if p.complaints == nil {
		p.complaints = map[string]string{}
	}
	p.complaints[trigger] = text
	return fresh
}

// curable says whether the trigger is faulty and might be wound now.
func (p *planner) curable(t *storage.Trigger) bool {
	if t.Fault == "" || t.Paused {
		return false
	}
	_, err := p.schedule(t)
	return err == nil
}
