package actors

import (
	"errors"
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// open takes up the app: after a start of the engine, a wake, or a panic of the
// actor's earlier life.
func (s *scheduler) open() {
	s.touch()
	s.purgeAt = s.eng.clock.elapsed()
	s.awaited.Store(true) // until the indexes are looked at
	s.draining = s.eng.closing.Load()
	if s.opened {
		// The earlier life may have left a transaction open, and change sets on
		// their way: begin again from what is durable.
		s.store.Abandon()
		s.breakDown(fmt.Errorf("%w: the scheduler actor was restarted", storage.ErrNotApplied))
	} else if err := s.recover(); err != nil {
		s.broken = true // the volume is down: step tries again
	}
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
	if s.outstanding.Load() > 0 {
		return false // a settled message comes with each
	}
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	done, err := tx.ReconcileIndexes(indexRows)
	if err != nil {
		s.eng.opts.Logger.Error("building indexes", "app", s.id, "err", err)
		done = true
	}
	if err != nil || tx.Unchanged() {
		s.rollback(tx, nil, nil)
	} else {
		done = false // look again once this is durable
		s.commit(tx, nil, nil)
	}
	if s.indexed = done; done {
		s.awaited.Store(s.draining)
		s.eng.sys.tell(s.runner, &appOpen{})
	}
	return done
}

// close leaves nothing behind that could fire or wait.
func (s *scheduler) close(err error) {
	s.alarm.Clear()
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for _, r := range s.runs.all() {
		if r.expires != nil {
			r.expires.Stop()
		}
	}
	if s.holder != nil {
		lost := dispatch.AsError(err)
		s.loseTurn(&dispatch.Error{Code: lost.Code, Message: lost.Message, Err: cutByClose})
	}
	s.dismiss(err)
	s.tellDrained()
}

// cutOff writes down, when the engine is closed, what that interrupts: attempts that
// have begun as interrupted, and claims of those that have not as none. A crash
// leaves them as they are.
func (s *scheduler) cutOff() {
	if s.broken || !s.opened || s.eng.aborted.Load() || !s.eng.closing.Load() {
		return
	}
	for _, r := range s.runs.all() {
		if !r.over {
			s.endRun(ending{run: r, err: cutByClose})
		}
	}
	if len(s.ended) > 0 {
		s.settleEnded()
	}
}

// dismiss answers everybody who waits for the turn.
func (s *scheduler) dismiss(err error) {
	for _, t := range s.queue {
		switch {
		case t.op != nil:
			t.op.answer(err)
		case t.inv.job == nil:
			t.inv.reply(result{err: err})
		default:
			s.freeSlot(t.inv.job)
		}
	}
	s.queue = nil
}

// recover looks at every claim that nobody is running: after a crash, or a commit
// that failed. Nothing durable tells whether its handler has started: the claim
// may have been made ahead of its instant, but a wall that says so may have been
// stepped back since. So each that a crash has left is an attempt that was
// interrupted (A6). Of later ones this process knows, and takes those back that
// have not begun. Because the volume has one owner there is no lease to wait out.
// An error means that nothing could be read.
func (s *scheduler) recover() error {
	tx := s.begin(s.eng.clock.look())
	tx.Pin()
	jobs, err := tx.Claimed()
	if err != nil {
		if jobs == nil {
			s.rollback(tx, nil, nil)
			return err
		}
		s.eng.opts.Logger.Error("recovering claimed jobs", "app", s.id, "err", err)
	}
	if !s.opened {
		s.runs.crashed(jobs)
	}
	s.opened = true
	found := s.runs.found(jobs)
	for i := range jobs {
		job := jobs[i]
		if s.runs.get(job.ID) != nil {
			continue
		}
		crashed, begun := found[claimOf(&job)]
		if begun {
			end := s.interruption(&job, cutByStop, crashed)
			s.eng.opts.Logger.Warn("job was interrupted", "app", s.id, "function", job.Function, "job", job.ID, "attempt", job.Attempts+1, "then", end.State)
			_, err = tx.EndAttempt(job, end)
		} else {
			err = tx.Unclaim(&job)
		}
		if errors.Is(err, storage.ErrUnavailable) {
			s.rollback(tx, nil, nil)
			return err
		}
		if err != nil {
			s.eng.opts.Logger.Error("recovering a claimed job", "app", s.id, "job", job.ID, "err", err)
			delete(found, claimOf(&job)) // it is to be found again
		}
	}
	if tx.Unchanged() {
		s.rollback(tx, nil, nil) // nothing to wait for
	} else {
		runs := s.runs
		s.commit(tx, nil, func(err error) {
			if err == nil {
				runs.mended(found)
			}
		})
	}
	s.claimFrom(storage.Place{})
	return nil
}

// breakDown stops everything that builds upon a change set that failed, or finds
// the volume down, until the app's state was read again (G6). Actions that run go
// on running.
func (s *scheduler) breakDown(cause error) {
	s.broken = true
	if s.holder != nil {
		s.loseTurn(&dispatch.Error{
			Code:    dispatch.CodeUnavailable,
			Message: "the volume failed; nothing was changed", Err: cause,
		})
	}
	for _, r := range s.runs.all() {
		if r.mutation || !s.runs.live(r.job.ID) {
			s.runs.lose(r)
			s.freeSlot(r)
		}
	}
	s.ready, s.claims = ready{}, 0
}

// reload reads the app's state again once every change set has been answered.
// It is false while that is not possible.
func (s *scheduler) reload() bool {
	if s.outstanding.Load() > 0 {
		return false // a settled message comes with each
	}
	err := s.store.Reload()
	if err == nil {
		s.loads++
		s.wound = false // that may be what was lost
		// Runs that ended meanwhile are told from those that nobody runs.
		s.from, s.nextAt = storage.Place{}, time.Time{}
		err = s.recover()
	}
	if err != nil {
		s.reloads++
		wait := min(10*time.Millisecond<<min(s.reloads, 10), time.Second)
		s.eng.opts.Logger.Error("reloading an app", "app", s.id, "err", err, "again in", wait)
		sys, self := s.eng.sys, s.self
		s.alarm.Set(wait, func(uint64) { sys.tell(self, &retryReload{}) })
		s.dismiss(err) // callers are not kept waiting for a volume that is down
		return false
	}
	s.reloads, s.broken = 0, false
	return true
}

// drain begins the end: no job starts any more, and claims of jobs that have
// not started are taken back, so that they count as no attempt. For a hold, jobs
// that run are told to stop and have Options.Grace to return.
func (s *scheduler) drain(m *drain) {
	s.draining, s.drained = true, append(s.drained, m.done)
	s.awaited.Store(true)
	s.askSlots(s.eng.clock.wall())
	if !m.hold {
		return
	}
	for _, r := range s.runs.all() {
		if !s.runs.live(r.job.ID) {
			continue
		}
		s.runs.stop(r, cutByHold)
		if !r.mutation { // a mutation is bounded by the turn
			s.expireAfter(r, s.eng.opts.Grace)
		}
	}
}

// resume goes on after a drain for a hold that was taken back, unless the engine
// is closing meanwhile.
func (s *scheduler) resume() {
	if s.eng.closing.Load() {
		return
	}
	s.draining, s.drained = false, nil
	s.awaited.Store(!s.indexed)
	s.claimFrom(storage.Place{})
}

func (s *scheduler) tellDrained() {
	for _, done := range s.drained {
		done()
	}
	s.drained = nil
}

// drainStep takes the claims back, and tells when nothing runs or waits.
func (s *scheduler) drainStep() {
	if s.holder != nil || s.broken {
		return
	}
	var waiting []*run
	for _, r := range s.runs.all() {
		if !s.runs.live(r.job.ID) {
			waiting = append(waiting, r)
		}
	}
	if len(waiting) > 0 {
		tx := s.begin(s.eng.clock.look())
		for _, r := range waiting {
			s.runs.remove(r)
			s.freeSlot(r)
			err := tx.Unclaim(&r.job)
			if errors.Is(err, storage.ErrUnavailable) {
				s.rollback(tx, nil, nil)
				s.breakDown(err)
				return
			}
			if err != nil {
				s.eng.opts.Logger.Error("taking a claim back", "app", s.id, "job", r.job.ID, "err", err)
			}
		}
		s.ready, s.claims = ready{}, 0
		s.commit(tx, nil, nil)
	}
	if len(s.queue) == 0 && s.runs.len() == 0 && s.outstanding.Load() == 0 {
		s.tellDrained()
	}
}
