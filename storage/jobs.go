package storage

import (
	"errors"
	"fmt"
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
	group, err := tx.joins(&job)
	if err != nil {
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
	if key := job.UniqueKey(); key != "" {
		// Its row, the one before it, which may be of another name, what says until when that
		// was to last, and what the index may say of an older life of the id.
		writes, size = writes+4, size+3*len(key)+2*len(job.ID)+keyRowWeight
	}
	if job.Once != "" { // its row, and the number of them
		writes, size = writes+2, size+len(job.Once)+len(job.ID)+keyRowWeight
	}
	if job.Parent != "" {
		writes, size = writes+1, size+numberLen+1+len(job.Parent)+1+8+len(job.ID)
	}
	if group != nil {
		writes, size = writes+1, size+groupWeight
	}
	if err := v.spare(1, writes, size); err != nil {
		return "", err
	}
	if group != nil {
		group.Pending++
		tx.putGroup(group)
	}
	if job.Parent != "" {
		tx.put(tx.app.keys.child(&job), []byte(job.ID))
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
	if job.Priority == 0 {
		job.Priority = DefaultPriority
	}
	for then := job.Then; then != nil; then = then.Then {
		if err := checkStored(then); err != nil {
			return fmt.Errorf("follow-up: %w", err)
		}
	}
	return checkStored(job)
}

// checkStored says what is wrong with a job whatever the instants are that it is due at. A
// follow-up with which nothing is cannot keep its job from ending.
func checkStored(job *Job) error {
	if len(job.Function) > maxFunction || !utf8.ValidString(job.Function) {
		return fmt.Errorf("%w: function %s is not UTF-8 of at most %d bytes", ErrInvalid, quote(job.Function), maxFunction)
	}
	if at := job.NotAfter.UnixMilli(); !job.NotAfter.IsZero() && (at < 1 || at > maxInstantMs) {
		return fmt.Errorf("%w: NotAfter %v is not between 1970 and %v", ErrInvalid, job.NotAfter, MaxInstant)
	}
	return errors.Join(CheckTags(job.Tags), checkInstance(job), checkLanes(job))
}

// room says whether the app may have the job, one more.
func (tx *Tx) room(job *Job) error {
	if n := tx.top().counts.pending + tx.top().counts.held; n >= uint64(tx.app.maxJobs.Load()) {
		return fmt.Errorf("%w: app %s has %d jobs, as many as it may (MaxJobs)", ErrLimit, tx.app.id, n)
	}
	return tx.roomFor(job.ArgLen())
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
			if _, err := tx.dropBeside(&job); err != nil {
				return err
			}
			if err := tx.dropNotes(&job, false); err != nil {
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
// and it must not be claimed by an earlier one. ok is false if the transaction itself
// has canceled it, so that it is not in the bucket any more, or has claimed it.
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
	key := tx.app.keys.place(tagClaim, job.place)
	if w, known := tx.written(string(key)); known && !w.deleted {
		return false, nil
	}
	job.claim = tx.app.vol.claims.next()
	if job.claimBegin = BeginUntold; job.logsBegin() {
		job.claimBegin = BeginAwaited
	}
	tx.put(key, encodeClaim(job.claim, job.claimBegin, job.Attempts+1, tx.now))
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

// LastSeq is the greatest Seq of the app's jobs: one made later has a greater one.
func (tx *Tx) LastSeq() uint64 {
	if err := tx.lockTop(); err != nil {
		return 0
	}
	defer tx.mu.Unlock()
	return tx.top().counts.seq
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
		if id, begin, _, err := decodeClaim(r.value); err == nil {
			job.claim, job.claimBegin = id, begin
		} // else whose it is cannot be told: it is foreign
		jobs = append(jobs, job)
	}
	return jobs, errors.Join(errs...)
}
