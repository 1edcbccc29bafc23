package lease

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"carillon/storage/internal/wal"
)

// Defaults of a lease.
const (
	DefaultTTL   = 5 * time.Second
	DefaultEvery = time.Second
)

// Why a lease is not held. An error that is one of them is ErrNotHeld too.
var (
	// ErrNotHeld says that the node may not answer for its shards.
	ErrNotHeld = errors.New("the lease is not held")
	// ErrLapsed says that no beat was acknowledged in time. The next one may mend that.
	ErrLapsed = fmt.Errorf("%w: the log has acknowledged no beat in time", ErrNotHeld)
	// ErrRetired says that another node has taken this one for dead, and may own its shards.
	ErrRetired = fmt.Errorf("%w: %w", ErrNotHeld, wal.ErrRetired)
	// ErrClosed says that the lease was given up by Close.
	ErrClosed = fmt.Errorf("%w: it was given up", ErrNotHeld)
)

// Log is what a lease needs of a wal.Shared.
type Log interface {
	Join(ctx context.Context, n wal.Node) error
	Beat(ctx context.Context) error
}

// virtual is a log in virtual time, whose leases the clocks of the machine do not end.
type virtual interface{ Virtual() bool }

// Options of Join. The zero value is ready for use.
type Options struct {
	// Every is how often the node beats. Default DefaultEvery, and a fifth of the TTL at
	// most.
	Every time.Duration
	// Boot is the time since the machine was booted, suspends included. Default that of the
	// system.
	Boot func() time.Duration
}

// Lease is that of one incarnation of a node. Its methods may be called from any goroutine.
type Lease struct {
	log   Log
	clock clock
	ttl   time.Duration
	trust time.Duration // after a beat was sent
	every time.Duration

	beating context.Context // ends with the lease
	stop    context.CancelFunc
	workers sync.WaitGroup
	again   chan struct{} // holds one: held after it had lapsed

	mu    sync.Mutex
	phase phase
	sent  stamp // before the latest acknowledged beat was sent
	why   error // once ended
	term  context.Context
	end   context.CancelCauseFunc // of the term
	lost  chan struct{}
	stats Stats
}

// phase is where a lease is; doc.go draws it.
type phase int

const (
	held phase = iota
	lapsed
	ended
)

// Stats is what a lease has seen.
type Stats struct {
	Beats  uint64        // that were acknowledged
	Failed uint64        // beats without an answer, or with an error
	Lapses uint64        // how often it has lapsed
	Left   time.Duration // for which it is held without a further beat; 0: it is not held
}

// Join joins the log as a new incarnation of the node, whose TTL is DefaultTTL if it is 0,
// and beats until the lease is lost, ended or closed. It returns the log's error.
func Join(ctx context.Context, log Log, n wal.Node, opts Options) (*Lease, error) {
	n.TTL = cmp.Or(n.TTL, DefaultTTL)
	l := &Lease{log: log, clock: clock{boot: opts.Boot}, ttl: n.TTL, every: opts.Every}
	v, ok := log.(virtual)
	inBubble := ok && v.Virtual()
	if l.clock.boot == nil && inBubble {
		l.clock.boot = noBoot
	} else if l.clock.boot == nil {
		l.clock.boot = bootTime
	}
	every := min(DefaultEvery, n.TTL/5)
	if inBubble { // months pass in one, and no connection is slow
		every = n.TTL / 5
	}
	l.every = cmp.Or(l.every, every)
	l.trust = n.TTL - n.TTL/5
	l.sent = l.clock.now() // before it is sent: the log counts from later on
	if err := log.Join(ctx, n); err != nil {
		return nil, err
	}
	l.lost, l.again = make(chan struct{}), make(chan struct{}, 1)
	l.term, l.end = context.WithCancelCause(context.Background())
	l.beating, l.stop = context.WithCancel(context.Background())
	l.workers.Go(l.beat)
	l.workers.Go(l.watch)
	return l, nil
}

// Held returns nil while the node may answer for its shards: at this moment no other node has
// taken any of them. It does not block. What was read before Held was called, and it
// returned nil, was not stale then. An error is ErrNotHeld, or what End was given.
func (l *Lease) Held() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heldNow()
}

// heldNow is Held for the holder of mu.
func (l *Lease) heldNow() error {
	if l.phase == held && l.clock.since(l.sent) >= l.trust {
		l.phase = lapsed
		l.stats.Lapses++
		l.end(ErrLapsed)
	}
	switch l.phase {
	case held:
		return nil
	case lapsed:
		return ErrLapsed
	}
	return l.why
}

// Term returns a context that ends once the lease is not held any more, with what Held
// returns then as its cause. If the lease is held again later, that is another term.
func (l *Lease) Term() context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	_ = l.heldNow()
	return l.term
}

// Lost is closed when the lease has ended for good: another node has retired this one, or
// End or Close was called. Held says which.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// End ends the lease for good, if it has not ended: Held returns the cause from then on. No
// beat is sent any more. It does not wait for the one under way.
func (l *Lease) End(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish(cause)
}

func (l *Lease) finish(cause error) {
	if l.phase == ended {
		return
	}
	l.phase, l.why = ended, cause
	l.end(cause)
	l.stop()
	close(l.lost)
}

// Close ends the lease with ErrClosed, if it has not ended, and waits until the beat under way
// has been given up. The log is not told: Leave and Release do that.
func (l *Lease) Close() error {
	l.End(ErrClosed)
	l.workers.Wait()
	return nil
}

// Stats returns what the lease has seen.
func (l *Lease) Stats() Stats {
	left := l.left()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Left = left
	return s
}

// left is for how long the lease is held without a further beat, 0 if it is not held.
func (l *Lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heldNow() != nil {
		return 0
	}
	return max(l.trust-l.clock.since(l.sent), 1)
}

// beat beats until the lease has ended.
func (l *Lease) beat() {
	pause := time.NewTimer(l.every)
	defer pause.Stop()
	for {
		select {
		case <-l.beating.Done():
			return
		case <-pause.C:
		}
		sent := l.clock.now()
		// One whose answer does not come leaves time for another before the lease lapses.
		ctx, cancel := context.WithTimeout(l.beating, l.ttl/2)
		err := l.log.Beat(ctx)
		cancel()
		l.answer(sent, err)
		wait := l.every
		if err != nil {
			wait /= 4
		}
		pause.Reset(max(0, wait-l.clock.since(sent)))
	}
}

// answer takes the answer to a beat.
func (l *Lease) answer(sent stamp, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.phase == ended:
		return
	case errors.Is(err, wal.ErrTailLost):
		l.finish(fmt.Errorf("%w: %w", ErrNotHeld, err))
		return
	case errors.Is(err, wal.ErrRetired):
		l.finish(ErrRetired)
		return
	case err != nil:
		l.stats.Failed++
		return
	}
	l.stats.Beats++
	_ = l.heldNow() // whether it has lapsed meanwhile
	l.sent = sent
	if l.phase == lapsed && l.clock.since(sent) < l.trust {
		l.phase = held
		l.term, l.end = context.WithCancelCause(context.Background())
		select {
		case l.again <- struct{}{}:
		default:
		}
	}
}

// watch ends the term when its time is up, though nothing asks.
func (l *Lease) watch() {
	timer := time.NewTimer(l.trust)
	defer timer.Stop()
	for {
		select {
		case <-l.beating.Done():
			return
		case <-l.again:
		case <-timer.C:
		}
		if left := l.left(); left > 0 {
			timer.Reset(left)
		}
	}
}
