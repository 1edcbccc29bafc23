package storage

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
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
	sole   bool // Open has made it: it ends with its Store

	turn    chan struct{} // held by what uses the following
	lease   *lease.Lease  // nil before it has joined, and once it has left
	volumes []*volume     // the copies; one without a db is not open. nil while a Store has them
	store   *Store        // that owns; nil if none does
	leaving bool          // it has given the store up for good: nothing is followed before the next Own
	looked  look          // how the store stood when the copies were brought up to date last

	lost     lostTails
	made     atomic.Int32              // copies since it was told how many
	owning   atomic.Int32              // calls of Own, which follow the log themselves
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
	err = st.catchUp(ctx)
	st.sayLost()
	if err != nil {
		close(st.done)
		return nil, errors.Join(err, st.Close())
	}
	go st.follow()
	return st, nil
}

// rounds is how long a standby waits before it looks again at the log.
func (st *Standby) rounds() time.Duration { return min(st.opts.Node.TTL/20, maxRounds) }

// maxRounds is that of the default TTL.
const maxRounds = 250 * time.Millisecond

// follow keeps the copies up to date.
func (st *Standby) follow() {
	defer close(st.done)
	var trouble trouble
	forgot := time.Now()
	for pause := st.rounds(); st.sleep(st.ctx, pause) == nil; {
		if time.Since(forgot) >= forgetApart { // as it joined, too
			forgot = time.Now()
			_ = st.shared.Forget(st.ctx) // or the next time
		}
		if st.owning.Load() > 0 {
			continue
		}
		owns, err := st.round()
		if pause = st.rounds(); owns { // it has nothing to follow
			pause = st.opts.Node.TTL / 20
		}
		if trouble.tell(err) && st.ctx.Err() == nil {
			st.opts.Logger.Warn("this node does not follow the log", "err", firstLine(err))
		}
	}
}

// forgetApart is how often a node has the log forget those that have ended long ago.
const forgetApart = time.Hour

// trouble is an error that is met again and again, and told each minute.
type trouble struct{ told time.Time }

// tell says whether to tell of it, which is none if all is well.
func (t *trouble) tell(err error) bool {
	if err == nil {
		*t = trouble{}
		return false
	}
	if !t.told.IsZero() && time.Since(t.told) < time.Minute {
		return false
	}
	t.told = time.Now()
	return true
}

// firstLine is the first of the errors that were met at once, for many shards.
func firstLine(err error) string {
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}

// sleep waits so long.
func (st *Standby) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
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
func (st *Standby) round() (owns bool, err error) {
	if err := st.enter(st.ctx); err != nil {
		return false, err
	}
	defer st.leave()
	defer st.sayLost()
	if s := st.store; s != nil {
		select {
		case <-s.lease.Lost():
			s.lose(fmt.Errorf("%w: %w", ErrFenced, s.lease.Held()))
		default:
			st.hasAll(time.Now())
		}
		return true, nil
	}
	if st.leaving {
		return false, nil
	}
	return false, st.catchUp(st.ctx)
}

// look is how the store stood at a time: whether it has an owner, who is alive, or for how long it
// will be.
type look struct {
	at      time.Time
	owned   bool          // the first shard has an owner, who was not retired
	name    string        // of the owner
	mine    bool          // which is of this node's name: it claims again what it has claimed and could not take up
	leaving bool          // who is about to give it up
	owner   string        // who that is
	leaves  time.Time     // when it was seen first that it is leaving
	silent  time.Duration // of the owner then
	ttl     time.Duration // of the owner
}

// lookAt is how the store stands, behind the look before.
func lookAt(at time.Time, is wal.Standing, name string, before look) look {
	l := look{at: at, leaves: at}
	if len(is.Shards) == 0 || is.Shards[0].Shard != 0 {
		return l
	}
	for i := range is.Nodes {
		if n := &is.Nodes[i]; n.Incarnation == is.Shards[0].Owner && !n.Retired {
			l.owned, l.mine, l.leaving, l.silent, l.ttl = true, n.Name == name, n.Leaving, n.Silent, n.TTL
			l.owner, l.name = n.Incarnation, n.Name
		}
	}
	if before.leaving && before.owner == l.owner {
		l.leaves = before.leaves
	}
	return l
}

// alive says that there is no use in asking for the store. An owner that is silent for half its TTL
// may be gone: who asks then has the log begin to count, if that was away.
func (l look) alive() bool { return l.owned && !l.mine && l.silent < l.ttl/2 }

// soon is how long a node waits at first that wants a store whose owner is about to give it up, and slower how many
// times as long the owner has to have taken already for the node to wait longer: a hand-over
// that takes a second is noticed 10 ms late at most, and one of 25 s, in which jobs end, 250 ms.
const (
	soon   = 10 * time.Millisecond
	slower = 100
)

// again is how long a node that wants the store waits before it looks again, which it does every so often.
func (l look) again(rounds time.Duration) time.Duration {
	over := l.ttl - l.silent - time.Since(l.at) // when the TTL of the owner is over
	switch {
	case l.owned && l.leaving:
		return max(soon, min(rounds, time.Since(l.leaves)/slower))
	case l.owned && over > 0:
		return min(rounds, over+time.Millisecond)
	}
	return rounds
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
	behind, standing, err := st.log.Behind(ctx, open)
	if err != nil {
		return err
	}
	st.looked = lookAt(began, standing, st.opts.Node.Name, st.looked)
	err = st.each(func(v *volume) error {
		switch {
		case v.db == nil:
			return st.openCopy(ctx, v)
		case !slices.Contains(behind, v.db) && !v.db.Failed():
			return nil
		}
		err := v.db.Follow(ctx)
		if err != nil && (mustReopen(err) || v.db.Failed()) {
			err = st.copyAnew(ctx, v, err)
		}
		return err
	})
	if made := st.made.Swap(0); made > 0 {
		st.opts.Logger.Info("copies were made of the log", "copies", made, "after", time.Since(began))
	}
	if err == nil {
		st.hasAll(began)
	}
	return err
}

// hasAll takes note that the copies had all of the log at that time.
func (st *Standby) hasAll(at time.Time) {
	st.followed.Store(&at)
	st.shared.Follows(at)
}

// Lag is how long ago it was seen last that the copies of this node have all that the log has. Where it
// follows, or owns the store, that is a fraction of a second. For engines.
func (st *Standby) Lag() time.Duration { return time.Since(*st.followed.Load()) }

// copyAnew opens a copy anew that cannot go on, and why.
func (st *Standby) copyAnew(ctx context.Context, v *volume, why error) error {
	if errors.Is(why, wal.ErrTailLost) {
		v.tailLost(why)
	}
	return errors.Join(v.drop(), st.openCopy(ctx, v))
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
func (st *Standby) each(fn func(*volume) error) error { return some(st.volumes, fn) }

// some calls fn for every volume, for some at once.
func some(volumes []*volume, fn func(*volume) error) error {
	errs := make([]error, len(volumes))
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(claimsAtOnce, len(volumes)) {
		workers.Go(func() {
			for i := range next {
				errs[i] = fn(volumes[i])
			}
		})
	}
	for i := range volumes {
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
	defer st.sayLost()
	st.turn <- struct{}{} // Own takes it no more
	s := st.store
	st.leave()
	var errs []error
	switch {
	case s == nil:
	case leave:
		errs = append(errs, st.giveUp(s))
	default:
		errs = append(errs, st.abandon(s))
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
