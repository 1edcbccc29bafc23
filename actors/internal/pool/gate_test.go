package pool

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is some members of one gate, and what they have done.
type crowd struct {
	t       *testing.T
	pool    *Pool
	gate    *Gate
	entered []string
	running atomic.Int32
}

func inBubble(t *testing.T, permits int, fn func(*testing.T, *crowd)) {
	synctest.Test(t, func(t *testing.T) {
		p := New()
		fn(t, &crowd{t: t, pool: p, gate: newGate(p, permits)})
		p.Close(true)
	})
}

// begin has a member of that name run until the channel is closed.
func (c *crowd) begin(name string, urgent bool) (m *Member, end chan struct{}) {
	end = make(chan struct{})
	m = c.gate.Member(new(Share), func() bool { return urgent })
	m.Schedule(func() {
		c.running.Add(1)
		c.entered = append(c.entered, name)
		<-end
		c.running.Add(-1)
	})
	synctest.Wait()
	return m, end
}

func (c *crowd) mustRun(n int) {
	c.t.Helper()
	synctest.Wait()
	if got := int(c.running.Load()); got != n {
		c.t.Fatalf("%d members run, want %d", got, n)
	}
}

func (c *crowd) mustHaveEntered(names ...string) {
	c.t.Helper()
	synctest.Wait()
	if !slices.Equal(c.entered, names) {
		c.t.Fatalf("entered: %v, want %v", c.entered, names)
	}
}

// P4: of members that have something to do as many run as there are permits, and the
// next one when one of them is done.
func TestGateHoldsItsBound(t *testing.T) {
	inBubble(t, 3, func(t *testing.T, c *crowd) {
		var ends []chan struct{}
		for range 4 {
			_, end := c.begin("", false)
			ends = append(ends, end)
		}
		c.mustRun(3)
		close(ends[0])
		c.mustRun(3)
		for _, end := range ends[1:] {
			close(end)
		}
		c.mustRun(0)
		if c.gate.permits != 3 || c.gate.waiting.Load() != 0 {
			t.Errorf("%d permits, %d waiting, want 3 and none", c.gate.permits, c.gate.waiting.Load())
		}
	})
}

// P5: the urgent lane and the patient one take turns, each in the order of arrival,
// so an urgent member does not wait for all the patient ones, nor they for ever.
func TestGateLanesTakeTurns(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		_, end := c.begin("first", false)
		ends := []chan struct{}{end}
		for _, m := range []struct {
			name   string
			urgent bool
		}{{"p1", false}, {"p2", false}, {"p3", false}, {"u1", true}, {"u2", true}} {
			_, end := c.begin(m.name, m.urgent)
			ends = append(ends, end)
		}
		for _, end := range ends {
			close(end)
		}
		c.mustHaveEntered("first", "u1", "p1", "u2", "p2", "p3")
	})
}

// P5: a member that waits patiently is moved to the urgent lane when a caller comes,
// and enters once.
func TestGateHurriesOneThatWaits(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		_, first := c.begin("first", false)
		_, p1 := c.begin("p1", false)
		m, p2 := c.begin("p2", false)
		m.Hurry()
		m.Hurry()
		for _, end := range []chan struct{}{first, p1, p2} {
			close(end)
		}
		c.mustHaveEntered("first", "p2", "p1")
		m.Hurry() // it does not wait any more
		_, last := c.begin("last", false)
		close(last)
		c.mustHaveEntered("first", "p2", "p1", "last")
	})
}

// P8: of those that wait patiently who has used less of the processor enters first, whether
// that was behind the gate or not. Who was idle has saved nothing by that.
func TestGateLetsInWhoHasUsedTheLeast(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		shares := map[string]*Share{"noisy": {}, "outside": {}, "quiet": {}, "late": {}}
		begin := func(name string) (end chan struct{}) {
			end = make(chan struct{})
			c.gate.Member(shares[name], func() bool { return false }).Schedule(func() {
				c.entered = append(c.entered, name)
				<-end
			})
			synctest.Wait()
			return end
		}
		first := begin("noisy")
		time.Sleep(5 * time.Millisecond)
		c.gate.Spend(shares["outside"], 2*time.Millisecond)
		close(first)
		synctest.Wait()
		var ends []chan struct{}
		for _, name := range []string{"quiet", "noisy", "outside", "quiet"} { // the first has the permit
			ends = append(ends, begin(name))
		}
		ends = append(ends[:1], ends[3], ends[2], ends[1])
		for _, end := range ends {
			close(end)
			synctest.Wait()
		}
		c.mustHaveEntered("noisy", "quiet", "quiet", "outside", "noisy")
		holder := begin("outside")
		last := []chan struct{}{begin("noisy"), begin("late")}
		for _, end := range append(last, holder) {
			close(end)
		}
		c.mustHaveEntered("noisy", "quiet", "quiet", "outside", "noisy", "outside", "noisy", "late")
	})
}

// P6: a member that has run for long steps aside between the parts of what it does.
func TestGateMembersStepAsideInTime(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		parts := make(chan struct{})
		done := 0
		busy := c.gate.Member(new(Share), func() bool { return false })
		busy.Schedule(func() {
			for range parts {
				busy.Step()
				done++
			}
		})
		synctest.Wait()
		_, end := c.begin("other", false)
		time.Sleep(spanAtOnce - 1)
		parts <- struct{}{}
		c.mustRun(0)
		time.Sleep(time.Nanosecond)
		parts <- struct{}{}
		c.mustRun(1)
		if done != 1 {
			t.Errorf("%d parts were done, want one before it stood aside", done)
		}
		close(end)
		c.mustRun(0)
		if done != 2 {
			t.Errorf("%d parts were done, want both", done)
		}
		close(parts)
	})
}

// P6: a member with much to do steps aside for those that wait, at the bound and not
// before, and goes on after them.
func TestGateMembersStepAside(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		step := make(chan struct{})
		busy := c.gate.Member(new(Share), func() bool { return false })
		steps := 0
		busy.Schedule(func() {
			for range step {
				busy.Step()
				steps++
			}
		})
		synctest.Wait()
		_, end := c.begin("other", false)
		for range stepsAtOnce {
			step <- struct{}{}
		}
		c.mustRun(0)
		step <- struct{}{}
		c.mustRun(1)
		if steps != stepsAtOnce {
			t.Errorf("%d steps were made before it stood aside, want %d", steps, stepsAtOnce)
		}
		close(end)
		c.mustRun(0)
		if steps != stepsAtOnce+1 {
			t.Errorf("it did not go on after the other: %d steps", steps)
		}
		for range 2 * stepsAtOnce { // nobody waits: it goes on as long as it likes
			step <- struct{}{}
		}
		close(step)
	})
}

// P7: a panic, and the end of the goroutine, give the permit back.
func TestGateOutlivesWhatRuns(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, c *crowd) {
		m := c.gate.Member(new(Share), func() bool { return false })
		func() {
			defer func() { _ = recover() }()
			m.gate.acquire(m, false)
			m.fn = func() { panic("on purpose") }
			m.run()
		}()
		_, end := c.begin("next", false)
		close(end)
		c.mustHaveEntered("next")
	})
}
