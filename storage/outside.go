package storage

import (
	"bytes"
	"crypto/subtle"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// An attempt may end from outside: its handler has returned, and the end comes later, for a
// token of which the record has the hash. Until then the job is pending and not claimed, and is
// due when the attempt has taken too long. An answer that comes while the handler runs is a part
// of the record beside the claim, until the attempt ends by it. A job that has ended keeps the
// hash of its last attempt.

// outside is what of that a job's record has.
type outside struct {
	token  []byte    // hash
	since  time.Time // when the handler returned; zero: it runs yet, or the job has ended
	due    time.Time // what Job.Due was before that
	answer *Answer   // that has come before
}

// TokenHash is how many bytes the hash of a token has. For engines.
const TokenHash = 32

// Answer is how an attempt has ended outside. For engines.
type Answer struct {
	Result    []byte   // of a success, as JSON
	NotKept   *NotKept // why that is not kept
	Error     *JobError
	Permanent bool // of a failure: a retry cannot mend it
}

// PendingOutside says whether the handler of the job's attempt has returned, and its end comes
// from outside.
func (j *Job) PendingOutside() bool {
	return j.State == StatePending && j.outside != nil && !j.outside.since.IsZero()
}

// HasToken says whether the hash is that of the token of the job's attempt: the one under way, or
// of a job that has ended the last one. It takes as long whether it is or not. For engines.
func (j *Job) HasToken(hash []byte) bool {
	return j.outside != nil && subtle.ConstantTimeCompare(j.outside.token, hash) == 1
}

// Answer is how the attempt under way ends that was answered before its handler returned; nil: it
// was not. For engines.
func (j *Job) Answer() *Answer {
	if j.outside == nil {
		return nil
	}
	return j.outside.answer
}

// Unended returns the pending or running job as it is stored, and whether it is claimed. ok is
// false if there is none. For engines.
func (tx *Tx) Unended(id JobID) (job Job, claimed, ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return Job{}, false, false, err
	}
	defer tx.mu.Unlock()
	job, t, err := tx.unended(id)
	if err != nil || t != tagQueue {
		return Job{}, false, false, err
	}
	claim, err := tx.get(tx.app.keys.place(tagClaim, job.place))
	return job, claim != nil, err == nil, err
}

// AnswerClaimed stores how the attempt of a claimed job ends, whose handler has not returned. job
// is as Unended has returned it.
func (tx *Tx) AnswerClaimed(job Job, token []byte, answer Answer) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if e := answer.Error; e != nil {
		answer.Error = &JobError{Code: errorText(e.Code), Message: errorText(e.Message)}
	}
	job.outside = &outside{token: bytes.Clone(token), answer: &answer}
	tx.put(tx.app.keys.place(tagQueue, job.place), encodeJob(&job))
	return nil
}

// leave puts a job back whose handler has returned, and whose attempt goes on outside until
// end.Due. It was taken out of the bucket.
func (tx *Tx) leave(job *Job, end *End, key keyState) {
	job.outside = &outside{token: bytes.Clone(end.Token), since: timeOf(tx.now.UnixMilli()), due: job.Due}
	job.Interruptions = 0
	job.Due, job.Era = timeOf(min(max(end.Due.UnixMilli(), 1), maxInstantMs)), tx.era
	job.place.ms = job.Due.UnixMilli()
	tx.retakeKey(job, key)
	tx.putPending(job)
}

// AttemptDue is when the attempt was due that is under way, or that a job which has ended had last: a job
// that is pending outside is due when that has taken too long. For engines.
func (j *Job) AttemptDue() time.Time {
	if j.outside == nil || j.outside.due.IsZero() {
		return j.Due
	}
	return j.outside.due
}

// endOutside notes that the attempt has ended, and was due when it was before its handler had
// returned. What is left is the hash: of the token, if the attempt had one.
func (j *Job) endOutside(token []byte) {
	if o := j.outside; o != nil && !o.due.IsZero() {
		j.Due, j.Era = o.due, 0
	}
	if token != nil {
		j.outside = &outside{token: bytes.Clone(token)}
	} else if j.outside != nil {
		j.outside = &outside{token: j.outside.token}
	}
}

// outside verifies what the record has of an attempt that ends from outside.
func (c *jobCheck) outside(t tag, job *Job) {
	o := job.outside
	if o == nil {
		return
	}
	claimed := t == tagQueue && c.snap.Get(kv.Data, c.n.place(tagClaim, job.place)) != nil
	switch {
	case len(o.token) != TokenHash:
		c.bad("job %s has a token of %d bytes", job.ID, len(o.token))
	case t == tagHeld, o.answer != nil != claimed, o.since.IsZero() != (t != tagQueue || claimed):
		c.bad("job %s in region %c, claimed %t, ends from outside: since %v, answered %t", job.ID, t, claimed, o.since, o.answer != nil)
	case o.answer != nil && o.answer.Error == nil && len(o.answer.Result) > 0 && !wellFormed(o.answer.Result):
		c.bad("job %s: its answer is not JSON", job.ID)
	}
}

func encodeOutside(o *outside) *proto.Outside {
	if o == nil {
		return nil
	}
	p := &proto.Outside{Token: o.token, SinceMs: msOf(o.since), DueMs: msOf(o.due)}
	if a := o.answer; a != nil {
		p.Answer = &proto.Answer{Result: a.Result, NotKept: encodeNotKept(a.NotKept), Permanent: a.Permanent}
		if e := a.Error; e != nil {
			p.Answer.Error = &proto.JobError{Code: e.Code, Message: e.Message}
		}
	}
	return p
}

func decodeOutside(p *proto.Outside) *outside {
	if p == nil {
		return nil
	}
	o := &outside{token: p.Token, since: timeOf(p.SinceMs), due: timeOf(p.DueMs)}
	if a := p.Answer; a != nil {
		o.answer = &Answer{Result: a.Result, NotKept: decodeNotKept(a.NotKept), Permanent: a.Permanent}
		if e := a.Error; e != nil {
			o.answer.Error = &JobError{Code: e.Code, Message: e.Message}
		}
	}
	return o
}
