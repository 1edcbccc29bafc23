package timing

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// G11: the precise timer calls nothing before its time, everything once, and
// nothing that was stopped, whatever the order it was asked in.
func TestG11_PreciseTimersAreNeverEarly(t *testing.T) {
	p := NewTimers()
	if p == nil {
		t.Skip("the system has no timer of its own")
	}
	defer p.Close()
	var mu sync.Mutex
	calls := map[int]int{}
	var wait sync.WaitGroup
	const n = 300
	var stopped []*Timer
	late := map[int]bool{}
	for i := range n {
		d := time.Duration(rand.Int64N(int64(2 * finalApproach)))
		if i%3 == 0 {
			// Behind all the others: not called before it is stopped, unless this
			// goroutine was kept from going on for as long.
			armed := time.Now()
			timer := p.After(2*finalApproach, func() {
				mu.Lock()
				defer mu.Unlock()
				calls[i]++
			})
			timer.Stop()
			stopped = append(stopped, timer)
			if time.Since(armed) >= 2*finalApproach {
				late[i] = true
			}
			continue
		}
		wait.Add(1)
		at := time.Now().Add(d)
		p.After(d, func() {
			if early := time.Until(at); early > 0 {
				t.Errorf("called %v early", early)
			}
			mu.Lock()
			defer mu.Unlock()
			calls[i]++
			wait.Done()
		})
	}
	wait.Wait()
	for _, timer := range stopped {
		timer.Stop() // once more: it does nothing
	}
	mu.Lock()
	defer mu.Unlock()
	for i := range n {
		want := 1
		if i%3 == 0 {
			want = 0
		}
		if calls[i] != want && !late[i] {
			t.Errorf("timer %d was called %d times, want %d", i, calls[i], want)
		}
	}
}

// A closed timer calls nothing any more, and what is asked of it is dropped.
func TestPreciseTimersClose(t *testing.T) {
	p := NewTimers()
	if p == nil {
		t.Skip("the system has no timer of its own")
	}
	p.After(2*finalApproach, func() {})
	p.Close()
	waiting := len(p.waiting)
	p.After(1, func() { t.Error("called after close") })
	if len(p.waiting) != waiting {
		t.Errorf("%d timers wait for a closed clock, %d before", len(p.waiting), waiting)
	}
}
