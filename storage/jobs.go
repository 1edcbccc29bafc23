package storage

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Place is where a pending or running job lies in the sorted job bucket: by
// due instant, then by sequence number. The zero Place is before every job. For engines.
type Place struct{ p place }

// Less says whether p comes before q.
func (p Place) Less(q Place) bool { return p.p.less(q.p) }

// Place returns where the job lies: one that has ended, among those that have.
func (j *Job) Place() Place { return Place{j.place} }

// Seq is the job's sequence number. Of two jobs of an app, ended or not, the one
// that was made later has the greater number, whatever the clock did.
func (j *Job) Seq() uint64 { return j.place.seq }

// maxErrorLen bounds the text kept of one attempt's error, in bytes.
const maxErrorLen = 1024

// InsertJob is Schedule of a job that has neither a unique key nor a name of Once.
func (w JobWriter) InsertJob(job Job) (JobID, error) {
	done, err := w.Schedule(job)
	return done.ID, err
}

// Schedule stores a pending job in the transaction of w, unless its unique key, or its
// name of Once, says otherwise. It uses the caller's Function, Args, Due, ScheduledFor,
// EnqueuedAt, NotAfter, Retry, AtMostOnce, Timeout, Claims, Tags, Unique, Parent and Once, and ID; it
// mints an id if that is empty. EnqueuedAt is raised to the transaction's instant if it
// is before that. Errors: ErrExists if a pending, running or dead job holds the id, or
// another one the unique key, ErrLimit if the app has as many jobs, or bytes of arguments, as it may, ErrTxLimit,
// ErrInvalid for an id, a key, an instant or tags out of bounds. Nothing is changed then.
func (w JobWriter) Schedule(job Job) (Told, error) {
	tx, depth := w.writer()
	if err := tx.lock(depth); err != nil {
		return Told{}, err
	}
	defer tx.mu.Unlock()
	if job.ID != "" {
		if err := job.ID.Check(); err != nil {
			return Told{}, err
		}
	}
	if err := tx.checkNew(&job); err != nil {
		return Told{}, err
	}
	if job.Once != "" {
		return w.v.once(job)
	}
	return w.v.schedule(job)
}

// schedule is Schedule of a job whose Once is settled.
func (v *view) schedule(job Job) (Told, error) {
	if job.Unique != nil {
		return v.admit(job)
	}
	if err := v.tx.room(&job); err != nil {
		return Told{}, err
	}
	id, err := v.insert(job)
	return Told{ID: id}, err
}

func (v *view) insert(job Job) (JobID, error) {
	tx := v.tx
	c := &tx.top().counts
	if err := tx.checkNew(&job); err != nil {
		return "", err
	}
	job.State = StatePending
	job.place = place{job.Due.UnixMilli(), c.seq + 1}
	if job.ID == "" {
		job.ID = mintJobID(place{job.ScheduledFor.UnixMilli(), job.place.seq})
	} else if err := tx.freeID(job.ID); err != nil {
		return "", err
	}
	data := encodeJob(&job)
	writes, size := 1, numberLen+1+placeLen+len(data)
	if home, ok := job.ID.home(); !ok || home != job.place {
		writes, size = 2, size+numberLen+1+len(job.ID)+1+placeLen
	}
	for _, key := range tx.app.keys.laneKeys(&job) {
		writes, size = writes+1, size+len(key)
	}
	if key := job.UniqueKey(); key != "" { // its row, and what says until when the one before it was to last
		writes, size = writes+2, size+2*len(key)+len(job.ID)+keyRowWeight
	}
	if job.Once != "" { // its row, and the number of them
		writes, size = writes+2, size+len(job.Once)+len(job.ID)+keyRowWeight
	}
	if err := v.spare(1, writes, size); err != nil {
		return "", err
	}
	c.seq++
	tx.top().jobs++
	if job.EnqueuedAt.After(tx.latest) {
		tx.latest = job.EnqueuedAt
	}
	tx.putEncoded(&job, data)
	return job.ID, nil
}

// checkNew says what is wrong with a new job, and completes its instants.
func (tx *Tx) checkNew(job *Job) error {
	if due := job.Due.UnixMilli(); due < 1 || due > maxInstantMs {
		return fmt.Errorf("%w: due instant %v is not between 1970 and %v", ErrInvalid, job.Due, MaxInstant)
	}
	if job.ScheduledFor.IsZero() {
		job.ScheduledFor = job.Due
	}
	// It is made after the transaction has begun, though the clock may say else.
	if job.EnqueuedAt.Before(tx.now) {
		job.EnqueuedAt = timeOf(tx.now.UnixMilli())
	}
	if at := job.ScheduledFor.UnixMilli(); at < 1 || at > maxInstantMs {
		return fmt.Errorf("%w: instant asked for %v is not between 1970 and %v", ErrInvalid, job.ScheduledFor, MaxInstant)
	}
	if !utf8.ValidString(job.Function) {
		return fmt.Errorf("%w: function %s is not UTF-8", ErrInvalid, quote(job.Function))
	}
	if job.Priority == 0 {
		job.Priority = DefaultPriority
	}
	if at := job.NotAfter.UnixMilli(); !job.NotAfter.IsZero() && (at < 1 || at > maxInstantMs) {
		return fmt.Errorf("%w: NotAfter %v is not between 1970 and %v", ErrInvalid, job.NotAfter, MaxInstant)
	}
	return errors.Join(CheckTags(job.Tags), checkLanes(job))
}

// room says whether the app may have the job, one more.
func (tx *Tx) room(job *Job) error {
	if n := tx.top().counts.pending + tx.top().counts.held; n >= uint64(tx.app.maxJobs.Load()) {
		return fmt.Errorf("%w: app %s has %d jobs, as many as it may (MaxJobs)", ErrLimit, tx.app.id, n)
	}
	return tx.roomFor(len(job.Args))
}

// freeID makes a caller-chosen id ready for use. The id of a finished job is
// free again; its row stays in the history, found by listing only.
func (tx *Tx) freeID(id JobID) error {
	p, t, found, err := tx.locate(id)
	if err != nil {
		return err
	}
	if found && t == tagDead {
		data, err := tx.get(tx.app.keys.place(t, p))
		if err != nil {
			return err
		}
		// One that cannot be read keeps its id.
		if job, err := decodeJob(p, data); err == nil && tx.app.deadExpired(&job, tx.now) {
			if _, err := tx.dropOnce(&job); err != nil {
				return err
			}
			tx.dropDead(&job)
			found = false
		}
	}
	if found && t != tagHistory {
		return fmt.Errorf("%w: job id %s is held by a %s job", ErrExists, id, map[tag]string{tagQueue: "pending or running", tagHeld: "held", tagDead: "dead"}[t])
	}
	if _, minted := id.home(); minted {
		return fmt.Errorf("%w: job id %s has the form of a minted one, which is reserved", ErrInvalid, id)
	}
	return nil
}

// putPending puts the job into the sorted job bucket at job.place.
func (tx *Tx) putPending(job *Job) { tx.putEncoded(job, encodeJob(job)) }

// putEncoded is putPending of a job whose record is made.
func (tx *Tx) putEncoded(job *Job, data []byte) {
	keys, l := tx.app.keys, tx.top()
	l.put(keys.place(tagQueue, job.place), data)
	if home, ok := job.ID.home(); ok && home == job.place {
		// Found without an index; what the index may say of an older life is void.
		if job.Attempts > 0 || len(job.History) > 0 || !job.HeldAt.IsZero() || job.Unique != nil {
			l.delete(keys.name(tagID, string(job.ID)))
		}
	} else {
		l.put(keys.name(tagID, string(job.ID)), encodeLocation(tagQueue, job.place))
	}
	l.addBacklog(keys, job)
	tx.addLanes(job)
	tx.app.laned.note(job)
	l.counts.pending++
	l.counts.addArgs(job, 1)
	l.inserted = append(l.inserted, *job)
}

func encodeLocation(t tag, p place) []byte {
	return p.append(append(make([]byte, 0, 1+placeLen), byte(t)))
}

// locate finds where a job lies. The caller holds the transaction.
func (tx *Tx) locate(id JobID) (p place, t tag, found bool, err error) {
	return locate(tx.sound, tx.app.keys, id)
}

func locate(get func([]byte) ([]byte, error), keys keyspace, id JobID) (p place, t tag, found bool, err error) {
	loc, err := get(keys.name(tagID, string(id)))
	if err != nil {
		return place{}, 0, false, err
	}
	if loc != nil {
		if err := damageOf(loc); err != nil {
			return place{}, 0, false, err
		}
		if len(loc) != 1+placeLen {
			return place{}, 0, false, fmt.Errorf("%w: location of job %s", ErrCorrupt, id)
		}
		return decodePlace(loc[1:]), tag(loc[0]), true, nil
	}
	home, ok := id.home()
	if !ok {
		return place{}, 0, false, nil
	}
	data, err := get(keys.place(tagQueue, home))
	if err != nil || data == nil {
		return place{}, 0, false, err
	}
	// A retried job with another id may have come to lie at just this place.
	job, err := decodeJob(home, data)
	return home, tagQueue, err == nil && job.ID == id, err
}

// Claim records, durably once committed, that an attempt of the pending job is
// about to begin. The transaction must have read the job by Due, or inserted it,
// and it must not be claimed already. ok is false if it is not in the bucket any
// more: the transaction itself has canceled it.
func (tx *Tx) Claim(job *Job) (ok bool, err error) {
	if err := tx.lockTop(); err != nil {
		return false, err
	}
	defer tx.mu.Unlock()
	if job.place == (place{}) || job.State.Ended() {
		return false, nil // it is not in the bucket
	}
	if w, known := tx.written(string(tx.app.keys.place(tagQueue, job.place))); known && w.deleted {
		return false, nil
	}
	job.claim = tx.app.vol.claims.next()
	tx.put(tx.app.keys.place(tagClaim, job.place), encodeClaim(job.claim, job.Attempts+1, tx.now))
	tx.removeLanes(job)
	tx.top().counts.claimed++
	return true, nil
}

// Unclaim takes a claim back whose handler has not started.
func (tx *Tx) Unclaim(job *Job) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if err := tx.dropClaim(job); err != nil {
		return err
	}
	tx.addLanes(job)
	return nil
}

func (tx *Tx) dropClaim(job *Job) error {
	key := tx.app.keys.place(tagClaim, job.place)
	// The file is asked only if memory does not know.
	w, known := tx.written(string(key))
	there := known && !w.deleted
	if !known {
		_, there = tx.app.claims[string(key)]
	}
	if !known && !there {
		claim, err := tx.get(key)
		if err != nil {
			return err
		}
		there = claim != nil
	}
	if !there {
		return fmt.Errorf("%w: S5: job %s is not claimed", ErrCorrupt, job.ID)
	}
	tx.delete(key)
	tx.top().counts.claimed--
	return nil
}

// End is how an attempt of a claimed job came to its end. For engines.
type End struct {
	State       State     // StateSuccess, StateFailed (dead), StateCanceled, StateHeld, or StatePending: again at Due
	Due         time.Time // of the next attempt, if State is StatePending
	StartedAt   time.Time // zero if it is not known to have started
	Error       *JobError // why the attempt did not succeed
	Reason      string    // why the job is held, if State is StateHeld: that is no attempt
	NotKept     *NotKept  // why the result of a success cannot be kept
	Interrupted bool      // a crash or a shutdown cut it off: the retry budget is not spent
	Crashed     bool      // it was a crash: one more of those in a row
	Postponed   bool      // the handler has put the job off to Due: the retry budget is not spent
}

// maxHistory is how many attempts a job keeps.
const maxHistory = 100

// EndAttempt records the end of the claimed job's attempt. job must be as it was
// when claimed. It returns the job as it is now.
func (tx *Tx) EndAttempt(job Job, end End) (Job, error) {
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
	if err := tx.dropClaim(&job); err != nil {
		return Job{}, err
	}
	tx.removeBacklog(&job)
	if key.superseded() && (end.State == StatePending || end.State == StateHeld) {
		// The later job of the key does for it.
		end.State = StateCanceled
		if e := end.Error; e != nil {
			end.Error = &JobError{e.Code, fmt.Sprintf("%s; it is not tried again, since job %s has its unique key", e.Message, key.follower.ID)}
		}
	}
	if end.State == StateHeld {
		tx.retakeKey(&job, key)
		tx.takePending(&job)
		tx.hold(&job, end.Reason, trigger)
		return job, nil
	}
	job.Attempts++
	job.StartedAt = end.StartedAt
	if job.Unique != nil && end.StartedAt.IsZero() {
		job.Unique = job.Unique.started(tx.now)
	} else {
		job.Unique = job.Unique.started(end.StartedAt)
	}
	if end.Error != nil {
		e := JobError{Code: errorText(end.Error.Code), Message: errorText(end.Error.Message)}
		job.Error = &e
		job.History = append(job.History[:len(job.History):len(job.History)], Attempt{
			Number: job.Attempts, StartedAt: end.StartedAt, EndedAt: tx.now, Error: e, Interrupted: end.Interrupted, Postponed: end.Postponed,
		})
		if over := len(job.History) - maxHistory; over > 0 {
			job.History = job.History[over:]
			job.Forgotten += over
		}
	} else {
		job.Error = nil
	}
	job.boundInstants(tx.now)
	job.NotKept = nil
	if n := end.NotKept; n != nil {
		job.NotKept = &NotKept{Bytes: n.Bytes, Reason: errorText(n.Reason)}
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
	if end.State != StatePending {
		tx.finish(&job, end.State, trigger, key)
		return job, nil
	}
	due := end.Due.UnixMilli()
	if due < 1 || due > maxInstantMs {
		tx.finish(&job, StateFailed, trigger, key)
		return job, nil
	}
	if !job.Due.Equal(timeOf(due)) { // else it is due as before
		job.Due, job.Era = timeOf(due), tx.era
	}
	tx.retakeKey(&job, key)
	job.Unique = job.Unique.begunAnew(tx.now)
	tx.keepApart(&job)
	job.place.ms = job.Due.UnixMilli()
	tx.putPending(&job)
	return job, nil
}

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
func (tx *Tx) finish(job *Job, state State, trigger *Trigger, key keyState) {
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
	job.State = state
	job.CompletedAt = timeOf(tx.now.UnixMilli())
	job.boundInstants(job.CompletedAt)
	job.place.ms = c.nextRank(job.CompletedAt.UnixMilli())
	keys := tx.app.keys
	tx.put(keys.place(t, job.place), encodeJob(job))
	tx.put(keys.name(tagID, string(job.ID)), encodeLocation(t, job.place))
	tx.endKey(job, key, state)
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

// LastSeq is the greatest Seq of the app's jobs: one made later has a greater one.
func (tx *Tx) LastSeq() uint64 {
	if err := tx.lockTop(); err != nil {
		return 0
	}
	defer tx.mu.Unlock()
	return tx.top().counts.seq
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
	if err := w.v.spare(0, writes, 2*len(data)+len(id)); err != nil {
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
	tx.finish(&job, StateCanceled, trigger, key)
	return answer, nil
}

// Due reads up to limit rows of the sorted job bucket, and no more than some
// megabytes, from the first at or behind from, and returns their jobs in the order
// they are due. Claimed jobs are among them; their State is StatePending all the same.
// next is where to read on; more is false if the end was reached. A record that
// cannot be read is left out and is part of err, beside the others.
func (tx *Tx) Due(from Place, limit int) (jobs []Job, next Place, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return nil, from, false, err
	}
	defer tx.mu.Unlock()
	keys := tx.app.keys
	rows, more, err := tx.readPage(keys.place(tagQueue, from.p), after(keys.prefix(tagQueue)), false, page(limit))
	if err != nil {
		return nil, from, false, err
	}
	next = from
	jobs = make([]Job, 0, len(rows))
	for _, r := range rows {
		p := placeOf(r.key)
		next = Place{p.next()}
		job, bad := decodeJob(p, r.value)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("app %s: job at %d/%d: %w", tx.app.id, p.ms, p.seq, bad))
			continue
		}
		jobs = append(jobs, job)
	}
	return jobs, next, more, err
}

// Claimed returns every claimed job, in the order they are due: what was under
// way when the app was last open, if asked before anything was claimed. Of a
// job that cannot be read the error tells; the others are returned beside it. A claim
// that cannot be read counts as foreign (App.Ours).
func (tx *Tx) Claimed() ([]Job, error) {
	if err := tx.lockTop(); err != nil {
		return nil, err
	}
	defer tx.mu.Unlock()
	keys := tx.app.keys
	prefix := keys.prefix(tagClaim)
	rows, err := tx.rows(prefix, after(prefix), false, int(tx.top().counts.claimed)+1)
	if err != nil {
		return nil, err
	}
	jobs := make([]Job, 0, len(rows))
	var errs []error
	for _, r := range rows {
		p := placeOf(r.key)
		data, err := tx.get(keys.place(tagQueue, p))
		if err != nil {
			return nil, err
		}
		job, bad := decodeJob(p, data)
		if bad != nil {
			errs = append(errs, fmt.Errorf("app %s: claimed job at %d/%d: %w", tx.app.id, p.ms, p.seq, bad))
			continue
		}
		if id, _, err := decodeClaim(r.value); err == nil {
			job.claim = id
		} // else whose it is cannot be told: it is foreign
		jobs = append(jobs, job)
	}
	return jobs, errors.Join(errs...)
}
