package actors

import (
	"slices"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// governor is the actor that shares the engine-wide limit of running jobs over
// the apps. An app asks for slots when it has due work and keeps them while it
// has; once somebody has to wait, a slot goes back with each run that ends, and
// is given round-robin to those who wait (G18).
type governor struct {
	sys       *system
	self      *actor.PID
	free      int
	waiting   []claimant
	given     map[string]int // the last answer to each live app
	contended atomic.Bool    // somebody waits
}

type claimant struct {
	app *actor.PID
	n   int
}

// The messages to the governor.
type (
	askSlots  struct{ claimant }
	backSlots struct{ n int }
	endSlots  struct {
		app   *actor.PID
		n     int
		asked bool
	}
)

// ask asks for n more slots for the app, which is sent slotsGiven with at least
// one, in time. An app has one question open at most.
func (g *governor) ask(app *actor.PID, n int) { g.sys.tell(g.self, &askSlots{claimant{app, n}}) }

// giveBack returns n slots.
func (g *governor) giveBack(n int) {
	if n > 0 {
		g.sys.tell(g.self, &backSlots{n})
	}
}

// forget is the last word of an app that stops: it gives n slots back, and says
// whether its last question is open. If the answer to that is on its way, it
// would be lost with its slots.
func (g *governor) forget(app *actor.PID, n int, asked bool) {
	g.sys.tell(g.self, &endSlots{app, n, asked})
}

// Receive implements the actor.
func (g *governor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *askSlots:
		g.waiting = append(g.waiting, m.claimant)
	case *backSlots:
		g.free += m.n
	case *endSlots:
		g.free += m.n
		if m.asked {
			n := len(g.waiting)
			g.waiting = slices.DeleteFunc(g.waiting, func(w claimant) bool { return w.app.Id == m.app.Id })
			if n == len(g.waiting) {
				g.free += g.given[m.app.Id]
			}
		}
		delete(g.given, m.app.Id)
	default:
		return
	}
	for g.free > 0 && len(g.waiting) > 0 {
		w := g.waiting[0]
		g.waiting = g.waiting[1:]
		// A lone claimant gets all it asks for; of several each gets one in turn.
		n := min(w.n, g.free)
		if len(g.waiting) > 0 {
			n = 1
		}
		g.free -= n
		g.given[w.app.Id] = n
		g.sys.tell(w.app, &slotsGiven{n})
	}
	g.contended.Store(len(g.waiting) > 0)
}
