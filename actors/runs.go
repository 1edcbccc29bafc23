package actors

import (
	"context"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// run is a claimed job, from its claim to its end.
type run struct {
	job       storage.Job // as it was when claimed
	attempt   int
	mutation  bool
	suspect   bool // crashes have cut it off before
	startedAt time.Time
	holdsSlot bool        // this and over are the SchedulerActor's
	over      bool        // ended: its outcome is settled, or about to be
	expires   *time.Timer // of an action: gives it up after deadline and grace
	expiresAt time.Time
	src       source // of an action
	tick      dispatch.Tick

	// Below: guarded by runs.mu.
	durable   bool               // the claim is; the handler may start
	started   bool               // the handler has
	canceling bool               // a mutation that holds the turn is cancelling it
	parked    bool               // its instant came meanwhile
	cancel    context.CancelFunc // of the handler's context, once started
}

// claim names the claim of one attempt. An id alone does not: the claim that is
// found after a failed commit may be that of the attempt before.
type claim struct {
	place   storage.Place
	attempt int
}

func claimOf(job *storage.Job) claim {
	if seeded("attempt-taken-for-the-next") {
		return claim{place: job.Place()}
	}
	return claim{job.Place(), job.Attempts + 1}
}

// runs are the claimed jobs of an app. The table outlives a restart of the
// SchedulerActor. It has a lock of its own, a leaf, because readers and the
// mutation that holds the turn ask it from their own goroutines.
type runs struct {
	mu      sync.Mutex
	byID    map[storage.JobID]*run
	zombies map[storage.JobID]bool // given up, but their handler has not returned
}

func newRuns() *runs {
	return &runs{byID: map[storage.JobID]*run{}, zombies: map[storage.JobID]bool{}}
}

func (rs *runs) add(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.byID[r.job.ID] = r
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
		delete(rs.byID, r.job.ID)
	}
}

// withdraw forgets the run if its handler has not started, which it then never
// does. In one step, because handlers start in the Runner's goroutine.
func (rs *runs) withdraw(r *run) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r.started || rs.byID[r.job.ID] != r {
		return false
	}
	delete(rs.byID, r.job.ID)
	return true
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
	return r != nil && r.started
}

// start lets the run's handler start, unless it is being cancelled: then the
// run is parked until that is decided.
func (rs *runs) start(r *run, cancel context.CancelFunc) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byID[r.job.ID] != r {
		return false
	}
	if r.canceling {
		r.parked = true
		return false
	}
	r.started, r.cancel = true, cancel
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
	if !r.started {
		r.canceling = true
	}
	return r, r.started
}

// revertCancel undoes beginCancel and says whether the run waits to be started.
func (rs *runs) revertCancel(r *run) (parked bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.canceling = false
	parked, r.parked = r.parked, false
	return parked && rs.byID[r.job.ID] == r
}

// setDurable marks the run's claim as durable. It is false if the run is gone.
func (rs *runs) setDurable(r *run) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.durable = true
	return rs.byID[r.job.ID] == r
}

// stop cancels the context of the run's handler, if it has started.
func (rs *runs) stop(r *run) {
	rs.mu.Lock()
	cancel := r.cancel
	rs.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// bury notes that the handler of an ended run has not returned; unbury that it
// has at last. A job is not run again while a handler of it is still there.
func (rs *runs) bury(id storage.JobID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.zombies[id] = true
}

func (rs *runs) unbury(id storage.JobID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.zombies, id)
}

// empty says whether there is neither a run nor a ghost of one.
func (rs *runs) empty() bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.byID) == 0 && len(rs.zombies) == 0
}

func (rs *runs) haunted(id storage.JobID) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return rs.zombies[id] && !seeded("ghosts-forgotten")
}

// ghosts is how many given-up handlers have not returned.
func (rs *runs) ghosts() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.zombies)
}
