package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// Own blocks until this node owns all shards, and returns the store that they are. While
// another node owns them it follows that one's log and tries to take them over: the
// first shard decides which of several nodes that try succeeds. The first owner of all
// gives the store what Open gives a new one. Errors: ErrLocked while a Store of this node is open,
// ErrProgram, ErrFormat, ErrClosed, or the context's. An error of the log is logged, and it tries
// again. For engines.
func (st *Standby) Own(ctx context.Context) (*Store, error) {
	return st.own(ctx, func(error) error { return nil })
}

// own is Own that ends when enough returns an error for the one of an attempt.
func (st *Standby) own(ctx context.Context, enough func(error) error) (*Store, error) {
	st.owning.Add(1)
	defer st.owning.Add(-1)
	var trouble trouble
	for {
		s, again, err := st.takeOver(ctx)
		switch {
		case err == nil:
			return s, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, ErrLocked) || errors.Is(err, ErrProgram) || errors.Is(err, ErrFormat) || errors.Is(err, ErrClosed):
			return nil, err
		case errors.Is(err, wal.ErrOwned):
			trouble.tell(nil)
		case trouble.tell(err):
			st.opts.Logger.Warn("this node cannot take the store over yet", "err", firstLine(err))
		}
		if err := enough(err); err != nil {
			return nil, err
		}
		if err := st.sleep(ctx, again); err != nil {
			return nil, err
		}
	}
}

// takeOver makes a store of all shards, if they can be claimed; else it is tried again so much later.
func (st *Standby) takeOver(ctx context.Context) (s *Store, again time.Duration, err error) {
	again = st.rounds()
	if err := st.enter(ctx); err != nil {
		return nil, again, err
	}
	defer st.leave()
	defer st.sayLost()
	if st.store != nil {
		return nil, again, fmt.Errorf("%w: this node owns it", ErrLocked)
	}
	st.leaving = false
	if err := st.catchUp(ctx); err != nil {
		return nil, again, err
	}
	if !st.looked.alive() {
		s, err = st.claimAll(ctx)
	} else {
		err = wal.ErrOwned
	}
	if errors.Is(err, wal.ErrOwned) {
		again = st.looked.again(again)
	}
	return s, again, err
}

// claimAll claims all shards, and makes a store of them.
func (st *Standby) claimAll(ctx context.Context) (*Store, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	defer context.AfterFunc(st.ctx, end)()
	proceed := st.stopWith(ctx)
	defer proceed()
	share := st.opts.LogMemory / len(st.volumes)
	if err := st.claim(ctx, st.volumes[0], share); errors.Is(err, wal.ErrUnknown) {
		return nil, errors.Join(err, st.giveBack())
	} else if err != nil {
		if !proceed() { // the copies are stopped
			err = errors.Join(err, st.dropCopies())
		}
		return nil, err
	}
	err := st.each(func(v *volume) error {
		if v.index == 0 {
			return nil
		}
		return st.claim(ctx, v, share)
	})
	var s *Store
	if err == nil {
		s, err = st.newStore(ctx)
	}
	if err == nil && !proceed() {
		err = ctx.Err() // and the copies are stopped
	}
	if err != nil {
		return nil, errors.Join(err, st.giveBack())
	}
	st.store, st.volumes = s, nil
	for _, v := range s.volumes {
		go v.commitLoop()
	}
	return s, nil
}

// giveBack has what was claimed be free for others, and followed again. If the log does not hear that, this incarnation
// beats no more: it would own some shards for as long as it did, and no other node could have the store.
func (st *Standby) giveBack() error {
	err := st.dropCopies()
	if e := st.release(); e != nil {
		st.lease.End(e)
		err = errors.Join(err, e)
	}
	return err
}

// claim claims a shard, whose copy then shows all that there is.
func (st *Standby) claim(ctx context.Context, v *volume, share int) error {
	v.share = share
	err := v.db.Claim(ctx, share)
	if mustReopen(err) || errors.Is(err, wal.ErrTailLost) { // the log has forgotten what comes next, or lost what the copy shows
		if err = st.copyAnew(ctx, v, err); err == nil {
			err = v.db.Claim(ctx, share)
		}
	}
	if errors.Is(err, wal.ErrRetired) {
		st.lease.End(err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", v.name, err)
	}
	return nil
}

// newStore makes a store of the copies, which are all claimed.
func (st *Standby) newStore(ctx context.Context) (*Store, error) {
	s := newStore(st.dir, st.opts, st.schema)
	s.standby, s.log, s.lease, s.lost = st, st.log, st.lease, make(chan struct{})
	s.salt = EraID(st.shared.ID() % (1 << eraSalt))
	for _, v := range st.volumes {
		s.adopt(v)
		v.lose = s.lose
		if err := v.learn(); err != nil {
			return nil, err
		}
		s.raiseClock(v)
	}
	if err := s.checkOwner(); err != nil {
		return nil, err
	}
	return s, s.each(func(v *volume) error { // all at once: they go into few statements
		if err := ctx.Err(); err != nil { // a copy that was opened anew was not stopped with the others
			return err
		}
		if v.index == 0 {
			return st.lost.audit(st.opts.Node.Name, func(lost []AuditEntry) error { return v.own(st.opts.Program, lost...) })
		}
		return v.own(st.opts.Program)
	})
}

// stopWith has nothing wait for the log in the copies once ctx has ended. It goes on so until proceed is called, which
// returns false if ctx has ended before.
func (st *Standby) stopWith(ctx context.Context) (proceed func() bool) {
	volumes := st.volumes
	return context.AfterFunc(ctx, func() {
		for _, v := range volumes {
			v.stop()
		}
	})
}

// stop has what waits for the log in the copy wait no more.
func (v *volume) stop() {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.db != nil {
		v.db.Stop()
	}
}

// release gives up all shards. Others would wait for a TTL, so it is tried for leaveWait.
func (st *Standby) release() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWait)
	defer cancel()
	for {
		err := st.shared.Release(ctx)
		if err == nil || errors.Is(err, wal.ErrNotJoined) || !errors.Is(err, wal.ErrRefused) && !errors.Is(err, wal.ErrUnknown) {
			return err
		}
		select {
		case <-time.After(releasePause):
		case <-ctx.Done():
			return err
		}
	}
}

// sayLeaving tells the log that this node leaves, or is gone.
func (st *Standby) sayLeaving() error {
	ctx, cancel := context.WithTimeout(context.Background(), leaveWait)
	defer cancel()
	return st.shared.Leave(ctx)
}

// releasePause is the time between attempts to give the shards up.
const releasePause = 50 * time.Millisecond

// giveUp closes the store of this node: it says that it leaves, makes what was submitted durable,
// and gives the shards up. The next round joins anew.
func (st *Standby) giveUp(s *Store) error {
	if s.closing.Swap(true) {
		return nil
	}
	lost := s.lease.Held() != nil
	if !lost {
		_ = st.sayLeaving() // so that others look more often
	}
	err := s.each(func(v *volume) error {
		v.queue.close(false)
		return v.settle()
	})
	_ = s.each(func(v *volume) error {
		v.stop() // a fold of unknown outcome would claim what was released
		return nil
	})
	st.turn <- struct{}{}
	defer st.leave()
	s.lease.End(errGivenUp) // before another node may own it
	if e := st.release(); e != nil && !lost && !errors.Is(e, wal.ErrRetired) {
		err = errors.Join(err, fmt.Errorf("the store was not given up, so that other nodes wait for %v: %w", st.opts.Node.TTL, e))
	}
	if !lost {
		_ = st.sayLeaving() // it owns nothing any more
	}
	// Behind the release, which other nodes wait for.
	err = errors.Join(err, s.each(func(v *volume) error { return v.shut((*kv.DB).Close) }))
	st.store = nil
	return err
}

// Leave tells the other nodes that this one is about to give the store up, so that they look often whether it has, and has the
// log's checkpoint say what the store says by now, so that the next owner has less to read. It blocks until both is done, a
// quarter of a second at least, or ctx ends. The store is served meanwhile; Close comes next, and not beside it. The Standby
// follows the log no more before the next Own. It does nothing without Options.Log. For engines.
func (s *Store) Leave(ctx context.Context) {
	st := s.standby
	if st == nil || s.lease.Held() != nil {
		return
	}
	st.turn <- struct{}{}
	st.leaving = true
	st.leave()
	if st.sayLeaving() != nil {
		return
	}
	done := make(chan struct{})
	folded := (<-chan struct{})(done)
	go func() {
		defer close(done)
		_ = some(s.volumes, func(v *volume) error {
			v.mu.RLock()
			db := v.db
			v.mu.RUnlock()
			if db == nil || ctx.Err() != nil {
				return nil
			}
			return db.Fold() // what the checkpoint lacks, the log has
		})
	}()
	seen := time.NewTimer(maxRounds + soon) // by all other nodes then
	defer seen.Stop()
	for range 2 {
		select {
		case <-folded:
			folded = nil
		case <-seen.C:
		case <-ctx.Done():
			return
		}
	}
}

// errGivenUp is why a lease is not held any more.
var errGivenUp = errors.New("the store was closed")

// abandon closes the store as a crash would, but for its claims, which the node's next Own takes again.
func (st *Standby) abandon(s *Store) error {
	if s.closing.Swap(true) {
		return nil
	}
	err := s.each((*volume).abort)
	st.turn <- struct{}{}
	defer st.leave()
	st.store = nil
	return err
}

// openCopy opens the copy of the shard, which then shows what the log has. It makes it if there is
// none, or none that can be used.
func (st *Standby) openCopy(ctx context.Context, v *volume) error {
	db, rebuilt, err := kv.OpenCopy(ctx, v.path, v.log, kv.Volume(v.index), volumeMeta(st.shared.ID(), v.index), v.opts)
	if err != nil {
		return mapOpenError(v.name, err)
	}
	if rebuilt != nil {
		st.made.Add(1)
	}
	if lost := db.TailLost(); lost != nil {
		v.tailLost(lost)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.db = db
	return nil
}
