// Package pool has the goroutines in which actors and handlers run, and the gate that
// the actors of apps pass before they run. Goroutines are used
// again: a new goroutine grows its stack anew each time, which was a fifth of the
// processor time of a busy app.
//
//	workers := pool.New()
//	workers.Schedule(fn) // does not block
//	workers.Close(true)  // returns when none is left
//
// Each goroutine runs one function at a time, waits for the next, and ends when
// enough others wait or the pool is closed:
//
//	           ┌──── next ◄────┐
//	started ──►│    running    ├──► waiting ──► ended
//	           └───────────────┘       (idle beyond the bound, or Close)
//
// Invariants:
//
//	P1  Schedule never blocks and never runs fn in the caller's goroutine.
//	P2  After Close nothing is started; with wait nothing of the pool runs when it returns.
//	P3  A goroutine that waits keeps nothing of what it has run.
//	P4  No more members of a gate run at once than it has permits.
//	P5  A member that a caller waits for passes the others, yet each lane moves: the
//	    two take turns.
//	P6  A member with much to do lets those that wait go first, every few messages, and
//	    every millisecond.
//	P7  However a member's run ends, its permit goes on.
//	P8  Of the members that no caller waits for the one enters first whose app has used
//	    the least of the processor; an app that was idle has saved nothing by that.
package pool
