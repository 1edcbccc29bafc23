package storage

import (
	"bytes"
	"fmt"
	"time"
)

// Change says what of a pending job another takes the place of. A field that is zero stays. For engines.
type Change struct {
	Due      time.Time
	Era      EraID // that Due counts from; 0: it is absolute
	Priority int
	Args     []byte
	// Operation is the one that asks for it, which changes a job once; 0: none does.
	Operation OperationID
}

// Rescheduling is the true answer to a reschedule.
type Rescheduling struct {
	Changed bool  // the job was pending, or held, and is as it was asked for
	Found   State // the state it was found in; "" means no such job is known
}

// RescheduleJob changes a pending or held job in the transaction of w, which keeps its id
// and is pending then; the answer says whether it did, and which state it found. One that
// runs, is pending outside (the answer says that it runs), or has ended, stays as it is, and so does one that the
// operation has changed already. A claim of one that has not begun is taken back
// (CanceledClaims). Other arguments, once an attempt has begun, are a new Revision, with
// failures counted anew. A job of a throttled key is due no sooner than its key lets it.
// ErrInvalid for an instant or a priority out of bounds, an instant after the job's NotAfter,
// a tick that has not begun, and the arguments of a tick; ErrTxLimit; ErrLimit for more bytes
// of arguments than the app's jobs may have. Nothing is changed then.
func (w JobWriter) RescheduleJob(id JobID, change Change) (Rescheduling, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return Rescheduling{}, err
	}
	defer tx.mu.Unlock()
	p, t, found, err := tx.locate(id)
	if err != nil || !found {
		return Rescheduling{}, err
	}
	data, err := tx.get(tx.app.keys.place(t, p))
	if err != nil {
		return Rescheduling{}, err
	}
	was, err := decodeJob(p, data)
	if err != nil {
		return Rescheduling{}, fmt.Errorf("app %s: job %s: %w", tx.app.id, id, err)
	}
	answer := Rescheduling{Found: was.State}
	if was.State.Ended() {
		return answer, nil
	}
	if change.Operation != 0 && change.Operation == was.Operation {
		return answer, nil
	}
	if was.PendingOutside() {
		return Rescheduling{Found: StateRunning}, nil
	}
	if tx.app.started(id) {
		answer.Found = StateRunning
		return answer, nil
	}
	trigger, err := tx.triggerOf(&was)
	if err != nil {
		return Rescheduling{}, err
	}
	job, err := change.of(was)
	if err != nil {
		return Rescheduling{}, err
	}
	job.State, job.Reason = StatePending, ""
	tx.keepApart(&job)
	job.place = place{job.Due.UnixMilli(), was.place.seq}
	encoded := encodeJob(&job)
	// Out of its region and in again, its claim, and its place.
	writes := 4 + len(tx.app.keys.laneKeys(&was)) + len(tx.app.keys.laneKeys(&job))
	if err := w.v.spare(0, writes, len(data)+len(encoded)+2*len(id)+4*placeLen); err != nil {
		return Rescheduling{}, err
	}
	if err := tx.roomFor(job.ArgLen() - was.ArgLen()); err != nil {
		return Rescheduling{}, err
	}
	running, err := tx.recall(&was, t)
	if err != nil {
		return Rescheduling{}, err
	}
	if running {
		answer.Found = StateRunning
		return answer, nil
	}
	tx.removeBacklog(&was)
	if t == tagHeld {
		tx.unhold(&was, trigger)
	} else {
		tx.takePending(&was)
	}
	if job.place == homeOf(id) {
		tx.delete(tx.app.keys.name(tagID, string(id))) // it is found without
	}
	tx.top().moved = true
	tx.putEncoded(&job, encoded)
	answer.Changed = true
	return answer, nil
}

// of is the job as it is when it is changed.
func (c *Change) of(job Job) (Job, error) {
	tick := !job.Slot.IsZero()
	begun := job.Attempts > 0 || len(job.History) > 0
	switch {
	case tick && !begun:
		return job, fmt.Errorf("%w: job %s is a tick of trigger %s: it is due when its slot is", ErrInvalid, job.ID, quote(job.Trigger))
	case job.Trigger != "" && c.Args != nil:
		return job, fmt.Errorf("%w: the arguments of job %s are those of trigger %s", ErrInvalid, job.ID, quote(job.Trigger))
	}
	if !c.Due.IsZero() {
		if due := c.Due.UnixMilli(); due < 1 || due > maxInstantMs {
			return job, fmt.Errorf("%w: due instant %v is not between 1970 and %v", ErrInvalid, c.Due, MaxInstant)
		}
		if job.TooLate(c.Due) {
			return job, fmt.Errorf("%w: job %s may not begin after %s", ErrInvalid, job.ID, job.NotAfter.Format(time.RFC3339Nano))
		}
		if job.Due, job.Era = c.Due, c.Era; !begun {
			job.ScheduledFor, job.AskedEra = c.Due, c.Era
		}
	}
	if c.Priority != 0 {
		job.Priority = c.Priority
	}
	if c.Operation != 0 {
		job.Operation = c.Operation
	}
	if c.Args != nil && !bytes.Equal(c.Args, job.Args) {
		job.Args = c.Args
		if begun {
			job.Failures, job.Interruptions, job.Revision = 0, 0, job.Revision+1
		}
	}
	return job, checkLanes(&job)
}
