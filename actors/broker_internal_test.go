package actors

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// mailless is an actor's context of which only the message is asked.
type mailless struct {
	actor.Context
	message any
}

func (m mailless) Message() any { return m.message }

// TestG18_ManyWaitingAppsAreServedInOrder: apps are given permits in the order in
// which they asked, and those that took their word back are given none.
func TestG18_ManyWaitingAppsAreServedInOrder(t *testing.T) {
	const apps = 10_000
	g := newPermitBroker(newSystem(nil), 0)
	defer g.sys.workers.Close(true)
	pids := make([]*actor.PID, apps)
	for i := range pids {
		pids[i] = g.sys.address(fmt.Sprint("app/", i, "/scheduler"))
		g.Receive(mailless{message: &askPermits{claimant{app: pids[i], n: 1}}})
	}
	for i := 0; i < apps; i += 2 {
		g.Receive(mailless{message: &dropAsk{pids[i]}})
	}
	for i := 1; i < apps; i += 2 {
		if !g.contended.Load() {
			t.Fatalf("nobody waits before app %d has its permit", i)
		}
		g.Receive(mailless{message: &returnPermits{claimant{app: pids[0], n: 1}}})
		if g.held[pids[i].Id] != 1 {
			t.Fatalf("app %d has no permit when it is its turn", i)
		}
	}
	if g.contended.Load() || len(g.places) != 0 {
		t.Errorf("%d apps wait that have what they asked for", len(g.places))
	}
}

// TestG18_TheAppWithTheFewestPermitsComesFirst: a permit goes to the app that has the fewest,
// and among equals to the one that has waited the longest.
func TestG18_TheAppWithTheFewestPermitsComesFirst(t *testing.T) {
	g := newPermitBroker(newSystem(nil), 6)
	defer g.sys.workers.Close(true)
	ask := func(name string, n int) *actor.PID {
		pid := g.sys.address("app/" + name + "/scheduler")
		g.Receive(mailless{message: &askPermits{claimant{app: pid, n: n}}})
		return pid
	}
	giveBack := func(pid *actor.PID, n int) {
		g.Receive(mailless{message: &returnPermits{claimant{app: pid, n: n}}})
	}
	var first, second, quiet *actor.PID
	want := func(after string, permits ...int) {
		t.Helper()
		for i, pid := range []*actor.PID{first, second, quiet} {
			if pid != nil && g.held[pid.Id] != permits[i] {
				t.Errorf("after %s app %d has %d permits, want %v", after, i+1, g.held[pid.Id], permits)
			}
		}
	}
	first = ask("first", 8)
	want("a lone one asked", 6)
	second = ask("second", 8)
	giveBack(first, 1)
	want("one came back", 5, 1)
	giveBack(first, 2)
	want("two came back", 3, 3)
	quiet = ask("quiet", 2)
	giveBack(second, 3)
	want("three came back", 3, 2, 1) // one for each that had none, and the second had waited longer
	giveBack(first, 1)
	want("one more came back", 2, 2, 2)
	giveBack(second, 2)
	want("it came to have the fewest", 2, 2, 2)
}
