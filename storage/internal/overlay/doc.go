// Package overlay keeps, in memory and in order, what is durable in the log and not yet
// in the sorted copy below it: bbolt.
//
// In storage/internal/kv a commit is a Change, its record goes to the log, and once that is
// durable it is published; a snapshot is a View and a snapshot of the copy below, of which the
// View says whether they belong together.
//
//	stack := overlay.NewStack(spaces, copy.ID())
//	change := stack.View().Change()      // one at a time
//	change.Put(space, key, value)
//	errs := log.Append(wal.Record{…, Data: change.Record(chain)})
//	stack.Publish(change)                // durable, and shown from now on
//
//	view := stack.View()                 // any goroutine
//	below := copy.Begin()                // if !view.Accepts(below.ID()): once more
//	value, known := view.Get(space, key) // else below.Get(space, key)
//	c := view.Cursor(space, below.Cursor(space))
//
// # A layer's way
//
//	View ─► Change ─► Record ─► log ─► Publish     Freeze           copied: Drop
//	                                      │           │                  │
//	                                      ▼           ▼                  ▼
//	                                ┌──────────┐  ┌────────┐  ┌───────────────────┐
//	                                │  latest  │─►│ frozen │─►│ the copy, id+txs  │
//	                                └──────────┘  └────────┘  └───────────────────┘
//
// # Invariants
//
//	O1  A View never changes. What it shows over a copy that it accepts is all changes that
//	    were published when it was taken, and nothing else.
//	O2  A change is shown when it is published, as a whole; one that is not has changed nothing.
//	O3  A frozen layer is shown until the copy that has it is durable and shown.
//	O4  A deleted key hides the copy's. It is written down like a put, so that the record can
//	    be replayed any number of times.
//	O5  A record bears a checksum of all records before it: one that comes behind another is
//	    refused.
package overlay
