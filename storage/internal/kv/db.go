package kv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// Options of Open. The zero value is ready for use.
type Options struct {
	LockTimeout time.Duration // how long to wait for a lock; default 1 s
	NoSync      bool          // do not sync: a power cut may lose the last commits, or the file
	ReadOnly    bool          // write nothing, and share the locks: Update is refused
	SegmentSize int           // of the log, in bytes; default 8 MiB
	// Fault, in tests, is asked at "checkpoint" and "checkpointed", before and after what is
	// shown is written to the copy, and at "building", "marking" and "built" while that of a
	// shard is made, for an error to fail with. Default: none.
	Fault func(point string) error
	// Copied is told how many bytes a checkpoint has written. Default: it is not.
	Copied func(bytes int64)
	// Checkpointed is told when a checkpoint that has worked began. Default: it is not.
	Checkpointed func(began time.Time)
	// Stalled is told of each checkpoint that has failed and will be tried again, and nil of
	// the one that works at last. It does not block. Default: it is not.
	Stalled func(*Stall)
	// Replaying is told, with each record of the log that is replayed, how many were, of how
	// many. Default: it is not.
	Replaying func(done, total int)
	// Moved is called after a checkpoint, and when the log has become longer by an eighth of
	// its bound. It does not block. Default: it is not called.
	Moved func()
	// LogLength bounds the log, in bytes. Default 1 GiB.
	LogLength int64
	// LogKeep is how many bytes of the log are kept, beside its length, when the copies have
	// what they say. Default: none.
	LogKeep int64
}

// DB is one volume: a log, layers over a copy, and the copy. Its methods may be called from
// any goroutine.
type DB struct {
	name         string
	path         string
	file         *boltfile.DB
	log          wal.Log
	volume       wal.Volume
	shard        *shard // what it has besides if the log is shared; else nil
	fault        func(point string) error
	copied       func(bytes int64)
	checkpointed func(began time.Time)

	moved   func()
	stalled func(*Stall)
	replays func(done, total int)

	commit  turn // held by Update
	copying turn // held by a checkpoint
	stack   *overlay.Stack

	mu       sync.Mutex // held while what follows and what the stack shows change together
	position            // of what is shown
	tail     int        // what it costs to replay the records since the latest Freeze, as bytes of them
	claim    wal.Claim
	share    int // bytes that the layers may have

	inFile position // of what the copy has; a checkpoint changes it
	frozen frozen   // what it does not have yet and will next; a checkpoint changes it

	stall atomic.Pointer[Stall] // nil unless the latest checkpoint has failed

	failed  atomic.Pointer[error] // why it must be opened anew
	closed  atomic.Bool
	pressed atomic.Bool   // an Update waits for a checkpoint
	wake    chan struct{} // the checkpointer has something to do
	room    chan struct{} // a layer was dropped, or will not be soon, or the DB has failed
	stop    chan struct{}
	stopped chan struct{} // the checkpointer has; nil if there was none yet
	claimed atomic.Bool
}

// position is how far a volume has come in its log.
type position struct {
	last  uint64   // number of the latest record
	chain uint32   // of all records up to it, which the next one bears
	sum   uint32   // of the latest one; 0: a takeover
	fence [16]byte // the claim of the latest one, of a shared log
}

// after is the position behind the record, which comes next.
func (p position) after(rec wal.Record) position {
	p.last, p.sum, p.fence = rec.Seq, overlay.Chain(rec.Data), rec.Fence
	if len(rec.Data) > 0 {
		p.chain = p.sum
	}
	return p
}

func noFault(string) error { return nil }

// metaApplied is the key of the copy that says which records it has: the number of the
// latest one, 8 bytes, and the chain behind it, 4 bytes. In that of a shard more stands behind
// (label).
var metaApplied = []byte("applied")

// Open opens the copy at path, which must exist, and shows it. Join adds what is in the log,
// Claim lets it be written.
func Open(path string, opts Options) (*DB, error) {
	file, err := boltfile.Open(path, boltfile.Options{LockTimeout: opts.LockTimeout, NoSync: opts.NoSync, ReadOnly: opts.ReadOnly})
	if err != nil {
		return nil, err
	}
	pin, err := file.Begin()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	defer pin.Close()
	if opts.Fault == nil {
		opts.Fault = noFault
	}
	if opts.Copied == nil {
		opts.Copied = func(int64) {}
	}
	if opts.Checkpointed == nil {
		opts.Checkpointed = func(time.Time) {}
	}
	if opts.Moved == nil {
		opts.Moved = func() {}
	}
	if opts.Stalled == nil {
		opts.Stalled = func(*Stall) {}
	}
	if opts.Replaying == nil {
		opts.Replaying = func(int, int) {}
	}
	return &DB{
		name:         filepath.Base(path),
		path:         path,
		file:         file,
		fault:        opts.Fault,
		copied:       opts.Copied,
		checkpointed: opts.Checkpointed,
		moved:        opts.Moved,
		stalled:      opts.Stalled,
		replays:      opts.Replaying,
		stack:        overlay.NewStack(spaces, pin.ID()),
		wake:         make(chan struct{}, 1),
		room:         make(chan struct{}, 1),
		stop:         make(chan struct{}),
		commit:       newTurn(),
		copying:      newTurn(),
	}, nil
}

func encodeApplied(last uint64, chain uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, last), chain)
}

// Join shows what the log has of the volume, too. ErrBadFile says that log and copy are not
// of one moment.
func (db *DB) Join(ctx context.Context, log wal.Log, volume wal.Volume) error {
	db.log, db.volume = log, volume
	applied, chain, err := db.applied()
	if err != nil {
		return err
	}
	db.position = position{last: applied, chain: chain}
	db.inFile = db.position
	if applied > 0 {
		if err := db.verify(ctx, applied, chain); err != nil {
			return err
		}
	}
	return db.replay(ctx)
}

// applied reads up to which record the copy has all.
func (db *DB) applied() (last uint64, chain uint32, err error) {
	pin, err := db.file.Begin()
	if err != nil {
		return 0, 0, err
	}
	defer pin.Close()
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		if v := snap.Get(Meta, metaApplied); len(v) == 12 {
			last, chain = binary.BigEndian.Uint64(v), binary.BigEndian.Uint32(v[8:])
		} else if v != nil {
			return db.mismatch("what it has applied is told in %d bytes", len(v))
		}
		return nil
	})
	return last, chain, err
}

// mismatch is the error of a copy and a log that do not belong together.
func (db *DB) mismatch(format string, args ...any) error {
	if db.shard != nil {
		return fmt.Errorf("%w: %s does not go on in the log, and is made anew: "+format, append([]any{ErrBadFile, db.name}, args...)...)
	}
	return fmt.Errorf("%w: %s and the log are of different moments, or of two lives of a store (put back the directory as it was, volumes and log together, or see what is left: carillon store salvage): "+format, append([]any{ErrBadFile, db.name}, args...)...)
}

// verify sees that the record which the copy has applied last is the log's.
func (db *DB) verify(ctx context.Context, applied uint64, chain uint32) error {
	for rec, err := range db.log.Read(ctx, db.volume, applied) {
		switch {
		case err != nil:
			return db.unread(err)
		case len(rec.Data) > 0 && overlay.Chain(rec.Data) != chain:
			return db.mismatch("record %d is another one", applied)
		}
		return nil
	}
	return db.mismatch("the log ends before record %d, which the file has applied", applied)
}

// replay puts the records behind the last one on top.
func (db *DB) replay(ctx context.Context) error {
	done, total := 0, 0
	if file := fileOf(db.log); file != nil {
		_, total, _ = file.Behind(db.volume, db.last)
	}
	change := db.stack.View().Change()
	defer func() { db.stack.Publish(change) }() // what can be read, for a salvage
	for rec, err := range db.log.Read(ctx, db.volume, db.last+1) {
		if err != nil {
			return db.unread(err)
		}
		if len(rec.Data) > 0 {
			writes := change.Writes()
			if err := change.Replay(rec.Data, db.chain); err != nil {
				return db.mismatch("record %d: %v", rec.Seq, err)
			}
			db.chain = overlay.Chain(rec.Data)
			db.tail += replayCost(rec.Data, change.Writes()-writes)
			done++
			db.replays(done, total)
		}
		db.last = rec.Seq
	}
	return nil
}

// unread is the error of a log that cannot be read from there.
func (db *DB) unread(err error) error {
	if errors.Is(err, wal.ErrTrimmed) {
		return db.mismatch("%v", err)
	}
	return logError(err)
}

// Claim takes the volume over: an Update of an earlier owner fails from now on, and what was
// unknown of it is decided and shown. share is how many bytes of memory the layers may have.
//
// Of a shared log, ErrOwned says that the owner is alive: go on with Follow. ErrBadFile says
// that the shard is claimed, and the log has forgotten what the copy lacks: OpenCopy anew.
func (db *DB) Claim(ctx context.Context, share int) (err error) {
	if db.shard != nil {
		return db.claimShard(ctx, share)
	}
	db.share = share
	if err := db.upgrade(); err != nil {
		return err
	}
	db.claim, err = db.log.Claim(ctx, db.volume)
	if errors.Is(err, ErrFull) {
		// It may be full of what was replayed.
		if err := db.Checkpoint(); err != nil {
			return err
		}
		db.claim, err = db.log.Claim(ctx, db.volume)
	}
	if err != nil {
		return logError(err)
	}
	if err := db.replay(ctx); err != nil {
		return err
	}
	empty := db.inFile.last == 0
	db.stopped = make(chan struct{})
	db.claimed.Store(true)
	go db.checkpoints()
	if empty {
		// A copy that says which records it has is not opened without its log.
		return db.checkpoint(noFault)
	}
	return nil
}

// upgrade has a copy of the first format be refused by its readers, who know of no log,
// before anything is in the log only.
func (db *DB) upgrade() error {
	if done, err := db.file.Upgrade(); !done || err != nil {
		return err
	}
	pin, err := db.file.Begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	db.stack, db.tail = overlay.NewStack(spaces, pin.ID()), 0
	db.last, db.chain, err = db.applied()
	return err
}

// Begin pins the volume as it is now: what it shows is durable (unless NoSync). It does not
// block, except while the map of the copy grows. Close Pins soon: they hold back the reuse of
// pages.
func (db *DB) Begin() (*Pin, error) {
	for {
		if err := db.open(); err != nil {
			return nil, err
		}
		view := db.stack.View()
		pin, err := db.file.Begin()
		if err != nil {
			return nil, err
		}
		if view.Accepts(pin.ID()) {
			return &Pin{db: db, pin: pin, snap: Snapshot{view: view}}, nil
		}
		pin.Close() // a checkpoint came between
	}
}

// open says that the DB was closed, or nil.
func (db *DB) open() error {
	if db.closed.Load() {
		return fmt.Errorf("%s: %w", db.name, ErrAbandoned)
	}
	return nil
}

// writable says why nothing can be written, or nil.
func (db *DB) writable() error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	if !db.claimed.Load() {
		return fmt.Errorf("%w: %s is not claimed", ErrRefused, db.name)
	}
	return db.open()
}

// Failed says that the DB writes, and follows, no more: Abandon it, and open it anew.
func (db *DB) Failed() bool { return db.failed.Load() != nil }

// fail has every Update refused from now on.
func (db *DB) fail(err error) {
	db.failed.CompareAndSwap(nil, &err)
	signal(db.room)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Update makes fn's writes durable together, then shows them. One Update runs at a time; fn
// must not call Update. An error of fn, one that is ErrRefused, ErrDamaged or ErrReplaced,
// has changed nothing; after any other see V3. After an ErrNoRoom the next one may have room.
// Of a shared log, the outcome of an append that is unknown is found out before Update returns
// (V13), and an ErrFenced says that another node owns the shard.
func (db *DB) Update(fn func(*Txn) error) error {
	db.commit.Lock()
	defer db.commit.Unlock()
	if err := db.writable(); err != nil {
		return err
	}
	if err := db.file.Present(); err != nil {
		return err
	}
	t, err := db.run(fn)
	if err != nil {
		return err
	}
	record := t.change.Record(db.chain)
	if record == nil {
		return nil
	}
	if err := db.await(t.change); err != nil {
		return err
	}
	if db.shard != nil {
		return db.appendShared(t.change, record)
	}
	rec := wal.Record{Volume: db.volume, Epoch: db.claim.Epoch, Seq: db.last + 1, Data: record}
	err = db.log.Append(rec)[0]
	if errors.Is(err, ErrFull) {
		// What the copy lacks is part of it.
		db.moved()
		if stall := db.stall.Load(); stall != nil {
			return noRoom(fmt.Errorf("%w: %w", err, stall.Err))
		}
		if err := db.Checkpoint(); db.failed.Load() != nil {
			return *db.failed.Load()
		} else if err != nil {
			return noRoom(err)
		}
		if err = db.log.Append(rec)[0]; errors.Is(err, ErrFull) {
			return fmt.Errorf("%w: %w", ErrNoRoom, err)
		}
	}
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			db.fail(fmt.Errorf("%w: %s was not opened anew", ErrRefused, db.name))
		}
		return logError(err)
	}
	db.publish(t.change, record)
	return nil
}

// run has fn make its change, which is not shown yet.
func (db *DB) run(fn func(*Txn) error) (*Txn, error) {
	pin, err := db.Begin()
	if err != nil {
		return nil, err
	}
	defer pin.Close()
	t := &Txn{change: pin.snap.view.Change(), looker: pin.pin.Looker()}
	return t, pin.Read(func(snap *Snapshot) error {
		t.base = snap
		if err := t.looker.Top(); err != nil {
			return err
		}
		return fn(t)
	})
}

// publish shows the change, whose record is durable.
func (db *DB) publish(change *overlay.Change, record []byte) {
	db.mu.Lock()
	idle := db.stack.View().Latest() == 0
	sum := overlay.Chain(record)
	db.position = position{last: db.last + 1, chain: sum, sum: sum, fence: db.fence}
	db.tail += replayCost(record, change.Writes())
	if db.shard != nil {
		db.shard.bytes += replayCost(record, change.Writes())
	}
	db.stack.Publish(change)
	wake := idle || db.full()
	db.mu.Unlock()
	if wake {
		signal(db.wake)
	}
	if log, ok := db.log.(*Log); ok && log.grown(len(record)) {
		db.moved()
	}
}

// Last is the number of the latest record that is shown. It never becomes less, also where
// the volume is opened anew.
func (db *DB) Last() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.last
}

// Place is the place of the latest record.
func (db *DB) Place() Place {
	db.mu.Lock()
	defer db.mu.Unlock()
	return Place{db.last, db.chain}
}

// Uncopied is how many records of the log the copy does not have.
func (db *DB) Uncopied() uint64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.last - db.inFile.last
}

// Present says whether the copy still has its name, and its bytes: nil, ErrReplaced or
// ErrDamaged.
func (db *DB) Present() error { return db.file.Present() }

// Sizes returns the bytes of the copy, and those of them that are free for what will come.
func (db *DB) Sizes() (all, free int64) { return db.file.Sizes() }

// CheckPages verifies the structure of the copy, as it is. It may run beside Updates.
func (db *DB) CheckPages() error { return db.file.CheckPages() }

// Close brings the copy up to date and closes it, so that the log is not needed to read it.
// It waits for open Pins, and after CloseWait closes it over their heads, as it is: they read
// no more (ErrAbandoned). For a checkpoint that is under way it waits checkpointWait. If that,
// or an Update, is not over then, the file stays open and locked, and that is the error. What
// could not be copied is in the log.
func (db *DB) Close() error { return db.close(true) }

// Abandon is Close that leaves the copy as it is.
func (db *DB) Abandon() error { return db.close(false) }

func (db *DB) close(clean bool) error {
	if !db.closed.CompareAndSwap(false, true) {
		return nil
	}
	if db.shard != nil {
		err := db.closeShard(clean)
		db.shard.log.shown.LoadOrStore(db.volume, db.position) // what OpenCopy has not asked for yet stays
		return err
	}
	if !db.commit.TryLock() {
		return fmt.Errorf("%s: a commit is under way", db.name)
	}
	defer db.commit.Unlock()
	if db.stopped != nil && db.halt(checkpointWait) && clean && db.failed.Load() == nil && db.file.Unpinned() {
		_ = db.Checkpoint() // the log has it
	}
	return db.file.Close()
}

// checkpointWait is how long Close waits for a checkpoint that is under way: a disk may be slow.
const checkpointWait = 10 * time.Second

// halt stops the checkpointer, and says whether it has in that time.
func (db *DB) halt(wait time.Duration) bool {
	close(db.stop)
	late := time.NewTimer(wait)
	defer late.Stop()
	select {
	case <-db.stopped:
		return true
	case <-late.C:
		return false
	}
}
