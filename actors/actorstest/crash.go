package actorstest

import (
	"cmp"
	"errors"
	"sync"
	"testing/synctest"
	"time"

	"carillon/storage/memlog"
)

// errCut is what every commit fails with after a crash.
var errCut = errors.New("actorstest: the process has crashed")

// life is one engine's time between open and its end. Its fault function sits in
// front of the test's own, so that a crash can cut every commit off.
type life struct {
	own  func(string) error
	dead chan struct{} // closed by cut

	mu    sync.Mutex
	armed *crashPoint // nil: no crash is to come
}

// crashPoint is where CrashAt is to crash.
type crashPoint struct {
	point   string
	left    int           // passages before it
	reached chan struct{} // closed when the committer stands there
	resume  chan struct{} // closed by the crash
}

func newLife(own func(string) error) *life {
	if own == nil {
		own = func(string) error { return nil }
	}
	return &life{own: own, dead: make(chan struct{})}
}

// cut lets nothing more reach the disk.
func (l *life) cut() {
	close(l.dead)
	if p := l.arm(nil); p != nil {
		close(p.resume)
	}
}

// arm sets where to crash, and returns where it was to be until now.
func (l *life) arm(p *crashPoint) *crashPoint {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.armed
	l.armed = p
	return was
}

// over says whether the life was cut off.
func (l *life) over() bool {
	select {
	case <-l.dead:
		return true
	default:
		return false
	}
}

// fault is Testing.Fault of the engine.
func (l *life) fault(point string) error {
	l.mu.Lock()
	p := l.armed
	if p != nil && p.point == point {
		p.left--
	}
	stop := p != nil && p.point == point && p.left == 0
	l.mu.Unlock()
	if stop {
		close(p.reached)
		<-p.resume
	}
	if l.over() {
		return errCut
	}
	return l.own(point)
}

// Crash ends the engine as the death of the process would, and opens the
// directory again. Handlers that are running are cut off: their contexts are
// canceled so that their goroutines end, and whatever they do or return counts
// for nothing. A handler that does not end then costs Options.Grace of time.
func (h *Harness) Crash() {
	h.tb.Helper()
	h.Kill()
	h.Open()
}

// Kill ends the engine as Crash does and leaves it dead, until Open. Calls fail
// meanwhile, and Advance returns at once.
func (h *Harness) Kill() {
	h.tb.Helper()
	synctest.Wait()
	h.kill()
}

// kill is Kill at once, whatever is under way.
func (h *Harness) kill() {
	h.life.cut()
	_ = h.abort() // what it says of volumes and handlers that were cut off is no news
	if log, ok := h.opts.Log.(*memlog.Log); ok {
		log.Pass(cmp.Or(h.opts.Node.TTL, time.Minute)) // as if it had begun long ago
	}
}

// Open opens the directory again after Kill.
func (h *Harness) Open() {
	h.tb.Helper()
	h.open()
	synctest.Wait()
}

// CrashAt runs do, in a goroutine of its own, and crashes the engine at the n-th
// passage of the point from now on: "commit" is just before a commit, "committed"
// when it is durable and no caller has been told. It answers false, without a crash,
// if do returned and the engine came to rest before that. Calls that the crash
// cuts off fail in do, which must return nonetheless. Called on new harnesses
// with n = 1, 2, … until it is false, it crashes at every such point of do.
func (h *Harness) CrashAt(point string, n int, do func()) bool {
	h.tb.Helper()
	synctest.Wait()
	p := &crashPoint{point: point, left: n, reached: make(chan struct{}), resume: make(chan struct{})}
	h.life.arm(p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
		synctest.Wait()
	}()
	select {
	case <-p.reached:
		h.kill()
		<-done
		h.Open()
		return true
	case <-done:
	}
	select {
	case <-p.reached: // by what do has left behind
		h.kill()
		h.Open()
		return true
	default:
		h.life.arm(nil)
		return false
	}
}
