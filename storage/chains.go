package storage

import (
	"encoding/binary"
	"fmt"
	"time"
)

// A job may have a follow-up (Job.Then): a call that is scheduled in the commit that ends the
// job, however it ends, and is told how (Job.Outcome). It is one of the children of the job, as
// are the jobs that its handler schedules. As long as the record of a child is kept there is
//
//	number ‖ 'f' ‖ parent ‖ 0 ‖ sequence number     id of the child
//
// so that what has come of a job can be canceled with it. Children that an earlier release has
// stored have no such key.
func (n keyspace) children(parent JobID) []byte { return append(n.name(tagChild, string(parent)), 0) }

func (n keyspace) child(job *Job) []byte {
	return binary.BigEndian.AppendUint64(n.children(job.Parent), job.place.seq)
}

// Outcome is how a job has ended, as its follow-up is told.
type Outcome struct {
	Job      JobID
	Function string // path
	State    State
	Ordinal  int       // 1 is the first end of the job, more of one that was dead and retried
	Result   []byte    // of a success, as JSON
	NotKept  *NotKept  // why there is none; nil: there is
	Error    *JobError // of the last attempt; nil: it did not fail
	Reason   string    // why the job has expired, or was held
}

// SetClock sets what reads the wall, from which a follow-up is due, and its clock era. It may be
// called from any goroutine and must not block.
func (a *App) SetClock(read func() (time.Time, EraID)) { a.clock.Store(&read) }

// ArgLen is how many bytes of arguments the job has, with its follow-ups. For engines.
func (j *Job) ArgLen() (n int) {
	for ; j != nil; j = j.Then {
		n += len(j.Args)
	}
	return n
}

// follow schedules the follow-up of a job that has ended. It is held to no limit: an end must
// not fail for want of room.
func (tx *Tx) follow(job *Job) error {
	if job.Then == nil {
		return nil
	}
	job.Ends++
	next := *job.Then
	if job.State != StateFailed {
		job.Then = nil // it is the last end of the job
	}
	next.Parent = job.ID
	if next.Group != job.Group {
		next.Group = 0 // the job has left its group, or never had it
	}
	next.Outcome = &Outcome{
		Job: job.ID, Function: job.Function, State: job.State, Ordinal: job.Ends,
		Result: job.Result, NotKept: job.NotKept, Error: job.Error, Reason: job.Reason,
	}
	if _, err := tx.insertNow(next); err != nil {
		return fmt.Errorf("follow-up of job %s: %w", job.ID, err)
	}
	return nil
}

// InsertNow stores the job in the transaction of w, due at once, as a follow-up is: held to no
// limit, and without a name or a key of its own. For engines.
func (w JobWriter) InsertNow(job Job) (JobID, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return "", err
	}
	defer tx.mu.Unlock()
	return w.v.insert(tx.dueNow(job))
}

// insertNow schedules a follow-up, due at once.
func (tx *Tx) insertNow(job Job) (JobID, error) { return tx.view().insert(tx.dueNow(job)) }

// dueNow is the job as one that is new and due by the wall.
func (tx *Tx) dueNow(job Job) Job {
	at, era := tx.now, tx.era
	if read := tx.app.clock.Load(); read != nil {
		at, era = (*read)()
	}
	job.ID, job.State = "", StatePending
	job.Due, job.Era = timeOf(min(max(at.UnixMilli(), 1), maxInstantMs)), era
	job.ScheduledFor, job.AskedEra, job.EnqueuedAt = job.Due, era, timeOf(tx.now.UnixMilli())
	return job
}

// told is the outcome as a job keeps it that needs it no more.
func (o *Outcome) told() *Outcome {
	if o == nil || o.Result == nil {
		return o
	}
	short := *o
	short.Result, short.NotKept = nil, &NotKept{Bytes: len(o.Result), Reason: "the follow-up has ended"}
	return &short
}

// Descendants is how far a cancel of what has come of a job has come. For engines.
type Descendants struct {
	todo []JobID        // whose children come next
	seen map[JobID]bool // an id may have been given to a descendant of its job
	from []byte         // where to go on among the children of the first; nil: at the beginning
	upTo uint64
}

// DescendantsOf begins with the job, which need not be there any more. Jobs that are made
// later, such as follow-ups of what is canceled, are not among them.
func (tx *Tx) DescendantsOf(id JobID) *Descendants {
	return &Descendants{todo: []JobID{id}, seen: map[JobID]bool{id: true}, upTo: tx.LastSeq()}
}

// DescendantsOf is that of the transaction.
func (w JobWriter) DescendantsOf(id JobID) *Descendants { return w.v.tx.DescendantsOf(id) }

// Children returns the ids of up to limit jobs that the job has scheduled and whose records are kept,
// those that were made first, and whether there are more.
func (s System) Children(id JobID, limit int) (ids []JobID, more bool, err error) {
	prefix := s.of.keys.children(id)
	rows, err := s.of.rows(prefix, after(prefix), false, limit+1)
	if err != nil {
		return nil, false, err
	}
	for _, r := range rows[:min(len(rows), limit)] {
		if err := s.of.app.damageOf(r.value); err != nil {
			return nil, false, err
		}
		ids = append(ids, JobID(r.value))
	}
	return ids, len(rows) > limit, nil
}

// CancelDescendants cancels those of the descendants that have not ended, in the transaction of
// w: of up to limit of them. It returns how many it has canceled; more is false if it came to the
// end. One that was canceled schedules no others; one that has ended may have.
func (w JobWriter) CancelDescendants(d *Descendants, limit int) (n int, more bool, err error) {
	for len(d.todo) > 0 {
		prefix := w.v.keys.children(d.todo[0])
		if d.from == nil {
			d.from = prefix
		}
		rows, err := w.v.rows(d.from, after(prefix), false, limit)
		if err != nil {
			return n, false, err
		}
		for _, r := range rows {
			d.from = append(r.key, 0)
			if err := w.v.app.damageOf(r.value); err != nil {
				return n, false, err
			}
			id, seq := JobID(r.value), binary.BigEndian.Uint64(r.key[len(prefix):])
			if seq > d.upTo {
				continue
			}
			if !d.seen[id] {
				d.seen[id] = true
				d.todo = append(d.todo, id)
			}
			canceled, err := w.cancelIf(id, seq)
			if err != nil {
				return n, false, err
			}
			if canceled {
				n++
			}
		}
		if limit -= len(rows); limit == 0 {
			return n, true, nil
		}
		d.todo, d.from = d.todo[1:], nil
	}
	return n, false, nil
}

// cancelIf cancels the job that has both id and number, if there is one that has not ended.
func (w JobWriter) cancelIf(id JobID, seq uint64) (bool, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return false, err
	}
	job, t, err := tx.unended(id)
	tx.mu.Unlock()
	if err != nil || t == 0 || job.place.seq != seq {
		return false, err
	}
	answer, err := w.CancelJob(id)
	return answer.Canceled, err
}
