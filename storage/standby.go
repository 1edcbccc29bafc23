package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/lease"
	"carillon/storage/internal/wal"
)

// Standby is a node of a cluster: it has joined the log that Options.Log names, and keeps a copy
// of each shard of it up to date in a directory. Own makes it the owner, of which there is one at
// a time. Its methods may be called from any goroutine.
//
//	      Join             Own                     Close of the Store
//	──────────► follows ─────────► owns (a Store) ────────────────────► follows
//	                                   │
//	                                   │ another node owns it, or may
//	                                   ▼
//	                                 lost ── Close of the Store, joins anew ──► follows
//
// For engines.
type Standby struct {
	dir    string
	opts   Options
	schema map[string]*tableInfo
	shared wal.Shared
	log    *kv.Log
	unlock func() error

	turn    chan struct{} // held by what uses the following
	lease   *lease.Lease  // nil before it has joined, and once it has left
	volumes []*volume     // the copies; one without a db is not open. nil while a Store has them
	store   *Store        // that owns; nil if none does

	lost     lostTails
	followed atomic.Pointer[time.Time] // when the latest round began behind which no copy lacked anything

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when follow has returned
	closed sync.Once
}

// claimsAtOnce is how many shards are claimed, or copied, at the same time.
const claimsAtOnce = 8

func shardPath(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("shard-%03d.db", i))
}

// Join joins the log that Options.Log names, makes its copies in dir, or brings those up to date
// that are there, and keeps them so. It blocks until they are, which takes as long as it must if
// there are none. dir is made if it is not there, and is this node's alone; what is in it can be
// removed while no node uses it. Errors: ErrLocked, ErrInvalid for an option, ErrFormat if dir has a
// store of its own, the log's or the file system's. For engines.
func Join(ctx context.Context, dir string, opts Options) (*Standby, error) {
	if opts.Log == nil {
		return nil, invalid("Log is missing")
	}
	if err := opts.Check(); err != nil {
		return nil, err
	}
	st := &Standby{dir: dir, opts: opts.withDefaults(), turn: make(chan struct{}, 1), done: make(chan struct{})}
	st.schema, _ = schemaOf(opts.Tables)
	if err := kv.MakeDir(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(volumePath(dir, 0)); err == nil {
		return nil, fmt.Errorf("%w: there is a store in %s: a node needs a directory of its own", ErrFormat, dir)
	}
	unlock, err := kv.LockDir(dir, st.opts.LockTimeout)
	if err != nil {
		return nil, mapOpenError("directory", err)
	}
	st.unlock = unlock
	log := st.opts.Log
	if at, ok := log.(keepsBeside); ok {
		log = at.In(dir)
	}
	if st.shared, err = log.OpenShared(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("log: %w", err), unlock())
	}
	removeSpools(dir)
	st.log = kv.Over(st.shared, kv.Options{})
	st.ctx, st.cancel = context.WithCancel(context.Background())
	if err := st.catchUp(ctx); err != nil {
		close(st.done)
		return nil, errors.Join(err, st.Close())
	}
	go st.follow()
	return st, nil
}

// rounds is how long a standby waits before it looks again at the log.
func (st *Standby) rounds() time.Duration { return st.opts.Node.TTL / 20 }

// follow keeps the copies up to date.
func (st *Standby) follow() {
	defer close(st.done)
	var before string
	for st.sleep(st.ctx) == nil {
		err := st.round()
		if err != nil && st.ctx.Err() == nil && err.Error() != before {
			st.opts.Logger.Warn("this node does not follow the log", "err", err)
		}
		before = ""
		if err != nil {
			before = err.Error()
		}
	}
}

// sleep waits for a round.
func (st *Standby) sleep(ctx context.Context) error {
	timer := time.NewTimer(st.rounds())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-st.ctx.Done():
		return ErrClosed
	}
}

// enter takes the turn.
func (st *Standby) enter(ctx context.Context) error {
	select {
	case st.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if st.ctx.Err() != nil {
		st.leave()
		return ErrClosed
	}
	return nil
}

// leave gives the turn back.
func (st *Standby) leave() { <-st.turn }

// round brings the copies up to date, unless a Store has them: that is lost if its lease is.
func (st *Standby) round() error {
	if err := st.enter(st.ctx); err != nil {
		return err
	}
	defer st.leave()
	if s := st.store; s != nil {
		select {
		case <-s.lease.Lost():
			s.lose(fmt.Errorf("%w: %w", ErrFenced, s.lease.Held()))
		default:
			st.hasAll(time.Now())
		}
		return nil
	}
	return st.catchUp(st.ctx)
}

// catchUp joins the log, unless this node has and was not retired since, and has all copies show
// what the log has. It needs the turn, but for Join.
func (st *Standby) catchUp(ctx context.Context) error {
	if err := st.join(ctx); err != nil {
		return err
	}
	began := time.Now()
	for i := len(st.volumes); i < st.shared.Shards(); i++ {
		v := newVolume(shardPath(st.dir, i), i, st.opts)
		v.shard, v.log, v.backoff.most = true, st.log, maxSharedBackoff
		v.relieve = func() []string { return nil }
		v.tailLost = func(why error) { st.tailLost(v, why) }
		st.volumes = append(st.volumes, v)
	}
	var open []*kv.DB
	for _, v := range st.volumes {
		if v.db != nil {
			open = append(open, v.db)
		}
	}
	behind, err := st.log.Behind(ctx, open)
	if err != nil {
		return err
	}
	err = st.each(func(v *volume) error {
		switch {
		case v.db == nil:
			return v.openCopy(ctx, st.shared.ID())
		case !slices.Contains(behind, v.db) && !v.db.Failed():
			return nil
		}
		err := v.db.Follow(ctx)
		if err != nil && (mustReopen(err) || v.db.Failed()) {
			err = st.copyAnew(ctx, v, err)
		}
		return err
	})
	if err == nil {
		st.hasAll(began)
	}
	return err
}

// hasAll takes note that the copies had all of the log at that time.
func (st *Standby) hasAll(at time.Time) { st.followed.Store(&at) }

// Lag is how long ago it was seen last that the copies of this node have all that the log has. Where it
// follows, or owns the store, that is a fraction of a second. For engines.
func (st *Standby) Lag() time.Duration { return time.Since(*st.followed.Load()) }

// copyAnew opens a copy anew that cannot go on, and why.
func (st *Standby) copyAnew(ctx context.Context, v *volume, why error) error {
	if errors.Is(why, wal.ErrTailLost) {
		v.tailLost(why)
	}
	return errors.Join(v.drop(), v.openCopy(ctx, st.shared.ID()))
}

// mustReopen says whether a copy cannot go on: it is opened anew, and made anew if it is of no use.
func mustReopen(err error) bool {
	return errors.Is(err, kv.ErrBadFile) || errors.Is(err, kv.ErrDamaged) || errors.Is(err, kv.ErrReplaced)
}

// join joins the log as a new incarnation, if the one before is over.
func (st *Standby) join(ctx context.Context) error {
	if st.lease != nil {
		select {
		case <-st.lease.Lost():
			_ = st.lease.Close()
			st.lease = nil
		default:
			return nil
		}
	}
	n := st.opts.Node
	l, err := lease.Join(ctx, st.shared, wal.Node{Name: n.Name, Address: n.Address, Release: n.Release, TTL: n.TTL}, lease.Options{})
	if err != nil {
		return fmt.Errorf("join the log: %w", err)
	}
	st.lease = l
	return nil
}

// each calls fn for every copy, for some at once.
func (st *Standby) each(fn func(*volume) error) error {
	errs := make([]error, len(st.volumes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(claimsAtOnce, len(st.volumes)) {
		workers.Go(func() {
			for i := range next {
				errs[i] = fn(st.volumes[i])
			}
		})
	}
	for i := range st.volumes {
		next <- i
	}
	close(next)
	workers.Wait()
	return errors.Join(errs...)
}

// dropCopies closes the copies as they are.
func (st *Standby) dropCopies() error {
	var errs []error
	for _, v := range st.volumes {
		errs = append(errs, v.drop())
	}
	st.volumes = nil
	return errors.Join(errs...)
}

// Standing is that of the Standby that the store is of, and nothing without Options.Log. For engines.
func (s *Store) Standing(ctx context.Context) (Standing, error) {
	if s.standby == nil {
		return Standing{}, nil
	}
	return s.standby.Standing(ctx)
}

// Standing is all nodes that are known to the log and the shards, as of one moment. For engines.
func (st *Standby) Standing(ctx context.Context) (Standing, error) { return standingOf(ctx, st.shared) }

// Close closes the Store of this node, if there is one, leaves the log and closes the copies. It waits
// for the log for a second. A second Close returns nil.
func (st *Standby) Close() (err error) {
	st.closed.Do(func() { err = st.close(true) })
	return err
}

// Abort ends the node, and its Store as Store.Abort does, without a word to the others: they wait for
// its TTL. It is for tests that need a crash.
func (st *Standby) Abort() (err error) {
	st.closed.Do(func() { err = st.close(false) })
	return err
}

func (st *Standby) close(leave bool) error {
	st.cancel()
	<-st.done
	st.turn <- struct{}{} // Own takes it no more
	s := st.store
	st.leave()
	var errs []error
	switch {
	case s == nil:
	case leave:
		errs = append(errs, s.Close())
	default:
		errs = append(errs, s.Abort())
	}
	if st.lease != nil {
		_ = st.lease.Close()
		if leave {
			if err := st.sayLeaving(); err != nil && !errors.Is(err, wal.ErrRetired) {
				errs = append(errs, fmt.Errorf("leave the log: %w", err))
			}
		}
	}
	if leave {
		errs = append(errs, st.each(func(v *volume) error { return v.shut((*kv.DB).Close) }))
	}
	errs = append(errs, st.dropCopies(), st.shared.Close(), st.unlock())
	return errors.Join(errs...)
}

// leaveWait is how long a node that leaves waits for the log.
const leaveWait = time.Second
