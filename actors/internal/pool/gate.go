package pool

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Gate bounds how many of its members run at once. Without it ten thousand that are
// due at one instant share the processor, and each message of any other actor waits
// for a round of all of them.
//
// Members wait in two lanes that take turns (P5): those with a caller that waits for
// them in the urgent one, all others in the patient one.
//
//	           permit ┌──── step aside ────┐
//	Schedule ──┬─────►│ running ──► ended  │
//	           │      └────────▲───────────┘
//	           └─► urgent, patient lane
type Gate struct {
	pool *Pool

	mu      sync.Mutex
	permits int // free ones; 0 while a member waits
	urgent  lane
	patient lane
	turn    bool         // the next permit is for the patient lane
	waiting atomic.Int32 // in both lanes
}

// lane is the members that wait, in the order they came.
type lane struct{ places []place }

// place is that of a member. It is void if the member has had another one since.
type place struct {
	member *Member
	number uint64
}

// NewGate returns a gate in front of the pool, for about as many at a time as keep
// the processor busy.
func NewGate(p *Pool) *Gate { return newGate(p, 2*runtime.GOMAXPROCS(0)+2) }

func newGate(p *Pool, permits int) *Gate { return &Gate{pool: p, permits: permits} }

// Member is the dispatcher of one actor behind the gate.
type Member struct {
	gate   *Gate
	urgent func() bool
	start  func() // m.run, bound once
	fn     func()
	steps  int           // since it was last let in
	resume chan struct{} // lets it go on after it has stepped aside

	parked atomic.Bool // in the patient lane
	number uint64      // of its place; guarded by gate.mu
	aside  bool        // it waits in the middle of a run; guarded by gate.mu
}

// stepsAtOnce is how many messages a member handles before it steps aside for others.
const stepsAtOnce = 16

// Member returns a new member. urgent says whether a caller waits for it; it is
// called from any goroutine and must not block.
func (g *Gate) Member(urgent func() bool) *Member {
	m := &Member{gate: g, urgent: urgent}
	m.start = m.run
	return m
}

// Throughput implements the actor library's dispatcher.
func (m *Member) Throughput() int { return throughput }

// Schedule implements the actor library's dispatcher, which calls it again only once
// fn has handled all there was.
func (m *Member) Schedule(fn func()) {
	m.fn = fn
	if m.gate.acquire(m, false) {
		m.gate.pool.Schedule(m.start)
	}
}

func (m *Member) run() {
	m.steps = 0
	defer m.gate.release()
	m.fn()
}

// Step is called by what runs behind the gate before each message. It blocks while
// it is the turn of others.
func (m *Member) Step() {
	if m.steps++; m.steps <= stepsAtOnce || m.gate.waiting.Load() == 0 {
		return
	}
	m.steps = 0
	if m.resume == nil {
		m.resume = make(chan struct{}, 1)
	}
	if !m.gate.stepAside(m) {
		<-m.resume
	}
}

// Hurry moves a member that waits to the urgent lane: a caller waits for it now.
func (m *Member) Hurry() {
	if !m.parked.Load() {
		return
	}
	g := m.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.parked.Load() {
		m.parked.Store(false)
		m.number++
		g.urgent.push(m)
	}
}

// acquire takes a permit for the member, or has it wait.
func (g *Gate) acquire(m *Member, aside bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.permits > 0 {
		g.permits--
		return true
	}
	g.wait(m, aside)
	return false
}

func (g *Gate) wait(m *Member, aside bool) {
	m.aside = aside
	m.number++
	g.waiting.Add(1)
	m.parked.Store(true) // first: a caller that comes now sees one or the other
	if m.urgent() {
		m.parked.Store(false)
		g.urgent.push(m)
		return
	}
	g.patient.push(m)
}

// stepAside passes the member's permit on, and has it wait itself. It is true if no
// other waits, and the member keeps the permit.
func (g *Gate) stepAside(m *Member) bool {
	g.mu.Lock()
	next := g.next()
	if next == nil {
		g.mu.Unlock()
		return true
	}
	g.wait(m, true)
	start := g.let(next)
	g.mu.Unlock()
	g.begin(start)
	return false
}

// release passes a permit on, or gives it back.
func (g *Gate) release() {
	g.mu.Lock()
	next := g.next()
	if next == nil {
		g.permits++
		g.mu.Unlock()
		return
	}
	start := g.let(next)
	g.mu.Unlock()
	g.begin(start)
}

// next takes the first of the lane whose turn it is, or else of the other.
func (g *Gate) next() *Member {
	first, second := &g.urgent, &g.patient
	if g.turn {
		first, second = second, first
	}
	m := first.pop()
	if m == nil {
		if m = second.pop(); m == nil {
			return nil
		}
	} else {
		g.turn = !g.turn
	}
	g.waiting.Add(-1)
	m.parked.Store(false)
	m.number++
	return m
}

// let resumes a member that waits in the middle of a run. One that has not begun is
// returned, for begin.
func (g *Gate) let(m *Member) (start *Member) {
	if !m.aside {
		return m
	}
	m.aside = false
	m.resume <- struct{}{}
	return nil
}

func (g *Gate) begin(m *Member) {
	if m != nil {
		g.pool.Schedule(m.start)
	}
}

func (l *lane) push(m *Member) { l.places = append(l.places, place{m, m.number}) }

// pop takes the first away; nil if none waits.
func (l *lane) pop() *Member {
	for len(l.places) > 0 {
		p := l.places[0]
		l.places[0] = place{}
		if l.places = l.places[1:]; len(l.places) == 0 {
			l.places = nil
		}
		if p.number == p.member.number {
			return p.member
		}
	}
	return nil
}
