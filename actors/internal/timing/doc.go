// Package timing is how the engine waits: for an instant in a timer that is near
// it, for whichever instant comes first in an app's one alarm, and in a handler's
// context that costs nothing until it is waited for.
//
//	timers := timing.NewTimers() // nil in virtual time: Go's own
//	defer timers.Close()
//	alarm := timing.Alarm{Timers: timers}
//	alarm.Set(wait, func(gen uint64) { mailbox <- fired{gen} })
//	...
//	if alarm.Fired(message.gen) { ... } // false: it was set anew meanwhile
//
// An alarm is armed or not:
//
//	             Set                 Fired, true
//	unarmed ────────────► armed ──────────────────► unarmed
//	           ▲            │ Set: of a new generation
//	           └── Clear ───┘
//
// Invariants:
//
//	W1  A call comes at its instant or, if that was far, at most finalApproach before it.
//	    It is a hint: what waits for an instant reads the clock again (G11).
//	W2  A stopped timer calls nothing, unless it is being called; a closed Timers nothing at all.
//	W3  Fired is true once for each setting, and only for the latest (G14).
//	W4  A LazyContext is in all that can be seen like one of package context.
package timing
