package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/actors/internal/pool"
	"carillon/actors/internal/timing"
	"carillon/dispatch"
	"carillon/storage"
)

// scheduler is the SchedulerActor of one app: it owns the app's state, gives
// out the turn, and has the app's one alarm. Its mailbox is never blocked by
// user code. Package comment: the picture, and invariants A1 to A9.
type scheduler struct {
	*appState
	self   *actor.PID
	holder *relay  // who has the turn; nil: nobody
	queue  []*turn // who waits for it, in the order they came

	// The sorted job bucket, as far as memory needs to know it.
	ready  ready         // claimed durably, waiting for their instant or a slot
	from   storage.Place // no unclaimed job lies before it
	nextAt time.Time     // when the next claim is to be made; zero: nothing to claim
	claims int           // runs claimed and not started

	blocked bool // a job that is due waits for another one to end

	alarm      timing.Alarm
	expiry     *time.Timer // bounds the turn
	expiryAt   time.Time   // when it fires
	touched    time.Duration
	purgeAt    time.Duration // monotonic; when to look for expired history again
	purgeStuck bool          // what is expired could not be purged: not before purgeAt
	purgedDead int           // dead jobs purged since the latest log line

	warned     map[string]bool // functions of held jobs that the log has
	heldTo     storage.Place   // held jobs up to there are being released
	unreleased bool            // that has failed
	broken     bool            // a commit failed; nothing is done until the state was reloaded
	reloads    int             // that failed in a row
	resting    bool            // and that was logged

	// Of the app's own work, after a change set of it has met damage; monotonic.
	refusals    int // in a row
	refusedAt   time.Duration
	resumeAt    time.Duration
	unrecovered bool // what was claimed at the last reload is still to be looked at

	indexed  bool // the app's indexes are those declared
	wound    bool // the app's triggers are in line with those declared
	draining bool
	drained  []func() // told when the drain has come to its end
}

// appState is what of an app outlives a restart of its SchedulerActor.
type appState struct {
	eng         *Engine
	id          storage.AppID
	store       *storage.App
	runs        *runs
	clockwork   *clockwork // of whoever has the turn
	crons       func(storage.JobWriter) dispatch.Crons
	ref         *appRef
	scheduler   *actor.PID
	runner      *actor.PID
	members     []*pool.Member // of those two
	outstanding atomic.Int64   // change sets handed over and not answered
	queued      atomic.Int64   // what those weigh (storage.Tx.Weight)
	full        atomic.Bool    // the SchedulerActor waits for that to be less than maxQueued
	loads       int            // how often the state was read again, by the SchedulerActor while it has the turn

	// Slots of the engine-wide limit; the SchedulerActor's.
	slots, started int
	asked          int // for so many more

	ended   []ending    // to be settled with the next turn; the SchedulerActor's
	opened  bool        // what a crash has left is known; the SchedulerActor's
	open    atomic.Bool // the indexes are built: calls are let through
	awaited atomic.Bool // the SchedulerActor waits for every change set to be answered
}

// The messages to the SchedulerActor, besides *turn and *operation.
type (
	turnsAsked  struct{ turns []*turn } // as if each had come alone
	relayEnded  struct{ relay *relay }  // the relay that had the turn has given it back
	turnExpired struct{}                // look whether the holder is past its deadline
	jobEnded    struct{ end ending }    // a job's run ended outside the turn
	runStarted  struct {                // an action's handler is about to start
		run     *run
		ctx     context.Context
		timeout time.Duration
	}
	runExpired    struct{ run *run }   // an action is past deadline and grace
	alarmFired    struct{ gen uint64 } // the alarm, of that generation
	slotsGiven    struct{ claimant }   // by the governor
	clockMoved    struct{}             // the wall was stepped, or the machine suspended
	handlersMoved struct{}             // a handler that was given up has returned, is stuck, or was abandoned
	retryReload   struct{}             // the volume may be up again
	drain         struct {             // finish what is under way and take nothing new
		hold bool   // for a hold: tell the jobs that run to stop
		done func() // called once nothing is under way
	}
	resume  struct{} // the drain for a hold was taken back
	settled struct { // a change set was answered
		err   error
		loads int  // of the app, when it was handed over
		own   bool // it was the app's own work, and no caller's
		runs  runChanges
	}
)

// runChanges are the runs that a change set concerns.
type runChanges struct {
	claimed []*run // may start once it is durable
	stop    []*run // cancelled: their handlers are told once it is durable
	ended   []*run
	own     bool // the app's own work, though something is done when it is answered
}

// Receive implements the actor.
func (s *scheduler) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		s.self = c.Self()
		<-s.ref.listed // an action that calls in finds its app
		s.open()
	case *actor.Stopping:
		s.close(errShutdown())
		s.cutOff()
		s.runs.stopLeaving()
		s.eng.governor.forget(s.self)
		return
	case *actor.Restarting:
		s.close(&dispatch.Error{Code: dispatch.CodeUnavailable, Message: "the app was restarted; nothing was changed"})
		return
	case *turn:
		s.touch()
		s.queue = append(s.queue, m)
	case *turnsAsked:
		s.touch()
		s.queue = append(s.queue, m.turns...)
	case *operation:
		s.touch()
		s.queue = append(s.queue, &turn{op: m})
	case *relayEnded:
		if s.holder == m.relay {
			s.holder = nil
			s.finishRelay(m.relay)
		}
	case *turnExpired:
		s.expireTurn()
	case *jobEnded:
		if m.end.run.app == s.appState { // else of a deleted app that had the name
			s.endRun(m.end)
		}
	case *runStarted:
		m.run.ctx, m.run.timeout = m.ctx, m.timeout
		if !m.run.over {
			s.expireAfter(m.run, m.timeout+s.eng.opts.Grace)
		}
	case *runExpired:
		if m.run.app == s.appState {
			s.giveUp(m.run)
		}
	case *alarmFired:
		if !s.alarm.Fired(m.gen) {
			return
		}
	case *slotsGiven:
		if m.app == s.self { // else the governor hears next that the app which asked has stopped
			s.slots += m.n
			s.asked = max(s.asked-m.n, 0) // some may have been taken back
		}
	case *clockMoved:
		s.alarm.Clear()
	case *settled:
		s.settle(m)
	case *handlersMoved:
		s.claimFrom(storage.Place{})
	case *retryReload:
	case *inspect:
		m.answer(s.inspection())
		return // not a step: an inspection must not mend what it looks at
	case *drain:
		s.drain(m)
	case *resume:
		s.resume()
	default:
		return
	}
	s.step()
}

func (s *scheduler) touch() { s.touched = s.eng.clock.elapsed() }

// step does all that can be done now, and sets the alarm for the rest.
func (s *scheduler) step() {
	if s.broken && !s.reload() {
		return
	}
	if !s.indexed && !s.reconcile() {
		return
	}
work:
	for s.holder == nil && !s.broken {
		switch {
		case !s.paused() && s.ownWork():
		case len(s.queue) > 0 && s.mayQueue():
			s.nextTurn()
		case !s.paused() && s.releaseHeld():
		case !s.paused() && s.purgeDue():
			s.purge()
		default:
			s.lookAtDeadlines()
			if s.draining {
				s.drainStep()
			}
			break work
		}
	}
	if s.broken {
		s.step() // found here: no message will say so
		return
	}
	s.release()
	if len(s.ended) > 0 && s.holder == nil && !s.broken && !s.paused() {
		s.step() // jobs that are kept back after all
		return
	}
	s.rearm()
}

// ownWork does one thing that no caller waits for and that comes before their turns.
// It is false if there is none to do.
func (s *scheduler) ownWork() bool {
	switch {
	case s.unrecovered:
		s.unrecovered = false
		if err := s.recover(); err != nil {
			s.breakDown(err)
		}
	case s.windDeclared():
	case len(s.ended) > 0:
		s.settleEnded()
	case s.claimDue(s.eng.clock.wall()):
	default:
		return false
	}
	return true
}

// settle takes note that a change set was answered.
func (s *scheduler) settle(m *settled) {
	if m.err != nil {
		// One handed over before the state was read again says nothing new: the
		// change sets since then stand, and most do not tell when they are answered.
		if m.loads == s.loads {
			if m.own && errors.Is(m.err, storage.ErrCorrupt) {
				s.pause(m.err)
			}
			s.breakDown(m.err)
		}
		return
	}
	for _, r := range m.runs.claimed {
		if s.runs.setDurable(r) {
			s.ready.push(r)
		}
	}
	for _, r := range m.runs.stop {
		s.runs.stop(r, errJobCanceled)
	}
}

// commit claims what the transaction has made due, hands it over, and has reply
// (nil: nobody waits) told when it is durable.
func (s *scheduler) commit(tx *storage.Tx, cancelings []*run, reply func(error)) {
	s.commitRuns(tx, cancelings, runChanges{}, reply)
}

// commitRuns is commit of a transaction that has claimed or ended runs already.
func (s *scheduler) commitRuns(tx *storage.Tx, cancelings []*run, runs runChanges, reply func(error)) {
	if err := s.windBorn(tx); err != nil {
		s.eng.opts.Logger.Error("declared triggers", "app", s.id, "err", err)
	}
	if len(tx.CanceledTicks()) > 0 {
		s.nextAt = s.eng.clock.wall() // the next one may have waited for it
	}
	runs.claimed = append(runs.claimed, s.claimInserted(tx)...)
	runs.stop = s.settleCancels(tx, cancelings)
	s.hand(tx, runs, reply)
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

// hand hands a transaction over, and has reply (nil: nobody waits) told when it is
// durable. The caller has the turn.
func (app *appState) hand(tx *storage.Tx, runs runChanges, reply func(error)) {
	app.outstanding.Add(1)
	loads, weight := app.loads, int64(tx.Weight())
	app.queued.Add(weight)
	if reply != nil {
		tx.Await()
	}
	err := tx.Commit(func(err error) {
		if err != nil {
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
		// Told first: who is answered that it failed may call again at once.
		if err != nil || less || app.awaited.Load() || len(runs.claimed)+len(runs.stop) > 0 {
			app.eng.sys.tell(app.scheduler, &settled{err: err, loads: loads, runs: runs, own: runs.own || reply == nil})
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
	tx.Await()
	tx.Rollback(func(err error) {
		state.outstanding.Add(-1)
		if err != nil || state.awaited.Load() {
			sys.tell(state.scheduler, &settled{err: err, loads: loads})
		}
		reply(err)
	})
}

// follow has the triggers follow what a transaction has done that is about to be
// committed: those of ticks that it has cancelled are advanced, and those of an
// app that it brings into being are wound up. After an error it is to be rolled back.
func (s *scheduler) follow(tx *storage.Tx) error {
	if err := s.windBorn(tx); err != nil {
		return err
	}
	for _, job := range tx.CanceledTicks() {
		if err := s.clockwork.canceled(tx.JobWriter(), &job, tx.Now()); err != nil {
			return asError(fmt.Errorf("trigger %s: %w", job.Trigger, err))
		}
	}
	return nil
}

// settleCancels decides the runs whose claims the transaction has cancelled:
// they never start, or what they do counts no more. It returns those whose
// handlers are to be stopped once the cancel is durable.
func (s *scheduler) settleCancels(tx *storage.Tx, cancelings []*run) (stop []*run) {
	canceled := map[*run]bool{}
	for _, id := range tx.CanceledClaims() {
		r := s.runs.get(id)
		if r == nil {
			continue
		}
		canceled[r] = true
		started := s.runs.live(id)
		r.src.end(dispatch.CodeCanceled, "the job was canceled")
		s.forgetRun(r)
		if started {
			stop = append(stop, r)
			s.expireAfter(r, s.eng.opts.Grace)
			if !r.mutation {
				s.leaveBehind(&r.handle, leftOfRun(r, false), s.eng.opts.Grace)
			}
		} else {
			s.claims--
			s.freeSlot(r)
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
			s.ready.push(r)
		}
	}
}
