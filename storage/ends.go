package storage

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// End is how an attempt of a claimed job came to its end. For engines.
type End struct {
	State       State     // StateSuccess, StateFailed (dead), StateCanceled, StateHeld, or StatePending: again at Due
	Due         time.Time // of the next attempt, if State is StatePending
	StartedAt   time.Time // zero if it is not known to have started
	Error       *JobError // why the attempt did not succeed
	Reason      string    // why the job is held, if State is StateHeld: that is no attempt
	Result      []byte    // of a success, as JSON
	NotKept     *NotKept  // why the result of a success is not kept
	Interrupted bool      // a crash or a shutdown cut it off: the retry budget is not spent
	Crashed     bool      // it was a crash: one more of those in a row
	Unsure      bool      // it was one, and nothing tells whether the handler had begun
	Postponed   bool      // the handler has put the job off to Due: the retry budget is not spent
	Token       []byte    // hash of the attempt's token; nil: it has none
	Outside     bool      // if State is StatePending: the attempt goes on outside, until Due
}

// maxHistory is how many attempts a job keeps.
const maxHistory = 100

// EndAttempt records the end of the attempt of a job that is claimed, or pending outside. job must
// be as it was when claimed, or as Unended or Due has returned it. It returns the job as it is now.
func (tx *Tx) EndAttempt(job Job, end End) (Job, error) {
	job, err := tx.endAttempt(job, end)
	if err == nil {
		tx.ends.count(job.State, &end)
	}
	return job, err
}

func (tx *Tx) endAttempt(job Job, end End) (Job, error) {
	if err := tx.lockTop(); err != nil {
		return Job{}, err
	}
	defer tx.mu.Unlock()
	trigger, err := tx.triggerOf(&job)
	if err != nil {
		return Job{}, err
	}
	key, err := tx.keyOf(&job)
	if err != nil {
		return Job{}, err
	}
	if err := tx.makeRoom(&end); err != nil {
		return Job{}, err
	}
	outside := job.PendingOutside() // the attempt counts already
	if outside {
		end.StartedAt = job.StartedAt
	} else if err := tx.dropClaim(&job); err != nil {
		return Job{}, err
	}
	tx.removeBacklog(&job)
	if key.superseded() && (end.State == StatePending || end.State == StateHeld) {
		// The later job of the key does for it.
		end.State, end.Outside = StateCanceled, false
		if e := end.Error; e != nil {
			end.Error = &JobError{e.Code, fmt.Sprintf("%s; it is not tried again, since job %s has its unique key", e.Message, key.follower.ID)}
		}
	}
	if !end.State.Ended() {
		if err := tx.dropNotes(&job, true); err != nil {
			return Job{}, err
		}
	}
	if end.State == StateHeld {
		tx.retakeKey(&job, key)
		tx.takePending(&job)
		tx.hold(&job, end.Reason, trigger)
		return job, nil
	}
	if !outside {
		job.Attempts++
	}
	job.StartedAt = end.StartedAt
	if job.Unique != nil && end.StartedAt.IsZero() {
		job.Unique = job.Unique.started(tx.now)
	} else {
		job.Unique = job.Unique.started(end.StartedAt)
	}
	if end.Outside {
		job.boundInstants(tx.now)
		tx.takePending(&job)
		tx.leave(&job, &end, key)
		return job, nil
	}
	if end.Error != nil {
		e := JobError{Code: errorText(end.Error.Code), Message: errorText(end.Error.Message)}
		job.Error = &e
		job.History = append(job.History[:len(job.History):len(job.History)], Attempt{
			Number: job.Attempts, Due: job.AttemptDue(), StartedAt: end.StartedAt, EndedAt: tx.now, Error: e, Interrupted: end.Interrupted, Postponed: end.Postponed, Unsure: end.Unsure,
		})
		if over := len(job.History) - maxHistory; over > 0 {
			job.History = job.History[over:]
			job.Forgotten += over
		}
	} else {
		job.Error = nil
	}
	job.boundInstants(tx.now)
	if end.State == StateSuccess {
		job.Result, job.ResultSize = end.Result, len(end.Result)
	}
	if n := end.NotKept; n != nil {
		job.NotKept, job.ResultSize = &NotKept{Bytes: n.Bytes, Reason: errorText(n.Reason)}, n.Bytes
	}
	switch {
	case end.Crashed:
		job.Interruptions++
	case end.Interrupted:
	case end.Postponed:
		if job.Postponed++; job.Postponed == 1 {
			job.PutOffSince = timeOf(tx.now.UnixMilli())
		}
		job.Interruptions = 0
	case end.State == StatePending || end.State == StateFailed:
		job.Failures++
		job.Interruptions = 0
		job.Postponed, job.PutOffSince = 0, time.Time{}
	}
	tx.takePending(&job)
	job.endOutside(end.Token)
	if end.State != StatePending {
		err := tx.finish(&job, end.State, trigger, key)
		return job, err
	}
	due := end.Due.UnixMilli()
	if due < 1 || due > maxInstantMs {
		err := tx.finish(&job, StateFailed, trigger, key)
		return job, err
	}
	if !job.Due.Equal(timeOf(due)) { // else it is due as before
		job.Due, job.Era = timeOf(due), tx.era
	}
	job.outside = nil // its token is good for nothing now
	tx.retakeKey(&job, key)
	job.Unique = job.Unique.begunAnew(tx.now)
	tx.keepApart(&job)
	job.place.ms = job.Due.UnixMilli()
	tx.putPending(&job)
	tx.retried = append(tx.retried, job.place.seq)
	return job, nil
}

// maxErrorLen bounds the text kept of one attempt's error, in bytes.
const maxErrorLen = 1024

// errorText makes of what a function said text that can be stored: UTF-8, cut
// before the rune that crosses the bound.
func errorText(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxErrorLen {
		return s
	}
	n := maxErrorLen
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// takePending takes the job out of the sorted job bucket.
func (tx *Tx) takePending(job *Job) {
	tx.delete(tx.app.keys.place(tagQueue, job.place))
	tx.removeLanes(job)
	tx.top().leaveOrder(job)
	c := &tx.top().counts
	c.pending--
	c.addArgs(job, -1)
}

// finish puts a job taken out of the sorted job bucket into the history, or
// among the dead if it failed. trigger and key are what triggerOf and keyOf have returned.
func (tx *Tx) finish(job *Job, state State, trigger *Trigger, key keyState) error {
	c := &tx.top().counts
	t := tagHistory
	if state == StateFailed {
		t = tagDead
		if c.dead == 0 && c.deadSince == 0 {
			c.deadSince = tx.now.UnixMilli()
		}
		c.dead++
	} else {
		c.done++
	}
	tx.noteTick(job, state, trigger)
	job.endOutside(nil)
	job.State = state
	job.CompletedAt = timeOf(tx.now.UnixMilli())
	job.boundInstants(job.CompletedAt)
	job.place.ms = c.nextRank(job.CompletedAt.UnixMilli())
	if err := tx.follow(job); err != nil {
		return err
	}
	if err := tx.dropNotes(job, state == StateFailed); err != nil {
		return err
	}
	if err := tx.leaveGroup(job, state); err != nil {
		return err
	}
	if state != StateFailed {
		job.Outcome = job.Outcome.told()
	}
	keys := tx.app.keys
	tx.put(keys.place(t, job.place), encodeJob(job))
	tx.putResult(job)
	tx.put(keys.name(tagID, string(job.ID)), encodeLocation(t, job.place))
	tx.endKey(job, key, state)
	return nil
}

// boundInstants keeps the job's instants in order and none after now: those of a
// clock that has been set back since are brought down to it.
func (j *Job) boundInstants(now time.Time) {
	bound := func(at *time.Time) {
		if at.After(now) {
			*at = timeOf(now.UnixMilli())
		}
	}
	for i, a := range j.History {
		if a.StartedAt.After(now) || a.EndedAt.After(now) {
			j.History = slices.Clone(j.History) // it may be shared
			bound(&j.History[i].StartedAt)
			bound(&j.History[i].EndedAt)
		}
	}
	bound(&j.HeldAt)
	bound(&j.PutOffSince)
	j.Unique = j.Unique.bounded(now)
	bound(&j.StartedAt)
	if !j.StartedAt.IsZero() {
		now = j.StartedAt
	}
	bound(&j.EnqueuedAt)
}

// nextRank is the rank of a job that ends at the instant: that instant, or one
// more than the rank of the job that ended before it. It orders ended jobs as they
// ended, whatever the clock did (G15), and says nothing of when.
func (c *counts) nextRank(ms int64) int64 {
	c.ended = max(c.ended+1, uint64(ms))
	return int64(c.ended)
}

// LastEnded is behind every job that has ended or is held, and before every one that
// will end or be held.
func (tx *Tx) LastEnded() Place {
	if err := tx.lockTop(); err != nil {
		return Place{}
	}
	defer tx.mu.Unlock()
	return Place{place{int64(tx.top().counts.ended), math.MaxUint64}}
}

// CancelJob cancels a pending or running job in the transaction of w. The answer says
// whether it did, and which state it found. It does not stop a running job's handler:
// the engine reads CanceledClaims, and ignores what the handler returns.
func (w JobWriter) CancelJob(id JobID) (Cancellation, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return Cancellation{}, err
	}
	defer tx.mu.Unlock()
	p, t, found, err := tx.locate(id)
	if err != nil || !found {
		return Cancellation{}, err
	}
	data, err := tx.get(tx.app.keys.place(t, p))
	if err != nil {
		return Cancellation{}, err
	}
	job, err := decodeJob(p, data)
	if err != nil {
		return Cancellation{}, fmt.Errorf("app %s: job %s: %w", tx.app.id, id, err)
	}
	if job.State.Ended() {
		return Cancellation{Found: job.State}, nil
	}
	// Out of the bucket, the claim with it, out of the backlog, into the history and
	// the id index.
	writes := 4
	if tx.app.keys.backlogKey(&job) != nil {
		writes++
	}
	writes += len(tx.app.keys.laneKeys(&job))
	if job.Unique != nil {
		writes += 2
	}
	if job.Then != nil { // it is scheduled, and is a child
		writes += 2 + len(tx.app.keys.laneKeys(job.Then))
	}
	if job.Group != 0 { // its row, and, of the last member, what ends a group
		writes += groupWrites
	}
	notes, err := tx.notesOf(p.seq)
	if err != nil {
		return Cancellation{}, err
	}
	if err := w.v.spare(0, writes+len(notes), 2*len(data)+len(id)); err != nil {
		return Cancellation{}, err
	}
	answer := Cancellation{Canceled: true, Found: job.State}
	claimKey := tx.app.keys.place(tagClaim, p)
	claim, err := tx.get(claimKey)
	if err != nil {
		return Cancellation{}, err
	}
	trigger, err := tx.triggerOf(&job)
	if err != nil {
		return Cancellation{}, err
	}
	key, err := tx.keyOf(&job)
	if err != nil {
		return Cancellation{}, err
	}
	tx.removeBacklog(&job)
	if claim != nil {
		tx.delete(claimKey)
		tx.top().counts.claimed--
		tx.top().canceled = append(tx.top().canceled, id)
		if tx.onCancel != nil && tx.onCancel(id) {
			answer.Found = StateRunning
			job.Attempts++
			job.Unique = job.Unique.started(tx.now)
		}
	}
	if t == tagHeld {
		tx.unhold(&job, trigger)
	} else {
		tx.takePending(&job)
	}
	if job.Trigger != "" {
		tx.top().ticks = append(tx.top().ticks, job)
	}
	return answer, tx.finish(&job, StateCanceled, trigger, key)
}
