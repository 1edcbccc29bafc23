package actors

import (
	"time"

	"carillon/storage"
)

// PlannedAttempt is an attempt of a job that is to come.
type PlannedAttempt struct {
	Number int // from 1
	At     time.Time
}

// Planned returns the attempts that the job, which was read with r in an App.Read, has before it, up to limit of them, if each
// fails as soon as it begins: by the retry policy as it is now, with the jitter that those waits will have. The first of a job
// that is pending is when it is due; of one that runs, it is the one after that. A job that is held, that has ended, or that
// waits for its end from outside has none. An attempt that lasts, that is put off or is cut off moves those after it, and a
// permanent error takes them away. It does not block.
func (a *App) Planned(r storage.Reader, job *storage.Job, limit int) (plan []PlannedAttempt) {
	at, number := a.eng.clock.wall(), job.Attempts
	switch {
	case job.State == storage.StatePending && !job.PendingOutside():
		number++
		plan = append(plan, PlannedAttempt{number, job.Due})
		if job.Due.After(at) {
			at = job.Due
		}
	case job.State != storage.StateRunning:
		return nil
	}
	policy := a.eng.opts.Functions.RetryOf(job.Function, job.Retry)
	for failures := job.Failures + 1; len(plan) < limit; failures++ {
		wait, again := policy.Next(failures)
		if !again {
			break
		}
		at = dueAfter(at, policy.Jittered(wait, retryKey(a.id, job.ID), number)).Truncate(time.Millisecond)
		if job.TooLate(at) || a.eng.isPast(a.id, r.System(), job, at) {
			break
		}
		number++
		plan = append(plan, PlannedAttempt{number, at})
	}
	return plan
}

// retryKey is what the jitter of the job's retries hangs on.
func retryKey(app storage.AppID, id storage.JobID) string { return string(app) + "/" + string(id) }

// dueAfter is when an attempt is due that waits for so long. It is rounded up like every due instant.
func dueAfter(wall time.Time, wait time.Duration) time.Time {
	if wait <= 0 {
		return wall
	}
	return wall.Add(wait).Add(time.Millisecond - 1)
}

// Begun returns the attempt of the job whose handler runs, and when that began, by the clock that is written down; 0 and the
// zero time if none does. It does not block.
func (a *App) Begun(id storage.JobID) (attempt int, at time.Time) {
	if v, live := a.eng.directory.live.Load(a.id); live {
		return v.(*appRef).app.runs.begunAt(id)
	}
	return 0, time.Time{}
}

// begunAt is the attempt of the job that runs, and when its handler began.
func (rs *runs) begunAt(id storage.JobID) (attempt int, at time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.byID[id]; r != nil && r.phase.begun() {
		return r.attempt, r.begunAt
	}
	return 0, time.Time{}
}
