// Package lease says whether a node may answer for the shards that it owns: its incarnation
// beats in a shared log, and trusts itself for a while after each beat that was acknowledged.
//
//	l, err := lease.Join(ctx, log, wal.Node{Name: "a", TTL: 5 * time.Second}, lease.Options{})
//	answer := read()
//	if err := l.Held(); err != nil {
//		return err // another node may have taken over: the answer may be stale
//	}
//	<-l.Lost() // join anew
//
// # States
//
//	                 beat acknowledged
//	             ┌───────────────────────┐
//	             ▼                       │
//	Join ──►  held  ──── time is up ──► lapsed
//	             │                       │
//	             └── retired, or End ────┴──► ended
//
// A lease that has lapsed is held again after the next beat: while the incarnation is not
// retired, its shards are still its own, and no other node has written to them.
//
// # Invariants
//
//	L1  The lease is held only while less than TTL minus a fifth has passed since before the
//	    latest acknowledged beat, or Join, was sent. The log counts TTL from a moment that is
//	    later, on a clock of its own.
//	L2  What has passed is the most of what three clocks say: the one since boot, which goes on
//	    while the machine is suspended, the monotonic one and the wall. A wall that is set ahead
//	    ends a lease too early, and the next beat mends that.
//	L3  What has ended is never held again.
//	L4  A term, as a context, ends no later than Held finds that it has. Where nothing asks, it
//	    ends by a timer, which stands still while the machine is suspended.
//
// L1 keeps reads from being stale as long as the clocks of node and log run at rates that differ
// by less than a fifth, and the log's is not set ahead. Writes need no clock: they are fenced.
package lease
