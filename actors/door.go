package actors

import "sync/atomic"

// door is where callers enter and leave a live app: its phase and how many are inside, in
// one word, so that an app stops only while no caller is inside.
type door struct{ state atomic.Uint64 } // the phase, and in the lower half the callers

// doorPhase is whether an app lets callers in. The picture is in holds.go.
type doorPhase uint32

const (
	doorOpen     doorPhase = iota
	doorDraining           // for a hold: calls of the app's own actions are let in
	doorDrained            // so they are, and the app stops when the last caller has left
	doorStopped            // the app's actors stop
	doorAsleep             // so they do, since it has nothing to do
)

// doorEvent is what takes a door from one phase to the next.
type doorEvent uint8

const (
	holdBegun doorEvent = iota
	appHasDrained
	holdTakenBack
	appStops
	appSleeps
	doorEvents // how many there are
)

// next is the phase after the event, with so many callers inside. It is false, and the
// phase as before, if the event comes too late, or too early.
func (p doorPhase) next(e doorEvent, inside uint32) (doorPhase, bool) {
	switch {
	case e == holdBegun && p == doorOpen:
		return doorDraining, true
	case e == appHasDrained && p == doorDraining:
		return doorDrained, true
	case e == holdTakenBack && (p == doorDraining || p == doorDrained):
		return doorOpen, true
	case e == appStops && p == doorDrained && inside == 0:
		return doorStopped, true
	case e == appSleeps && p == doorOpen && inside == 0:
		return doorAsleep, true
	}
	return p, false
}

func (p doorPhase) String() string {
	return [...]string{"open", "draining", "drained", "stopped", "asleep"}[p]
}

func (e doorEvent) String() string {
	return [...]string{"hold begun", "drained", "hold taken back", "stops", "falls asleep"}[e]
}

func (d *door) load() (p doorPhase, inside uint32) {
	s := d.state.Load()
	return doorPhase(s >> 32), uint32(s)
}

// move takes the door to its next phase, and says whether the event leads to one.
func (d *door) move(e doorEvent) bool {
	for {
		s := d.state.Load()
		to, ok := doorPhase(s>>32).next(e, uint32(s))
		if !ok || d.state.CompareAndSwap(s, uint64(to)<<32|uint64(uint32(s))) {
			return ok
		}
	}
}

// enter lets a caller in, if the door is open, or if own, which is for calls of the app's
// own actions, while it drains: the drain waits for those actions.
func (d *door) enter(own bool) bool {
	for {
		s := d.state.Load()
		if p := doorPhase(s >> 32); p != doorOpen && (!own || p > doorDrained) {
			return false
		}
		if d.state.CompareAndSwap(s, s+1) {
			return true
		}
	}
}

// leave lets a caller out, and says whether that lets the app stop.
func (d *door) leave() bool { return d.state.Add(^uint64(0)) == uint64(doorDrained)<<32 }
