package actors

import (
	"context"
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
	holder *turnBatch // what has the turn, or nil
	queue  []*turn    // those that wait for it, in the order they came

	// The sorted job bucket, as far as memory needs to know it.
	runQueue runQueue // claimed durably, waiting for their instant or a permit
	begins   []*run   // about to begin, which their claims do not say yet
	nearing  int      // those, and those whose claims that say so are on their way to the disk
	walks    walks
	counted  claims         // of the walks, in the total of the engine
	given    []storage.Lane // of pools that all apps share: permits that came since the last step
	lates    lates

	alarm      timing.Alarm
	expiry     *time.Timer // bounds the turn
	expiryAt   time.Time   // when it fires
	touched    time.Duration
	purgeAt    time.Duration // monotonic; when to look for expired history again
	purgeStuck bool          // what is expired could not be purged: not before purgeAt
	purgedDead int           // dead jobs purged since the latest log line
	tidying    bool          // *tidyOn is on its way
	swept      storage.StartCursor

	warned     map[string]bool // functions of held jobs that the log has
	heldTo     storage.Place   // held jobs up to there are being released
	unreleased bool            // that has failed
	correction *correction     // what a step of the wall made false is being put right; see uncorrected
	yields     bool            // a step of that was done: a caller's turn comes first
	reloads    int             // in a row that failed, of a state to be read again
	resting    bool            // and that was logged

	// Of the app's own work, after a change set of it has met damage; monotonic.
	refusals    int // in a row
	refusedAt   time.Duration
	resumeAt    time.Duration
	unrecovered bool // what was claimed at the last reload is still to be looked at

	operating operating

	drained []func() // told when the drain has come to its end

	followed *controls // that the app has followed; nil: it has yet to look
	passedBy bool      // a walk has passed by jobs of a function that is paused
}

// appState is what of an app outlives a restart of its SchedulerActor.
type appState struct {
	eng         *Engine
	id          storage.AppID
	limits      AppLimits // no field is zero but StartsPerSecond, which may be
	starts      startRate
	store       *storage.App
	history     atomic.Pointer[appHistory] // nil before it has done anything
	runs        *runs
	pools       *pools
	planner     *planner // the holder of the turn uses it
	controlled  atomic.Pointer[controls]
	short       atomic.Int32 // a shortage, for readers
	unwell      atomic.Bool  // the app's own work waits, since its pages are damaged; for readers
	crons       func(storage.JobWriter) dispatch.Crons
	ref         *appRef
	scheduler   *actor.PID
	runner      *actor.PID
	members     []*pool.Member // of those two; the SchedulerActor's is the last
	share       pool.Share     // of the processor
	outstanding atomic.Int64   // change sets submitted and not answered
	queued      atomic.Int64   // what those weigh (storage.Tx.Weight)
	full        atomic.Bool    // the SchedulerActor waits for that to be less than maxQueued
	recovered   bool           // claims that were found were looked at; the SchedulerActor's
	loads       int            // how often the state was read again, by the SchedulerActor while it has the turn

	// Permits of the engine-wide limit; the SchedulerActor's.
	permits, started int
	asked            int // for so many more
	unused           int // given up with the broker contended, and not given back yet

	ended []ending      // to be written down with the next turn; the SchedulerActor's
	life  atomic.Uint32 // its phase
}

// The messages to the SchedulerActor, besides *turn and *operation.
type (
	turnsAsked  struct{ turns []*turn }    // as if each had come alone
	batchEnded  struct{ batch *turnBatch } // the batch that had the turn has given it back
	turnExpired struct{}                   // look whether the holder is past its deadline
	jobEnded    struct{ end ending }       // a job's run ended outside the turn
	runStarted  struct {                   // an action's handler is about to start
		run     *run
		at      time.Time
		ctx     context.Context
		timeout time.Duration
	}
	runExpired    struct{ run *run }          // an action is past deadline and grace
	runProgressed struct{ run *run }          // it has told how far it has come, and is watched
	alarmFired    struct{ gen uint64 }        // the alarm, of that generation
	permitsGiven  struct{ claimant }          // by the permit broker
	poolGiven     struct{ lane storage.Lane } // a permit of a pool that all apps share
	clockMoved    struct{}                    // the wall was stepped, or the machine suspended
	handlersMoved struct{}                    // a handler that was given up has returned, is stuck, or was abandoned
	retryReload   struct{}                    // the volume may be up again
	startNoted    struct{}                    // a job has begun, and with that it is known when another may
	tidyOn        struct{}                    // another chunk of tidy may follow
	lateOn        struct{}                    // another chunk of expireLate may follow
	drain         struct {                    // finish what is under way and take nothing new
		hold bool   // for a hold: tell the jobs that run to stop
		done func() // called once nothing is under way
	}
	resume    struct{} // the drain for a hold was taken back
	committed struct { // a change set was answered
		err   error
		loads int  // of the app, when it was submitted
		own   bool // it was the app's own work, and no caller's
		runs  runChanges
	}
)

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
		s.eng.broker.forget(s.self)
		s.uncountClaims()
		s.eng.sharedPools.forget(s.appState)
		s.move(actorsStopped)
		return
	case *actor.Restarting:
		s.uncountClaims()
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
	case *batchEnded:
		if s.holder == m.batch {
			s.holder = nil
			s.finishBatch(m.batch)
		}
	case *turnExpired:
		s.expireTurn()
	case *jobEnded:
		if m.end.run.app == s.appState { // else of a deleted app that had the name
			s.endRun(m.end)
		}
	case *runStarted:
		m.run.startedAt, m.run.ctx, m.run.timeout = m.at, m.ctx, m.timeout
		if !s.runs.isOver(m.run) {
			s.eng.feeds.started(m.run)
			s.eng.lives.started(m.run)
			s.eng.bells.ring(s.id)
			s.expireAfter(m.run, m.timeout+s.eng.opts.Grace)
		}
	case *runProgressed:
		if steps := m.run.notes.takeSteps(); !s.runs.isOver(m.run) {
			s.eng.feeds.progressed(m.run, steps)
			s.eng.bells.ring(s.id)
		}
	case *runExpired:
		if m.run.app == s.appState {
			s.giveUp(m.run)
		}
	case *alarmFired:
		if !s.alarm.Fired(m.gen) {
			return
		}
	case *permitsGiven:
		if m.app == s.self { // else the permit broker hears next that the app which asked has stopped
			s.permits += m.n
			s.asked = max(s.asked-m.n, 0) // some may have been taken back
		}
	case *poolGiven:
		s.given = append(s.given, m.lane)
		s.walks[ofPools].look(s.eng.clock.wall())
	case *clockMoved:
		s.alarm.Clear()
		s.doubtTriggers()
		if s.store.Lasts() {
			s.claimFrom(storage.Place{}) // what was too late may not be any more
		}
	case *committed:
		s.noteCommitted(m)
	case *handlersMoved:
		s.claimFrom(storage.Place{})
	case *retryReload, *startNoted:
	case *operationMoved:
		s.stepAnswered(m.err)
	case *tidyOn:
		s.tidying = false
	case *lateOn:
		s.lates.busy = false
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
	s.returnPermits()
	s.boundClaims()
}

func (s *scheduler) touch() { s.touched = s.eng.clock.elapsed() }

// step does all that can be done now, and sets the alarm for the rest.
func (s *scheduler) step() {
	if s.phase() == phaseStopped {
		return // a step of the wall is told to each app that is listed, and it is, yet
	}
	if !s.phase().read() && !s.reload() {
		s.giveBackShared()
		return
	}
	if s.phase().stage() == phaseIndexing && !s.reconcile() {
		return
	}
	s.followControls()
work:
	for s.holder == nil && s.phase().read() {
		s.members[len(s.members)-1].Step() // a herd of others may have become due
		switch {
		case s.yields && len(s.queue) > 0:
			s.yields = false
			s.nextTurn()
		case !s.backingOff() && s.ownWork():
		case len(s.queue) > 0 && s.mayQueue():
			s.nextTurn()
		case !s.backingOff() && s.tidy():
		default:
			s.lookAtDeadlines()
			if s.phase().draining() {
				s.drainStep()
			}
			break work
		}
	}
	if !s.phase().read() {
		s.step() // found here: no message will say so
		return
	}
	s.release()
	if len(s.ended)+len(s.begins) > 0 && s.holder == nil && s.phase().read() && !s.backingOff() {
		s.step() // jobs that are kept back after all, or whose begin is written down first
		return
	}
	s.moveOperation()
	s.giveBackShared()
	s.tellReaders()
	s.rearm()
}

// tidy does a chunk of what can wait for everything else: it releases held jobs, or
// purges rows. The next one is done only after all messages that have come meanwhile,
// and not while much waits for the committer. It is false if no chunk was done.
func (s *scheduler) tidy() bool {
	if s.eng.opts.Still {
		return false
	}
	if s.tidying || !s.mayQueue() {
		return false
	}
	if !s.releaseHeld() {
		if !s.purgeDue() {
			return false
		}
		s.purge()
	}
	s.tidying = true
	s.eng.sys.tell(s.self, &tidyOn{})
	return true
}

// ownWork does one thing that no caller waits for and that comes before their turns.
// It is false if there is none to do.
func (s *scheduler) ownWork() bool {
	switch {
	case s.eng.opts.Still:
		return false
	case s.unrecovered:
		s.unrecovered = false
		if err := s.recover(); err != nil {
			s.breakDown(err)
		}
	case s.windDeclared():
	case len(s.ended) > 0:
		s.applyEnded()
	case len(s.begins) > 0:
		s.logBegins()
	case s.correct():
	case s.claimDue(s.eng.clock.look()):
	case s.expireLate():
	default:
		return false
	}
	return true
}
