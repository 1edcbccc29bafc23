package pool

import (
	"container/heap"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Gate bounds how many of its members run at once. Without it ten thousand that are
// due at one instant share the processor, and each message of any other actor waits
// for a round of all of them.
//
// Members wait in two lanes that take turns (P5): those with a caller that waits for
// them in the urgent one, in the order they came, all others in the patient one, first the
// member whose app has used the least of the processor.
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
	patient fairLane
	now     time.Duration // what the last that the patient lane let in had used
	turn    bool          // the next permit is for the patient lane
	waiting atomic.Int32  // in both lanes
}

// Share is what the members of one app have used of the processor together, for the
// gate to be fair by. An app that was idle has saved nothing by that.
type Share struct{ used time.Duration } // guarded by gate.mu

// Spend adds what was used outside the gate.
func (g *Gate) Spend(s *Share, d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s.used += d
}

// lane is the members that wait, in the order they came.
type lane struct{ places []place }

// fairLane is the members that wait, by what they had used when they came, and in that
// order among equals.
type fairLane struct {
	places  []place
	arrived uint64
}

// place is that of a member. It is void if the member has had another one since.
type place struct {
	member *Member
	number uint64

	used    time.Duration // of a fairLane
	arrived uint64
}

// NewGate returns a gate in front of the pool, for about as many at a time as keep
// the processor busy.
func NewGate(p *Pool) *Gate { return newGate(p, 2*runtime.GOMAXPROCS(0)+2) }

func newGate(p *Pool, permits int) *Gate { return &Gate{pool: p, permits: permits} }

// Member is the dispatcher of one actor behind the gate.
type Member struct {
	gate   *Gate
	share  *Share
	urgent func() bool
	start  func() // m.run, bound once
	fn     func()
	steps  int           // since it was last let in
	spell  *spell        // since then
	resume chan struct{} // lets it go on after it has stepped aside

	parked atomic.Bool // in the patient lane
	number uint64      // of its place; guarded by gate.mu
	aside  bool        // it waits in the middle of a run; guarded by gate.mu
}

// stepsAtOnce is how many messages a member handles before it steps aside for others, and
// spanAtOnce for how long, if it is asked after each part of what it does.
const (
	stepsAtOnce = 16
	spanAtOnce  = time.Millisecond
)

// Member returns a new member that uses the share. urgent says whether a caller waits for
// it; it is called from any goroutine and must not block.
func (g *Gate) Member(share *Share, urgent func() bool) *Member {
	m := &Member{gate: g, share: share, urgent: urgent}
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

// spell is a time in which a member runs. The next run of a member may begin before the one
// before it has given its permit back.
type spell struct{ since time.Time }

func (m *Member) run() {
	s := &spell{time.Now()}
	m.steps, m.spell = 0, s
	defer m.gate.release(m, s)
	m.fn()
}

// Step is called by what runs behind the gate before each message, and each part of
// one. It blocks while it is the turn of others.
func (m *Member) Step() {
	m.steps++
	if m.gate.waiting.Load() == 0 || m.steps <= stepsAtOnce && time.Since(m.spell.since) < spanAtOnce {
		return
	}
	if m.resume == nil {
		m.resume = make(chan struct{}, 1)
	}
	if !m.gate.stepAside(m) {
		<-m.resume
	}
	m.steps, m.spell.since = 0, time.Now()
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
		m.share.used = max(m.share.used, g.now)
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
	m.share.used = max(m.share.used, g.now)
	g.patient.push(m)
}

// stepAside passes the member's permit on, and has it wait itself. It is true if no
// other waits, and the member keeps the permit.
func (g *Gate) stepAside(m *Member) bool {
	g.mu.Lock()
	m.share.used += time.Since(m.spell.since)
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

// release passes the permit of the member on, or gives it back.
func (g *Gate) release(m *Member, s *spell) {
	g.mu.Lock()
	m.share.used += time.Since(s.since)
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
	var m *Member
	if g.turn {
		if m = g.takePatient(); m == nil {
			m = g.urgent.pop()
		} else {
			g.turn = false
		}
	} else {
		if m = g.urgent.pop(); m == nil {
			m = g.takePatient()
		} else {
			g.turn = true
		}
	}
	if m == nil {
		return nil
	}
	g.waiting.Add(-1)
	m.parked.Store(false)
	m.number++
	return m
}

func (g *Gate) takePatient() *Member {
	m, used := g.patient.pop()
	g.now = max(g.now, used)
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

func (l *lane) push(m *Member) { l.places = append(l.places, place{member: m, number: m.number}) }

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

func (l *fairLane) push(m *Member) {
	l.arrived++
	heap.Push(l, place{m, m.number, m.share.used, l.arrived})
}

// pop takes the first away, and says what it had used; nil if none waits.
func (l *fairLane) pop() (*Member, time.Duration) {
	for len(l.places) > 0 {
		if p := heap.Pop(l).(place); p.number == p.member.number {
			return p.member, p.used
		}
	}
	l.places = nil
	return nil, 0
}

// Len implements heap.Interface, as the methods that follow do.
func (l *fairLane) Len() int { return len(l.places) }

// Less says which place is before the other.
func (l *fairLane) Less(i, j int) bool {
	a, b := &l.places[i], &l.places[j]
	return a.used < b.used || a.used == b.used && a.arrived < b.arrived
}

// Swap exchanges two places.
func (l *fairLane) Swap(i, j int) { l.places[i], l.places[j] = l.places[j], l.places[i] }

// Push adds a place at the end.
func (l *fairLane) Push(p any) { l.places = append(l.places, p.(place)) }

// Pop takes the last place away.
func (l *fairLane) Pop() any {
	last := len(l.places) - 1
	p := l.places[last]
	l.places[last] = place{}
	l.places = l.places[:last]
	return p
}
