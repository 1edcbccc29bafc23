package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"carillon/storage/internal/kv"
)

// The lanes are indexes of the jobs that wait in another order than the sorted job
// bucket's. A pending job that is not claimed has, beside its record there,
//
//	number ‖ 'p' ‖ 0 ‖ priority ‖ due ‖ seq                        if its priority is not the default
//	number ‖ 'p' ‖ pool ‖ 0 ‖ key ‖ 0 ‖ priority ‖ due ‖ seq       if it is in a pool
//
// both empty, written in the transaction that makes it pending. Nothing is written while
// it waits.

// Priorities of jobs. A lower one is first.
const (
	MinPriority     = 1
	DefaultPriority = 2
	MaxPriority     = 4
)

// TickPriority is that of a trigger's ticks whose function says nothing. For engines.
const TickPriority = MinPriority

// PriorityStep is how much later a job of one level may be due than one of the next and
// yet begin before it (G31).
const PriorityStep = time.Minute

// Lane is a pool, or a key of one, that jobs wait in. For engines.
type Lane struct{ Pool, Key string }

const (
	maxPoolName = 64
	maxPoolKey  = 256
)

// CheckPoolName says what is wrong with the name of a pool, with ErrInvalid, or nil: it
// is 1 to 64 letters, digits, _, - and ".". For engines.
func CheckPoolName(name string) error {
	if name == "" || len(name) > maxPoolName {
		return fmt.Errorf("%w: pool name %s is %d bytes, want 1 to %d", ErrInvalid, quote(name), len(name), maxPoolName)
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.", r)) {
			return fmt.Errorf(`%w: pool name %s has %q: want letters, digits and any of "_-."`, ErrInvalid, quote(name), r)
		}
	}
	return nil
}

// CheckPoolKey says what is wrong with the key of a pool, with ErrInvalid, or nil: it is
// at most 256 bytes of UTF-8 without a zero byte. "" is none. For engines.
func CheckPoolKey(key string) error {
	switch {
	case len(key) > maxPoolKey:
		return fmt.Errorf("%w: pool key is %d bytes, want at most %d", ErrInvalid, len(key), maxPoolKey)
	case !utf8.ValidString(key) || strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("%w: pool key %s is not UTF-8 without a zero byte", ErrInvalid, quote(key))
	}
	return nil
}

// checkLanes says what is wrong with where a job is to wait.
func checkLanes(job *Job) error {
	switch {
	case job.Priority < 0 || job.Priority > MaxPriority:
		return fmt.Errorf("%w: priority %d, want %d to %d", ErrInvalid, job.Priority, MinPriority, MaxPriority)
	case job.Pool == "" && job.PoolKey != "":
		return fmt.Errorf("%w: pool key %s without a pool", ErrInvalid, quote(job.PoolKey))
	case job.Pool == "" && job.Ordered:
		return fmt.Errorf("%w: an ordered job without a pool", ErrInvalid)
	case job.Pool != "":
		if err := CheckPoolName(job.Pool); err != nil {
			return err
		}
	}
	return CheckPoolKey(job.PoolKey)
}

// Lane is where the job waits; the zero Lane is no pool.
func (j *Job) Lane() Lane { return Lane{j.Pool, j.PoolKey} }

// Rank orders the jobs that are due and wait for the same permit: of two the one with the
// lower rank is first, and of equal rank the one whose number is lower.
func (j *Job) Rank() time.Time {
	return j.Due.Add(time.Duration(j.Priority-MinPriority) * PriorityStep)
}

// OvertakenBy says whether the other job is first, of two that are due.
func (j *Job) OvertakenBy(other *Job) bool {
	if a, b := j.Rank(), other.Rank(); !a.Equal(b) {
		return b.Before(a)
	}
	return other.place.seq < j.place.seq
}

// byPriority is the prefix of the jobs of a priority that is not the default.
func (n keyspace) byPriority(priority int) []byte {
	return append(n.prefix(tagLane), 0, byte(priority))
}

// lane is the prefix of what waits in the lane.
func (n keyspace) lane(l Lane) []byte { return n.inLane(tagLane, l) }

func (n keyspace) inLane(t tag, l Lane) []byte {
	b := append(n.prefix(t), l.Pool...)
	b = append(append(b, 0), l.Key...)
	return append(b, 0)
}

// laneKeys are the keys that a pending job has while it is not claimed: none of most.
func (n keyspace) laneKeys(job *Job) (keys [][]byte) {
	if job.Priority != DefaultPriority {
		keys = append(keys, job.place.append(n.byPriority(job.Priority)))
	}
	if job.Pool != "" {
		keys = append(keys, job.place.append(append(n.lane(job.Lane()), byte(job.Priority))))
	}
	if !job.NotAfter.IsZero() && !job.PendingOutside() {
		keys = append(keys, n.lastKey(tagQueue, job))
	}
	if key := n.turnKey(job); key != nil {
		keys = append(keys, key)
	}
	return keys
}

func (tx *Tx) addLanes(job *Job) {
	for _, key := range tx.app.keys.laneKeys(job) {
		tx.put(key, []byte{})
	}
	if !job.NotAfter.IsZero() {
		tx.app.lasts.Store(true)
	}
}

// removeLanes takes the job off its lanes. It is as it was put on them.
func (tx *Tx) removeLanes(job *Job) {
	for _, key := range tx.app.keys.laneKeys(job) {
		tx.delete(key)
	}
}

// DueWith is Due for the jobs of a priority that is not the default. None of them is
// claimed.
func (tx *Tx) DueWith(priority int, from Place, limit int) (jobs []Job, next Place, more bool, err error) {
	return tx.ofLane(tx.app.keys.byPriority(priority), from, limit)
}

// DueIn is Due for the jobs of a lane and a priority. None of them is claimed.
func (tx *Tx) DueIn(lane Lane, priority int, from Place, limit int) (jobs []Job, next Place, more bool, err error) {
	return tx.ofLane(append(tx.app.keys.lane(lane), byte(priority)), from, limit)
}

func (tx *Tx) ofLane(prefix []byte, from Place, limit int) (jobs []Job, next Place, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return nil, from, false, err
	}
	defer tx.mu.Unlock()
	rows, more, err := tx.readPage(from.p.append(prefix[:len(prefix):len(prefix)]), after(prefix), false, page(limit))
	if err != nil {
		return nil, from, false, err
	}
	next = from
	var errs []error
	size := 0
	for i, r := range rows {
		if len(r.key) != len(prefix)+placeLen {
			continue
		}
		p := decodePlace(r.key[len(prefix):])
		next = Place{p.next()}
		data, err := tx.get(tx.app.keys.place(tagQueue, p))
		if err != nil {
			return nil, from, false, err
		}
		if data == nil {
			tx.delete(r.key) // its job was taken away unread
			continue
		}
		job, bad := decodeJob(p, data)
		if bad != nil {
			errs = append(errs, fmt.Errorf("app %s: job at %d/%d: %w", tx.app.id, p.ms, p.seq, bad))
			continue
		}
		if bad := tx.app.damageOf(r.value); bad != nil && !slices.ContainsFunc(tx.app.keys.laneKeys(&job), func(key []byte) bool { return bytes.Equal(key, r.key) }) {
			errs = append(errs, bad) // else the job is here, whatever is wrong with the entry
			continue
		}
		jobs = append(jobs, job)
		if size += len(data); size >= pageBytes {
			more = more || i+1 < len(rows)
			break
		}
	}
	return jobs, next, more, errors.Join(errs...)
}

// laned says of each priority whether jobs of it may wait in its lane.
type laned [MaxPriority + 1]bool

func (l *laned) note(job *Job) { l[job.Priority] = true }

func (l *laned) load(keys keyspace, snap *kv.Snapshot) {
	for p := MinPriority; p <= MaxPriority; p++ {
		prefix := keys.byPriority(p)
		first, _ := snap.Cursor(kv.Data).Seek(prefix)
		l[p] = l[p] || bytes.HasPrefix(first, prefix)
	}
}

// HasPriority says whether there may be jobs of the priority, which is not the default
// one. It is the turn's.
func (a *App) HasPriority(p int) bool { return a.laned[p] }

// Waiting counts the jobs of the pool that are due and not claimed, over all of its keys,
// and says since when the first of them is due.
func (s System) Waiting(pool string, now time.Time) (n int, since time.Time, err error) {
	prefix := append(append(s.of.keys.prefix(tagLane), pool...), 0)
	first := int64(math.MaxInt64)
	for r, err := range s.of.scan(prefix, after(prefix), false) {
		if err != nil {
			return 0, time.Time{}, err
		}
		if len(r.key) < len(prefix)+2+placeLen {
			continue
		}
		if err := s.of.app.damageOf(r.value); err != nil {
			return 0, time.Time{}, err
		}
		ms := int64(binary.BigEndian.Uint64(r.key[len(r.key)-placeLen:]))
		if ms > now.UnixMilli() {
			continue
		}
		n, first = n+1, min(first, ms)
	}
	if n > 0 {
		since = timeOf(first)
	}
	return n, since, nil
}
