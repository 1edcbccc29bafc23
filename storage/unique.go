package storage

import (
	"bytes"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"
)

// MaxKey bounds a unique key, and the name of Job.Once, in bytes; the least is 1.
const MaxKey = 256

// UniquePolicy says what becomes of a call that finds its key held.
type UniquePolicy string

// The policies. That of a call counts, whatever the holder's was.
const (
	UniqueKeep     UniquePolicy = "keep"     // the job that is there does for it
	UniqueReplace  UniquePolicy = "replace"  // the job that is there becomes this call
	UniqueThrottle UniquePolicy = "throttle" // the same, but for the instant, and starts are kept apart
	UniqueRefuse   UniquePolicy = "refuse"   // ErrExists
)

// Unique has a job be the only one of its key.
type Unique struct {
	Key         string // UTF-8 of 1 to MaxKey bytes
	Policy      UniquePolicy
	AppWide     bool          // among all jobs of the app; false: among those of the function
	PendingOnly bool          // a job that runs does not hold the key
	MaxWait     time.Duration // of UniqueReplace, not stored: how long calls can put a job off; 0: not at all
	Every       time.Duration // of UniqueThrottle: how far starts are apart, retries among them
	HeldFor     time.Duration // how long the key is held after success; 0: not at all

	Since     time.Time // when the calls began that have replaced each other; zero: when the job was enqueued
	LastStart time.Time // of the key, if Every is set; zero: none is known
}

// Told is what has become of a call that was to be scheduled.
type Told struct {
	ID       JobID // the job that does it
	Kept     bool  // it was there: nothing was stored
	Replaced bool  // it was there, and is this call now
	Holder   JobID // the job that the key belonged to; "" if it was free
}

// check says what is wrong with the key.
func (u *Unique) check() error {
	if err := checkKey("unique key", u.Key); err != nil {
		return err
	}
	if !slices.Contains(uniquePolicies[:], u.Policy) {
		return fmt.Errorf("%w: unique key %s: unknown policy %s", ErrInvalid, quote(u.Key), quote(string(u.Policy)))
	}
	if u.MaxWait < 0 || u.Every < 0 || u.HeldFor < 0 {
		return fmt.Errorf("%w: unique key %s: a span is negative", ErrInvalid, quote(u.Key))
	}
	return nil
}

// checkKey says whether the text can be a unique key, or a name of Job.Once.
func checkKey(what, key string) error {
	if len(key) < 1 || len(key) > MaxKey || !utf8.ValidString(key) {
		return fmt.Errorf("%w: %s %s: %d bytes, want 1 to %d of UTF-8", ErrInvalid, what, quote(key), len(key), MaxKey)
	}
	return nil
}

// UniqueKey names the key among all of the app; "" if the job has none. For engines.
func (j *Job) UniqueKey() string {
	switch u := j.Unique; {
	case u == nil:
		return ""
	case u.AppWide:
		return keyIn("", u.Key)
	default:
		return keyIn(j.Function, u.Key)
	}
}

// keyIn is the key among those of the function, "" is the app.
func keyIn(function, key string) string { return function + "\x00" + key }

// admit decides what becomes of a job that has a unique key.
func (v *view) admit(job Job) (Told, error) {
	tx := v.tx
	u := *job.Unique
	if err := u.check(); err != nil {
		return Told{}, err
	}
	u.Since, u.LastStart = time.Time{}, time.Time{}
	job.Unique = &u
	row, err := tx.keyRowOf(&job)
	if err != nil {
		return Told{}, err
	}
	if row != nil && row.until == 0 {
		return v.admitBeside(job, row)
	}
	if row != nil {
		switch held := !row.throttled; {
		case held && u.Policy == UniqueKeep:
			return Told{ID: row.job, Kept: true, Holder: row.job}, nil
		case held && u.Policy == UniqueRefuse:
			return Told{}, keyHeld(u.Key, row.job, "has ended as a success, and holds it for a while")
		case !held && u.Policy == UniqueThrottle:
			u.LastStart = timeOf(row.until - row.span)
		}
	} else if id := tx.app.stopping(job.UniqueKey()); id != "" && u.Policy == UniqueRefuse && !u.PendingOnly {
		return Told{}, keyHeld(u.Key, id, "is canceled, and its handler has not returned")
	}
	tx.putOff(&job)
	return v.own(job, row)
}

// admitBeside is admit while a job holds the key that has not ended.
func (v *view) admitBeside(job Job, row *keyRow) (Told, error) {
	tx, u := v.tx, job.Unique
	holder, t, err := tx.holderOf(row)
	if err != nil {
		return Told{}, err
	}
	if u.Policy == UniqueRefuse {
		if u.PendingOnly && t == tagQueue && tx.app.started(holder.ID) {
			return v.own(job, row)
		}
		return Told{}, keyHeld(u.Key, holder.ID, "has not ended")
	}
	running, err := tx.recall(&holder, t)
	if err != nil {
		return Told{}, err
	}
	switch {
	case u.Policy == UniqueKeep && (!running || !u.PendingOnly):
		return Told{ID: holder.ID, Kept: true, Holder: holder.ID}, nil
	case running:
		tx.putOff(&job)
		return v.own(job, row)
	case holder.PendingOutside():
		return Told{}, keyHeld(u.Key, holder.ID, "is pending outside")
	}
	done, err := v.replace(job, holder, t)
	if err == nil && row.key != job.UniqueKey() {
		tx.forgetKey(row)
		tx.putKey(&keyRow{key: job.UniqueKey(), job: done.ID})
	}
	return done, err
}

func keyHeld(key string, id JobID, why string) error {
	return fmt.Errorf("%w: unique key %s belongs to job %s, which %s", ErrExists, quote(key), id, why)
}

// holderOf reads the job that holds a key and has not ended.
func (tx *Tx) holderOf(row *keyRow) (Job, tag, error) {
	job, t, err := tx.unended(row.job)
	switch {
	case err != nil:
		return Job{}, 0, err
	case t == 0:
		return Job{}, 0, fmt.Errorf("%w: app %s: unique key %s belongs to job %s, which is not pending", ErrCorrupt, tx.app.id, quote(row.key), row.job)
	case job.UniqueKey() != row.key:
		return Job{}, 0, fmt.Errorf("%w: app %s: unique key %s belongs to job %s, which has another", ErrCorrupt, tx.app.id, quote(row.key), row.job)
	}
	return job, t, nil
}

// unended reads a job that is pending, running or held, and where it lies: 0 if there is none.
func (tx *Tx) unended(id JobID) (job Job, t tag, err error) {
	p, t, found, err := tx.locate(id)
	if err != nil || !found || t != tagQueue && t != tagHeld {
		return Job{}, 0, err
	}
	data, err := tx.get(tx.app.keys.place(t, p))
	if err != nil {
		return Job{}, 0, err
	}
	if job, err = decodeJob(p, data); err != nil {
		return Job{}, 0, fmt.Errorf("app %s: job %s: %w", tx.app.id, id, err)
	}
	return job, t, nil
}

// recall takes the claim of a holder back whose handler has not begun, so that it begins
// when what this transaction writes can be read. running is true if it has begun.
func (tx *Tx) recall(job *Job, t tag) (running bool, err error) {
	if t != tagQueue {
		return false, nil
	}
	key := tx.app.keys.place(tagClaim, job.place)
	claim, err := tx.get(key)
	if err != nil || claim == nil {
		return false, err
	}
	if tx.onCancel != nil && tx.onCancel(job.ID) {
		return true, nil
	}
	tx.delete(key)
	l := tx.top()
	l.counts.claimed--
	tx.addLanes(job)
	l.canceled = append(l.canceled, job.ID)
	l.inserted = append(l.inserted, *job)
	return false, nil
}

// putOff moves the instant of a job as its key demands it.
func (tx *Tx) putOff(job *Job) {
	u, now := job.Unique, tx.now
	due := job.Due
	switch u.Policy {
	case UniqueReplace:
		since := u.Since
		if since.IsZero() {
			since = job.EnqueuedAt
		}
		due = earlier(due, later(earlier(since, now).Add(u.MaxWait), now))
	case UniqueThrottle:
		if !u.LastStart.IsZero() {
			due = later(due, earlier(u.LastStart, ceilInstant(now)).Add(u.Every))
		}
	}
	if due = earlier(due, MaxInstant); !due.Equal(job.Due) {
		job.Due, job.Era = ceilInstant(due), tx.era
	}
}

// bounded is the key with none of its instants after now.
func (u *Unique) bounded(now time.Time) *Unique {
	if u == nil || !u.Since.After(now) && !u.LastStart.After(ceilInstant(now)) {
		return u
	}
	b := *u
	b.Since, b.LastStart = earlier(b.Since, timeOf(now.UnixMilli())), earlier(b.LastStart, ceilInstant(now))
	return &b
}

// ceilInstant is the first instant that can be stored and is not before t.
func ceilInstant(t time.Time) time.Time { return timeOf(ceilMs(t)) }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// own stores a new job, and has the key, of which the row is stored, belong to it.
func (v *view) own(job Job, row *keyRow) (Told, error) {
	tx := v.tx
	if err := tx.room(&job); err != nil {
		return Told{}, err
	}
	id, err := v.insert(job)
	if err != nil {
		return Told{}, err
	}
	done := Told{ID: id}
	if row != nil {
		if done.Holder = row.job; row.throttled {
			done.Holder = "" // it was not held
		}
		tx.forgetKey(row)
	}
	tx.putKey(&keyRow{key: job.UniqueKey(), job: id})
	return done, nil
}

// replace makes of the pending or held job another call, under its id.
func (v *view) replace(job, was Job, t tag) (Told, error) {
	tx := v.tx
	writes := 4 // out of its region and in again, its claim, and its place
	if job.UniqueKey() != was.UniqueKey() {
		writes += 2 // the row of the name that the function had, and of this one
	}
	if job.Once != "" {
		writes += 2
	}
	u, changed := job.Unique, job.Function != was.Function || !bytes.Equal(job.Args, was.Args)
	u.Since, u.LastStart = was.Unique.Since, was.Unique.LastStart
	if u.Since.IsZero() {
		u.Since = was.EnqueuedAt
	}
	job.ID, job.EnqueuedAt, job.HeldAt, job.place.seq = was.ID, was.EnqueuedAt, was.HeldAt, was.place.seq
	job.Parent, job.Once, job.Outcome, job.Ends = was.Parent, was.Once, was.Outcome, was.Ends
	job.Group, job.GroupOutcome = was.Group, was.GroupOutcome
	job.Attempts, job.StartedAt, job.Error, job.History, job.Forgotten = was.Attempts, was.StartedAt, was.Error, was.History, was.Forgotten
	job.Failures, job.Interruptions, job.Revision = was.Failures, was.Interruptions, was.Revision
	job.Postponed, job.PutOffSince = was.Postponed, was.PutOffSince
	if changed && (was.Attempts > 0 || len(was.History) > 0) {
		job.Failures, job.Interruptions, job.Revision = 0, 0, was.Revision+1
	}
	if u.Policy == UniqueThrottle && was.Due.Before(job.Due) {
		job.Due, job.Era = was.Due, was.Era
	}
	tx.putOff(&job)
	if u.Since.Equal(job.EnqueuedAt) {
		u.Since = time.Time{}
	}
	job.State, job.place.ms = StatePending, job.Due.UnixMilli()
	data := encodeJob(&job)
	writes += len(tx.app.keys.laneKeys(&was)) + len(tx.app.keys.laneKeys(&job))
	if err := v.spare(0, writes, 2*len(data)+2*len(job.ID)+MaxKey+4*placeLen); err != nil {
		return Told{}, err
	}
	if err := tx.roomFor(job.ArgLen() - was.ArgLen()); err != nil {
		return Told{}, err
	}
	tx.removeBacklog(&was)
	if t == tagHeld {
		tx.unhold(&was, nil)
	} else {
		tx.takePending(&was)
	}
	if job.place == homeOf(job.ID) {
		tx.delete(tx.app.keys.name(tagID, string(job.ID))) // it is found without
	}
	tx.top().moved = true
	tx.putEncoded(&job, data)
	return Told{ID: job.ID, Replaced: true, Holder: job.ID}, nil
}
