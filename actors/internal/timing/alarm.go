package timing

import "time"

// Alarm is a single timer that is set again and again. Each setting has a
// generation, so that the message of a timer that was set anew, but had fired
// already, is ignored. It is for one goroutine at a time: an actor's.
type Alarm struct {
	Timers *Timers
	At     time.Duration // monotonic; of the timer that is set, as its owner notes it
	Idle   bool          // its owner notes: it is set to look whether there is anything to do

	timer *Timer
	gen   uint64
}

// Set has fire called after d, or a little before, and nothing that was set before.
func (a *Alarm) Set(d time.Duration, fire func(gen uint64)) {
	a.Clear()
	gen := a.gen
	a.timer = a.Timers.After(d, func() { fire(gen) })
}

// Armed says whether the alarm is set and has not fired.
func (a *Alarm) Armed() bool { return a.timer != nil }

// Clear stops the timer. A message it has sent already is stale from now on.
func (a *Alarm) Clear() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
	a.Idle = false
	a.At = -1 // what is set for another purpose is never taken for what its owner has noted
	a.gen++
}

// Fired says whether the message is that of the timer last set.
func (a *Alarm) Fired(gen uint64) bool {
	if gen != a.gen || a.timer == nil {
		return false
	}
	a.Clear()
	return true
}
