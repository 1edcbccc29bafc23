package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// worker binds an action that takes a second, and is noted as "work NAME".
func (k *kit) worker(path string, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
		k.note("work "+name, ctx.Job)
		defer k.enter("work")()
		time.Sleep(time.Second)
		return nil
	}, opts...)
}

// TestG27_NoMoreThanThePermitsRunAtOnce: of the jobs of a pool as many run at once as it
// has permits, in the order they are due, and each that ends lets the next begin at once.
func TestG27_NoMoreThanThePermitsRunAtOnce(t *testing.T) {
	for _, limit := range []int{1, 3} {
		k := newKit()
		pool := dispatch.NewPool("stripe", limit)
		pay := k.worker("t:pay", dispatch.InPool(pool))
		actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
			begin := h.Now()
			for i := range 12 {
				mustAfter(t, h, "acme", time.Second, pay.With(fmt.Sprint(i)))
			}
			h.Advance(time.Second)
			h.Drain()
			if got := k.mostAtOnce("work"); got != limit {
				t.Errorf("%d ran at once, want %d", got, limit)
			}
			events := k.events("work")
			if len(events) != 12 {
				t.Fatalf("limit %d: %d began, want 12", limit, len(events))
			}
			for i, e := range events {
				want := begin.Add(time.Second + time.Duration(i/limit)*time.Second)
				if e.At.Before(want) || e.At.Sub(want) > 10*time.Millisecond {
					t.Errorf("limit %d: job %d began after %v, want %v", limit, i, e.At.Sub(begin), want.Sub(begin))
				}
			}
		})
	}
}

// TestG27_WhatWaitsForAPoolKeepsNoOtherBack: neither the app's permits nor the engine's
// are taken by jobs that wait for their pool.
func TestG27_WhatWaitsForAPoolKeepsNoOtherBack(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 1)
	pay := k.worker("t:pay", dispatch.InPool(pool))
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("mail", ctx.Job); return nil })
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 2, Concurrency: 2}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		must[none](t)(k.scheduleMany(h, "acme", 1000, time.Second, pay.With("x")))
		h.Advance(2 * time.Second)
		at := h.Now()
		mustAfter(t, h, "acme", 0, mail.With("now"))
		mustAfter(t, h, "acme", 5*time.Second, mail.With("later"))
		h.Advance(6 * time.Second)
		events := k.events("mail")
		if len(events) != 2 || events[0].At.Sub(at) > 20*time.Millisecond || events[1].At.Sub(at) > 5020*time.Millisecond {
			t.Errorf("the mails began at %v after %v", events, at)
		}
	})
}

// TestG27_AKeyHasItsOwnPermits: jobs of one key run one after the other, and those of
// different keys beside each other.
func TestG27_AKeyHasItsOwnPermits(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("user", 1)
	work := k.worker("t:work")
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		begin := h.Now()
		for i := range 30 {
			user := fmt.Sprint("user-", i%10)
			mustAfter(t, h, "acme", time.Second, work.With(user), dispatch.InPool(pool, user))
		}
		h.Advance(time.Second)
		h.Drain()
		seen := map[string]int{}
		for _, e := range k.events("work") {
			n := seen[e.What]
			seen[e.What]++
			if want := begin.Add(time.Duration(n+1) * time.Second); e.At.Before(want) || e.At.Sub(want) > 10*time.Millisecond {
				t.Errorf("%s: job %d began after %v", e.What, n, e.At.Sub(begin))
			}
		}
		if len(seen) != 10 || k.mostAtOnce("work") != 10 {
			t.Errorf("%d keys, %d at once, want 10 and 10", len(seen), k.mostAtOnce("work"))
		}
	})
}

// TestG31_PriorityAmongJobsThatWait: of the jobs that wait for a permit those of a lower
// level begin first, in a pool and outside, and none is overtaken by one that is due more
// than a minute a level later.
func TestG31_PriorityAmongJobsThatWait(t *testing.T) {
	for _, pooled := range []bool{false, true} {
		k := newKit()
		pool := dispatch.NewPool("one", 1)
		work := k.worker("t:work")
		opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			schedule := func(d time.Duration, name string, priority int) {
				opts := []dispatch.RunOption{dispatch.Priority(priority)}
				if pooled {
					opts = append(opts, dispatch.InPool(pool))
				}
				mustAfter(t, h, "acme", d, work.With(name), opts...)
			}
			schedule(0, "first", 4)
			h.Advance(100 * time.Millisecond)
			for p := 4; p >= 1; p-- {
				schedule(0, fmt.Sprint("a", p), p)
				schedule(0, fmt.Sprint("b", p), p)
			}
			h.Drain()
			want := []string{"work first", "work a1", "work b1", "work a2", "work b2", "work a3", "work b3", "work a4", "work b4"}
			if got := k.noted("work"); !slices.Equal(got, want) {
				t.Errorf("pooled %t: %q, want %q", pooled, got, want)
			}
			begin := len(want)
			for i := range 70 {
				schedule(time.Duration(i)*time.Second, fmt.Sprint("early ", i), 1)
			}
			schedule(0, "late", 2)
			h.Advance(70 * time.Second)
			h.Drain()
			order := k.noted("work")[begin:]
			at := slices.Index(order, "work late")
			if want := slices.Index(order, "work early 60"); at != want+1 && at != want-1 {
				t.Errorf("pooled %t: the job of the next level began as number %d, that of 60 s later as %d", pooled, at, want)
			}
		})
	}
}

// TestG27_WaitingWritesNothing: jobs that wait for their pool cause no commit.
func TestG27_WaitingWritesNothing(t *testing.T) {
	const n = 2000
	k := newKit()
	pool := dispatch.NewPool("stripe", 1)
	var takes, commits atomic.Int64
	takes.Store(int64(6 * time.Minute))
	pay := k.action("t:pay", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Duration(takes.Load())); return nil }, dispatch.InPool(pool))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}
	opts.Testing.Fault = func(point string) error {
		if point == "commit" {
			commits.Add(1)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		must[none](t)(k.scheduleMany(h, "acme", n, time.Second, pay.With("x")))
		h.Advance(2 * time.Second)
		before := commits.Load()
		h.Advance(5 * time.Minute)
		if wrote := commits.Load() - before; wrote != 0 {
			t.Errorf("%d commits while %d jobs waited", wrote, n)
		}
		takes.Store(0)
		h.Advance(time.Minute)
		h.Drain()
		if got := must[int](t)(h.Scheduler("acme").CountJobs(storage.JobFilter{States: []storage.State{storage.StateSuccess}})); got != n {
			t.Errorf("%d are done, want %d", got, n)
		}
	})
}

// TestG27_APermitComesBack: whatever ends an attempt gives its permit back.
func TestG27_APermitComesBack(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	in := dispatch.InPool(pool)
	ends := map[string]*dispatch.ActionRef[string, none]{
		"success": k.action("t:success", func(*dispatch.ActionCtx, string) error { return nil }, in),
		"failure": k.action("t:failure", func(*dispatch.ActionCtx, string) error { return fmt.Errorf("no") }, in),
		"panic":   k.action("t:panic", func(*dispatch.ActionCtx, string) error { panic("no") }, in),
		"timeout": k.action("t:timeout", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }, in, dispatch.Deadline(time.Second)),
		"given up": k.action("t:givenup", func(ctx *dispatch.ActionCtx, _ string) error {
			time.Sleep(time.Hour)
			return nil
		}, in, dispatch.Deadline(time.Second)),
	}
	fails := k.mutation("t:mutation", func(*dispatch.MutationCtx, string) error { return fmt.Errorf("no") }, in)
	next := k.action("t:next", func(ctx *dispatch.ActionCtx, name string) error { k.note("next "+name, ctx.Job); return nil }, in)
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for name, ref := range ends {
			mustAfter(t, h, "acme", 0, ref.With(name), dispatch.NoRetry())
			mustAfter(t, h, "acme", 0, next.With(name))
			h.Advance(time.Minute)
			if k.count("next "+name) != 1 {
				t.Errorf("after %s the next job did not begin", name)
			}
		}
		mustAfter(t, h, "acme", 0, fails.With("x"), dispatch.NoRetry())
		canceled := mustAfter(t, h, "acme", time.Second, ends["given up"].With("x"))
		h.Advance(1500 * time.Millisecond)
		if answer := must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(canceled)); !answer.Canceled {
			t.Errorf("cancel: %+v", answer)
		}
		mustAfter(t, h, "acme", 0, next.With("cancel"))
		h.Advance(time.Minute)
		if k.count("next cancel") != 1 {
			t.Errorf("after a cancel the next job did not begin")
		}
	})
}

// TestG31_APriorityThatHadNoJobs: a pool that was found without jobs of a priority is looked
// at again when one comes.
func TestG31_APriorityThatHadNoJobs(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	work := k.worker("t:work", dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		for _, name := range []string{"a", "b", "c"} {
			mustAfter(t, h, "acme", 0, work.With(name))
		}
		h.Advance(1100 * time.Millisecond) // b runs, and c waits
		for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
			mustAfter(t, h, "acme", 0, work.With(fmt.Sprint(p)), dispatch.Priority(p))
		}
		h.Drain()
		if got := k.args("work "); got != "a b 1 c 2 3 4" {
			t.Errorf("%q have begun, want a b 1 c 2 3 4", got)
		}
	})
}

// TestG27_ARetryOfAPoolIsClaimedOnce: an attempt that fails leaves a job that is due at once,
// in the change set that looks for what may begin.
func TestG27_ARetryOfAPoolIsClaimedOnce(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 1)
	fail := k.action("t:fail", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("fail "+name, ctx.Job)
		return errors.New("not yet")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3}), dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}, func(h *actorstest.Harness) {
		for _, name := range []string{"a", "b"} {
			mustAfter(t, h, "acme", time.Second, fail.With(name))
		}
		h.Advance(time.Minute)
		h.Drain()
		if got := k.args("fail "); got != "a b a b a b" {
			t.Errorf("%q have begun, want three attempts of each, by turns: one that is tried again is due later", got)
		}
	})
}

// TestG27_AfterACrashTheyWaitAgain: the order and the limit hold for what an engine finds.
func TestG27_AfterACrashTheyWaitAgain(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 2)
	pay := k.worker("t:pay", dispatch.InPool(pool))
	options := func() actors.Options {
		return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for i := range 4 {
			if _, err := h.Scheduler("acme").RunAfter(time.Second, pay.With(fmt.Sprint(i)), dispatch.Priority(1+i%3)); err != nil {
				return
			}
		}
		h.Advance(5 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(time.Minute)
		h.Drain()
		if got := k.mostAtOnce("work"); got > 2 {
			t.Errorf("%d ran at once, want 2", got)
		}
		for _, job := range h.Jobs("acme") {
			if !job.State.Ended() {
				t.Errorf("job %s is %s", job.ID, job.State)
			}
		}
	})
}

// TestG27_WhatWaitsForAnotherJobBeginsWhenItHasEnded: a job of a pool that has a permit left,
// and waits for another one of its unique key, or of its trigger, outside of the pool.
func TestG27_WhatWaitsForAnotherJobBeginsWhenItHasEnded(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 2)
	work := k.worker("t:work")
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, _ string) error {
		k.note("slow", ctx.Job)
		time.Sleep(90 * time.Second)
		return nil
	}, dispatch.InPool(pool), dispatch.Deadline(time.Hour))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		unique(t, h, 0, work.With("holder"), dispatch.Replace())
		h.Settle()
		mustAfter(t, h, "acme", 0, work.With("follower"), dispatch.InPool(pool), dispatch.Unique("k", dispatch.Replace()))
		h.Advance(1100 * time.Millisecond)
		if got := k.args("work "); got != "holder follower" {
			t.Errorf("%q have begun, want the follower when the holder has ended", got)
		}
		h.Drain()
		begin := h.Now()
		err := h.Scheduler("acme").Crons().Create(dispatch.Trigger{Name: "tick", Schedule: cron.Expr("@every 1m"), Call: slow.With("x"), Overlap: storage.OverlapQueue})
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(4*time.Minute + time.Second)
		for i, e := range k.events("slow") {
			if got, want := e.At.Sub(begin), time.Minute+time.Duration(i)*90*time.Second; got < want || got > want+100*time.Millisecond {
				t.Errorf("tick %d began after %v, want %v", i, got, want)
			}
		}
		if n := k.count("slow"); n != 3 {
			t.Errorf("%d ticks have begun, want 3", n)
		}
	})
}
