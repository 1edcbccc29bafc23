package actors_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// briefly binds an action that takes a millisecond, and is noted as "work NAME".
func (k *kit) briefly(path string, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
		k.note("work "+name, ctx.Job)
		time.Sleep(time.Millisecond)
		return nil
	}, opts...)
}

// keepsTo demands that of the events no more than n lie in any span of that length.
func keepsTo(t *testing.T, events []event, n int, span time.Duration) {
	t.Helper()
	for i := n; i < len(events); i++ {
		if d := events[i].At.Sub(events[i-n].At); d < span {
			t.Errorf("%q began %v after %q, %d starts before it; want %v", events[i].What, d, events[i-n].What, n, span)
		}
	}
}

// TestG28_NoSpanHasMoreStartsThanTheRate: retries among them, of actions and of mutations,
// and each job begins at the very instant at which it may.
func TestG28_NoSpanHasMoreStartsThanTheRate(t *testing.T) {
	for _, mutation := range []bool{false, true} {
		k := newKit()
		pool := dispatch.NewPool("stripe", 10, dispatch.Rate(3, 10*time.Second))
		fails := func(name string, job dispatch.JobRun) error {
			k.note("work "+name, job)
			if job.Attempt == 1 && name >= "5" {
				return errors.New("no")
			}
			return nil
		}
		retry := dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Second})
		act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error { return fails(name, ctx.Job) }, dispatch.InPool(pool), retry)
		write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error { return fails(name, ctx.Job) }, dispatch.InPool(pool), retry)
		actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}, func(h *actorstest.Harness) {
			begin := h.Now()
			for i := range 10 {
				call := act.With(fmt.Sprint(i))
				if mutation {
					call = write.With(fmt.Sprint(i))
				}
				mustAfter(t, h, "acme", time.Second, call)
			}
			h.Advance(5 * time.Minute)
			events := k.events("work")
			if len(events) != 15 {
				t.Fatalf("mutation %t: %d began, want 10 and 5 retries", mutation, len(events))
			}
			keepsTo(t, events, 3, 10*time.Second)
			for i, e := range events {
				want := begin.Add(time.Second + time.Duration(i/3)*10*time.Second)
				if e.At.Before(want) || e.At.Sub(want) > 10*time.Millisecond {
					t.Errorf("mutation %t: start %d was after %v, want %v", mutation, i, e.At.Sub(begin), want.Sub(begin))
				}
			}
		})
	}
}

// TestG28_StartsKeepToTheRateAndNotClaims: jobs that were claimed, and had to wait for a
// permit of the app, do not begin together.
func TestG28_StartsKeepToTheRateAndNotClaims(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(2, 10*time.Second))
	work := k.briefly("t:work", dispatch.InPool(pool))
	long := k.action("t:long", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Minute); return nil }, dispatch.Deadline(time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, long.With("x"))
		for i := range 6 {
			mustAfter(t, h, "acme", time.Second, work.With(fmt.Sprint(i)))
		}
		h.Advance(2 * time.Minute)
		events := k.events("work")
		if len(events) != 6 {
			t.Fatalf("%d began, want 6", len(events))
		}
		keepsTo(t, events, 2, 10*time.Second)
	})
}

// TestG28_WaitingWritesNothing: jobs that wait for the rate of their pool cause no commit,
// keep no other job back, and have no alarm but that of the next start.
func TestG28_WaitingWritesNothing(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
	var commits atomic.Int64
	work := k.briefly("t:work", dispatch.InPool(pool))
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("mail", ctx.Job); return nil })
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1}
	opts.Testing.Fault = func(point string) error {
		if point == "commit" {
			commits.Add(1)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		must[none](t)(k.scheduleMany(h, "acme", 10_000, time.Second, work.With("x")))
		h.Advance(2 * time.Second)
		at := h.Now()
		mustAfter(t, h, "acme", 0, mail.With("x"))
		h.Advance(time.Second)
		if mails := k.events("mail"); len(mails) != 1 || mails[0].At.Sub(at) > 20*time.Millisecond {
			t.Errorf("the mail began %v after %v", mails, at)
		}
		before := commits.Load()
		h.Advance(50 * time.Minute)
		if n := commits.Load() - before; n != 0 {
			t.Errorf("%d commits while 10,000 jobs waited", n)
		}
		if at := h.Inspect("acme").AlarmAt; at.Sub(begin) < time.Hour || at.Sub(begin) > time.Hour+2*time.Second {
			t.Errorf("the alarm is set after %v, want it an hour after the first start", at.Sub(begin))
		}
		h.AdvanceTo(begin.Add(time.Hour + 2*time.Second))
		if n := k.count("work"); n != 2 {
			t.Errorf("%d have begun after an hour, want 2", n)
		}
	})
}

// TestG28_AStepOfTheClockNeitherOpensNorCloses: the span is one of monotonic time.
func TestG28_AStepOfTheClockNeitherOpensNorCloses(t *testing.T) {
	for _, step := range []time.Duration{-48 * time.Hour, -time.Minute, time.Minute, 48 * time.Hour} {
		k := newKit()
		pool := dispatch.NewPool("stripe", 10, dispatch.Rate(2, time.Hour))
		work := k.briefly("t:work", dispatch.InPool(pool))
		opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, ClockCheck: time.Minute, Logger: quiet}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			for i := range 6 {
				mustAfter(t, h, "acme", 0, work.With(fmt.Sprint(i)))
			}
			h.Advance(30 * time.Minute)
			h.StepClock(step)
			h.Advance(2 * time.Hour)
			events := k.events("work")
			if len(events) != 6 {
				t.Fatalf("step %v: %d began in two and a half hours, want 6", step, len(events))
			}
			keepsTo(t, events, 2, time.Hour)
			for i, e := range events {
				if late := e.At.Sub(events[0].At) - time.Duration(i/2)*time.Hour; late > 10*time.Millisecond {
					t.Errorf("step %v: start %d was %v late", step, i, late)
				}
			}
		})
	}
}

// TestG28_WhatBeganBeforeAnOpenCounts: the starts within the span count as just begun
// when the program starts again, all of them if the clock was stepped, and none of them for
// ever.
func TestG28_WhatBeganBeforeAnOpenCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after time.Duration // from the start to the open, and from there to the next start
		running, down time.Duration // steps of the clock
		idle          time.Duration // from the open until there is another job
	}{
		"within the span":           {before: 20 * time.Minute, after: time.Hour},
		"asked for later":           {before: 20 * time.Minute, idle: 30 * time.Minute, after: time.Hour},
		"asked for after the span":  {before: 20 * time.Minute, idle: 61 * time.Minute, after: 61 * time.Minute},
		"after the span":            {before: 61 * time.Minute},
		"stepped forward":           {before: 20 * time.Minute, running: 48 * time.Hour, after: time.Hour},
		"stepped back":              {before: 20 * time.Minute, running: -48 * time.Hour, after: time.Hour},
		"stepped back after it":     {before: 61 * time.Minute, running: -48 * time.Hour, after: time.Hour},
		"set back while it was off": {before: 61 * time.Minute, down: -48 * time.Hour, after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit()
			pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
			work := k.briefly("t:work", dispatch.InPool(pool))
			opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, ClockCheck: time.Minute, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				mustAfter(t, h, "acme", 0, work.With("first"))
				h.Advance(time.Minute)
				h.StepClock(tt.running)
				h.Advance(tt.before - time.Minute)
				if tt.running > 0 {
					must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "with which the step is on record"))
				}
				h.Reconfigure(func(*actors.Options) { h.StepClock(tt.down) })
				opened := time.Now()
				h.Advance(tt.idle)
				mustAfter(t, h, "acme", 0, work.With("second"))
				h.Advance(3 * time.Hour)
				events := k.events("work")
				if len(events) != 2 {
					t.Fatalf("%d began, want 2", len(events))
				}
				if got := events[1].At.Sub(opened) - tt.after; got < 0 || got > 10*time.Millisecond {
					t.Errorf("the second began %v after the open, want %v", got+tt.after, tt.after)
				}
			})
		})
	}
}

// TestG28_OverEveryCrash: whatever crash cuts off, no span has more starts.
func TestG28_OverEveryCrash(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 5, dispatch.Rate(2, 30*time.Second))
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("work "+name, ctx.Job)
		time.Sleep(10 * time.Second)
		return nil
	}, dispatch.InPool(pool))
	from := 0
	options := func() actors.Options {
		from = k.count("work")
		return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for i := range 4 {
			if _, err := h.Scheduler("acme").RunAfter(time.Second, work.With(fmt.Sprint(i))); err != nil {
				return
			}
		}
		h.Advance(45 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(5 * time.Minute)
		h.Drain()
		keepsTo(t, k.events("work")[from:], 2, 30*time.Second)
		for _, job := range h.Jobs("acme") {
			if !job.State.Ended() {
				t.Errorf("job %s is %s", job.ID, job.State)
			}
		}
	})
}

// TestG28_AnAppThatSleptKnowsWhatHasBegun: to the millisecond, since its process goes on.
func TestG28_AnAppThatSleptKnowsWhatHasBegun(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
	work := k.briefly("t:work", dispatch.InPool(pool))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, IdleAfter: time.Minute}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		mustAfter(t, h, "acme", 0, work.With("first"))
		h.Advance(10 * time.Minute)
		if !h.Inspect("acme").Asleep {
			t.Fatal("the app is awake")
		}
		mustAfter(t, h, "acme", 20*time.Minute, work.With("second"))
		h.Advance(2 * time.Hour)
		events := k.events("work")
		if len(events) != 2 {
			t.Fatalf("%d began, want 2", len(events))
		}
		keepsTo(t, events, 1, time.Hour)
		if late := events[1].At.Sub(begin) - time.Hour; late > 10*time.Millisecond {
			t.Errorf("the second was %v late", late)
		}
	})
}

// TestG28_AKeyHasItsOwnRate: and of keys that nothing begins for any more nothing is kept.
func TestG28_AKeyHasItsOwnRate(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("user", 10, dispatch.Rate(2, time.Minute))
	work := k.briefly("t:work")
	rows := func(h *actorstest.Harness) int {
		t.Helper()
		var copied bytes.Buffer
		if err := h.Engine.Export(h.Context(), "acme", &copied); err != nil {
			t.Fatal(err)
		}
		return bytes.Count(copied.Bytes(), []byte("vuser\x00"))
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, IdleAfter: time.Hour}, func(h *actorstest.Harness) {
		for i := range 40 {
			user := fmt.Sprint("user-", i%10)
			mustAfter(t, h, "acme", time.Second, work.With(user), dispatch.InPool(pool, user))
		}
		h.Advance(2 * time.Second)
		if n, kept := k.count("work"), rows(h); n != 20 || kept != 20 {
			t.Errorf("%d began, and %d are known, want 20 and 20", n, kept)
		}
		h.Advance(2 * time.Minute)
		seen := map[string][]event{}
		for _, e := range k.events("work") {
			seen[e.What] = append(seen[e.What], e)
		}
		for _, events := range seen {
			keepsTo(t, events, 2, time.Minute)
		}
		if len(seen) != 10 || k.count("work") != 40 {
			t.Errorf("%d of %d keys began", k.count("work"), len(seen))
		}
		h.Advance(5 * time.Minute)
		mustAfter(t, h, "acme", 0, addEntry.With("something to do"))
		h.Advance(time.Second)
		if n := rows(h); n != 0 {
			t.Errorf("%d starts are kept", n)
		}
	})
}

// TestG28_OfThoseThatWaitTheFirstBegins: by priority, then by due instant.
func TestG28_OfThoseThatWaitTheFirstBegins(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Second))
	work := k.briefly("t:work", dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, work.With("first"))
		h.Advance(100 * time.Millisecond)
		for p := 4; p >= 1; p-- {
			mustAfter(t, h, "acme", 0, work.With(fmt.Sprint("a", p)), dispatch.Priority(p))
			mustAfter(t, h, "acme", 0, work.With(fmt.Sprint("b", p)), dispatch.Priority(p))
		}
		h.Advance(time.Minute)
		want := []string{"work first", "work a1", "work b1", "work a2", "work b2", "work a3", "work b3", "work a4", "work b4"}
		if got := k.noted("work"); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestG28_AClaimThatIsTakenBackIsNoStart: a job that is canceled between its claim and its
// start leaves the rate as it was.
func TestG28_AClaimThatIsTakenBackIsNoStart(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
	work := k.briefly("t:work", dispatch.InPool(pool))
	long := k.action("t:long", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Minute); return nil }, dispatch.Deadline(time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, long.With("x"))
		first := mustAfter(t, h, "acme", 0, work.With("first"))
		mustAfter(t, h, "acme", 0, work.With("second"))
		h.Advance(time.Second)
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(first))
		h.Advance(2 * time.Minute)
		if got := k.noted("work"); !slices.Equal(got, []string{"work second"}) {
			t.Errorf("%q began, want the second", got)
		}
	})
}

// TestG28_TheRateIsShown: by the status of the pool, and by the reason of a job that waits.
func TestG28_TheRateIsShown(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
	work := k.briefly("t:work", dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, work.With("first"))
		second := mustAfter(t, h, "acme", 0, work.With("second"))
		h.Advance(time.Minute)
		began := k.events("work")[0].At
		list := must[[]actors.PoolStatus](t)(h.App("acme").Pools(h.Context()))
		if s := list[0]; s.Rate != 1 || s.Span != time.Hour || s.Queued != 1 || s.Next.Sub(began) != time.Hour {
			t.Errorf("the status is %+v, want the next start an hour after %v", s, began)
		}
		want := "rate: pool stripe has had 1 starts in 1h0m0s, and the next may be at " + began.UTC().Add(time.Hour).Format(time.RFC3339Nano)
		if got := h.Job("acme", second).Reason; got != want {
			t.Errorf("the reason is %q, want %q", got, want)
		}
	})
}

// TestG28_ACopyOfAnAppKnowsWhatHasBegun: an imported app keeps to the rate with what began
// before it was exported.
func TestG28_ACopyOfAnAppKnowsWhatHasBegun(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 10, dispatch.Rate(1, time.Hour))
	work := k.briefly("t:work", dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, work.With("first"))
		h.Advance(time.Minute)
		var copied bytes.Buffer
		if err := h.Engine.Export(h.Context(), "acme", &copied); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Import(h.Context(), "copy", strings.NewReader(copied.String())); err != nil {
			t.Fatal(err)
		}
		mustAfter(t, h, "copy", 0, work.With("second"))
		h.Advance(30 * time.Minute)
		if n := k.count("work"); n != 1 {
			t.Errorf("%d began, want 1", n)
		}
		h.Advance(time.Hour)
		if n := k.count("work"); n != 2 {
			t.Errorf("%d began, want 2", n)
		}
	})
}
