// Package actorstest runs an engine in a testing/synctest bubble, so that a test
// of functions that run "in an hour" takes milliseconds and is exact. It is for
// the users of the library as much as for the library's own tests. (It stands
// where one would look for dispatch/dispatchtest: that would have to import
// actors, which stands to the right of dispatch.)
//
// Use:
//
//	func TestTrialExpires(t *testing.T) {
//		actorstest.Run(t, actors.Options{Functions: functions()}, func(h *actorstest.Harness) {
//			user, err := startTrial.Run(h.Caller("acme"), Trial{Days: 14})
//			...
//			h.Advance(14 * 24 * time.Hour)
//			h.Crash() // the process dies, and the directory is opened again
//			...
//		})
//	}
//
// Time stands still while anything in the bubble can go on, and otherwise moves
// only when the test advances it. The life of an engine under test:
//
//	         Restart, or Crash
//	          ┌───────────┐
//	Run ──► open ◄── Advance, Settle, Drain, StepClock
//	          │
//	          └──► check ──► close
//
// Invariants:
//
//	T1  Advance, Settle and Drain return when all that became due has run, as far
//	    as it can: nothing of the engine is left that does not wait for time, for
//	    the disk to fail, or for the test.
//	T2  After Crash nothing is on disk that was not there at its moment, whatever
//	    the handlers that were cut off do.
//	T3  Every engine that is left, by Restart, Crash or the end of the test, has
//	    been verified whole by Engine.Check, and so has every one that is opened.
//
// RunScripts runs scenarios written down as text, which read like stories.
package actorstest
