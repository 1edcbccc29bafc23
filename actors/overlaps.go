package actors

import (
	"time"

	"carillon/storage"
)

// This file is what a tick has to do with the ticks of its trigger before it: one
// runs, waits for its retry, is yet to be caught up, or has left a handler behind.

// maxRetries bounds how many retries of one trigger are looked at.
const maxRetries = 1000

// left counts the handlers of the trigger's ticks that were given up, or canceled,
// and have not returned. A tick that replaces them waits until their grace is over.
func (p *planner) left(t *storage.Trigger) int {
	all, leaving := p.runs.ticksLeft(t.Name)
	if t.Overlap == storage.OverlapReplace {
		return leaving
	}
	return all
}

// retry is the first slot of those of the trigger's ticks that wait for another attempt,
// or zero. Ticks of an earlier trigger of the name, or an earlier definition, are none.
func (p *planner) retry(w storage.JobWriter, t *storage.Trigger, wall time.Time) (time.Time, error) {
	begun, err := w.System().Begun(t.Name, maxRetries)
	if err != nil {
		return time.Time{}, err
	}
	for _, job := range begun {
		if p.runs.get(job.ID) == nil && p.caseOf(t, true, &job, wall).Stale() == "" {
			return job.Slot, nil
		}
	}
	return time.Time{}, nil
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
		answer, err := p.cancelBegun(w, t, job.ID)
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
func (e *Engine) isPast(app storage.AppID, s storage.System, job *storage.Job, at time.Time) bool {
	if job.Backfill != 0 {
		return false // no slot to come waits for it
	}
	if job.Slot.IsZero() || job.Retry != nil {
		return false
	}
	if fn, ok := e.opts.Functions.Lookup(job.Function); ok && fn.Retry != nil {
		return false
	}
	t, ok, err := s.Trigger(job.Trigger)
	return err == nil && ok && !t.Next.IsZero() && !at.Before(t.Next.Add(jitterOf(app, &t)))
}
