package actors

import (
	"bytes"
	"time"

	"carillon/storage"
)

// This file is how ticks are taken back: because they were canceled, or because
// their trigger is not any more what it was when they were made (G22).

// canceled advances the trigger of a tick that was canceled before it began.
func (p *planner) canceled(w storage.JobWriter, job *storage.Job, now time.Time) error {
	t, ok, err := w.System().Trigger(job.Trigger)
	if err != nil || !ok || job.Slot.IsZero() || job.Attempts > 0 || predates(job, &t) {
		return err
	}
	const reason = "the tick was canceled"
	if job.ID != t.NextJob {
		// It had been claimed, or was to be caught up: its slot is in the log as fired.
		return p.relog(w, &t, job, storage.SlotCanceled, reason, now)
	}
	if next, ok, err := w.System().Get(job.ID); err != nil || ok && !next.State.Ended() {
		return err // the transaction has wound the trigger anew since
	}
	if err := p.decide(w, &t, job.Slot, job.Slot, storage.SlotCanceled, reason, job.ID, now); err != nil {
		return err
	}
	return p.wind(w, &t, job.Slot, now)
}

// predates says whether the tick is of an earlier trigger of the name. The clock
// does not tell: it may have been set back between the two.
func predates(job *storage.Job, t *storage.Trigger) bool {
	if t.Seq == 0 {
		return job.EnqueuedAt.Before(t.CreatedAt) // the trigger was made by an older release
	}
	return job.Seq() < t.Seq
}

// relog writes down anew how the slot of a tick that never began has ended.
func (p *planner) relog(w storage.JobWriter, t *storage.Trigger, job *storage.Job, outcome storage.SlotOutcome, reason string, now time.Time) error {
	s := storage.Slot{From: job.Slot, To: job.Slot, Count: 1, Outcome: outcome, Reason: reason, At: now}
	if outcome == storage.SlotSkipped || outcome == storage.SlotUndone {
		if err := p.comesAgain(w, t, job.Slot); err != nil {
			return err
		}
	} else {
		s.Job = job.ID
	}
	return w.RelogSlot(t.Name, s)
}

// comesAgain notes that the slot did not fire though it was about to: it may come again
// after the wall was set back. The trigger as it is stored has its end of other ticks,
// and t what the caller is about to store.
func (p *planner) comesAgain(w storage.JobWriter, t *storage.Trigger, slot time.Time) error {
	schedule, err := p.schedule(t)
	if err != nil || schedule == nil || spanOf(t.Spent, slot) < 0 {
		return nil
	}
	t.Spent = unspend(t.Spent, slot, schedule)
	stored, ok, err := w.System().Trigger(t.Name)
	if err != nil || !ok {
		return err
	}
	stored.Spent = unspend(stored.Spent, slot, schedule)
	return w.PutTrigger(&stored)
}

// stale says why a tick that is not its trigger's next must not run any
// more, or "". A tick that has begun once is stale only if the trigger has come
// to mean something else; ok is false if there is none.
func (p *planner) stale(t *storage.Trigger, ok bool, job *storage.Job, wall time.Time) string {
	begun := job.Attempts > 0
	switch {
	case !begun && len(job.History) > 0:
		return "" // it was dead, and a person has it run again
	case !ok || predates(job, t):
		return "the trigger was deleted"
	case job.Function != t.Function || !bytes.Equal(job.Args, t.Args) || !bytes.Equal(job.Claims, t.Claims):
		return "the trigger was changed"
	}
	if t.AtStart {
		return p.staleStart(t, job)
	}
	schedule, err := p.schedule(t)
	if err != nil {
		return "" // a fault of the trigger is none of the slots that it had
	}
	if !schedule.Next(job.Slot.Add(-time.Millisecond)).Equal(job.Slot) {
		return "the trigger was changed"
	}
	if begun {
		return ""
	}
	if t.Paused {
		return pausedFor(t.PauseReason)
	}
	// A claim that was taken back, when the engine was closed, leaves a tick that
	// is not a late one. It can be missed like any other.
	if wall.Sub(job.Due) > lateTick && !job.CaughtUp {
		passed := t.Decided.After(job.Slot) || !t.Next.IsZero() && !t.Next.Add(p.jitter(t)).After(wall)
		passed = passed && job.HeldAt.IsZero() // the slots after a held tick are skipped for it
		switch {
		case t.CatchUp.Mode == storage.CatchUpNone:
			return "missed: not caught up"
		case t.CatchUp.Mode == storage.CatchUpOne && passed:
			return "missed: caught up by a later tick"
		}
	}
	return ""
}

// dropStale takes a stale tick out of the bucket: without a trace but that in
// the log if it never began, as canceled if it did. gone is false if it is not stale.
func (p *planner) dropStale(w storage.JobWriter, t *storage.Trigger, ok bool, job *storage.Job, wall, now time.Time) (gone bool, err error) {
	reason := p.stale(t, ok, job, wall)
	if reason == "" {
		return false, nil
	}
	if job.Attempts > 0 {
		_, err := w.CancelJob(job.ID)
		return true, err
	}
	if _, err := w.RemoveTick(job.ID); err != nil || !ok || predates(job, t) {
		return true, err
	}
	return true, p.relog(w, t, job, storage.SlotSkipped, reason, now)
}

// withdraw takes back what of the trigger is pending or claimed and has not
// begun: the next tick, and one that was claimed ahead of its instant. A slot
// that has passed already is skipped for the reason. If changed, the trigger
// comes to mean something else, or to nothing, and retries go too. The caller
// stores the trigger.
func (p *planner) withdraw(w storage.JobWriter, t *storage.Trigger, reason string, changed bool, wall, now time.Time) error {
	if changed {
		if err := p.dropHeld(w, t, reason, now); err != nil {
			return err
		}
	}
	from, id := t.Next, t.NextJob
	t.Next, t.NextJob = time.Time{}, ""
	if id != "" {
		there, err := w.RemoveTick(id)
		if err != nil {
			return err
		}
		if !there {
			// This very transaction has canceled it.
			if err := p.decide(w, t, from, from, storage.SlotCanceled, "the tick was canceled", id, now); err != nil {
				return err
			}
			from = p.next(t, from)
		}
		if last := p.last(t, from, wall); !last.IsZero() {
			if err := p.skip(w, t, from, last, reason, now); err != nil {
				return err
			}
		}
	}
	for _, r := range p.runs.ofTrigger(t.Name) {
		if err := p.recall(w, t, &r.job, reason, changed, wall, now); err != nil {
			return err
		}
	}
	return nil
}

// recall takes a claimed tick back that has not started. What runs, runs on.
func (p *planner) recall(w storage.JobWriter, t *storage.Trigger, job *storage.Job, reason string, changed bool, wall, now time.Time) error {
	switch {
	case job.Slot.IsZero() || p.runs.live(job.ID):
		return nil
	case job.Attempts > 0:
		if !changed {
			return nil
		}
		_, err := w.CancelJob(job.ID)
		return err
	}
	ok, err := w.RemoveTick(job.ID)
	if err != nil || !ok {
		return err
	}
	if job.Slot.After(wall) && t.Decided.Equal(job.Slot) {
		t.Decided = job.Slot.Add(-time.Millisecond) // it is yet to come, and may come again
	}
	return p.relog(w, t, job, storage.SlotSkipped, reason, now)
}
