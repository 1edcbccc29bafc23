package kv

import (
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/boltfile"
)

// Bounds of the wait after a checkpoint that has failed. It doubles with each.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 30 * time.Second
)

// Stall says that the copy stays behind, since checkpoints fail. Layers and log have what it
// lacks.
type Stall struct {
	Since time.Time // when the first of them failed
	Tries int       // how many have failed in a row
	Err   error     // why the latest has

	again time.Time // when the next one is made
}

// Stalled returns why the copy stays behind; nil if the latest checkpoint has worked.
func (db *DB) Stalled() *Stall { return db.stall.Load() }

// stalls takes note of a checkpoint that has failed, which is tried again, if it can be (V11).
func (db *DB) stalls(err error) {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrReplaced) || errors.Is(err, boltfile.ErrUnsure) {
		db.fail(notCopied(err))
		return
	}
	now := time.Now()
	stall := &Stall{Since: now, Err: err}
	if before := db.stall.Load(); before != nil {
		stall.Since, stall.Tries = before.Since, before.Tries
	}
	stall.again = now.Add(min(minRetry<<min(stall.Tries, 20), maxRetry))
	stall.Tries++
	db.stall.Store(stall)
	signal(db.room) // which will not come soon
	signal(db.wake)
	db.stalled(stall)
}

// notCopied is the answer to Updates that need a checkpoint which has failed. Nothing of them
// was applied.
func notCopied(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrReplaced) {
		return err
	}
	return fmt.Errorf("%w: the log could not be copied: %w", ErrRefused, err)
}

// noRoom is notCopied of a DB that goes on when a checkpoint has made room.
func noRoom(err error) error { return fmt.Errorf("%w: %w", ErrNoRoom, notCopied(err)) }
