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

// Changes returns what the transaction has done to jobs, by their sequence numbers. One that
// it has made and taken away again is not among them, nor is one that it has only claimed.
// The transaction was committed, and any goroutine may ask; or it is as it is going to be, and
// who has the turn does.
func (tx *Tx) Changes() []JobChange {
	l := tx.layers[0]
	if l.m.Len() == 0 {
		return nil
	}
	var changes []JobChange
	index := map[uint64]int{}
	of := func(seq uint64) *JobChange {
		i, ok := index[seq]
		if !ok {
			i = len(changes)
			index[seq] = i
			changes = append(changes, JobChange{seq: seq})
		}
		return &changes[i]
	}
	keys := tx.keyspace()
	// A job that has moved twice was pending in between, so what it was is known last.
	for _, t := range [...]tag{tagQueue, tagHeld, tagHistory, tagDead} {
		prefix := string(keys.prefix(t))
		l.m.Ascend(prefix, func(key string, w write) bool {
			p, ok := keys.placeIn(t, []byte(key))
			if !ok {
				return strings.HasPrefix(key, prefix)
			}
			c := of(p.seq)
			if w.deleted {
				c.was = t
				if c.is == 0 {
					c.place = p
				}
			} else {
				c.is, c.place, c.record = t, p, w.value
			}
			return true
		})
	}
	for i := range l.gone {
		if at, ok := index[l.gone[i].place.seq]; ok && changes[at].is == 0 {
			changes[at].gone = &l.gone[i]
		}
	}
	for _, seq := range tx.retried {
		if at, ok := index[seq]; ok {
			changes[at].Retried = true
		}
	}
	for i := range changes {
		c := &changes[i]
		switch fresh := c.seq > tx.began; {
		case fresh:
			c.was = 0
		case c.was == 0:
			c.was = c.is // its record was written anew where it lies
		}
		c.Gone = c.is == 0
	}
	changes = slices.DeleteFunc(changes, func(c JobChange) bool { return c.was == 0 && c.is == 0 })
	slices.SortFunc(changes, func(a, b JobChange) int { return cmp.Compare(a.seq, b.seq) })
	return changes
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
	for _, c := range tx.Changes() {
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

// Job is the job as it is now, or as it was if it is gone: Brief.
func (c *JobChange) Job() (Job, error) {
	if c.gone != nil {
		return *c.gone, nil
	}
	if c.Gone { // of a record that could not be read
		return unreadable(c.was, c.place, ErrCorrupt), nil
	}
	job, err := decodeJob(c.place, c.record)
	if c.is == tagHeld {
		job.Wait = WaitHeld
	}
	return job.Brief(), err
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
	if b.State.keyedByDue() {
		b.Wait, b.Reason = "", ""
	}
	if b.State != StateRunning {
		b.Progress = nil
	}
	b.claim, b.CheckpointSize, b.Superseded = ClaimID{}, 0, false
	b.Args, b.Result, b.Claims, b.History, b.Then, b.Outcome, b.GroupOutcome = nil, nil, nil, nil, nil, nil, nil
	return b
}

// Named is what of the job stays the same for its life. It may be asked while the job follows
// a correction (Follow).
func (j *Job) Named() Job {
	return Job{
		ID: j.ID, Function: j.Function, Tags: j.Tags, Parent: j.Parent, Trigger: j.Trigger, Slot: j.Slot, Pool: j.Pool, PoolKey: j.PoolKey, Group: j.Group,
		place: place{seq: j.place.seq},
	}
}

// noteGone notes that the record of the job is taken away. The transaction is locked.
func (tx *Tx) noteGone(job *Job) { tx.top().gone = append(tx.top().gone, job.Brief()) }
