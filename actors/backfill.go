package actors

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is about backfills: a trigger is run on request for slots that have passed. A
// backfill is part of its trigger's record and, like the trigger itself, has one pending
// tick, that of the slot where it goes on. When that is claimed or canceled the next one is
// inserted in the same change set, so that a crash neither loses a slot nor runs one twice.
// A tick that is taken back before it began has the backfill come back to its slot.
//
// For the slots to come its ticks are runs by hand: none of them is skipped for one.

// endBackfill ends the trigger's backfill if it goes on. Its tick was taken back.
func endBackfill(t *storage.Trigger, outcome storage.BackfillOutcome, now time.Time) {
	if b := t.Backfill; b.Active() {
		b.Job, b.Outcome, b.EndedAt = "", outcome, now
	}
}

// Backfill implements dispatch.Crons.
func (c *txCrons) Backfill(name string, of dispatch.Backfill) (storage.Backfill, error) {
	t, err := c.must(name)
	if err != nil {
		return storage.Backfill{}, err
	}
	now := c.eng.clock.wall()
	if c.now.After(now) { // it is what handlers are told
		now = c.now
	}
	b, err := c.planner.planBackfill(&t, of, now)
	if err != nil {
		return storage.Backfill{}, err
	}
	b.AskedAt = c.now
	err = c.whole(func(w storage.JobWriter) error {
		t.Backfill = b
		if err := w.PutTrigger(&t); err != nil { // it has its number from here
			return err
		}
		if err := c.planner.feed(w, &t, c.now); err != nil {
			return err
		}
		return w.PutTrigger(&t)
	})
	if err != nil {
		return storage.Backfill{}, err
	}
	return *b, nil
}

// CancelBackfill implements dispatch.Crons.
func (c *txCrons) CancelBackfill(name string) (canceled bool, err error) {
	t, err := c.must(name)
	if err != nil || !t.Backfill.Active() {
		return false, err
	}
	err = c.whole(func(w storage.JobWriter) error {
		if err := c.planner.withdrawBackfill(w, &t, "the backfill was canceled", true, c.now); err != nil {
			return err
		}
		endBackfill(&t, storage.BackfillCanceled, c.now)
		return w.PutTrigger(&t)
	})
	return err == nil, err
}

// planBackfill checks what is asked for, and counts its slots.
func (p *planner) planBackfill(t *storage.Trigger, of dispatch.Backfill, now time.Time) (*storage.Backfill, error) {
	bad := func(code dispatch.Code, format string, args ...any) (*storage.Backfill, error) {
		return nil, dispatch.Errorf(code, "trigger %s: backfill of [%s, %s): %s", t.Name,
			of.From.Format(time.RFC3339Nano), of.To.Format(time.RFC3339Nano), fmt.Sprintf(format, args...))
	}
	schedule, err := p.schedule(t)
	switch {
	case t.AtStart:
		return bad(dispatch.CodeFailedPrecondition, "the trigger ticks when the program starts, and has no slots")
	case err != nil:
		return bad(dispatch.CodeFailedPrecondition, "%v", err)
	case t.Fault != "":
		return bad(dispatch.CodeFailedPrecondition, "the trigger is faulty: %s", t.Fault)
	case t.Backfill.Active():
		return bad(dispatch.CodeAlreadyExists, "that of [%s, %s) goes on", t.Backfill.From.Format(time.RFC3339Nano), t.Backfill.To.Format(time.RFC3339Nano))
	case len(of.Reason) > storage.MaxPauseReason || !utf8.ValidString(of.Reason):
		return bad(dispatch.CodeInvalidArgument, "a reason of %d bytes, want at most %d of UTF-8", len(of.Reason), storage.MaxPauseReason)
	case of.From.UnixMilli() < 1:
		return bad(dispatch.CodeInvalidArgument, "it begins before 1970")
	case of.To.After(now):
		return bad(dispatch.CodeInvalidArgument, "it ends after now, and those slots are yet to come")
	}
	b := &storage.Backfill{From: wholeMillis(of.From), To: wholeMillis(of.To), Again: of.Again, Reason: of.Reason}
	b.Next = b.From
	if t.Backfill != nil {
		b.Held = t.Backfill.Held
	}
	for slot := schedule.Next(b.From.Add(-1)); !slot.IsZero() && slot.Before(b.To); slot = schedule.Next(slot) {
		if b.Slots++; b.Slots > storage.MaxBackfill {
			return bad(dispatch.CodeResourceExhausted, "it has more than %d slots, as many as one may have", storage.MaxBackfill)
		}
	}
	if b.Slots == 0 {
		return bad(dispatch.CodeInvalidArgument, "the trigger has no slot there")
	}
	return b, nil
}

// wholeMillis is the first whole millisecond that is not before the instant.
func wholeMillis(at time.Time) time.Time {
	return at.Add(time.Millisecond - 1).Truncate(time.Millisecond).UTC()
}

// feed gives the trigger's backfill the tick of its next slot, if it has none, or ends it.
// The caller stores the trigger. The tick is due at once, and last among what waits.
func (p *planner) feed(w storage.JobWriter, t *storage.Trigger, now time.Time) error {
	b := t.Backfill
	if !b.Active() || b.Job != "" || t.Paused || t.Fault != "" {
		return nil
	}
	schedule, err := p.schedule(t)
	if err != nil {
		return nil // it is told as the trigger's fault
	}
	for slot := schedule.Next(b.Next.Add(-1)); !slot.IsZero() && slot.Before(b.To); slot = schedule.Next(slot) {
		if slot.After(now) || !t.Next.IsZero() && !slot.Before(t.Next) {
			break // the trigger comes to them itself
		}
		id := storage.TickID(t.Name, slot)
		if b.Again {
			id = storage.BackfillID(t.Name, slot, b.Number)
		} else if i := spanOf(t.Spent, slot); i >= 0 {
			slot = t.Spent[i].To
			continue
		}
		if _, there, err := w.System().Get(id); there || errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrFormat) {
			continue // it has run
		} else if err != nil {
			return err
		}
		job := p.jobOf(t)
		job.ID, job.Slot, job.CaughtUp, job.Backfill = id, slot.UTC(), true, b.Number
		job.Due, job.EnqueuedAt, job.Priority = wholeMillis(now), now, storage.MaxPriority
		job.Era, job.AskedEra = w.Era(), w.Era()
		if _, err := w.InsertTick(job); err != nil {
			return err
		}
		b.Job, b.Next = id, job.Slot
		return nil
	}
	endBackfill(t, storage.BackfillDone, now)
	return nil
}

// backfilled writes down that the backfill's tick is about to begin, or was canceled, and
// has the backfill go on. A tick that comes again is no news.
func (p *planner) backfilled(w storage.JobWriter, t *storage.Trigger, job *storage.Job, outcome storage.SlotOutcome, now time.Time) error {
	b := t.Backfill
	if b == nil || b.Job != job.ID || b.Number != job.Backfill {
		return nil
	}
	reason := "backfill"
	if b.Reason != "" {
		reason += ": " + b.Reason
	}
	if outcome == storage.SlotFired {
		b.Begun++
	}
	if err := p.decide(w, t, job.Slot, job.Slot, outcome, reason, job.ID, now); err != nil {
		return err
	}
	b.MoveOn(job)
	if err := p.feed(w, t, now); err != nil {
		return err
	}
	return w.PutTrigger(t)
}

// comeBack has the trigger's backfill come back to the slot of a tick that was taken out
// before it began. The caller stores the trigger.
func (p *planner) comeBack(w storage.JobWriter, t *storage.Trigger, job *storage.Job, outcome storage.SlotOutcome, reason string, now time.Time) error {
	b := t.Backfill
	if b == nil || b.Job != job.ID { // else nothing is in the log yet
		if err := p.relog(w, t, job, outcome, reason, now); err != nil {
			return err
		}
	}
	switch {
	case b == nil || b.Number != job.Backfill || b.Outcome != "" && b.Outcome != storage.BackfillDone:
		return nil
	case b.Job == job.ID:
		b.Job = ""
	default:
		b.Begun--
	}
	b.Next, b.Outcome, b.EndedAt = earlier(b.Next, job.Slot), "", time.Time{}
	return nil
}

// beginAgain has the slot of a tick that was taken out before it began get another one.
func (p *planner) beginAgain(w storage.JobWriter, t *storage.Trigger, job *storage.Job, outcome storage.SlotOutcome, reason string, now time.Time) error {
	if err := p.comeBack(w, t, job, outcome, reason, now); err != nil {
		return err
	}
	if err := p.feed(w, t, now); err != nil {
		return err
	}
	return w.PutTrigger(t)
}

// withdrawBackfill takes the ticks of the trigger's backfill back that have not begun, and
// if it has changed those that are held. The caller stores the trigger.
func (p *planner) withdrawBackfill(w storage.JobWriter, t *storage.Trigger, reason string, changed bool, now time.Time) error {
	if t.Backfill == nil {
		return nil
	}
	list, err := w.System().Backfilling(t.Name, maxRetries)
	if err != nil {
		return err
	}
	for i := range list {
		job := &list[i]
		if job.Attempts > 0 || p.runs.live(job.ID) {
			continue // if the trigger has changed, its retry is stale when it is due
		}
		ok, err := w.RemoveTick(job.ID)
		if err == nil && ok {
			err = p.comeBack(w, t, job, storage.SlotSkipped, reason, now)
		}
		if err != nil {
			return err
		}
	}
	held := t.Backfill.Held
	if !changed || held == "" {
		return nil
	}
	t.Backfill.Held = ""
	job, ok, err := w.System().Get(held)
	switch {
	case err != nil || !ok:
		return err
	case job.Attempts > 0:
		_, err := p.cancelBegun(w, t, held)
		return err
	}
	if _, _, err := w.DropHeld(held); err != nil {
		return err
	}
	return p.comeBack(w, t, &job, storage.SlotSkipped, reason, now)
}

// unfinished says whether another tick of a backfill of the trigger waits for its retry, is
// held, or has left a handler behind: they run one after another.
func (p *planner) unfinished(w storage.JobWriter, t *storage.Trigger, job *storage.Job, wall time.Time) (bool, error) {
	if b := t.Backfill; b != nil && b.Held != "" && b.Held != job.ID || p.runs.backfillLeft(t.Name) {
		return true, nil
	}
	list, err := w.System().Backfilling(t.Name, maxRetries)
	for i := range list {
		other := &list[i]
		if other.Attempts > 0 && other.ID != job.ID && p.caseOf(t, true, other, wall).Stale() == "" {
			return true, err
		}
	}
	return false, err
}

// slotBefore is the trigger's slot before another one, since 1970; zero if none is known.
func (p *planner) slotBefore(t *storage.Trigger, slot time.Time) time.Time {
	schedule, err := p.schedule(t)
	if err != nil {
		return time.Time{}
	}
	return schedule.Last(time.Unix(0, 0), slot.Add(-time.Millisecond))
}
