package actors

import (
	"time"

	"carillon/actors/internal/ticks"
	"carillon/storage"
)

// This file is how ticks are taken back: because they were canceled, or because
// their trigger is not any more what it was when they were made (G22).

// canceled advances the trigger of a tick that was canceled before it began.
func (p *planner) canceled(w storage.JobWriter, job *storage.Job, now time.Time) error {
	t, ok, err := w.System().Trigger(job.Trigger)
	if err != nil || !ok || job.Slot.IsZero() || job.Attempts > 0 || ticks.Predates(job, &t) {
		return err
	}
	const reason = "the tick was canceled"
	if b := t.Backfill; b != nil && b.Job == job.ID && b.Number == job.Backfill {
		return p.backfilled(w, &t, job, storage.SlotCanceled, now)
	}
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

// relog writes down anew how the slot of a tick that never began has ended.
func (p *planner) relog(w storage.JobWriter, t *storage.Trigger, job *storage.Job, outcome storage.SlotOutcome, reason string, now time.Time) error {
	s := storage.Slot{From: job.Slot, To: job.Slot, Count: 1, Outcome: outcome, Reason: reason, At: now}
	if outcome == storage.SlotSkipped || outcome == storage.SlotUndone {
		if job.Backfill != 0 && job.ID != storage.TickID(t.Name, job.Slot) {
			return w.RelogSlot(t.Name, s) // the slot may have fired before
		}
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

// cancelBegun cancels a job of the trigger that has begun. The trigger as it is stored has its
// end then, and so has t, which the caller is about to store.
func (p *planner) cancelBegun(w storage.JobWriter, t *storage.Trigger, id storage.JobID) (storage.Cancellation, error) {
	answer, err := w.CancelJob(id)
	if err != nil || !answer.Canceled {
		return answer, err
	}
	stored, ok, err := w.System().Trigger(t.Name)
	if err == nil && ok {
		copyEnds(t, &stored)
	}
	return answer, err
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
	if err := p.withdrawBackfill(w, t, reason, changed, now); err != nil {
		return err
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
		_, err := p.cancelBegun(w, t, job.ID)
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
