package storage

import (
	"errors"
	"time"
)

// This file is what becomes of a unique key when its job ends, or is tried again.

// keyState is what endKey has to know of the key of a job that is about to end, or to be
// tried again.
type keyState struct {
	row      *keyRow // nil: there is none
	mine     bool    // it says that the key is the job's
	follower *Job    // the later job that the key belongs to; nil: there is none
	pending  bool    // the follower is in the bucket, and not claimed
	before   *Job    // an earlier job of the key that runs yet; nil if none does
}

// superseded says whether a later job of the key has come.
func (k *keyState) superseded() bool { return k.follower != nil }

// keyOf reads the key of the job. What of it cannot be read keeps no job from ending.
func (tx *Tx) keyOf(job *Job) (k keyState, err error) {
	if job.Unique == nil {
		return k, nil
	}
	row, err := tx.keyRowOf(job)
	if err != nil {
		return k, unlessDamaged(err)
	}
	k.row = row
	switch {
	case row == nil || row.until != 0:
		return k, nil
	case row.job == job.ID:
		k.mine = true
		if id := tx.app.stopping(row.key); id != "" && id != job.ID {
			before, t, err := tx.unended(id)
			if err != nil {
				return k, unlessDamaged(err)
			}
			if t == tagQueue {
				k.before = &before
			}
		}
		return k, nil
	}
	follower, t, err := tx.holderOf(row)
	if err != nil {
		return k, unlessDamaged(err)
	}
	k.follower = &follower
	if k.pending = t == tagQueue; k.pending {
		claim, err := tx.get(tx.app.keys.place(tagClaim, follower.place))
		if err != nil {
			return k, err
		}
		k.pending = claim == nil
	}
	return k, nil
}

func unlessDamaged(err error) error {
	if errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) {
		return nil // a read of the key returns the error
	}
	return err
}

// started notes in the job when it has started last, if starts of its key are kept apart.
func (u *Unique) started(at time.Time) *Unique {
	if u == nil || u.Every == 0 {
		return u
	}
	noted := *u
	noted.LastStart = ceilInstant(at)
	return &noted
}

// begunAnew notes that calls that replace the job put off another attempt from now on.
func (u *Unique) begunAnew(at time.Time) *Unique {
	if u == nil {
		return nil
	}
	noted := *u
	noted.Since = timeOf(at.UnixMilli())
	return &noted
}

// keepApart has a job that becomes pending again start no sooner than its key lets it.
func (tx *Tx) keepApart(job *Job) {
	if u := job.Unique; u != nil && u.Every > 0 {
		throttled := *u
		throttled.Policy = UniqueThrottle
		job.Unique = &throttled
		tx.putOff(job)
		job.Unique = u
	}
}

// endKey has the key go on without a job that has ended as the state says.
func (tx *Tx) endKey(job *Job, k keyState, state State) {
	u := job.Unique
	if u == nil {
		return
	}
	if next := k.follower; next != nil && k.pending && next.Unique != nil && next.Unique.Every > 0 && !u.LastStart.IsZero() {
		// It was scheduled while the start of the one before was not known.
		noted := *next.Unique
		noted.LastStart = u.LastStart
		moved := *next
		moved.Unique = &noted
		tx.keepApart(&moved)
		tx.removeBacklog(next)
		tx.takePending(next)
		if moved.place.ms = moved.Due.UnixMilli(); moved.place == homeOf(moved.ID) {
			tx.delete(tx.app.keys.name(tagID, string(moved.ID)))
		}
		tx.top().moved = true
		tx.putPending(&moved)
	}
	if !k.mine {
		return
	}
	tx.forgetKey(k.row)
	row := keyRow{key: k.row.key, job: job.ID}
	switch {
	case k.before != nil:
		tx.putKey(&keyRow{key: k.before.UniqueKey(), job: k.before.ID})
		return
	case state == StateSuccess && u.HeldFor > 0:
		row.span, row.until = u.HeldFor.Milliseconds(), ceilMs(tx.now.Add(u.HeldFor))
	case u.Every > 0 && !u.LastStart.IsZero():
		row.throttled = true
		row.span, row.until = u.Every.Milliseconds(), ceilMs(u.LastStart.Add(u.Every))
	}
	if row.until > tx.now.UnixMilli() {
		tx.putKey(&row)
	}
}

// retakeKey has the key of a job that is tried again belong to it: a later one that had
// it meanwhile is gone, or has ended.
func (tx *Tx) retakeKey(job *Job, k keyState) {
	if job.Unique == nil || k.mine {
		return
	}
	if k.row != nil {
		tx.forgetKey(k.row)
	}
	tx.putKey(&keyRow{key: job.UniqueKey(), job: job.ID})
}

// takeKeyBack has its key belong again to a dead job that becomes pending. ErrExists if
// another one holds it.
func (tx *Tx) takeKeyBack(job *Job) error {
	if job.Unique == nil {
		return nil
	}
	row, err := tx.keyRowOf(job)
	if err != nil {
		return err
	}
	u := *job.Unique
	switch {
	case row == nil:
		if id := tx.app.stopping(job.UniqueKey()); id != "" && id != job.ID {
			return keyHeld(u.Key, id, "is canceled, and its handler has not returned")
		}
	case row.until == 0:
		return keyHeld(u.Key, row.job, "has not ended")
	case !row.throttled:
		return keyHeld(u.Key, row.job, "has ended as a success, and holds it for a while")
	default:
		u.LastStart = timeOf(row.until - row.span)
		tx.forgetKey(row)
	}
	u.Since = timeOf(tx.now.UnixMilli())
	job.Unique = &u
	tx.putKey(&keyRow{key: job.UniqueKey(), job: job.ID})
	return nil
}
