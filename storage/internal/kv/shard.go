package kv

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// followShare is how many bytes of memory the layers of a shard may have until it is claimed.
const followShare = 1 << 20

// Bounds of the wait before a shared log is asked once more. It doubles with each.
const (
	minAsk = 50 * time.Millisecond
	maxAsk = 2 * time.Second
)

// shard is what a DB has besides if its log is shared.
type shard struct {
	log  *Log
	ctx  context.Context // ends when the DB is closed
	stop context.CancelFunc

	kept  int // keptBytes
	read  int // bytes of keys that a fold reads of the log: foldRead
	bound int // maxUnfolded: bytes that the records may have which the log's checkpoint lacks

	folding turn       // held by a fold, and what follows from it
	spent   bool       // the outcome of a fold or a trim is unknown; under folding
	folds   []foldMark // from the one on behind which the log has all records; under folding

	// Under DB.mu:
	bytes    int    // of the records since the shard was claimed, as replayCost
	folded   uint64 // the log's checkpoint has the records up to this one, once known
	known    bool
	foldedAt int // bytes of those that it has
	copied   copied

	tailLost error // see TailLost

	stall   atomic.Pointer[Stall] // nil unless the latest fold has failed
	wake    chan struct{}         // there is something to fold
	stopped chan struct{}         // no fold is made any more; nil before Claim
}

// Over returns the log of a store whose volumes are the shards of a shared log. The caller
// closes that one: Close does not.
func Over(shared wal.Shared, opts Options) *Log {
	return &Log{opts: opts, id: shared.ID(), Log: shared, shared: shared, folds: make(chan struct{}, foldsAtOnce), standing: newTurn()}
}

// Close closes the log, unless it is shared.
func (l *Log) Close() error {
	if l.shared != nil {
		return nil
	}
	return l.Log.Close()
}

// Behind returns those of the DBs, which are shards of the log, that do not show all that it
// has, or show more, and how the log stands, by one question for all of them.
func (l *Log) Behind(ctx context.Context, dbs []*DB) ([]*DB, wal.Standing, error) {
	standing, err := l.shared.Standing(ctx)
	if err != nil {
		return nil, standing, err
	}
	last := map[Volume]uint64{}
	for _, s := range standing.Shards {
		last[s.Shard] = s.Last
	}
	var behind []*DB
	for _, db := range dbs {
		if last[db.volume] != db.Last() {
			behind = append(behind, db)
		}
	}
	return behind, standing, nil
}

// Follow shows what the log has got since, without a claim: takeovers and changes of whichever
// node owns the shard. It reads the log once, and waits for the copy while the layers are full
// (ErrNoRoom while that fails). ErrBadFile says that the log has forgotten what comes next, or
// that the copy is none of it any more: OpenCopy makes it anew. Where it is ErrTailLost, too, the
// log has lost what the DB shows. An owner that was fenced does
// not follow: it is opened anew. After any other error it shows what it has read, and may be
// called again.
func (db *DB) Follow(ctx context.Context) error {
	db.commit.Lock()
	defer db.commit.Unlock()
	if err := db.failed.Load(); err != nil {
		return *err
	}
	if err := db.open(); err != nil {
		return err
	}
	return db.follow(ctx)
}

// follow is Follow. The caller holds commit. The record that is shown last is read once more:
// takeovers, which bear no chain, may have come in the place of what the log has lost.
func (db *DB) follow(ctx context.Context) error {
	met := db.last == 0
	for rec, err := range db.log.Read(ctx, db.volume, max(db.last, 1)) {
		if err != nil {
			return db.unread(err)
		}
		if !met {
			if met = true; rec.Fence != db.fence || overlay.Chain(rec.Data) != db.sum {
				return db.mismatch("%w: record %d is another one", wal.ErrTailLost, db.last)
			}
			continue
		}
		if err := db.show(rec); err != nil {
			return err
		}
		if err := db.await(nil); err != nil {
			return err
		}
	}
	if !met {
		return db.mismatch("%w: it ends before record %d", wal.ErrTailLost, db.last)
	}
	return nil
}

// show shows the record, which comes next.
func (db *DB) show(rec wal.Record) error {
	db.mu.Lock()
	idle := db.stack.View().Latest() == 0
	if len(rec.Data) > 0 {
		// A checkpoint that came between would not have it.
		change := db.stack.View().Change()
		if err := change.Replay(rec.Data, db.chain); err != nil {
			db.mu.Unlock()
			return db.mismatch("record %d: %v", rec.Seq, err)
		}
		db.stack.Publish(change)
		db.tail += replayCost(rec.Data, change.Writes())
	}
	db.position = db.after(rec)
	wake := idle || db.full()
	db.mu.Unlock()
	if wake {
		signal(db.wake)
	}
	return nil
}

// claimShard is Claim of a shared log.
func (db *DB) claimShard(ctx context.Context, share int) error {
	db.commit.Lock()
	defer db.commit.Unlock()
	if err := db.open(); err != nil {
		return err
	}
	if err := db.take(ctx); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.share = share
	if !db.claimed.Swap(true) {
		db.shard.copied.from = db.inFile.last
		db.shard.stopped = make(chan struct{})
		go db.keepFolding()
	}
	return nil
}

// take claims the shard and shows all that the log has.
func (db *DB) take(ctx context.Context) error {
	claim, err := db.log.Claim(ctx, db.volume)
	if err != nil {
		return err
	}
	db.mu.Lock()
	db.claim = claim
	db.mu.Unlock()
	return db.follow(ctx)
}

// appendShared appends the record and shows the change. The caller holds commit. The claim is
// made anew if a fold has spent it.
func (db *DB) appendShared(change *overlay.Change, record []byte) error {
	for {
		rec := wal.Record{Volume: db.volume, Epoch: db.claim.Epoch, Seq: db.last + 1, Data: record}
		err := db.log.Append(rec)[0]
		switch {
		case err == nil:
			db.publish(change, record)
			return nil
		case errors.Is(err, wal.ErrUnknown):
			return db.resolve(rec, err)
		case !errors.Is(err, wal.ErrFenced) || !db.spent():
			if another(err) {
				db.fail(err)
			}
			return err
		}
		if err := db.renew(); err != nil {
			return err
		}
	}
}

// spent says whether it was a fold of ours that has spent the claim. It waits for one that is
// under way.
func (db *DB) spent() bool {
	db.shard.folding.Lock()
	defer db.shard.folding.Unlock()
	return db.shard.spent
}

// renew claims the shard anew. The caller holds commit. ErrFenced says that another node owns it.
func (db *DB) renew() error {
	chain := db.chain
	err := db.asking(func() (done bool, err error) {
		if err = fenced(db.take(db.shard.ctx)); err == nil && db.chain != chain {
			err = errMeanwhile
		}
		if hopeless(err) {
			db.fail(err)
			return true, err
		}
		return err == nil, err
	})
	if err == nil {
		db.shard.folding.Lock()
		db.shard.spent = false
		db.shard.folding.Unlock()
	} else if !errors.Is(err, ErrRefused) {
		err = fmt.Errorf("%w: %w", ErrRefused, err) // of an Update that was not appended
	}
	return err
}

// another says that the shard is another node's.
func another(err error) bool {
	return errors.Is(err, wal.ErrOwned) || errors.Is(err, wal.ErrRetired) || errors.Is(err, wal.ErrFenced)
}

// fenced is the error of a claim, which is ErrFenced if the shard is another node's.
func fenced(err error) error {
	if another(err) && !errors.Is(err, wal.ErrFenced) {
		return fmt.Errorf("%w: %w", wal.ErrFenced, err)
	}
	return err
}

// errMeanwhile says that what the owner knows of the shard is not what it holds.
var errMeanwhile = fmt.Errorf("%w: another node has owned the shard meanwhile", wal.ErrFenced)

// hopeless says that it is no use to claim the shard once more.
func hopeless(err error) bool {
	return another(err) || errors.Is(err, ErrBadFile) || errors.Is(err, ErrDamaged) || errors.Is(err, wal.ErrDamaged)
}

// resolve finds out whether the record, whose outcome is unknown, is in the log: it claims the
// shard again, behind which it is there for good or never will be, and reads back. Another
// node's claim tells as well, unless that node has trimmed the record. It goes on until the log
// can be asked, or the DB is closed.
//
// nil says that the record is in the log, ErrRefused that it is not and never will be, and what
// the append had said that it is not known.
func (db *DB) resolve(rec wal.Record, unknown error) error {
	in, untold, fence, chain := false, false, db.fence, db.chain
	var lost error
	err := db.asking(func() (done bool, err error) {
		claim, err := db.log.Claim(db.shard.ctx, db.volume)
		lost = nil
		switch {
		case another(err):
			lost = fenced(err)
		case hopeless(err): // what was before the record is gone, and so is that
			lost = err
			return true, nil
		case err != nil:
			return false, err
		}
		is, there, err := db.record(db.shard.ctx, rec.Seq)
		if untold = lost != nil && errors.Is(err, wal.ErrTrimmed); untold {
			return true, nil // another node has gone on for long
		}
		if err != nil || !there { // the claim of another is not in the log yet
			return false, errors.Join(err, lost)
		}
		in = is.Fence == fence && overlay.Chain(is.Data) == overlay.Chain(rec.Data)
		if lost == nil {
			db.mu.Lock()
			db.claim = claim
			db.mu.Unlock()
			if in {
				chain = overlay.Chain(rec.Data)
			}
			err := db.follow(db.shard.ctx)
			if err == nil && db.chain != chain {
				err = errMeanwhile
			}
			if hopeless(err) {
				lost = err
			} else if err != nil {
				return false, err
			}
		}
		return true, nil
	})
	switch {
	case err != nil:
		db.fail(fmt.Errorf("%w: %s was not opened anew", ErrRefused, db.name))
		return unknown
	case lost != nil:
		db.fail(lost)
	}
	if untold {
		return unknown
	}
	switch {
	case in:
		return nil
	case lost != nil && errors.Is(lost, ErrRefused):
		return lost
	case lost != nil:
		return fmt.Errorf("%w: %w", ErrRefused, lost)
	}
	return fmt.Errorf("%w: the log was asked", ErrRefused)
}

// record reads one record of the log; there is false if the log does not reach there.
func (db *DB) record(ctx context.Context, seq uint64) (rec wal.Record, there bool, err error) {
	for rec, err := range db.log.Read(ctx, db.volume, seq) {
		return rec, err == nil, err
	}
	return rec, false, nil
}

// asking calls fn until it is done, a while apart. Its error is that of the last call if the DB
// was closed before.
func (db *DB) asking(fn func() (done bool, err error)) error {
	for wait := minAsk; ; wait = min(2*wait, maxAsk) {
		done, err := fn()
		if done {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-db.shard.ctx.Done():
			timer.Stop()
			return errors.Join(db.open(), db.shard.ctx.Err(), err)
		}
	}
}

// Stop has what waits for the log in the DB, which is one of a shard, wait no more: its outcome stays unknown. All that is
// left to do with the DB then is to close it. It does not block.
func (db *DB) Stop() { db.shard.stop() }

// ending is closed when the DB of a shard is: no fold makes room any more.
func (db *DB) ending() <-chan struct{} {
	if db.shard == nil {
		return nil
	}
	return db.shard.ctx.Done()
}

// closeShard is close of a shard. An append under way is waited for. Nothing is folded: the next owner
// of the shard folds what the records have. A copy that is damaged is thrown away.
func (db *DB) closeShard(clean bool) error {
	db.shard.stop()
	db.commit.Lock()
	defer db.commit.Unlock()
	halted := db.halt(checkpointWait)
	if db.shard.stopped != nil {
		<-db.shard.stopped
	}
	db.shard.folding.Lock() // for Fold, which reads the copy
	defer db.shard.folding.Unlock()
	if halted && db.copying.LockWithin(checkpointWait) { // else the disk hangs
		defer db.copying.Unlock()
		if clean && db.failed.Load() == nil && db.file.Unpinned() {
			_ = db.copyAll(db.fault) // what the copy lacks, the log has
		}
	}
	err := db.file.Close()
	if why := db.failed.Load(); why != nil && errors.Is(*why, ErrDamaged) {
		err = errors.Join(err, RemoveCopy(db.path))
	}
	return err
}

// met takes note of damage of the copy of a shard: it is opened, and made, anew.
func (db *DB) met(err error) error {
	if db.shard != nil && errors.Is(err, ErrDamaged) {
		db.fail(err)
	}
	return err
}

// turn is a mutex. What waits for it does so in the virtual time of testing/synctest, too.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// LockWithin is Lock that waits so long at most.
func (t turn) LockWithin(most time.Duration) bool {
	late := time.NewTimer(most)
	defer late.Stop()
	select {
	case t <- struct{}{}:
		return true
	case <-late.C:
		return false
	}
}

// TryLock is Lock that does not wait.
func (t turn) TryLock() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}
