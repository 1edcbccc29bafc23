package actors

import (
	"time"

	"carillon/storage"
)

// This file is what a tick has to do with the ticks of its trigger before it: one
// runs, waits for its retry, is yet to be caught up, or has left a handler behind.

// maxRetries bounds how many retries of one trigger are looked at.
const maxRetries = 1000

// overlap says why the trigger's next tick would overlap, or "". byHand is true if
// only with a run by hand, which is no tick and takes no slot.
func (p *planner) overlap(w storage.JobWriter, t *storage.Trigger, running []*run, wall time.Time) (reason string, byHand bool, err error) {
	for _, r := range running {
		if !r.job.Slot.IsZero() {
			return "overlap: the tick before it still runs", false, nil
		}
		reason, byHand = "overlap: a run by hand", true
	}
	if p.left(t) > 0 {
		return "overlap: the handler of an earlier tick has not returned", false, nil
	}
	retries, err := p.retries(w, t, wall)
	if err != nil || len(retries) == 0 {
		return reason, byHand, err
	}
	return "overlap: retry of " + retries[0].Slot.Format(time.RFC3339Nano), false, nil
}

// left counts the handlers of the trigger's ticks that were given up, or canceled,
// and have not returned. A tick that replaces them waits until their grace is over.
func (p *planner) left(t *storage.Trigger) int {
	all, leaving := p.runs.ticksLeft(t.Name)
	if t.Overlap == storage.OverlapReplace {
		return leaving
	}
	return all
}

// retries are the trigger's ticks that wait for another attempt, by slot. Ticks of
// an earlier trigger of the name, or an earlier definition, are none.
func (p *planner) retries(w storage.JobWriter, t *storage.Trigger, wall time.Time) ([]storage.Job, error) {
	begun, err := w.System().Begun(t.Name, maxRetries)
	if err != nil {
		return nil, err
	}
	retries := begun[:0]
	for _, job := range begun {
		if p.stale(t, true, &job, wall) == "" && p.runs.get(job.ID) == nil {
			retries = append(retries, job)
		}
	}
	return retries, nil
}

// replace ends all that the tick of the slot is to replace: what runs, also by
// hand, what waits for a retry, and what is yet to be caught up. leaving is how many
// handlers of those are there yet.
func (p *planner) replace(w storage.JobWriter, t *storage.Trigger, slot time.Time, running []*run, now time.Time) (leaving int, err error) {
	leaving = p.left(t)
	reason := "overlap: replaced by the tick of " + slot.UTC().Format(time.RFC3339Nano)
	begun, err := w.System().Begun(t.Name, maxRetries)
	if err != nil {
		return 0, err
	}
	late, err := w.System().Late(t.Name, maxRetries)
	if err != nil {
		return 0, err
	}
	jobs := append(begun, late...)
	for _, r := range running {
		jobs = append(jobs, r.job)
	}
	for i := range jobs {
		job := &jobs[i]
		live := p.runs.live(job.ID)
		if job.Attempts == 0 && !live && !job.Slot.IsZero() {
			ok, err := w.RemoveTick(job.ID)
			if err == nil && ok {
				err = p.relog(w, t, job, storage.SlotSkipped, reason, now)
			}
			if err != nil {
				return 0, err
			}
			continue
		}
		answer, err := w.CancelJob(job.ID)
		if answer.Found == storage.StateRunning {
			leaving++
		}
		if err == nil && answer.Canceled && !job.Slot.IsZero() {
			err = p.relog(w, t, job, storage.SlotFired, reason, now)
		}
		if err != nil {
			return 0, err
		}
	}
	return leaving, nil
}

// isPast says whether a retry of the job at the instant would be too late: it is a
// tick, neither its trigger nor its function has a policy, and the next tick of
// the trigger is due by then.
func (s *scheduler) isPast(tx *storage.Tx, job *storage.Job, at time.Time) bool {
	if job.Slot.IsZero() || job.Retry != nil {
		return false
	}
	if fn, ok := s.eng.opts.Functions.Lookup(job.Function); ok && fn.Retry != nil {
		return false
	}
	t, ok, err := tx.JobWriter().System().Trigger(job.Trigger)
	return err == nil && ok && !t.Next.IsZero() && !at.Before(t.Next.Add(s.planner.jitter(&t)))
}
