package lease_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/lease"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers is a log whose answers to beats are as it says.
type answers struct {
	mu    sync.Mutex
	delay time.Duration // until the answer, of the next beats
	err   error
	beats int
}

func (a *answers) set(delay time.Duration, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.delay, a.err = delay, err
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.beats
}

var errAway = errors.New("away")

func (a *answers) Virtual() bool { return true }

func (a *answers) wait(ctx context.Context) error {
	a.mu.Lock()
	delay, err := a.delay, a.err
	a.mu.Unlock()
	select {
	case <-time.After(delay):
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *answers) Join(ctx context.Context, _ wal.Node) error { return a.wait(ctx) }

func (a *answers) Beat(ctx context.Context) error {
	a.mu.Lock()
	a.beats++
	a.mu.Unlock()
	return a.wait(ctx)
}

// run runs the test in virtual time, with a lease of 5 s that beats each second.
func run(t *testing.T, log *answers, test func(*testing.T, *lease.Lease)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l, err := lease.Join(t.Context(), log, wal.Node{Name: "a"}, lease.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		test(t, l)
	})
}

// after lets time pass, and what happens in it.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestG44_LeaseIsHeldWhileItBeats: a node that beats is trusted for as long as it does, and
// for four fifths of its TTL behind its last beat.
func TestG44_LeaseIsHeldWhileItBeats(t *testing.T) {
	log := &answers{}
	run(t, log, func(t *testing.T, l *lease.Lease) {
		term := l.Term()
		for range 100 {
			after(time.Second)
			wants(t, "it beats", l.Held(), nil)
		}
		if log.count() != 100 || l.Stats().Beats != 100 || l.Stats().Left != 4*time.Second {
			t.Errorf("after 100 s: %d beats, %+v", log.count(), l.Stats())
		}
		log.set(0, errAway)
		after(4*time.Second - 1)
		wants(t, "before the end", l.Held(), nil)
		wants(t, "term before the end", term.Err(), nil)
		after(1)
		wants(t, "term at the end", context.Cause(term), lease.ErrLapsed)
		wants(t, "at the end", l.Held(), lease.ErrNotHeld)
		if s := l.Stats(); s.Lapses != 1 || s.Left != 0 || s.Failed == 0 {
			t.Errorf("lapsed: %+v", s)
		}
		log.set(0, nil)
		after(time.Second)
		wants(t, "it beats again", l.Held(), nil)
		if again := l.Term(); again.Err() != nil || term.Err() == nil {
			t.Errorf("the term of before: %v, the next one: %v", term.Err(), again.Err())
		}
		select {
		case <-l.Lost():
			t.Error("a lease that has lapsed is lost")
		default:
		}
	})
}

// TestG44_LeaseCountsFromBeforeTheBeat: an answer that takes its time gives no more time.
func TestG44_LeaseCountsFromBeforeTheBeat(t *testing.T) {
	log := &answers{}
	run(t, log, func(t *testing.T, l *lease.Lease) {
		log.set(2*time.Second, nil)
		after(2 * time.Second) // one sent at 1 s is under way
		log.set(0, errAway)
		after(3*time.Second - 1)
		wants(t, "4 s after it was sent, less 1 ns", l.Held(), nil)
		after(1)
		wants(t, "4 s after it was sent", l.Held(), lease.ErrLapsed)
	})
	synctest.Test(t, func(t *testing.T) {
		log := &answers{delay: 3 * time.Second}
		l, err := lease.Join(t.Context(), log, wal.Node{Name: "a"}, lease.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		log.set(0, errAway)
		after(time.Second - 1)
		wants(t, "4 s after the join was sent, less 1 ns", l.Held(), nil)
		after(1)
		wants(t, "4 s after the join was sent", l.Held(), lease.ErrLapsed)
	})
}

// TestG44_LateAnswerDoesNotHold: a beat whose answer comes when the time it gives is over is of
// no use.
func TestG44_LateAnswerDoesNotHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &answers{delay: 5 * time.Second}
		l, err := lease.Join(t.Context(), log, wal.Node{Name: "a"}, lease.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		wants(t, "it was joined 5 s ago", l.Held(), lease.ErrLapsed)
		wants(t, "its term", context.Cause(l.Term()), lease.ErrLapsed)
		log.set(0, nil)
		after(time.Second)
		wants(t, "it beats", l.Held(), nil)
	})
}

// TestG44_RetiredIsForEver: what was retired is lost at once and beats no more.
func TestG44_RetiredIsForEver(t *testing.T) {
	log := &answers{}
	run(t, log, func(t *testing.T, l *lease.Lease) {
		term := l.Term()
		log.set(0, wal.ErrRetired)
		after(time.Second)
		select {
		case <-l.Lost():
		default:
			t.Fatal("it is not lost")
		}
		wants(t, "retired", l.Held(), lease.ErrRetired)
		wants(t, "retired", l.Held(), lease.ErrNotHeld)
		wants(t, "its term", context.Cause(term), lease.ErrRetired)
		log.set(0, nil)
		after(time.Hour)
		wants(t, "an hour later", l.Held(), wal.ErrRetired)
		wants(t, "a term then", context.Cause(l.Term()), lease.ErrRetired)
		if log.count() != 1 {
			t.Errorf("it has beaten %d times", log.count())
		}
	})
}

// TestLeaseEnds: End has a cause, which a beat that is acknowledged later does not change, and
// neither does another End.
func TestLeaseEnds(t *testing.T) {
	log := &answers{delay: time.Second}
	synctest.Test(t, func(t *testing.T) {
		l, err := lease.Join(t.Context(), log, wal.Node{Name: "a"}, lease.Options{})
		if err != nil {
			t.Fatal(err)
		}
		after(1500 * time.Millisecond) // a beat is under way
		fenced := errors.New("fenced")
		l.End(fenced)
		<-l.Lost()
		wants(t, "ended", l.Held(), fenced)
		l.End(errors.New("another"))
		after(time.Second)
		wants(t, "later", l.Held(), fenced)
		wants(t, "close", l.Close(), nil)
		wants(t, "closed", l.Held(), fenced)
		wants(t, "its term", context.Cause(l.Term()), fenced)
	})
	run(t, &answers{}, func(t *testing.T, l *lease.Lease) {
		wants(t, "close", l.Close(), nil)
		wants(t, "closed", l.Held(), lease.ErrClosed)
	})
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("refused")
		_, err := lease.Join(t.Context(), &answers{err: refused}, wal.Node{Name: "a"}, lease.Options{})
		wants(t, "join", err, refused)
	})
}

// TestBeatWithoutAnswerIsGivenUp: a beat that hangs does not keep the next one from being sent
// while the lease is held.
func TestBeatWithoutAnswerIsGivenUp(t *testing.T) {
	log := &answers{}
	run(t, log, func(t *testing.T, l *lease.Lease) {
		log.set(time.Hour, nil)
		after(time.Second)
		log.set(0, nil)
		after(3 * time.Second) // it was given up after 2.5 s
		wants(t, "the next one was acknowledged", l.Held(), nil)
		after(time.Second)
		wants(t, "and holds", l.Held(), nil)
		if s := l.Stats(); s.Failed != 1 || s.Lapses != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestG44_SuspendEndsTheLease: time in which the machine was suspended counts, though the
// monotonic clock stood still.
func TestG44_SuspendEndsTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, boot := &answers{}, time.Hour
		l, err := lease.Join(t.Context(), log, wal.Node{Name: "a"}, lease.Options{Boot: func() time.Duration { return boot }})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		term := l.Term()
		boot += 4*time.Second - 1
		wants(t, "after less than 4 s", l.Held(), nil)
		boot++
		wants(t, "after 4 s", l.Held(), lease.ErrLapsed)
		wants(t, "its term", context.Cause(term), lease.ErrLapsed)
	})
}

// TestLeaseOfTheSystemsClock: where the log is not in virtual time, the lease is held on the
// clocks of the machine.
func TestLeaseOfTheSystemsClock(t *testing.T) {
	l, err := lease.Join(t.Context(), real{}, wal.Node{Name: "a", TTL: time.Hour}, lease.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, "it has joined", l.Held(), nil)
	if left := l.Stats().Left; left <= 40*time.Minute || left > 48*time.Minute {
		t.Errorf("it is held for %v", left)
	}
	wants(t, "close", l.Close(), nil)
}

type real struct{}

func (real) Join(context.Context, wal.Node) error { return nil }
func (real) Beat(context.Context) error           { return nil }

func BenchmarkHeld(b *testing.B) {
	l, err := lease.Join(b.Context(), real{}, wal.Node{Name: "a"}, lease.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	for b.Loop() {
		_ = l.Held()
	}
}

// slow is a node's way to a log, which takes its time to each side.
type slow struct {
	*waltest.Node
	rnd *rand.Rand
}

func (s *slow) Beat(ctx context.Context) error {
	there, back := time.Duration(s.rnd.IntN(2500))*time.Millisecond, time.Duration(s.rnd.IntN(2500))*time.Millisecond
	if s.rnd.IntN(2) == 0 {
		there, back = there/100, back/100
	}
	time.Sleep(there)
	err := s.Node.Beat(context.WithoutCancel(ctx)) // it arrives, also where it was given up
	time.Sleep(back)
	return err
}

// TestG44_NoTwoAnswer: however beats are late, and nodes cut off, no two nodes hold the lease of
// a shard that both have claimed, and one does most of the time.
func TestG44_NoTwoAnswer(t *testing.T) {
	seed := rand.Uint64()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		m, rnd := waltest.NewMemory(), rand.New(rand.NewPCG(seed, 1))
		type node struct {
			log   *slow
			lease *lease.Lease
			owns  bool
		}
		var nodes [3]node
		takeovers, answered, rounds := 0, 0, 20_000
		for i := range nodes {
			nodes[i].log = &slow{m.Node(), rand.New(rand.NewPCG(seed, uint64(i)))}
		}
		for range rounds {
			answer := 0
			for i := range nodes {
				n := &nodes[i]
				switch { // as a host does
				case n.lease != nil && isClosed(n.lease.Lost()):
					_ = n.lease.Close()
					n.lease, n.owns = nil, false
				case n.lease == nil:
					n.lease, _ = lease.Join(t.Context(), n.log, wal.Node{Name: fmt.Sprint("n", i), TTL: 5 * time.Second}, lease.Options{})
				case !n.owns:
					_, err := n.log.Claim(t.Context(), 1)
					if n.owns = err == nil; n.owns {
						takeovers++
					}
				}
				if n.owns && n.lease.Held() == nil {
					answer++
				}
				if rnd.IntN(200) == 0 {
					n.log.Cut(rnd.IntN(2) == 0)
				}
			}
			if answer > 1 {
				t.Fatalf("after %d takeovers %d nodes answer at once", takeovers, answer)
			}
			answered += answer
			time.Sleep(100 * time.Millisecond)
		}
		if takeovers < 3 || answered < rounds/4 {
			t.Errorf("%d takeovers, and in %d of %d moments a node answers", takeovers, answered, rounds)
		}
		for _, n := range nodes {
			if n.lease != nil {
				_ = n.lease.Close()
			}
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
