package actors

import (
	"context"
	"maps"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// run is a claimed job, from its claim to its end.
type run struct {
	app       *appState
	job       storage.Job // as it was when claimed
	attempt   int
	path      string // of its function, as it is declared
	mutation  bool
	suspect   bool // crashes have cut it off before
	startedAt time.Time
	ctx       context.Context // of an action, launched, and how long its handler has
	timeout   time.Duration
	expires   *time.Timer // of an action: gives it up after deadline and grace
	expiresAt time.Time
	src       source  // of an action
	notes     *notes  // the same; set before its handler begins
	log       *runLog // the same, of a mutation, too
	tick      dispatch.Tick
	ending    *ending // how it has ended, of one that had begun
	told      bool    // the engine's log has that

	// Below: guarded by runs.mu.
	phase   runPhase
	handle  handle
	cancel  context.CancelCauseFunc // of the handler's context, once started
	begunAt time.Time               // and when that was
	token   string                  // with which it ends from outside; "": its handler has asked for none
	pending time.Duration           // how long that may take
	// answered is closed when its end from outside is durable; nil: it has no token.
	answered chan struct{}
	held     bool // its handler waits for that alone: of a workflow

	// Below: guarded by pools.mu.
	counted bool       // among the starts of its lane, or it never will be
	start   *laneStart // when it began, if its pool has a rate
}

// runs are the claimed jobs of an app. The table outlives a restart of the
// SchedulerActor, and lost the app's actors. It has a lock of its own, a leaf, because readers and the
// mutation that holds the turn ask it from their own goroutines. Maps that most apps put
// nothing into are made when something is.
type runs struct {
	mu    sync.Mutex
	byID  map[storage.JobID]*run
	byKey map[string][]*run // those with a unique key
	names keyNames
	left  map[*handle]*leftBehind     // handlers that were given up and have not returned; of calls, too
	lost  map[storage.ClaimID]*ending // claims of this process whose handler began and whose end is not durable; nil: it is not known
}

func newRuns(functions *dispatch.Registry) *runs {
	return &runs{names: keyNames{functions}, byID: map[storage.JobID]*run{}}
}

func (rs *runs) add(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.list(r)
}

func (rs *runs) get(id storage.JobID) *run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.byID[id]
}

// remove forgets the run. It does nothing if a newer run of the id has come.
func (rs *runs) remove(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID[r.job.ID] == r {
		rs.unlist(r)
	}
}

// lose forgets a run of whose end, or cancel, nothing is durable. If its handler
// has started, its claim is that of an attempt, wherever it is found.
func (rs *runs) lose(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID[r.job.ID] == r {
		rs.unlist(r)
	}
	if !r.phase.begun() {
		return
	}
	if rs.lost == nil {
		rs.lost = map[storage.ClaimID]*ending{}
	}
	rs.lost[r.job.ClaimID()] = r.ending
}

// lostEnds are the claims whose handler began and whose end is not durable, for the App
// of the name that is opened next: the actors of this one have stopped. A commit of theirs that is
// still under way may yet mend some, and has no part in what is returned.
func (rs *runs) lostEnds() map[storage.ClaimID]*ending {
	for _, r := range rs.all() {
		rs.lose(r)
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return maps.Clone(rs.lost)
}

// lostEnd says whether the claim's handler began and its end was lost, and what that was, if it is known.
func (rs *runs) lostEnd(id storage.ClaimID) (end *ending, lost bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	end, lost = rs.lost[id]
	return end, lost
}

// moved is the run, which is over, for the app that was opened since.
func (rs *runs) moved(r *run, to *appState) *run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	again, end := &run{
		app: to, job: r.job, attempt: r.attempt, path: r.path, mutation: r.mutation, suspect: r.suspect, startedAt: r.startedAt,
		notes: r.notes, log: r.log, tick: r.tick, told: r.told, phase: r.phase, begunAt: r.begunAt,
		token: r.token, pending: r.pending, answered: r.answered, counted: r.counted, start: r.start,
	}, *r.ending
	again.ending, end.run = &end, again
	return again
}

// mended notes that the ends of the claims are durable.
func (rs *runs) mended(found []storage.ClaimID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, id := range found {
		delete(rs.lost, id)
	}
}

// keepLost forgets the lost ends of all claims but those that are still there.
func (rs *runs) keepLost(jobs []storage.Job) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if len(rs.lost) == 0 {
		return
	}
	lost := map[storage.ClaimID]*ending{}
	for i := range jobs {
		if end, ok := rs.lost[jobs[i].ClaimID()]; ok {
			lost[jobs[i].ClaimID()] = end
		}
	}
	rs.lost = lost
}

func (rs *runs) len() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.byID)
}

// all returns the runs in no order.
func (rs *runs) all() []*run {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	list := make([]*run, 0, len(rs.byID))
	for _, r := range rs.byID {
		list = append(list, r)
	}
	return list
}

// ofTrigger returns the runs of the trigger's ticks.
func (rs *runs) ofTrigger(name string) (list []*run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byID {
		if r.job.Trigger == name {
			list = append(list, r)
		}
	}
	return list
}

// live says whether the job's handler has started: the truth behind the state
// running.
func (rs *runs) live(id storage.JobID) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.byID[id]
	return r != nil && r.phase.begun()
}

// start lets the run's handler start at the instant, unless it is being canceled: then the
// run is parked until that is decided.
func (rs *runs) start(r *run, at time.Time, cancel context.CancelCauseFunc) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID[r.job.ID] != r {
		return false
	}
	if r.move(handlerBegins); r.phase != runBegun {
		return false
	}
	r.cancel, r.begunAt = cancel, at
	return true
}

// beginCancel keeps a claimed run from starting until the mutation that cancels
// it is decided. started is true if that comes too late to keep it from starting.
func (rs *runs) beginCancel(id storage.JobID) (r *run, started bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r = rs.byID[id]
	if r == nil {
		return nil, false
	}
	r.move(cancelBegun)
	return r, r.phase.begun()
}

// revertCancel undoes beginCancel and says whether the run waits to be started.
func (rs *runs) revertCancel(r *run) (parked bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	parked = r.phase == runParked|runWithheld
	r.move(cancelReverted)
	return parked && rs.byID[r.job.ID] == r
}

// setDurable marks the run's claim as durable. It is false if the run is gone.
func (rs *runs) setDurable(r *run) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return r.move(claimDurable) && rs.byID[r.job.ID] == r
}

// stop cancels the context of the run's handler for that cause, if it has started.
func (rs *runs) stop(r *run, cause error) {
	rs.mu.Lock()
	cancel := r.cancel
	rs.mu.Unlock()
	if cancel != nil {
		cancel(cause)
	}
}

// empty says whether there is neither a run nor a handler that was given up.
func (rs *runs) empty() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.byID) == 0 && len(rs.left) == 0
}
