package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// The start log of a lane says when attempts of its jobs have begun (G28). What an attempt
// that is under way has there is its claim: the end of the attempt, which drops the
// claim, writes
//
//	number ‖ 'v' ‖ pool ‖ 0 ‖ key ‖ 0 ‖ incarnation ‖ token     when the attempt of the claim began
//	number ‖ 'v' ‖ pool ‖ 0 ‖ key ‖ 0                          since when, and how long, all of the lane wait
//
// Storage knows of no rate: the engine says which rows are of no use any more.

// startPage is how many rows one read of a start log brings.
const startPage = 1000

// claimLen is the length of a ClaimID in a key.
const claimLen = 16

// Start is when an attempt of a job of a lane began, by each clock there is: the wall may
// be stepped, and the other one ends with the process. For engines.
type Start struct {
	Claim   ClaimID       // of the attempt; where it is logged, zero has one minted
	Wall    time.Time     // by the wall
	Era     EraID         // in this clock era
	Elapsed time.Duration // since the claim's incarnation was opened, monotonic
	Wait    time.Duration // not 0: it is no start, and for so long from then on none of the lane begins
}

func (n keyspace) start(at Lane, id ClaimID) []byte {
	b := append(n.prefix(tagStart), at.Pool...)
	b = append(append(append(b, 0), at.Key...), 0)
	if id == (ClaimID{}) {
		return b
	}
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Incarnation), id.Token)
}

// startOf is the lane of a key behind number and tag, and the claim: a zero one of a wait.
func startOf(rest []byte) (at Lane, id ClaimID, ok bool) {
	pool, rest, named := bytes.Cut(rest, []byte{0})
	key, rest, keyed := bytes.Cut(rest, []byte{0})
	at = Lane{string(pool), string(key)}
	if !named || !keyed || CheckPoolName(at.Pool) != nil || CheckPoolKey(at.Key) != nil || len(rest) != 0 && len(rest) != claimLen {
		return Lane{}, ClaimID{}, false
	}
	if len(rest) == claimLen {
		id = ClaimID{binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])}
	}
	return at, id, true
}

// LogStart writes down a start of the lane, or with a Wait that all of it wait.
func (tx *Tx) LogStart(at Lane, s Start) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	if s.Claim == (ClaimID{}) {
		s.Claim = tx.app.vol.claims.next()
	}
	p := proto.Start{
		Version: recordVersion, WallMs: msOf(s.Wall), Era: uint64(s.Era),
		ElapsedMs: roundUp(s.Elapsed).Milliseconds(), WaitMs: roundUp(s.Wait).Milliseconds(),
	}
	key := tx.app.keys.start(at, s.Claim)
	if s.Wait != 0 {
		key, p.Incarnation = tx.app.keys.start(at, ClaimID{}), s.Claim.Incarnation
	}
	tx.put(key, encoded(p.MarshalVT()))
	tx.app.starts.Store(true)
	return nil
}

// roundUp is the span in whole milliseconds, and no shorter.
func roundUp(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

func decodeStart(id ClaimID, data []byte) (Start, error) {
	var p proto.Start
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return Start{Claim: id}, fmt.Errorf("start: %w", err)
	}
	if id == (ClaimID{}) {
		id.Incarnation = p.Incarnation
	}
	return Start{
		Claim: id, Wall: timeOf(p.WallMs), Era: EraID(p.Era),
		Elapsed: time.Duration(p.ElapsedMs) * time.Millisecond, Wait: time.Duration(p.WaitMs) * time.Millisecond,
	}, nil
}

// ForgetStarts deletes the starts of those claims from the log of the lane, and with a
// zero one that all of it wait.
func (tx *Tx) ForgetStarts(at Lane, claims []ClaimID) error {
	if err := tx.lockTop(); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	for _, id := range claims {
		tx.delete(tx.app.keys.start(at, id))
	}
	return nil
}

// HasStarts says whether any lane of the app may have a start log.
func (a *App) HasStarts() bool { return a.starts.Load() }

func (a *App) loadStarts(snap *kv.Snapshot) {
	prefix := a.keys.prefix(tagStart)
	first, _ := snap.Cursor(kv.Data).Seek(prefix)
	a.starts.Store(bytes.HasPrefix(first, prefix))
}

// Starts returns the start log of the lane, in no order. A start that cannot be read is
// returned with its claim alone, and is part of err beside the others.
func (tx *Tx) Starts(at Lane) (list []Start, err error) {
	if err := tx.lockTop(); err != nil {
		return nil, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.start(at, ClaimID{})
	from := prefix
	for more := true; more; {
		rows, rest, failed := tx.readPage(from, after(prefix), false, page(startPage))
		if more = rest; failed != nil {
			return nil, failed
		}
		for _, r := range rows {
			from = append(r.key, 0)
			_, id, ok := startOf(tail(r.key))
			if !ok {
				continue
			}
			s, bad := decodeStart(id, r.value)
			if bad != nil {
				err = errors.Join(err, fmt.Errorf("app %s: pool %s: %w", tx.app.id, at.Pool, bad))
				if id == (ClaimID{}) {
					continue
				}
			}
			list = append(list, s)
		}
	}
	return list, err
}

// Starts calls visit for what the start logs of all apps have of the pools, and for each
// claim of a job of them, with its Claim alone: its attempt may have begun. A start that
// cannot be read is visited so, too. visit must be quick: a snapshot is open. The error
// says what else cannot be read; the rest was visited.
func (s *Store) Starts(pools []string, visit func(Lane, Start)) error {
	var errs []error
	for _, v := range s.volumes {
		errs = append(errs, v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			for k, entry := c.First(); k != nil; k, entry = c.Next() {
				n, err := decodeEntry(entry)
				if err == nil {
					err = n.startsOf(snap, pools, visit)
				}
				if err != nil {
					errs = append(errs, fmt.Errorf("app %s: %w", k, err))
				}
			}
			return nil
		}))
	}
	return errors.Join(errs...)
}

func (n keyspace) startsOf(snap *kv.Snapshot, pools []string, visit func(Lane, Start)) error {
	var errs []error
	for _, pool := range pools {
		prefix := append(append(n.prefix(tagStart), pool...), 0)
		c := snap.Cursor(kv.Data)
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			at, id, ok := startOf(tail(k))
			s, err := decodeStart(id, v)
			if ok && (err == nil || id != (ClaimID{})) {
				visit(at, s)
			} else if err != nil {
				errs = append(errs, err)
			}
		}
	}
	for k, v := range n.all(snap, tagClaim) {
		p := placeOf(k)
		job, err := decodeJob(p, snap.Get(kv.Data, n.place(tagQueue, p)))
		if err != nil {
			errs = append(errs, fmt.Errorf("claimed job at %d/%d: %w", p.ms, p.seq, err))
			continue
		}
		if slices.Contains(pools, job.Pool) {
			id, _, _, _ := decodeClaim(v)
			visit(job.Lane(), Start{Claim: id})
		}
	}
	return errors.Join(errs...)
}

// StartCursor is how far SweepStarts has come. The zero one is before all. For engines.
type StartCursor struct{ from string }

// SweepStarts looks at up to limit rows of the app's start logs from the cursor on, and
// deletes those of which over says that they are of no use. It returns where to go on; more
// is false at the end. What cannot be read is left, and is part of err.
func (tx *Tx) SweepStarts(from StartCursor, limit int, over func(Lane, Start) bool) (next StartCursor, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return from, false, err
	}
	defer tx.mu.Unlock()
	prefix := tx.app.keys.prefix(tagStart)
	begin := prefix
	if from.from != "" {
		begin = []byte(from.from)
	}
	rows, more, err := tx.readPage(begin, after(prefix), false, page(limit))
	if err != nil {
		return from, false, err
	}
	if from.from == "" && len(rows) == 0 {
		tx.app.starts.Store(false)
	}
	for _, r := range rows {
		next.from = string(r.key) + "\x00"
		at, id, ok := startOf(tail(r.key))
		if !ok {
			continue
		}
		s, bad := decodeStart(id, r.value)
		switch {
		case bad != nil:
			err = errors.Join(err, fmt.Errorf("app %s: pool %s: %w", tx.app.id, at.Pool, bad))
		case over(at, s):
			tx.delete(r.key)
		}
	}
	if !more {
		next = StartCursor{}
	}
	return next, more, err
}

// starts verifies the start logs.
func (c *jobCheck) starts() {
	for k, v := range c.n.all(c.snap, tagStart) {
		at, id, ok := startOf(tail(k))
		if !ok {
			c.bad("key %x of a start log", k)
			continue
		}
		if s, err := decodeStart(id, v); err != nil {
			c.failed(fmt.Errorf("pool %s: %w", at.Pool, err))
		} else if (id == ClaimID{}) != (s.Wait != 0) {
			c.bad("start log of pool %s: a wait of %v under claim %v", at.Pool, s.Wait, id)
		}
	}
}
