package actors

import (
	"sync"
	"sync/atomic"
)

// workers run what the actors and the handlers have to run, in goroutines that
// are used again: a new goroutine grows its stack anew each time, which was a
// fifth of the processor time of a busy app.
type workers struct {
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

func newWorkers() *workers {
	return &workers{work: make(chan func()), stop: make(chan struct{})}
}

// Schedule runs fn soon, in a goroutine of its own, or never if the workers are
// closed: a timer may fire while the engine stops. It does not block. With
// Throughput it is the actor library's dispatcher.
func (w *workers) Schedule(fn func()) {
	select {
	case w.work <- fn:
	default:
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.closed {
			return
		}
		w.wg.Add(1)
		go w.loop(fn)
	}
}

// Throughput implements the actor library's dispatcher.
func (w *workers) Throughput() int { return throughput }

// loop runs fn, then waits for more. A fn that ends its goroutine ends the loop.
func (w *workers) loop(fn func()) {
	defer w.wg.Done()
	for fn != nil {
		fn()
		fn = w.next()
	}
}

// next waits for something to run; nil ends the goroutine. It has a frame of its
// own, so that one that waits keeps nothing of what it has run, such as an app
// that has fallen asleep since.
func (w *workers) next() func() {
	if w.idle.Add(1) > maxIdle {
		w.idle.Add(-1)
		return nil
	}
	select {
	case fn := <-w.work:
		w.idle.Add(-1)
		return fn
	case <-w.stop:
		return nil
	}
}

// close lets the goroutines that wait go, and each that still runs when it has
// run. With wait it returns when there are none left.
func (w *workers) close(wait bool) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	close(w.stop)
	if wait {
		w.wg.Wait()
	}
}
