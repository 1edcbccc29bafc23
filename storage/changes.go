package storage

import (
	"cmp"
	"slices"
	"strings"
)

// What a transaction has done to jobs is read off what it has written: a job lies at one place
// of one region, and its sequence number stays the same wherever it moves to.

// JobChange is what a committed transaction has done to one job, all in all. For engines.
type JobChange struct {
	Retried bool // it is pending again after an attempt
	Gone    bool // its record was taken away

	seq     uint64
	was, is tag // the region that it lay in before, and lies in now; 0: none
	place   place
	record  []byte // as it is now
	gone    *Job   // as it was
}

// JobWrites is what a transaction has written, without what only the transaction needed: its app,
// and the jobs that it has scheduled. For engines.
type JobWrites struct {
	keys    keyspace
	writes  buffer // no more changes
	gone    []Job
	retried []uint64
	began   uint64
}

// JobWrites returns what the transaction has written. The transaction was committed, and any
// goroutine may ask; or it is as it is going to be, and who has the turn does.
func (tx *Tx) JobWrites() *JobWrites {
	l := tx.layers[0]
	return &JobWrites{keys: tx.keyspace(), writes: l.buffer, gone: l.gone, retried: tx.retried, began: tx.began}
}

// Weight is how many bytes of memory it holds, about.
func (w *JobWrites) Weight() int { return w.writes.weight() + goneWeight*len(w.gone) }

// goneWeight is what a Job weighs whose record was taken away.
const goneWeight = 1 << 10

// Changes returns what the transaction has done to jobs, by their sequence numbers. One that
// it has made and taken away again is not among them, nor is one that it has only claimed.
// Any goroutine may ask.
func (w *JobWrites) Changes() []JobChange {
	if w.writes.m.Len() == 0 {
		return nil
	}
	// A job that has moved twice was pending in between, so what it was is known last.
	var moves []move
	for _, t := range jobRegions {
		prefix := string(w.keys.prefix(t))
		w.writes.m.Ascend(prefix, func(key string, wr write) bool {
			if !strings.HasPrefix(key, prefix) {
				return false
			}
			if len(key) == len(prefix)+placeLen {
				moves = append(moves, move{t, placeOf([]byte(key)), wr})
			}
			return true
		})
	}
	slices.SortStableFunc(moves, func(a, b move) int { return cmp.Compare(a.place.seq, b.place.seq) })
	changes := make([]JobChange, 0, len(moves))
	for i := 0; i < len(moves); {
		c := JobChange{seq: moves[i].place.seq}
		for ; i < len(moves) && moves[i].place.seq == c.seq; i++ {
			switch m := &moves[i]; {
			case !m.deleted:
				c.is, c.place, c.record = m.tag, m.place, m.value
			default:
				c.was = m.tag
				if c.is == 0 {
					c.place = m.place
				}
			}
		}
		switch fresh := c.seq > w.began; {
		case fresh:
			c.was = 0
		case c.was == 0:
			c.was = c.is // its record was written anew where it lies
		}
		c.Gone = c.is == 0
		if c.was != 0 || c.is != 0 {
			changes = append(changes, c)
		}
	}
	of := func(seq uint64) (*JobChange, bool) {
		i, ok := slices.BinarySearchFunc(changes, seq, func(c JobChange, seq uint64) int { return cmp.Compare(c.seq, seq) })
		if !ok {
			return nil, false
		}
		return &changes[i], true
	}
	for i := range w.gone {
		if c, ok := of(w.gone[i].place.seq); ok && c.Gone {
			c.gone = &w.gone[i]
		}
	}
	for _, seq := range w.retried {
		if c, ok := of(seq); ok {
			c.Retried = true
		}
	}
	return changes
}

// move is a write of a job's record, or of its end, in a region.
type move struct {
	tag
	place
	write
}

// keyspace is the app's, also when that has the next transaction's.
func (tx *Tx) keyspace() keyspace {
	if tx.over {
		return tx.number
	}
	return tx.app.keys
}

// MayLeaveDead says whether the transaction, of which Changes could be asked, has written a dead
// job. For engines.
func (tx *Tx) MayLeaveDead() (may bool) {
	prefix := string(tx.keyspace().prefix(tagDead))
	tx.layers[0].m.Ascend(prefix, func(key string, w write) bool {
		if !strings.HasPrefix(key, prefix) {
			return false
		}
		may = !w.deleted
		return !may
	})
	return may
}

// LeftDead returns the jobs that the transaction, of which Changes could be asked, has left dead
// and that were not before, with their arguments. For engines.
func (tx *Tx) LeftDead() (dead []Job) {
	for _, c := range tx.JobWrites().Changes() {
		if c.is != tagDead || c.was == tagDead {
			continue
		}
		if job, err := decodeJob(c.place, c.record); err == nil {
			job.Args = shownArgs(job.Args)
			dead = append(dead, job)
		}
	}
	return dead
}

// Weight is how many bytes of memory the change holds, about.
func (c *JobChange) Weight() int {
	weight := 96 + len(c.record)
	if c.gone != nil {
		weight += 512
	}
	return weight
}

// Job makes job the job as it is now, or as it was if it is gone: Brief.
func (c *JobChange) Job(job *Job) (err error) {
	switch {
	case c.gone != nil:
		*job = *c.gone
		return nil
	case c.Gone: // of a record that could not be read
		*job = unreadable(c.was, c.place, ErrCorrupt)
		return nil
	}
	if *job, err = decodeJob(c.place, c.record); err != nil {
		return err
	}
	if c.is == tagHeld {
		job.Wait = WaitHeld
	}
	job.shorten()
	return nil
}

// Was is the state that the job was in before, "" if there was no such job. job is Job.
// One that ran was pending.
func (c *JobChange) Was(job *Job) State {
	switch c.was {
	case tagQueue:
		return StatePending
	case tagHeld:
		return StateHeld
	case tagDead:
		return StateFailed
	case tagHistory:
		return job.State
	}
	return ""
}

// Brief is the job without what can be long, its Args, Result, Claims and History, and what
// follows it; and without what no change tells: what a pending one waits for, the size of
// its checkpoint, and whether a later job has its id.
func (j *Job) Brief() Job {
	b := *j
	b.shorten()
	return b
}

// shorten makes the job its Brief.
func (j *Job) shorten() {
	if j.State.keyedByDue() {
		j.Wait, j.Reason = "", ""
	}
	if j.State != StateRunning {
		j.Progress = nil
	}
	j.claim, j.claimBegin, j.CheckpointSize, j.Superseded = ClaimID{}, 0, 0, false
	j.Args, j.Result, j.Claims, j.History, j.Then, j.Outcome, j.GroupOutcome = nil, nil, nil, nil, nil, nil, nil
}

// Named is what of the job stays the same for its life. It may be asked while the job follows
// a correction (Follow).
func (j *Job) Named() Job {
	named := Job{
		ID: j.ID, Function: j.Function, Tags: j.Tags, Parent: j.Parent, Trigger: j.Trigger, Slot: j.Slot, Pool: j.Pool, PoolKey: j.PoolKey, Group: j.Group,
		place: place{seq: j.place.seq},
	}
	if j.Unique != nil {
		named.Unique = &Unique{Key: j.Unique.Key, AppWide: j.Unique.AppWide}
	}
	return named
}

// noteGone notes that the record of the job is taken away. The transaction is locked.
func (tx *Tx) noteGone(job *Job) { tx.top().gone = append(tx.top().gone, job.Brief()) }
