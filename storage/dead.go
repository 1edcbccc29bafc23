package storage

import "time"

// RetryDeadAt makes a dead or held job pending again, due at the instant; a dead one
// with its attempts and failures counted from zero and its history kept. ok is false
// if no such job has the id. ErrLimit if the app has as many jobs as it may; nothing
// is changed then.
func (tx *Tx) RetryDeadAt(id JobID, due time.Time) (ok bool, err error) {
	job, ok, err := tx.take(id, tx.room)
	if err != nil || !ok {
		return false, err
	}
	defer tx.mu.Unlock()
	if job.State == StateFailed {
		job.Attempts, job.Failures, job.Interruptions = 0, 0, 0
		job.CompletedAt, job.StartedAt = time.Time{}, time.Time{}
	}
	job.Era = tx.era // due counts from a reading of the clock
	tx.release(&job, due.UnixMilli())
	return true, nil
}

// DropDead removes a dead or held job for good. ok is false if no such job has the id.
func (tx *Tx) DropDead(id JobID) (ok bool, err error) {
	job, ok, err := tx.take(id, func() error { return nil })
	if err != nil || !ok {
		return false, err
	}
	if job.State == StateHeld && job.Trigger != "" {
		tx.top().ticks = append(tx.top().ticks, job)
	}
	tx.mu.Unlock()
	return true, nil
}

// take takes a dead or held job, and its entry out of the id index, unless check
// forbids it, which is asked of a dead one. If ok the transaction stays locked.
func (tx *Tx) take(id JobID, check func() error) (job Job, ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return Job{}, false, err
	}
	defer func() {
		if !ok {
			tx.mu.Unlock()
		}
	}()
	p, t, found, err := tx.locate(id)
	if err != nil || !found || t != tagDead && t != tagHeld {
		return Job{}, false, err
	}
	data, err := tx.get(tx.app.keys.place(t, p))
	if err != nil {
		return Job{}, false, err
	}
	if job, err = decodeJob(p, data); err != nil || t == tagDead && tx.app.deadExpired(&job, tx.now) {
		return Job{}, false, err
	}
	if t == tagHeld {
		trigger, err := tx.triggerOf(&job)
		if err != nil {
			return Job{}, false, err
		}
		tx.unhold(&job, trigger)
		tx.delete(tx.app.keys.name(tagID, string(job.ID)))
		return job, true, nil
	}
	if err := check(); err != nil {
		return Job{}, false, err
	}
	tx.dropDead(&job)
	return job, true, nil
}

// dropDead takes the job's row, and its entry in the id index, away.
func (tx *Tx) dropDead(job *Job) {
	tx.delete(tx.app.keys.place(tagDead, job.place))
	tx.delete(tx.app.keys.name(tagID, string(job.ID)))
	tx.top().counts.dead--
}

// deadExpired says whether a dead job is past the retention: gone for every reader,
// though its row may not be deleted yet.
func (a *App) deadExpired(job *Job, now time.Time) bool {
	keep, since := time.Duration(a.deadRetention.Load()), a.deadSince.Load()
	return keep > 0 && since > 0 && !job.CompletedAt.IsZero() && max(msOf(job.CompletedAt), since) <= now.Add(-keep).UnixMilli()
}
