package storage

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/kv"
)

// Expiry says which rows of an app are past their time. For engines.
type Expiry struct {
	History time.Time // finished jobs, and groups, that ended before; zero: none
	Dead    time.Time // dead jobs that ended before; zero: none
	Held    time.Time // jobs that were held before; zero: none
	Keys    time.Time // unique and idempotency keys that are void then; zero: none

	KeepFinished int // finished jobs beyond that many
	KeepDead     int // dead jobs beyond that many; negative: none
}

// ExpiredCursor is how far a search for expired rows has come. The zero value is the beginning.
// For engines.
type ExpiredCursor struct {
	volume int
	after  AppID
}

// Expired looks at up to limit apps after the cursor, asleep or not, and returns those
// of them with rows that are past their time, as committed. Of each kind it reads an
// app's first row. next is the zero value at the end. A volume that cannot be read is
// passed over, and part of err.
func (s *Store) Expired(from ExpiredCursor, e Expiry, limit int) (ids []AppID, next ExpiredCursor, err error) {
	for next = from; next.volume < len(s.volumes); next = (ExpiredCursor{volume: next.volume + 1}) {
		v, full := s.volumes[next.volume], false
		failed := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Apps)
			for k, entry := c.Seek(append([]byte(next.after), 0)); k != nil; k, entry = c.Next() {
				if full = limit == 0; full {
					return nil
				}
				limit--
				next.after = AppID(k)
				if n, err := decodeEntry(entry); err == nil && n.expired(snap, e) {
					ids = append(ids, AppID(k))
				}
			}
			return nil
		})
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", v.name, failed))
		}
		if full {
			return ids, next, err
		}
	}
	return ids, ExpiredCursor{}, err
}

// expired says whether the app has such rows, as PurgeHistory, PurgeDead
// and ExpireHeld judge. What cannot be read is none.
func (n keyspace) expired(snap *kv.Snapshot, e Expiry) bool {
	c, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta)))
	if err != nil {
		return false
	}
	if c.done > uint64(max(e.KeepFinished, 0)) || e.KeepDead >= 0 && c.dead > uint64(e.KeepDead) {
		return true
	}
	if c.over > uint64(max(e.KeepFinished, 0)) || c.over > 0 && !e.History.IsZero() && n.firstGroup(snap) < e.History.UnixMilli() {
		return true
	}
	if c.dead > 0 && c.deadSince == 0 && !e.Dead.IsZero() {
		return true // their age counts from when they are first looked at
	}
	before := func(many uint64, t tag, end time.Time, at func(*Job) int64) bool {
		if many == 0 || end.IsZero() {
			return false
		}
		k, value := snap.Cursor(kv.Data).Seek(n.prefix(t))
		p, ok := n.placeIn(t, k)
		if !ok {
			return false
		}
		job, err := decodeJob(p, value)
		return err == nil && at(&job) < end.UnixMilli()
	}
	if c.lasting > 0 && !e.Keys.IsZero() {
		prefix := append(n.prefix(tagUnique), keyUntil)
		if k, _ := snap.Cursor(kv.Data).Seek(prefix); bytes.HasPrefix(k, prefix) && bytes.Compare(k, n.keyUntil(e.Keys.UnixMilli()+1, "")) < 0 {
			return true
		}
	}
	if c.keyed > 0 && !e.Keys.IsZero() {
		for _, end := range keptEnds {
			prefix := n.keptUntils(end)
			if k, _ := snap.Cursor(kv.Data).Seek(prefix); bytes.HasPrefix(k, prefix) && bytes.Compare(k, n.keptUntil(end, e.Keys.UnixMilli()+1, 0, nil)) < 0 {
				return true
			}
		}
	}
	ended := func(job *Job) int64 { return msOf(job.CompletedAt) }
	return before(c.done, tagHistory, e.History, ended) ||
		before(c.dead, tagDead, e.Dead, func(job *Job) int64 { return max(ended(job), c.deadSince) }) ||
		before(c.held, tagHeld, e.Held, func(job *Job) int64 { return msOf(job.HeldAt) })
}
