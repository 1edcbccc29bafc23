package kv

import (
	"fmt"
	"time"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
)

// maxAge is how long a change waits, at most, before a checkpoint of it begins.
const maxAge = 5 * time.Second

// What it costs to replay a record, besides its bytes, as bytes: small ones have a block of
// the log each, and each write in it is put in its place among all others.
const (
	recordCost = 1 << 10
	writeCost  = 128
)

func replayCost(record []byte, writes int) int {
	return len(record) + recordCost + writes*writeCost
}

// full says whether the latest layer is large enough for a checkpoint, or its records in
// the log are: a quarter of the share, so that Updates go on meanwhile.
func (db *DB) full() bool { return db.stack.View().Latest() >= db.share/4 || db.tail >= db.share }

// checkpoints makes checkpoints until the DB is closed or must be opened anew. It is the DB's
// one goroutine.
func (db *DB) checkpoints() {
	defer close(db.stopped)
	timer := time.NewTimer(maxAge)
	defer timer.Stop()
	aging, due := true, false // it may have been opened with records to replay
	for {
		db.mu.Lock()
		full := db.full() || db.pressed.Swap(false)
		db.mu.Unlock()
		if due || full && db.stall.Load() == nil {
			_ = db.Checkpoint() // if it fails there is a stall
			if db.failed.Load() != nil {
				return
			}
			aging, due = false, false
		}
		if stall := db.stall.Load(); stall != nil {
			timer.Reset(time.Until(stall.again))
			aging = true
		} else if !aging && db.stack.View().Latest() > 0 {
			timer.Reset(maxAge)
			aging = true
		}
		select {
		case <-db.stop:
			return
		case <-db.wake:
		case <-timer.C:
			aging, due = false, true
		}
	}
}

// frozen is what a checkpoint writes to the copy.
type frozen struct {
	layer *overlay.Layer // nil if there is none
	at    position       // with it
	tail  int            // of its records
}

// Checkpoint writes to the copy what is shown and not in it, then has the log forget it. If
// that fails nothing is lost. Unless the DB must be opened anew then (V11) the next Checkpoint
// tries again.
func (db *DB) Checkpoint() error { return db.checkpoint(db.fault) }

func (db *DB) checkpoint(fault func(string) error) error {
	db.copying.Lock()
	defer db.copying.Unlock()
	return db.copyAll(fault)
}

// copyAll is checkpoint for the holder of copying.
func (db *DB) copyAll(fault func(string) error) error {
	if db.frozen.layer != nil {
		if err := db.copy(fault); err != nil {
			return err
		}
	}
	if !db.freeze() {
		db.trim() // an earlier process may not have
		return nil
	}
	return db.copy(fault)
}

// freeze freezes the latest layer, if the copy lacks anything.
func (db *DB) freeze() bool {
	db.mu.Lock()
	defer db.mu.Unlock()
	freeze := db.stack.Freeze
	if db.last != db.inFile.last {
		freeze = db.stack.FreezeAny // of takeover records, which change nothing
	}
	layer := freeze(1)
	if layer == nil {
		return false
	}
	db.frozen = frozen{layer, db.position, db.tail}
	db.tail = 0
	return true
}

// copy writes the frozen layer to the copy.
func (db *DB) copy(fault func(string) error) error {
	layer, at, began := db.frozen.layer, db.frozen.at, time.Now()
	err := fault("checkpoint")
	if err == nil {
		err = db.file.Update(func(tx *boltfile.Txn) error {
			tx.OnCommit(db.copied)
			if err := write(tx, layer); err != nil {
				return err
			}
			return tx.Put(Meta, metaApplied, db.applies(at))
		})
	}
	if err == nil {
		if err = fault("checkpointed"); err != nil {
			err = fmt.Errorf("%w: %w", boltfile.ErrUnsure, err)
		}
	}
	if err != nil {
		db.stalls(err)
		return err
	}
	db.mu.Lock()
	db.inFile, db.frozen = at, frozen{}
	db.copiedLayer(layer, at)
	db.mu.Unlock()
	db.stack.Drop()
	if db.stall.Swap(nil) != nil {
		db.stalled(nil)
	}
	db.checkpointed(began)
	signal(db.room)
	db.trim()
	db.moved()
	return nil
}

// trim has the log forget what the copy has. The record that was applied last stays, so that
// a log can be told from another one. If the log cannot forget now, it will with the next
// checkpoint.
func (db *DB) trim() {
	upTo := db.inFile.last - min(db.inFile.last, 1)
	if db.shard != nil {
		signal(db.shard.wake) // the log's checkpoint comes before
	} else if db.claimed.Load() {
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

// await waits until layers and tail have room for the change, or refuses it while checkpoints
// fail. A change that is larger than the share waits until it is alone.
func (db *DB) await(c *overlay.Change) error {
	for {
		if db.hasRoom(c) {
			return nil
		}
		if stall := db.stall.Load(); stall != nil {
			return noRoom(stall.Err)
		}
		if db.shard != nil {
			if stall := db.shard.stall.Load(); stall != nil && db.foldsBehind() {
				return fmt.Errorf("%w: %w: the log's checkpoint stays behind: %w", ErrNoRoom, ErrRefused, stall.Err)
			}
		}
		db.Press()
		select {
		case <-db.room:
		case <-db.ending():
			return fmt.Errorf("%w: %w", ErrRefused, db.open())
		}
		if err := db.failed.Load(); err != nil {
			return *err
		}
	}
}

// hasRoom says whether there is room for the change; nil: for a record that is shown already.
func (db *DB) hasRoom(c *overlay.Change) bool {
	bytes := 0
	if c != nil {
		bytes = c.Bytes()
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	used := db.stack.View().Bytes()
	return (used == 0 || used+bytes <= db.share) && db.frozen.tail+db.tail < 2*db.share && (db.shard == nil || db.unfolded() < db.shard.bound)
}
