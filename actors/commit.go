package actors

import (
	"errors"
	"fmt"
	"slices"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how a transaction of the app ends: its change set is submitted to the
// committer, or it is rolled back, and what was to follow is told when it is durable.

// noteCommitted takes note that a change set was answered.
func (s *scheduler) noteCommitted(m *committed) {
	if m.err != nil {
		// One submitted before the state was read again says nothing new: the
		// change sets since then stand, and most do not tell when they are answered.
		if m.loads == s.loads {
			if m.own && errors.Is(m.err, storage.ErrCorrupt) {
				s.backOff(m.err)
			}
			s.breakDown(m.err)
		}
		return
	}
	for _, r := range m.runs.claimed {
		if r.job.ClaimBegin() == storage.BeginLogged {
			s.nearing = max(s.nearing-1, 0)
		}
		if s.runs.setDurable(r) {
			s.enqueue(r)
		}
	}
	for _, r := range m.runs.stop {
		s.runs.stop(r, errJobCanceled)
	}
}

// commit claims what the transaction has made due, submits it, and has reply
// (nil: no caller waits) told when it is durable.
func (s *scheduler) commit(tx *storage.Tx, cancelings []*run, reply func(error)) {
	s.commitRuns(tx, cancelings, runChanges{}, reply)
}

// commitRuns is commit of a transaction that has claimed or ended runs already.
func (s *scheduler) commitRuns(tx *storage.Tx, cancelings []*run, runs runChanges, reply func(error)) {
	if err := s.windBorn(tx); err != nil {
		s.eng.opts.Logger.Error("declared triggers", "app", s.id, "err", err)
	}
	if err := s.alertDead(tx); err != nil {
		s.eng.opts.Logger.Error("scheduling the alert of a dead job", "app", s.id, "err", err)
	}
	if len(tx.CanceledTicks()) > 0 {
		s.lookAgain() // the next one may have waited for it
	}
	s.leaveOrder(tx.Left())
	// The canceled runs first: what is inserted may have the id of one.
	runs.stop = s.applyCancels(tx, cancelings)
	runs.claimed = append(runs.claimed, s.claimInserted(tx)...)
	s.submit(tx, runs, reply)
	s.followControls()
}

// ownJobs and ownWeight bound what the engine writes of its own accord in one change
// set, jobs and their storage.Tx.Weight: there can be any number of ended or held
// jobs, each with arguments of a megabyte, and others wait for the change set.
const (
	ownJobs   = 256
	ownWeight = 512 << 10
)

// hasRoom says whether the engine's own transaction, which is about n jobs so far, may
// be about one more.
func hasRoom(tx *storage.Tx, n int) bool { return n < ownJobs && tx.Weight() < ownWeight }

// submit ends a transaction, and has reply (nil: no caller waits) told when it is
// durable. The caller has the turn.
func (app *appState) submit(tx *storage.Tx, runs runChanges, reply func(error)) {
	app.outstanding.Add(1)
	loads, weight := app.loads, int64(tx.Weight())
	app.queued.Add(weight)
	if reply != nil {
		tx.Await()
	}
	if app.eng.lapse.lease != nil && tx.Unchanged() {
		reply = app.eng.lapse.whileHeld(reply)
	}
	err := tx.Commit(func(err error) {
		if err == nil {
			app.tellDead(tx) // first: the engine's close, for one, waits for hooks that were called
			app.eng.waiters.tell(app.id, tx)
			app.eng.feeds.tell(app.id, tx, app.store.Committed(), app.store)
			app.eng.lives.tell(app.id, tx, app.store.Committed())
			app.eng.bells.ring(app.id)
			app.noteEnds(tx.Ends(), len(runs.stop))
		} else {
			app.eng.waiters.doubt(app.id)
			app.eng.feeds.doubt(app.id)
			app.eng.lives.doubt(app.id)
			// Noted before the state can be read again.
			for _, r := range append(runs.ended, runs.stop...) {
				app.runs.lose(r)
			}
			for _, r := range runs.stop {
				app.runs.stop(r, cutByVolume) // its attempt is over all the same
			}
		}
		app.outstanding.Add(-1)
		less := app.queued.Add(-weight) < maxQueued && app.full.Load()
		if err == nil && reply != nil && runs.stopAsker() {
			reply(nil) // before its context ends, with which it would wait no more
			reply = nil
		}
		// Told first: who is answered that it failed may call again at once.
		if err != nil || less || app.phase().awaits() || len(runs.claimed)+len(runs.stop) > 0 {
			app.eng.sys.tell(app.scheduler, &committed{err: err, loads: loads, runs: runs, own: runs.own || reply == nil})
		}
		if reply != nil {
			reply(err)
		}
	})
	if err != nil {
		panic("actors: A2: " + err.Error())
	}
}

// maxQueued is what an app's change sets may weigh that wait for the committer before
// no more of its turns begin: two batches, so that the committer need not wait for the
// app. Claims and ends of jobs go on.
const maxQueued = 8 << 20

// mayQueue says whether another turn of the app may begin. If not the SchedulerActor is
// told when it may.
func (app *appState) mayQueue() bool {
	if app.queued.Load() < maxQueued {
		return true
	}
	app.full.Store(true) // before it is looked at again: it may have become less meanwhile
	if app.queued.Load() >= maxQueued {
		return false
	}
	app.full.Store(false)
	return true
}

// rollback drops the transaction. The reply still waits until what it may have
// read is durable.
func (s *scheduler) rollback(tx *storage.Tx, cancelings []*run, reply func(error)) {
	s.revertCancels(cancelings)
	if reply == nil {
		tx.Rollback(nil)
		return
	}
	s.outstanding.Add(1)
	state, sys, loads := s.appState, s.eng.sys, s.loads
	reply = s.eng.lapse.whileHeld(reply)
	tx.Await()
	tx.Rollback(func(err error) {
		state.outstanding.Add(-1)
		if err != nil || state.phase().awaits() {
			sys.tell(state.scheduler, &committed{err: err, loads: loads})
		}
		reply(err)
	})
}

// follow has the triggers follow a transaction before its commit: it advances those of
// canceled ticks, and winds up those of an app that the transaction makes. After an
// error the caller rolls the transaction back.
func (s *scheduler) follow(tx *storage.Tx) error {
	if err := s.windBorn(tx); err != nil {
		return err
	}
	for _, job := range tx.CanceledTicks() {
		if err := s.planner.canceled(tx.JobWriter(), &job, tx.Now()); err != nil {
			return asError(fmt.Errorf("trigger %s: %w", job.Trigger, err))
		}
	}
	return nil
}

// applyCancels decides the runs whose claims the transaction has canceled:
// they never start, or what they do counts no more. It returns those whose
// handlers the caller stops once the cancel is durable.
func (s *scheduler) applyCancels(tx *storage.Tx, cancelings []*run) (stop []*run) {
	canceled := map[*run]bool{}
	for _, id := range tx.CanceledClaims() {
		r := s.runs.get(id)
		if r == nil {
			continue
		}
		canceled[r] = true
		started := s.runs.live(id)
		r.src.end(dispatch.CodeCanceled, "the job was canceled")
		r.notes.end()
		s.saveLog(tx, r, storage.End{}, nil)
		s.forgetRun(r)
		if started {
			if err := s.logStart(tx, r); err != nil {
				s.eng.opts.Logger.Error("noting when a job began that was canceled", s.attrsOf(&r.job, "err", err)...)
			}
			stop = append(stop, r)
			s.expireAfter(r, s.eng.opts.Grace)
			if !r.mutation {
				s.leaveBehind(&r.handle, leftOfRun(r, false), s.eng.opts.Grace)
			}
		} else {
			if was := s.end(r); !was.over() {
				s.noLongerAhead(r)
			}
		}
	}
	var undecided []*run
	for _, r := range cancelings {
		if !canceled[r] {
			undecided = append(undecided, r)
		}
	}
	s.revertCancels(undecided)
	return stop
}

// revertCancels lets runs start after all whose cancel was rolled back.
func (s *scheduler) revertCancels(cancelings []*run) {
	for _, r := range cancelings {
		if s.runs.revertCancel(r) {
			s.enqueue(r)
		}
	}
}

// runChanges are the runs that a change set concerns.
type runChanges struct {
	claimed []*run // may start once it is durable
	stop    []*run // canceled: their handlers are told once it is durable
	ended   []*run
	own     bool    // the app's own work, though something is done when it is answered
	by      *source // the action that has asked for it, or nil
}

// stopAsker says whether the action that has asked for it is told to stop.
func (c *runChanges) stopAsker() bool {
	return slices.ContainsFunc(c.stop, func(r *run) bool { return &r.src == c.by })
}
