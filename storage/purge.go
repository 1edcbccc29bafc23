package storage

import (
	"errors"
	"fmt"
	"time"
)

// This file deletes ended jobs: the history and the dead, each by age and by number.

// PurgeHistory deletes up to limit finished jobs, some megabytes of them at most and
// those that ended first: as many as there are above keep, and then those that ended
// before the instant, up to the first that did not. It returns how many it deleted;
// more is false if nothing is left to delete. A record that cannot be read is left,
// and is part of err.
func (tx *Tx) PurgeHistory(before time.Time, keep, limit int) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	c := &tx.top().counts
	expired := func(job *Job) bool {
		return msOf(job.CompletedAt) < before.UnixMilli() || c.done > uint64(max(keep, 0))
	}
	return tx.purge(tagHistory, expired, limit, func(job *Job) (int, error) {
		names := true
		if _, minted := job.ID.home(); !minted {
			// A chosen id may have come to name a newer job.
			p, t, found, err := tx.locate(job.ID)
			if err != nil {
				return 0, err
			}
			names = found && t == tagHistory && p == job.place
		}
		dropped, err := tx.dropBeside(job)
		if err != nil {
			return 0, err
		}
		result, err := tx.dropResult(job)
		if err != nil {
			return 0, err
		}
		dropped += result
		tx.delete(tx.app.keys.place(tagHistory, job.place))
		if names {
			tx.delete(tx.app.keys.name(tagID, string(job.ID)))
		}
		c.done--
		tx.noteGone(job)
		return dropped, nil
	})
}

// PurgeDead deletes dead jobs as PurgeHistory does finished ones. The zero instant,
// or a negative keep, is no reason to delete any. In an app that has dead jobs when it
// is first asked, which an older release has left, their age counts from then.
func (tx *Tx) PurgeDead(before time.Time, keep, limit int) (n int, more bool, err error) {
	if err := tx.lockTop(); err != nil {
		return 0, false, err
	}
	defer tx.mu.Unlock()
	c := &tx.top().counts
	if c.dead == 0 {
		return 0, false, nil
	}
	if now := tx.now.UnixMilli(); c.deadSince == 0 || c.deadSince > now {
		c.deadSince = now
		tx.put(tx.app.keys.prefix(tagMeta), c.encode()) // each commit writes the counters, if it writes anything
	}
	expired := func(job *Job) bool {
		old := !before.IsZero() && max(msOf(job.CompletedAt), c.deadSince) < before.UnixMilli()
		return old || keep >= 0 && c.dead > uint64(keep)
	}
	return tx.purge(tagDead, expired, limit, func(job *Job) (int, error) {
		dropped, err := tx.dropBeside(job)
		if err == nil {
			err = tx.dropNotes(job, false)
		}
		if err == nil {
			tx.dropDead(job)
		}
		return dropped, err
	})
}

// purge has the first jobs of the region dropped, as long as they are expired, up
// to limit and to a page of them, with the bytes that drop returns. more is false if it
// came to one that is not.
func (tx *Tx) purge(t tag, expired func(*Job) bool, limit int, drop func(*Job) (int, error)) (n int, more bool, errs error) {
	prefix := tx.app.keys.prefix(t)
	from := prefix
	left := page(1) // mostly the first row is young, and there is nothing to do
	for bytes := pageBytes; n < limit && bytes > 0; left = (extent{limit - n, bytes}) {
		rows, _, err := tx.readPage(from, after(prefix), false, left)
		if err != nil || len(rows) == 0 {
			return n, false, errors.Join(errs, err)
		}
		for _, r := range rows {
			p := placeOf(r.key)
			from = append(r.key, 0)
			job, err := decodeJob(p, r.value)
			if err == nil {
				if !expired(&job) {
					return n, false, errs
				}
				var dropped int
				dropped, err = drop(&job)
				bytes -= dropped
			}
			if err != nil {
				errs = errors.Join(errs, fmt.Errorf("app %s: purge the job at %d/%d: %w", tx.app.id, p.ms, p.seq, err))
				continue
			}
			n++
			bytes -= len(r.value)
		}
	}
	return n, true, errs
}
