package actors

import (
	"container/heap"
	"math"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// permitBroker is the actor that shares the engine-wide limit of running jobs over
// the apps. An app asks for permits when it has due work and keeps them while it
// has; while an app waits, a permit goes back with each run that ends. A free permit
// goes to the app that has the fewest, and among equals to the one that has been given
// none for longest (G18): however many apps work off a backlog, one with little to do
// has its even share of the permits at once.
type permitBroker struct {
	sys       *system
	self      *actor.PID
	free      int
	waiting   claimants
	places    map[string]*claimant // those that wait, by the app's address
	held      map[string]int       // permits of each live app, with those on their way to it
	arrivals  uint64
	contended atomic.Bool // an app waits
}

// claimant is n permits that an app asks for, or gives back.
type claimant struct {
	app *actor.PID
	n   int

	// Of one that waits:
	held    int    // permits that it has
	arrived uint64 // when it came to wait, or was given a permit for the last time
	at      int    // its place in the heap
}

func newPermitBroker(sys *system, permits int) *permitBroker {
	return &permitBroker{sys: sys, free: permits, places: map[string]*claimant{}, held: map[string]int{}}
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
func (g *permitBroker) ask(app *actor.PID, n int) {
	g.sys.tell(g.self, &askPermits{claimant{app: app, n: n}})
}

// unask takes back what the app has asked for and not got. What is on its way to
// it comes all the same.
func (g *permitBroker) unask(app *actor.PID) { g.sys.tell(g.self, &dropAsk{app}) }

// giveBack returns n permits.
func (g *permitBroker) giveBack(app *actor.PID, n int) {
	g.sys.tell(g.self, &returnPermits{claimant{app: app, n: n}})
}

// forget is the last word of an app that stops: it has no permits any more.
func (g *permitBroker) forget(app *actor.PID) { g.sys.tell(g.self, &endPermits{app}) }

// Receive implements the actor.
func (g *permitBroker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *askPermits:
		if w := g.places[m.app.Id]; w != nil {
			w.n += m.n
		} else {
			g.wait(&m.claimant)
		}
	case *dropAsk:
		g.drop(m.app)
	case *returnPermits:
		g.take(m.app, m.n)
	case *endPermits:
		g.drop(m.app)
		g.take(m.app, g.held[m.app.Id])
	default:
		return
	}
	for g.free > 0 && len(g.waiting) > 0 {
		w := g.waiting[0]
		n := min(w.n, g.free, g.waiting.lead())
		g.drop(w.app)
		g.free -= n
		g.held[w.app.Id] += n
		if w.n -= n; w.n > 0 {
			g.wait(w)
		}
		g.sys.tell(w.app, &permitsGiven{claimant{app: w.app, n: n}})
	}
	g.contended.Store(len(g.waiting) > 0)
}

// take takes permits from the app.
func (g *permitBroker) take(app *actor.PID, n int) {
	g.free += n
	if g.held[app.Id] -= n; g.held[app.Id] == 0 {
		delete(g.held, app.Id)
	}
	if w := g.places[app.Id]; w != nil {
		w.held = g.held[app.Id]
		heap.Fix(&g.waiting, w.at)
	}
}

// wait puts the claimant behind those that wait and have as many permits.
func (g *permitBroker) wait(w *claimant) {
	g.arrivals++
	w.held, w.arrived = g.held[w.app.Id], g.arrivals
	g.places[w.app.Id] = w
	heap.Push(&g.waiting, w)
}

// drop takes the app from those who wait, if it does.
func (g *permitBroker) drop(app *actor.PID) {
	if w := g.places[app.Id]; w != nil {
		heap.Remove(&g.waiting, w.at)
		delete(g.places, app.Id)
	}
}

// claimants is a heap of those that wait, with the next to be given a permit first.
type claimants []*claimant

// lead is how many permits the first of the claimants is given before it is the turn of
// another: as many as have it catch up with the next one, or all for a lone one.
func (c claimants) lead() int {
	if len(c) == 1 {
		return math.MaxInt
	}
	next := c[1].held
	if len(c) > 2 {
		next = min(next, c[2].held)
	}
	return max(next-c[0].held, 1)
}

// Len implements heap.Interface, as the methods that follow do.
func (c claimants) Len() int { return len(c) }

// Less says which claimant is before the other.
func (c claimants) Less(i, j int) bool {
	a, b := c[i], c[j]
	return a.held < b.held || a.held == b.held && a.arrived < b.arrived
}

// Swap exchanges two places.
func (c claimants) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].at, c[j].at = i, j
}

// Push adds a claimant at the end.
func (c *claimants) Push(w any) {
	w.(*claimant).at = len(*c)
	*c = append(*c, w.(*claimant))
}

// Pop takes the last claimant away.
func (c *claimants) Pop() any {
	last := len(*c) - 1
	w := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return w
}
