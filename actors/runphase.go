package actors

import "fmt"

// runPhase is how far a run has come, and runWithheld while a turn that cancels its job is
// not decided. The picture is in the package comment. It is guarded by runs.mu.
type runPhase uint8

const (
	runClaimed  runPhase = iota // its claim is on its way to the disk
	runQueued                   // its claim is durable: it waits for its instant and a permit
	runParked                   // its permit has come while it was withheld
	runLaunched                 // of a mutation: it holds a permit and waits for its turn
	runBegun                    // its handler has begun, and it holds a permit
	runEnded                    // its attempt is over
	runDropped                  // it is over, and its handler has never begun

	runWithheld runPhase = 1 << 3 // added to a phase before the handler's: it must not begin
)

// runEvent is what takes a run from one phase to the next.
type runEvent uint8

const (
	claimDurable   runEvent = iota
	beginLogs               // its claim is written once more: its handler is about to begin
	turnAsked               // with a permit, at its instant
	turnTooSoon             // the wall was stepped back meanwhile
	handlerBegins           // in its turn; of an action with a permit, at its instant
	runOver                 // however it ended
	cancelBegun             // by a turn that is not decided
	cancelReverted          // the turn has not canceled it after all
	runEvents               // how many there are
)

// next is the phase after the event. It is false, and the phase as before, if the
// picture has no such arrow.
func (p runPhase) next(e runEvent) (runPhase, bool) {
	withheld, at := p&runWithheld, p&^runWithheld
	switch {
	case e == runOver && at < runBegun:
		return runDropped, true
	case e == runOver && at == runBegun:
		return runEnded, true
	case e == cancelBegun && at < runBegun:
		return at | runWithheld, true
	case e == cancelReverted && at == runParked:
		return runQueued, true
	case e == cancelReverted && withheld != 0:
		return at, true
	case e == claimDurable && at == runClaimed:
		return runQueued | withheld, true
	case e == beginLogs && at == runQueued:
		return runClaimed | withheld, true
	case e == turnAsked && at == runQueued:
		return runLaunched | withheld, true
	case e == turnTooSoon && at == runLaunched:
		return runQueued | withheld, true
	case e == handlerBegins && p == runQueued|runWithheld:
		return runParked | runWithheld, true
	case e == handlerBegins && (p == runQueued || p == runLaunched):
		return runBegun, true
	}
	return p, false
}

// begun says whether the run's handler has begun.
func (p runPhase) begun() bool { return p == runBegun || p == runEnded }

// over says whether nothing more comes of the run but that its end is written down.
func (p runPhase) over() bool { return p == runEnded || p == runDropped }

// holdsPermit says whether the run has a permit of the engine-wide limit (A8).
func (p runPhase) holdsPermit() bool { return p&^runWithheld == runLaunched || p == runBegun }

func (p runPhase) String() string {
	name := [...]string{"claimed", "queued", "parked", "launched", "begun", "ended", "dropped"}[p&^runWithheld]
	if p&runWithheld != 0 {
		name += ", withheld"
	}
	return name
}

func (e runEvent) String() string {
	return [...]string{
		"claim durable", "begin logs", "turn asked for", "turn too soon", "handler begins", "over", "cancel begun", "cancel reverted",
	}[e]
}

// move takes the run to its next phase, if the event leads to one. The caller has rs.mu.
func (r *run) move(e runEvent) bool {
	to, ok := r.phase.next(e)
	r.phase = to
	return ok
}

// mustMove is move for an event that the SchedulerActor brings about: that it does not
// lead anywhere is a fault of the engine (A15).
func (rs *runs) mustMove(r *run, e runEvent) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !r.move(e) {
		panic(fmt.Sprintf("actors: A15: app %s: job %s: %s while %s", r.app.id, r.job.ID, e, r.phase))
	}
}

// end ends the run, and returns the phase that it was in.
func (rs *runs) end(r *run) (was runPhase) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	was = r.phase
	r.move(runOver)
	return was
}

// isOver says whether the run is over.
func (rs *runs) isOver(r *run) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return r.phase.over()
}
