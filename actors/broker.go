package actors

import (
	"container/list"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// permitBroker is the actor that shares the engine-wide limit of running jobs over
// the apps. An app asks for permits when it has due work and keeps them while it
// has; while an app waits, a permit goes back with each run that ends. A free permit
// goes to an app that has none, else to the one that has been given none for longest
// (G18): an app keeps its place in that circle until it has all it asked for.
type permitBroker struct {
	sys       *system
	self      *actor.PID
	free      int
	none      list.List                // of claimants that have no permit, in the order they are given one
	waiting   list.List                // of the others, likewise
	places    map[string]*list.Element // those in both, by the app's address
	held      map[string]int           // permits of each live app, with those on their way to it
	contended atomic.Bool              // an app waits
}

type claimant struct {
	app *actor.PID
	n   int
}

func newPermitBroker(sys *system, permits int) *permitBroker {
	return &permitBroker{sys: sys, free: permits, places: map[string]*list.Element{}, held: map[string]int{}}
}

// The messages to the permit broker.
type (
	askPermits    struct{ claimant }
	returnPermits struct{ claimant }
	dropAsk       struct{ app *actor.PID }
	endPermits    struct{ app *actor.PID }
)

// ask asks for n permits beside those that the app has asked for and not got. It is
// sent permitsGiven, with some at a time.
func (g *permitBroker) ask(app *actor.PID, n int) { g.sys.tell(g.self, &askPermits{claimant{app, n}}) }

// unask takes back what the app has asked for and not got. What is on its way to
// it comes all the same.
func (g *permitBroker) unask(app *actor.PID) { g.sys.tell(g.self, &dropAsk{app}) }

// giveBack returns n permits.
func (g *permitBroker) giveBack(app *actor.PID, n int) {
	g.sys.tell(g.self, &returnPermits{claimant{app, n}})
}

// forget is the last word of an app that stops: it has no permits any more.
func (g *permitBroker) forget(app *actor.PID) { g.sys.tell(g.self, &endPermits{app}) }

// Receive implements the actor.
func (g *permitBroker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *askPermits:
		if at, waits := g.places[m.app.Id]; waits {
			at.Value.(*claimant).n += m.n
		} else {
			g.wait(&m.claimant)
		}
	case *dropAsk:
		g.drop(m.app)
	case *returnPermits:
		g.free += m.n
		if g.held[m.app.Id] -= m.n; g.held[m.app.Id] == 0 {
			delete(g.held, m.app.Id)
			if at, waits := g.places[m.app.Id]; waits {
				g.drop(m.app)
				g.wait(at.Value.(*claimant))
			}
		}
	case *endPermits:
		g.drop(m.app)
		g.free += g.held[m.app.Id]
		delete(g.held, m.app.Id)
	default:
		return
	}
	for g.free > 0 && len(g.places) > 0 {
		first := g.none.Front()
		if first == nil {
			first = g.waiting.Front()
		}
		w := first.Value.(*claimant)
		// A lone claimant gets all it asks for; of several each gets one in turn.
		n := min(w.n, g.free)
		if len(g.places) > 1 {
			n = 1
		}
		g.drop(w.app)
		g.free -= n
		g.held[w.app.Id] += n
		if w.n -= n; w.n > 0 {
			g.wait(w)
		}
		g.sys.tell(w.app, &permitsGiven{claimant{w.app, n}})
	}
	g.contended.Store(len(g.places) > 0)
}

// wait puts the claimant behind those that wait as it does.
func (g *permitBroker) wait(w *claimant) {
	if g.held[w.app.Id] == 0 {
		g.places[w.app.Id] = g.none.PushBack(w)
	} else {
		g.places[w.app.Id] = g.waiting.PushBack(w)
	}
}

// drop takes the app from those who wait, if it does.
func (g *permitBroker) drop(app *actor.PID) {
	if at, waits := g.places[app.Id]; waits {
		g.none.Remove(at) // of one of the two
		g.waiting.Remove(at)
		delete(g.places, app.Id)
	}
}
