package storage

import "time"

// RetryDeadAt makes a dead or held job pending again, due at the instant; a dead one
// with its attempts and failures counted from zero and its history kept. ok is false
// if no such job has the id. ErrLimit as for Schedule, ErrExists if
// another job holds the dead one's unique key; nothing is changed then.
func (tx *Tx) RetryDeadAt(id JobID, due time.Time) (ok bool, err error) {
	job, ok, err := tx.take(id, func(job *Job) error {
		if err := tx.room(job); err != nil {
			return err
		}
		return tx.takeKeyBack(job)
	})
	if err != nil || !ok {
		return false, err
	}
	defer tx.mu.Unlock()
	if job.State == StateFailed {
		job.Attempts, job.Failures, job.Interruptions = 0, 0, 0
		job.Postponed, job.PutOffSince = 0, time.Time{}
		job.CompletedAt, job.StartedAt = time.Time{}, time.Time{}
		job.Group = 0 // which knows of its end
		job.outside = nil
	}
	job.Due, job.Era = due, tx.era // it counts from a reading of the clock
	tx.keepApart(&job)
	tx.release(&job, job.Due.UnixMilli())
	return true, nil
}

// DropDead removes a dead or held job for good. ok is false if no such job has the id.
func (tx *Tx) DropDead(id JobID) (ok bool, err error) {
	job, ok, err := tx.take(id, nil)
	if err != nil || !ok {
		return false, err
	}
	defer tx.mu.Unlock()
	if job.State == StateHeld && job.Trigger != "" {
		tx.top().ticks = append(tx.top().ticks, job)
	}
	return true, tx.gone(&job)
}

// gone takes away what is stored of a job beside its record, which was taken away.
func (tx *Tx) gone(job *Job) error {
	if job.State == StateHeld {
		tx.noteGone(job)
		key, err := tx.keyOf(job)
		if err != nil {
			return err
		}
		tx.endKey(job, key, StateFailed)
		if err := tx.leaveGroup(job, StateCanceled); err != nil {
			return err
		}
	}
	if err := tx.dropNotes(job, false); err != nil {
		return err
	}
	_, err := tx.dropBeside(job)
	return err
}

// take takes a dead or held job, and its entry out of the id index, unless check
// (nil: nothing does) forbids it, which is asked of a dead one. If ok the transaction stays
// locked.
func (tx *Tx) take(id JobID, check func(*Job) error) (job Job, ok bool, err error) {
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
	if check != nil {
		if err := check(&job); err != nil {
			return Job{}, false, err
		}
	}
	tx.dropDead(&job)
	return job, true, nil
}

// dropDead takes the job's row, and its entry in the id index, away.
func (tx *Tx) dropDead(job *Job) {
	tx.delete(tx.app.keys.place(tagDead, job.place))
	tx.delete(tx.app.keys.name(tagID, string(job.ID)))
	tx.top().counts.dead--
	tx.noteGone(job)
}

// deadExpired says whether a dead job is past the retention: gone for every reader,
// though its row may not be deleted yet.
func (a *App) deadExpired(job *Job, now time.Time) bool {
	keep, since := time.Duration(a.deadRetention.Load()), a.deadSince.Load()
	return keep > 0 && since > 0 && !job.CompletedAt.IsZero() && max(msOf(job.CompletedAt), since) <= now.Add(-keep).UnixMilli()
}
