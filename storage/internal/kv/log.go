package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/wal"
)

// logName is the directory of a store's log, in that of the store.
const logName = "log"

// Bounds of a log's files.
const (
	defaultLogLength = 1 << 30
	maxSegment       = 8 << 20
)

// Log is the log of a store, which all its DBs share. A store that was never written to,
// or is of the first format, has none yet.
type Log struct {
	path string
	opts Options
	id   uint64
	wal.Log

	shared wal.Shared    // the same, if its volumes are shards
	folds  chan struct{} // held by each fold of a shared log
	shown  sync.Map      // of a Volume: the position of its DB that was closed last
	lost   sync.Map      // of a Volume: the ErrTailLost of a copy that was thrown away

	standing turn                      // held by what asks how a shared log stands
	stood    map[Volume]wal.ShardState // what was told then; under standing

	since atomic.Int64 // about how many bytes were appended
}

// OpenLog opens the log of the store in dir, whose id it must bear, if there is one.
func OpenLog(dir string, id uint64, opts Options) (*Log, error) {
	l := &Log{path: filepath.Join(dir, logName), opts: opts, id: id, Log: none{}}
	switch _, err := os.Stat(l.path); {
	case errors.Is(err, os.ErrNotExist):
		return l, nil
	case err != nil:
		return nil, err
	}
	return l, l.open()
}

// Make makes the log if there is none. Of one that is there its name is made durable: the
// process that has made it may have crashed before it was.
func (l *Log) Make() error {
	if l.shared != nil {
		return nil
	}
	if _, missing := l.Log.(none); !missing {
		return SyncDir(filepath.Dir(l.path))
	}
	if err := MakeDir(l.path); err != nil {
		return err
	}
	return l.open()
}

// ID is the id of the store.
func (l *Log) ID() uint64 { return l.id }

// Stats is what was written to the log since it was opened.
func (l *Log) Stats() wal.Stats {
	if file := fileOf(l); file != nil {
		return file.Stats()
	}
	return wal.Stats{}
}

// fileOf returns the file log that a log is; nil if it is another one, or none.
func fileOf(log wal.Log) *wal.File {
	if l, ok := log.(*Log); ok {
		log = l.Log
	}
	file, _ := log.(*wal.File)
	return file
}

func (l *Log) length() int64 { return cmp.Or(l.opts.LogLength, defaultLogLength) }

// Holders returns the volumes that hold back a log which is long, a quarter of its bound or
// more: the oldest segment has records of theirs, and is kept, with all behind it, until a
// checkpoint has had them.
func (l *Log) Holders() []Volume {
	file := fileOf(l)
	if file == nil {
		return nil
	}
	volumes, length := file.Oldest()
	if length < l.length()/4 {
		return nil
	}
	return volumes
}

// MoveApart has the log keep the records of a volume that cannot be copied in a file of their
// own, so that it is not held back by them. They are read as before.
func (l *Log) MoveApart(volume Volume) error {
	file := fileOf(l)
	if file == nil {
		return nil
	}
	return file.MoveApart(volume)
}

// grown takes account of a record, and says whether the log is longer by an eighth of its
// bound since it last said so.
func (l *Log) grown(size int) bool {
	if l.shared != nil {
		return false
	}
	n := int64(size) + 4096 // of a batch by itself, about
	return l.since.Add(n) >= l.length()/8 && l.since.Swap(0) > 0
}

func (l *Log) open() error {
	wait := l.opts.LockTimeout
	if wait <= 0 {
		wait = time.Second
	}
	opts := wal.Options{ID: l.id, ReadOnly: l.opts.ReadOnly, NoSync: l.opts.NoSync, LockTimeout: wait}
	opts.MaxLength, opts.Keep = l.length(), l.opts.LogKeep
	opts.SegmentSize = cmp.Or(l.opts.SegmentSize, int(min(opts.MaxLength/16, maxSegment)))
	file, err := wal.OpenFile(l.path, opts)
	switch {
	case l.opts.ReadOnly && errors.Is(err, os.ErrNotExist):
		return nil // it is empty
	case errors.Is(err, wal.ErrLocked):
		return fmt.Errorf("%w: the log", ErrLocked)
	case errors.Is(err, wal.ErrForeign):
		return fmt.Errorf("%w: the log belongs to another store (put back that of this one, or see what is left without it: carillon store salvage): %w", ErrBadFile, err)
	case err != nil:
		return logError(err)
	}
	l.Log = file
	return nil
}

// logError says in this package's words what is wrong with the log.
func logError(err error) error {
	if d, ok := errors.AsType[*wal.Damage](err); ok {
		return &Damage{File: filepath.Join(logName, d.File), Page: -1, What: fmt.Sprintf("offset %d: %s", d.Offset, d.What)}
	}
	return err
}

// none is the log of a store that has none.
type none struct{}

func (none) Claim(context.Context, wal.Volume) (wal.Claim, error) {
	return wal.Claim{}, wal.ErrReadOnly
}

func (none) Append(recs ...wal.Record) []error {
	errs := make([]error, len(recs))
	for i := range errs {
		errs[i] = wal.ErrReadOnly
	}
	return errs
}

func (none) Read(context.Context, wal.Volume, uint64) iter.Seq2[wal.Record, error] {
	return func(func(wal.Record, error) bool) {}
}
func (none) Trim(wal.Claim, uint64) error { return nil }
func (none) MaxRecord() int               { return 0 }
func (none) Close() error                 { return nil }
