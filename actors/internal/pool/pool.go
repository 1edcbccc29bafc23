package pool

import (
	"sync"
	"sync/atomic"
)

// Pool runs what the actors and the handlers have to run, in goroutines that
// are used again: a new goroutine grows its stack anew each time, which was a
// fifth of the processor time of a busy app.
type Pool struct {
	work chan func() // unbuffered: taken only by a worker that waits
	stop chan struct{}
	idle atomic.Int32

	mu     sync.Mutex // guards closed, and every Add to wg against its Wait
	closed bool
	wg     sync.WaitGroup
}

// maxIdle bounds how many goroutines wait for work.
const maxIdle = 128

// throughput is how many messages of one actor are handled before another's turn.
const throughput = 300

// New returns a pool without goroutines; Schedule starts them as needed.
func New() *Pool {
	return &Pool{work: make(chan func()), stop: make(chan struct{})}
}

// Schedule runs fn soon, in a goroutine of its own, or never if the workers are
// closed: a timer may fire while the engine stops. It does not block. With
// Throughput it is the actor library's dispatcher.
func (p *Pool) Schedule(fn func()) {
	select {
	case p.work <- fn:
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.closed {
			return
		}
		p.wg.Add(1)
		go p.loop(fn)
	}
}

// Throughput implements the actor library's dispatcher.
func (p *Pool) Throughput() int { return throughput }

// loop runs fn, then waits for more. A fn that ends its goroutine ends the loop.
func (p *Pool) loop(fn func()) {
	defer p.wg.Done()
	for fn != nil {
		fn()
		fn = p.next()
	}
}

// next waits for something to run; nil ends the goroutine. It has a frame of its
// own, so that one that waits keeps nothing of what it has run, such as an app
// that has fallen asleep since.
func (p *Pool) next() func() {
	if p.idle.Add(1) > maxIdle {
		p.idle.Add(-1)
		return nil
	}
	select {
	case fn := <-p.work:
		p.idle.Add(-1)
		return fn
	case <-p.stop:
		return nil
	}
}

// Close lets the goroutines that wait go, and each that still runs when it has
// run. With wait it returns when there are none left.
func (p *Pool) Close(wait bool) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	close(p.stop)
	if wait {
		p.wg.Wait()
	}
}
