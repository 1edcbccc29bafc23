package timing

import (
	"container/heap"
	"sync"
	"time"
)

// finalApproach is how long before a job's instant the precise timer takes over
// from Go's own, which are late by most of a millisecond: the poller that they
// wait in counts whole ones.
const finalApproach = 2 * time.Millisecond

// Timers is the engine's one timer for what is only a few milliseconds away. A
// nil *Timers is Go's own timers: what virtual time moves, and what there is
// where the system has nothing better.
type Timers struct {
	mu      sync.Mutex
	waiting timerHeap
	source  timerSource
	closed  bool
	ended   chan struct{}
}

// timerSource is the system's timer.
type timerSource interface {
	set(d time.Duration) // wait returns after d, once; d is above 0
	wait() error         // an error: closed
	close()
}

// NewTimers starts the timer, or returns nil if there is none.
func NewTimers() *Timers {
	source, err := newTimerSource()
	if err != nil {
		return nil
	}
	p := &Timers{source: source, ended: make(chan struct{})}
	go p.loop()
	return p
}

// Timer is one call to come.
type Timer struct {
	owner *Timers
	own   *time.Timer // in the place of all the rest
	at    time.Time
	fn    func()
	index int // in the heap; below 0: not in it
}

// After has fn called after d, in a goroutine that must not be blocked. If d is
// long it is called a little earlier, by finalApproach: a caller that waits for an
// instant reads the clock again anyway, and asks for the rest.
func (p *Timers) After(d time.Duration, fn func()) *Timer {
	if p == nil {
		return &Timer{own: time.AfterFunc(d, fn)}
	}
	if d > 2*finalApproach {
		return &Timer{own: time.AfterFunc(d-finalApproach, fn)}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &Timer{owner: p, at: time.Now().Add(d), fn: fn, index: -1}
	if p.closed {
		return t
	}
	heap.Push(&p.waiting, t)
	if t.index == 0 {
		p.source.set(max(d, 1))
	}
	return t
}

// Stop keeps fn from being called, unless it is being called.
func (t *Timer) Stop() {
	if t.own != nil {
		t.own.Stop()
		return
	}
	p := t.owner
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.index >= 0 {
		heap.Remove(&p.waiting, t.index) // the source may fire for nothing
	}
}

func (p *Timers) loop() {
	defer close(p.ended)
	for p.source.wait() == nil {
		for fn := p.next(); fn != nil; fn = p.next() {
			fn()
		}
	}
}

// next takes a call whose time has come, or sets the source for the first of the rest.
func (p *Timers) next() func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 || p.closed {
		return nil
	}
	if wait := time.Until(p.waiting[0].at); wait > 0 {
		p.source.set(wait)
		return nil
	}
	return heap.Pop(&p.waiting).(*Timer).fn
}

// Close ends the timer: nothing is called any more once it has returned.
func (p *Timers) Close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.source.close()
	<-p.ended
}

// timerHeap is ordered by instant.
type timerHeap []*Timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *timerHeap) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop implements heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.index = -1
	return t
}
