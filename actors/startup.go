package actors

import (
	"fmt"

	"carillon/storage"
)

// This file is how an app is taken up: its claims are looked at, its indexes built.

// open takes up the app: after a start of the engine, a wake, or a panic of the
// actor's earlier life.
func (s *scheduler) open() {
	if s.phase() == phaseStopped {
		return // the actor was restarted while it fell asleep
	}
	s.touch()
	s.purgeAt, s.tidying = s.eng.clock.elapsed(), false
	if s.eng.closing.Load() {
		s.move(drainBegun)
	}
	// An earlier life may have left a transaction open, and with it a snapshot.
	s.store.Abandon()
	if s.recovered {
		// And change sets on their way: begin again from what is durable.
		s.breakDown(fmt.Errorf("%w: the scheduler actor was restarted", storage.ErrNotApplied))
	} else if err := s.recover(); err == nil {
		s.move(stateRead)
	} // else the volume is down: step tries again
	s.step()
	if s.ref.woken.CompareAndSwap(true, false) {
		s.eng.sys.tell(s.eng.waker.self, &appAwake{})
	}
}

// indexRows is how many rows one step of building indexes deals with.
const indexRows = 5000

// reconcile brings the app's indexes in line with the tables of Options, before
// anything else is done. It is false while steps of that are on their way to the
// disk. The Runner, which holds calls back until then, is told at the end. If an
// index cannot be built, what uses it fails, and the rest of the app works.
func (s *scheduler) reconcile() bool {
	if s.eng.opts.Still {
		s.move(indexesBuilt)
		s.eng.sys.tell(s.runner, &appOpen{})
		return true
	}
	if s.outstanding.Load() > 0 {
		return false // a committed message comes with each
	}
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	done, leftOut, err := tx.ReconcileIndexes(indexRows)
	if err != nil {
		s.eng.opts.Logger.Error("building indexes", "app", s.id, "err", err)
		done = true
	}
	switch {
	case s.backingOff():
		done = true // what is not built fails; the rest need not wait for it
		fallthrough
	case err != nil || tx.Unchanged():
		s.rollback(tx, nil, nil)
	default:
		done = false // look again once this is durable
		s.commit(tx, nil, nil)
	}
	if len(leftOut) > 0 {
		s.eng.opts.Logger.Warn("documents do not fit an index and are left out of it", "app", s.id, "documents", len(leftOut), "first", leftOut[0])
	}
	if done {
		s.move(indexesBuilt)
		s.eng.sys.tell(s.runner, &appOpen{})
	}
	return done
}
