package storage

import (
	"fmt"

	"carillon/storage/internal/kv"
)

// This file bounds the arguments that the pending, running and held jobs of an app have
// together. Their sum is one of its counters. Where it is not known, since an earlier
// release has written the counters last, or since a record was taken away that could not be
// read, it is counted when the app is next read from its file.

// SetMaxArgBytes sets how many bytes of arguments the app's jobs may have together,
// pending, running and held, instead of Options.MaxArgBytes. n is 1 or more. It counts from
// the next transaction on.
func (a *App) SetMaxArgBytes(n int64) { a.maxArgs.Store(n) }

// ArgBytes returns how many bytes of arguments the pending, running and held jobs have
// together, as of the last change submitted; -1 is not known. Any goroutine may ask.
func (a *App) ArgBytes() int64 { return a.argsNow.Load() }

// addArgs counts the arguments of a job that has become one of them, or with -1 of one that
// is none any more.
func (c *counts) addArgs(job *Job, sign int64) {
	if c.argBytes >= 0 {
		c.argBytes += sign * int64(job.ArgLen())
	}
}

// roomFor says whether the app may have so many bytes of arguments more.
func (tx *Tx) roomFor(args int) error {
	n, most := tx.top().counts.argBytes, tx.app.maxArgs.Load()
	if args <= 0 || n+int64(args) <= most {
		return nil
	}
	return fmt.Errorf("%w: the jobs of app %s have %d bytes of arguments, %d more would be above %d (MaxArgBytes)", ErrLimit, tx.app.id, max(n, 0), args, most)
}

// sumArgs counts the bytes of arguments of the jobs that have not ended. Records that cannot
// be read have none.
func (n keyspace) sumArgs(snap *kv.Snapshot) (sum int64) {
	for _, t := range []tag{tagQueue, tagHeld} {
		for _, data := range n.all(snap, t) {
			if job, err := decodeJob(place{}, data); err == nil {
				sum += int64(job.ArgLen())
			}
		}
	}
	return sum
}
