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
		g.Receive(mailless{message: &askPermits{claimant{pids[i], 1}}})
	}
	for i := 0; i < apps; i += 2 {
		g.Receive(mailless{message: &dropAsk{pids[i]}})
	}
	for i := 1; i < apps; i += 2 {
		if !g.contended.Load() {
			t.Fatalf("nobody waits before app %d has its permit", i)
		}
		g.Receive(mailless{message: &returnPermits{claimant{pids[0], 1}}})
		if g.held[pids[i].Id] != 1 {
			t.Fatalf("app %d has no permit when it is its turn", i)
		}
	}
	if g.contended.Load() || len(g.places) != 0 {
		t.Errorf("%d apps wait that have what they asked for", len(g.places))
	}
}

// TestG18_AnAppWithoutAPermitComesFirst: a permit goes to an app that has none before those
// that have some, and among these to the one that has waited the longest.
func TestG18_AnAppWithoutAPermitComesFirst(t *testing.T) {
	g := newPermitBroker(newSystem(nil), 4)
	defer g.sys.workers.Close(true)
	ask := func(name string, n int) *actor.PID {
		pid := g.sys.address("app/" + name + "/scheduler")
		g.Receive(mailless{message: &askPermits{claimant{pid, n}}})
		return pid
	}
	giveBack := func(pid *actor.PID) { g.Receive(mailless{message: &returnPermits{claimant{pid, 1}}}) }
	want := func(pid *actor.PID, n int) {
		t.Helper()
		if got := g.held[pid.Id]; got != n {
			t.Fatalf("%s has %d permits, want %d", pid.Id, got, n)
		}
	}
	first := ask("first", 8)
	want(first, 4)
	second, quiet := ask("second", 8), ask("quiet", 1)
	giveBack(first)
	want(second, 1)
	giveBack(first)
	want(quiet, 1)
	giveBack(first)
	want(first, 2) // it has waited the longest of those that have some
	giveBack(quiet)
	want(second, 2)
	late := ask("late", 1)
	giveBack(first)
	want(late, 1)
	want(first, 1)
	giveBack(first) // with none left it comes before those that have some
	want(first, 1)
}
