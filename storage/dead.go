package storage

import "time"

// RetryDead is RetryDeadAt the transaction's instant.
func (tx *Tx) RetryDead(id JobID) (ok bool, err error) { return tx.RetryDeadAt(id, tx.now) }

// RetryDeadAt makes a dead job pending again, due at the instant, with its
// attempts and failures counted from zero and its history kept. ok is false if
// no dead job has the id. ErrLimit if the app has as many jobs as it may; nothing
// is changed then.
func (tx *Tx) RetryDeadAt(id JobID, due time.Time) (ok bool, err error) {
	job, ok, err := tx.takeDead(id, tx.room)
	if err != nil || !ok {
		return false, err
	}
	defer tx.mu.Unlock()
	job.State = StatePending
	job.Attempts, job.Failures, job.Interruptions = 0, 0, 0
	job.CompletedAt, job.StartedAt = time.Time{}, time.Time{}
	job.place.ms = min(max(due.UnixMilli(), 1), maxInstantMs)
	job.Due = timeOf(job.place.ms)
	tx.putPending(&job)
	return true, nil
}

// DropDead removes a dead job for good. ok is false if no dead job has the id.
func (tx *Tx) DropDead(id JobID) (ok bool, err error) {
	_, ok, err = tx.takeDead(id, func() error { return nil })
	if err != nil || !ok {
		return false, err
	}
	tx.mu.Unlock()
	return true, nil
}

// takeDead takes a job from among the dead, and its entry out of the id index.
// unless check forbids it. If ok the transaction stays locked.
func (tx *Tx) takeDead(id JobID, check func() error) (job Job, ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return Job{}, false, err
	}
	defer func() {
		if !ok {
			tx.mu.Unlock()
		}
	}()
	p, t, found, err := tx.locate(id)
	if err != nil || !found || t != tagDead {
		return Job{}, false, err
	}
	data, err := tx.get(tx.app.keys.place(tagDead, p))
	if err != nil {
		return Job{}, false, err
	}
	if job, err = decodeJob(p, data); err != nil || tx.app.deadExpired(&job, tx.now) {
		return Job{}, false, err
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
