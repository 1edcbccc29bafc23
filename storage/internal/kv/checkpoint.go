package kv

import (
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
)

// maxAge is how long a change waits, at most, before a checkpoint of it begins.
const maxAge = 5 * time.Second

// recordCost is what a record costs besides its bytes when it is replayed, as bytes. Small
// records have a block of the log each.
const recordCost = 1 << 10

// full says whether the latest layer is large enough for a checkpoint, or its records in
// the log are: a quarter of the share, so that Updates go on meanwhile.
func (db *DB) full() bool { return db.stack.View().Latest() >= db.share/4 || db.tail >= db.share }

// checkpoints makes checkpoints until the DB is closed or one fails. It is the DB's one
// goroutine.
func (db *DB) checkpoints() {
	defer close(db.stopped)
	age := time.NewTimer(maxAge)
	defer age.Stop()
	aging, old := true, false // it may have been opened with records to replay
	for {
		db.mu.Lock()
		full := db.full() || db.pressed.Swap(false)
		db.mu.Unlock()
		if full || old {
			if err := db.Checkpoint(); err != nil {
				return
			}
			aging, old = false, false
		}
		if !aging && db.stack.View().Latest() > 0 {
			age.Reset(maxAge)
			aging = true
		}
		select {
		case <-db.stop:
			return
		case <-db.wake:
		case <-age.C:
			aging, old = false, true
		}
	}
}

// Checkpoint writes to the copy what is shown and not in it, then has the log forget it.
// If that fails nothing is lost, and the DB must be opened anew.
func (db *DB) Checkpoint() error { return db.checkpoint(db.fault) }

func (db *DB) checkpoint(fault func(string) error) error {
	db.copying.Lock()
	defer db.copying.Unlock()
	db.mu.Lock()
	freeze := db.stack.Freeze
	if db.last != db.inFile {
		freeze = db.stack.FreezeAny // of takeover records, which change nothing
	}
	layer := freeze(1)
	last, chain := db.last, db.chain
	if layer != nil {
		db.tail = 0
	}
	db.mu.Unlock()
	if layer == nil {
		db.trim() // an earlier process may not have
		return nil
	}
	err := fault("checkpoint")
	if err == nil {
		err = db.file.Update(func(tx *boltfile.Txn) error {
			tx.OnCommit(db.copied)
			if err := write(tx, layer); err != nil {
				return err
			}
			return tx.Put(Meta, metaApplied, encodeApplied(last, chain))
		})
	}
	if err == nil {
		err = fault("checkpointed")
	}
	if err != nil {
		db.fail(notCopied(err))
		return err
	}
	db.mu.Lock()
	db.inFile = last
	db.mu.Unlock()
	db.stack.Drop()
	signal(db.dropped)
	db.trim()
	db.moved()
	return nil
}

// trim has the log forget what the copy has. The record that was applied last stays, so that
// a log can be told from another one. If the log cannot forget now, it will with the next
// checkpoint.
func (db *DB) trim() {
	upTo := db.inFile - min(db.inFile, 1)
	if db.stopped != nil {
		_ = db.log.Trim(db.claim, upTo)
	} else if file := fileOf(db.log); file != nil {
		_ = file.Forget(db.volume, upTo) // no claim is in force yet
	}
}

// Press has a checkpoint be made soon.
func (db *DB) Press() {
	db.pressed.Store(true)
	signal(db.wake)
}

// write writes the layer in the order of its keys.
func write(tx *boltfile.Txn, layer *overlay.Layer) error {
	for space := range Space(spaces) {
		err := layer.Scan(int(space), func(key, value []byte, deleted bool) error {
			if deleted {
				return tx.Delete(space, key)
			}
			return tx.Put(space, key, value)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// notCopied is the answer to Updates after a checkpoint has failed. Nothing of them was
// applied.
func notCopied(err error) error {
	if errors.Is(err, ErrDamaged) || errors.Is(err, ErrReplaced) {
		return err
	}
	return fmt.Errorf("%w: the log could not be copied: %w", ErrRefused, err)
}

// await waits until the layers have room for the change. One that is larger than the share
// waits until it is alone.
func (db *DB) await(c *overlay.Change) error {
	for {
		used := db.stack.View().Bytes()
		if used == 0 || used+c.Bytes() <= db.share {
			return nil
		}
		db.Press()
		<-db.dropped
		if err := db.failed.Load(); err != nil {
			return *err
		}
	}
}
