package kv

import (
	"context"
	"errors"
	"fmt"

	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// TailLost says what the shared log has lost of records that this node had, ErrTailLost, or nil if nothing is
// known of that: the DB of the shard before this one has shown them, or the copy had them that was found. This
// one has them no more.
func (db *DB) TailLost() error { return db.shard.tailLost }

// missed has the DB, which was opened just now, say what the log has lost.
func (db *DB) missed(ctx context.Context, log *Log) error {
	if was, there := log.shown.Load(db.volume); there {
		switch err := db.has(ctx, was.(position)); {
		case errors.Is(err, wal.ErrTailLost):
			log.lost.Store(db.volume, err)
		case errors.Is(err, wal.ErrTrimmed): // others have gone on for long: it is not known
		case err != nil:
			return err
		}
		log.shown.Delete(db.volume)
	}
	if lost, there := log.lost.LoadAndDelete(db.volume); there {
		db.shard.tailLost = lost.(error)
	}
	return nil
}

// has says whether the log has the record of that position: nil, ErrTailLost, or ErrTrimmed where it
// has forgotten.
func (db *DB) has(ctx context.Context, at position) error {
	if at.last == 0 {
		return nil
	}
	rec, there, err := db.record(ctx, at.last)
	switch {
	case err != nil:
		return err
	case !there:
		return fmt.Errorf("%w: it ends before record %d", wal.ErrTailLost, at.last)
	case rec.Fence != at.fence || overlay.Chain(rec.Data) != at.sum:
		return fmt.Errorf("%w: record %d is another one", wal.ErrTailLost, at.last)
	}
	return nil
}
