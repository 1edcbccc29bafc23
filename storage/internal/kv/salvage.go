package kv

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"carillon/storage/internal/boltfile"
)

// Remains is what there is of a volume after a Join, whether or not it was refused.
type Remains struct {
	Copied  uint64 // the copy has the records up to this number
	Applied uint64 // and those up to this one can be applied to it
	Last    uint64 // number of the last record that the log knows of
	Lost    int    // how many of the log's cannot be applied
	Bytes   int64  // of those that can be told
}

// Remains returns it. The DB was joined, and not claimed.
func (db *DB) Remains() Remains {
	r := Remains{Copied: db.inFile.last, Applied: db.last}
	if file := fileOf(db.log); file != nil {
		r.Last, r.Lost, r.Bytes = file.Behind(db.volume, db.last)
	}
	return r
}

// GiveUp accepts that what the log has, and Join could not apply, is lost: the volume goes on
// with what could be. mark is called twice, in a transaction of the copy each: before the log
// gives it up, and when all is done. It may be called again after a crash at any point.
func (db *DB) GiveUp(ctx context.Context, mark func(tx *Fresh, done bool) error) error {
	layer := db.stack.FreezeAny(1)
	err := db.file.Update(func(tx *boltfile.Txn) error {
		if err := write(tx, layer); err != nil {
			return err
		}
		return errors.Join(mark(tx, false), tx.Put(Meta, metaApplied, encodeApplied(db.last, db.chain)))
	})
	if err != nil {
		return err
	}
	db.stack.Drop()
	if file := fileOf(db.log); file != nil {
		// One that is not damaged is another life's.
		if err := file.Salvage(db.volume); err != nil && !errors.Is(err, ErrRefused) {
			return err
		}
	}
	claim, err := db.log.Claim(ctx, db.volume)
	if err != nil {
		return logError(err)
	}
	// The log goes on behind the claim's record, which the copy has, since there is nothing in it.
	err = db.file.Update(func(tx *boltfile.Txn) error {
		return errors.Join(mark(tx, true), tx.Put(Meta, metaApplied, encodeApplied(claim.Last, db.chain)))
	})
	if err != nil {
		return err
	}
	return db.log.Trim(claim, claim.Last-1)
}

// SetAside gives the log, which cannot be opened, another name, so that a new one is made.
// It returns the name.
func (l *Log) SetAside() (string, error) {
	for i := 1; ; i++ {
		to := fmt.Sprintf("%s.lost-%d", l.path, i)
		if _, err := os.Stat(to); errors.Is(err, os.ErrNotExist) {
			return filepath.Base(to), errors.Join(os.Rename(l.path, to), SyncDir(filepath.Dir(l.path)))
		} else if err != nil {
			return "", err
		}
	}
}

// NoLog is the log of the store in dir as if it had none.
func NoLog(dir string, id uint64, opts Options) *Log {
	return &Log{path: filepath.Join(dir, logName), opts: opts, id: id, Log: none{}}
}
