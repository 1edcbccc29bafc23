package actors

import (
	"testing"

	"carillon/storage"
)

// TestG40_WithoutLiveQueriesNothingIsLookedAt: an app without live queries pays a look at a
// counter for each commit, as long as no other app has any, and no more than a lock then.
func TestG40_WithoutLiveQueriesNothingIsLookedAt(t *testing.T) {
	var ls lives
	commit := func() {
		ls.tell("acme", nil, 7) // what the transaction has written is not looked at, or this would panic
		ls.doubt("acme")
		ls.started(&run{app: &appState{id: "acme"}})
	}
	if n := testing.AllocsPerRun(100, commit); n > 2 {
		t.Errorf("a commit allocates %v times", n)
	}
	other := &App{id: "other", eng: new(Engine)}
	l := new(Live)
	ls.join(other, l, "client")
	defer ls.leave(l, errShutdown())
	if ls.n.Load() != 1 {
		t.Errorf("there are %d rooms", ls.n.Load())
	}
	commit()
}

// TestG40_WhatLiesInARoomIsBounded: what the committer leaves while a round takes long is
// forgotten at 8 MiB, and then everything runs anew.
func TestG40_WhatLiesInARoomIsBounded(t *testing.T) {
	r := newLiveRoom(new(lives), nil, "client").quick
	r.in.used, r.in.working = true, true // so that it lies there
	for range 8 {
		r.give(liveWrite{commit: 1, written: new(storage.JobWrites)}, 1<<20)
	}
	if len(r.in.written) != 8 || r.in.lost {
		t.Errorf("with 8 MiB there are %d, lost %v", len(r.in.written), r.in.lost)
	}
	r.give(liveWrite{commit: 1, written: new(storage.JobWrites)}, 1)
	if len(r.in.written) != 0 || !r.in.lost {
		t.Errorf("with one byte more there are %d, lost %v", len(r.in.written), r.in.lost)
	}
	r.groups = map[string]*liveGroup{"q": {reads: new(storage.ReadSet)}}
	if written, lost := r.in.takeUpTo(9); !r.mark(written, lost) || !r.in.lost {
		t.Error("what is forgotten has nothing run anew, or not in the next round")
	}
}
