package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A job may have an instant after which no attempt of it begins (Job.NotAfter). While it is
// pending and not claimed, or held, an index has it by that instant:
//
//	number ‖ 'e' ‖ instant ‖ region ‖ place     (empty)
//
// It is written with the job's other keys, and never while the job waits. The volume's alarm
// index has the app no later than a millisecond after the first of these instants.

// lastKey is the job's key in that index, if it lies in the region.
func (n keyspace) lastKey(t tag, job *Job) []byte {
	b := binary.BigEndian.AppendUint64(n.prefix(tagLast), uint64(job.NotAfter.UnixMilli()))
	return job.place.append(append(b, byte(t)))
}

// lastKeyLen is how long such a key is, without the app's number.
const lastKeyLen = 1 + 8 + 1 + placeLen

// lastAt is the alarm of the first key of the index: when its job may not begin any more,
// in ms; 0 if the key is of no such job.
func (n keyspace) lastAt(key []byte) int64 {
	if len(key) != numberLen+lastKeyLen || !bytes.HasPrefix(key, n.prefix(tagLast)) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(tail(key))) + 1
}

// TooLate says whether no attempt of the job may begin at the instant. One that is pending outside
// has begun.
func (j *Job) TooLate(at time.Time) bool {
	return !j.NotAfter.IsZero() && at.After(j.NotAfter) && !j.PendingOutside()
}

// Lasts says whether there may be jobs with a NotAfter.
func (a *App) Lasts() bool { return a.lasts.Load() }

// LateCursor is how far a look for jobs that are too late has come. The zero value is the
// beginning. For engines.
type LateCursor struct{ key string }

// ExpireLate ends up to limit jobs, some megabytes of them at most, that may not begin any
// more at the instant, as expired for the reasons that why returns: pending ones that are
// not claimed, and held ones, those first that have been late for longest. It returns how
// many. next is where to read on, behind those that were late, and then the NotAfter of the
// first one there; zero if there is none. What cannot be read is passed over, and is part of err.
func (tx *Tx) ExpireLate(at time.Time, from LateCursor, limit int, why func(*Job) string) (n int, next LateCursor, then time.Time, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, from, time.Time{}, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.prefix(tagLast)
	start := prefix
	if from.key != "" {
		start = []byte(from.key)
	}
	rows, err := tx.rows(start, after(prefix), false, limit+1)
	if err != nil {
		return 0, from, time.Time{}, err
	}
	var errs []error
	size := 0
	next = from
	for i, r := range rows {
		if len(r.key) != numberLen+lastKeyLen {
			continue
		}
		rest := tail(r.key)
		notAfter := shown(int64(binary.BigEndian.Uint64(rest)))
		if i == limit || size >= pageBytes || !at.After(notAfter) {
			return n, next, notAfter, errors.Join(errs...) // and not at r: others may come before it
		}
		t, p := tag(rest[8]), decodePlace(rest[9:])
		data, err := tx.get(tx.app.keys.place(t, p))
		if err != nil {
			return n, from, time.Time{}, err
		}
		size += len(data)
		next.key = string(append(bytes.Clone(r.key), 0))
		switch job, err := decodeJob(p, data); {
		case data == nil:
			tx.delete(r.key) // its job was taken away unread
		case err != nil:
			errs = append(errs, fmt.Errorf("app %s: job at %d/%d: %w", tx.app.id, p.ms, p.seq, err))
		case !bytes.Equal(tx.app.keys.lastKey(t, &job), r.key): // damage has moved it: the job may not be late
			errs = append(errs, fmt.Errorf("%w: app %s: last instant %q is not that of job %s", ErrCorrupt, tx.app.id, rest, job.ID))
		default:
			if err := tx.expire(&job, t, why(&job)); err != nil {
				return n, from, time.Time{}, err
			}
			n++
		}
	}
	return n, next, time.Time{}, errors.Join(errs...)
}

// expire ends a pending job that is not claimed, or a held one.
func (tx *Tx) expire(job *Job, t tag, reason string) error {
	trigger, err := tx.triggerOf(job)
	if err != nil {
		return err
	}
	key, err := tx.keyOf(job)
	if err != nil {
		return err
	}
	if t == tagHeld {
		tx.unhold(job, trigger)
	} else {
		tx.removeBacklog(job)
		tx.takePending(job)
	}
	job.Reason = errorText(reason)
	return tx.finish(job, StateExpired, trigger, key)
}
