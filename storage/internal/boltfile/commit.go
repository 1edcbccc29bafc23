package boltfile

import (
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// trust is what is known of a file that is written to.
//
//	       a commit failed, and is not shown
//	sound ───────────────────────────────────► failed ──┐
//	  ▲ │                                        │ ▲    │ again
//	  │ │            settled, committed          │ └────┘
//	  └─┼────────────────────────────────────────┘
//	    │      a commit failed, and may be shown
//	    └────────────────────────────────────────► unsure, until it is opened anew
type trust int

const (
	sound  trust = iota
	failed       // what it shows is durable; what a commit has written besides is of no use
	unsure       // it may show what is not durable
)

// Update applies fn's writes in one transaction and returns when they are
// durable. One Update runs at a time; fn must not call Update or Begin.
// After an error nothing was changed, and Update may be called again, unless it is ErrUnsure
// (K3).
func (db *DB) Update(fn func(*Txn) error) error {
	db.updating.Lock()
	defer db.updating.Unlock()
	db.commit.Lock()
	defer db.commit.Unlock()
	return db.bbolt(func() error {
		if !db.hasMeta() {
			return db.damaged(0, "neither it nor page 1 is a meta page")
		}
		if err := db.regain(); err != nil {
			return err
		}
		var id int // of the commit, once fn is done
		err := db.bolt.Update(func(tx *bolt.Tx) error {
			db.size.Store(tx.Size())
			if err := db.present(tx.Size()); err != nil {
				return err
			}
			t := db.newTxn(tx)
			if err := t.lookAtTop(uint64(tx.ID() - 1)); err != nil {
				return err
			}
			// A clean error of a read of Base leaves bbolt as it was.
			if err := db.guarded(false, func() error { return t.run(fn) }); err != nil {
				return err
			}
			id = tx.ID()
			return nil
		})
		switch {
		case id == 0:
			return err
		case err != nil:
			return db.uncommitted(id, err)
		}
		db.trust = sound
		return nil
	})
}

// uncommitted finds out what has become of the file after its commit of that number has
// failed. While the file shows the one before, which is durable, all that was written are pages
// that the file does not use: they are written anew by the commit that takes them. Once it
// shows the new one that may not be on the disk, and bbolt takes the pages of the one before
// for free, which Pins may read.
func (db *DB) uncommitted(id int, err error) error {
	db.trust = unsure
	tx, lost := db.bolt.Begin(false) // not if a map could not be made
	if lost == nil {
		if tx.ID() < id {
			db.trust = failed
		}
		lost = tx.Rollback()
	}
	if db.trust == failed && lost == nil {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnsure, err)
}

// regain has the file be written again after a commit that failed, if the disk takes what an
// opening writes. The file is made longer, since its length may have been what failed.
func (db *DB) regain() error {
	switch db.trust {
	case sound:
		return nil
	case unsure:
		return ErrUnsure
	}
	if err := db.Present(); err != nil {
		return err
	}
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	if err := db.file.Truncate(info.Size() + int64(db.pageSize)); err != nil {
		return err
	}
	return db.settle()
}

// settle makes the latest commit durable that the file shows (K5). Its last
// owner may have died between writing a meta page and its sync, or seen that fail,
// which no later sync mends: so both meta pages are written again as they are.
func (db *DB) settle() error {
	if db.bolt.NoSync {
		return nil
	}
	pages := make([]byte, 2*db.pageSize)
	if _, err := db.file.ReadAt(pages, 0); err != nil {
		return err
	}
	if _, err := db.file.WriteAt(pages, 0); err != nil {
		return err
	}
	return db.bolt.Sync()
}
