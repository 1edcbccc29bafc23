package actors

import "fmt"

// phase is how far an app has come in its life: a stage, and draining while it comes to
// rest, which it can at any stage. The picture is in the package comment.
type phase uint8

// The stages.
const (
	phaseOpening  phase = iota // its state is read, its indexes are built: calls wait
	phaseIndexing              // its state is read, its indexes are being built: calls wait
	phaseAligning              // calls are served while its triggers are brought in line with the declared ones
	phaseServing               // calls are served
	phaseFailed                // its state is read again, its indexes are built
	phaseStopped               // its actors stop, or have: another life of the app may have begun

	phaseDraining phase = 1 << 3 // added to a stage: what is under way ends, nothing begins
)

// phaseEvent is what takes an app from one phase to the next.
type phaseEvent uint8

const (
	stateRead       phaseEvent = iota // the state is what the volume has
	stateLost                         // a change set was not applied, or the volume is down
	indexesBuilt                      // as far as they can be
	triggersAligned                   // as far as they can be
	triggersDoubted                   // it looks at what is declared again
	drainBegun                        // for a hold, or the end of the engine
	drainResumed                      // the hold was taken back
	actorsStopped
	phaseEvents // how many there are
)

// next is the phase after the event. It is false, and the phase as before, if the
// picture has no such arrow.
func (p phase) next(e phaseEvent) (phase, bool) {
	draining, stage := p&phaseDraining, p.stage()
	switch {
	case stage == phaseStopped:
		return p, e == actorsStopped || e == drainBegun // the end of the engine finds apps that fall asleep
	case e == actorsStopped:
		return phaseStopped, true
	case e == drainBegun:
		return stage | phaseDraining, true
	case e == drainResumed:
		return stage, p.draining()
	case e == stateRead && stage == phaseOpening:
		stage = phaseIndexing
	case e == stateRead && stage == phaseFailed:
		stage = phaseAligning
	case e == stateLost && stage <= phaseIndexing:
		stage = phaseOpening
	case e == stateLost:
		stage = phaseFailed
	case e == indexesBuilt && stage == phaseIndexing:
		stage = phaseAligning
	case e == triggersAligned && stage == phaseAligning:
		stage = phaseServing
	case e == triggersDoubted && stage == phaseServing:
		stage = phaseAligning
	default:
		return p, false
	}
	return stage | draining, true
}

func (p phase) stage() phase { return p &^ phaseDraining }

func (p phase) draining() bool { return p&phaseDraining != 0 }

// read says whether the app's state is what the volume has, or will have.
func (p phase) read() bool {
	s := p.stage()
	return s == phaseIndexing || s == phaseAligning || s == phaseServing
}

// admits says whether calls are let through: whether its indexes are built.
func (p phase) admits() bool { return p.stage() >= phaseAligning }

// begins says whether jobs are claimed and begun.
func (p phase) begins() bool { return p == phaseAligning || p == phaseServing }

// awaits says whether the SchedulerActor goes on only when every change set was answered.
func (p phase) awaits() bool { return !p.begins() && p != phaseStopped }

func (p phase) String() string {
	name := [...]string{"opening", "indexing", "aligning", "serving", "failed", "stopped"}[p.stage()]
	if p.draining() {
		name += ", draining"
	}
	return name
}

func (e phaseEvent) String() string {
	return [...]string{
		"state read", "state lost", "indexes built", "triggers aligned", "triggers doubted",
		"drain begun", "drain resumed", "actors stopped",
	}[e]
}

// phase may be asked for from any goroutine. What it says of the stage is certain in the
// SchedulerActor only, which moves it.
func (app *appState) phase() phase { return phase(app.life.Load()) }

// move takes the app to its next phase. An arrow that is not in the picture is a fault of
// the engine (A15): the SchedulerActor begins anew.
func (s *scheduler) move(e phaseEvent) {
	from := s.phase()
	to, ok := from.next(e)
	if !ok {
		panic(fmt.Sprintf("actors: A15: app %s: %s while %s", s.id, e, from))
	}
	s.life.Store(uint32(to))
}
