package actors_test

import (
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

// TestG28_AllAppsShareARate: no span has more starts than the rate in all apps together,
// or of a key; each job begins at the instant at which it may, the apps in turn, and those
// that wait write nothing.
func TestG28_AllAppsShareARate(t *testing.T) {
	for _, key := range []string{"", "one"} {
		k := newKit()
		pool := dispatch.NewSharedPool("payments", 20, dispatch.Rate(3, 10*time.Second))
		pay := k.briefly("t:pay", dispatch.InPool(pool, key))
		var commits atomic.Int64
		opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}
		opts.Testing.Fault = func(point string) error {
			if point == "commit" {
				commits.Add(1)
			}
			return nil
		}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			begin := h.Now()
			for i := range 9 {
				mustAfter(t, h, "deep", time.Second, pay.With(fmt.Sprint("deep", i)))
			}
			for _, app := range []storage.AppID{"a", "b", "c"} {
				mustAfter(t, h, app, 1001*time.Millisecond, pay.With(string(app)))
			}
			h.Advance(2 * time.Second)
			before := commits.Load()
			h.Advance(8900 * time.Millisecond)
			if n := commits.Load() - before; n != 0 {
				t.Errorf("%d commits while all apps waited", n)
			}
			want := "rate: pool payments, which all apps share, has had 3 starts in 10s, and the next may be at 2000-01-01T00:00:11"
			if key != "" {
				want = strings.Replace(want, "pool", `key "one" of pool`, 1)
			}
			if got := h.Jobs("b")[0]; got.Wait != storage.WaitRate || !strings.HasPrefix(got.Reason, want) {
				t.Errorf("a job waits for %s because of %q, want %q", got.Wait, got.Reason, want)
			}
			first := k.events("work")[0].At
			if got := h.Engine.SharedPools()[0]; got.Rate != 3 || got.Span != 10*time.Second || got.Apps != 4 || got.Next.Sub(first).Round(time.Millisecond) != 10*time.Second {
				t.Errorf("the pool is %+v, want its next start ten seconds after %v", got, first)
			}
			if got := must[[]actors.PoolStatus](t)(h.App("b").Pools(h.Context()))[0]; got.Next.Sub(first).Round(time.Millisecond) != 10*time.Second || got.Queued != 1 {
				t.Errorf("of an app it is %+v", got)
			}
			h.Advance(time.Minute)
			events := k.events("work")
			if len(events) != 12 {
				t.Fatalf("%d began, want 12", len(events))
			}
			keepsTo(t, events, 3, 10*time.Second)
			for i, e := range events {
				if d := e.At.Sub(begin) - time.Second - time.Duration(i/3)*10*time.Second; d < 0 || d > 20*time.Millisecond {
					t.Errorf("start %d was %v late", i, d)
				}
			}
			for _, app := range []string{"a", "b", "c"} {
				if at := slices.IndexFunc(events, func(e event) bool { return e.What == "work "+app }); at > 8 { // the third span: which of its three begins first is open
					t.Errorf("the job of %s began as number %d", app, at)
				}
			}
			if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Apps != 0 {
				t.Errorf("at the end the pool is %+v", got)
			}
		})
	}
}

// TestG28_ASharedRateCountsStarts: not claims, of which one that is taken back leaves the
// rate to another app; retries are counted.
func TestG28_ASharedRateCountsStarts(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("payments", 10, dispatch.Rate(2, 10*time.Second))
	pay := k.action("t:pay", func(ctx *dispatch.ActionCtx, name string) error {
		if k.note("work "+name, ctx.Job); name == "fails" && ctx.Job.Attempt < 3 {
			return errors.New("no")
		}
		return nil
	}, dispatch.InPool(pool), dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Millisecond}))
	long := k.action("t:long", func(*dispatch.ActionCtx, string) error { time.Sleep(15 * time.Second); return nil })
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Concurrency: 1, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "long", 0, long.With("")) // which has the engine's one permit
		h.Settle()
		first := mustAfter(t, h, "a", 0, pay.With("canceled"))
		mustAfter(t, h, "b", 0, pay.With("b"))
		mustAfter(t, h, "c", 0, pay.With("fails"))
		mustAfter(t, h, "d", time.Second, pay.With("d"))
		h.Advance(2 * time.Second)
		wantCancel(t, h, "a", first, true, storage.StatePending)
		h.Advance(2 * time.Minute)
		events := k.events("work")
		if len(events) != 5 {
			t.Fatalf("%q began, want all but the one that was canceled", k.noted("work"))
		}
		keepsTo(t, events, 2, 10*time.Second)
		if d := events[1].At.Sub(events[0].At); d > time.Second {
			t.Errorf("the second began %v after the first: the claim that was taken back counts", d)
		}
	})
}

// TestG28_WhatBeganInAnyAppBeforeAnOpenCounts: also in an app that has nothing to do since,
// and what a crash has cut off; and no longer than it must.
func TestG28_WhatBeganInAnyAppBeforeAnOpenCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		before, after time.Duration // from the start to the open, and from there to the next start
		step          time.Duration
		crash         bool
	}{
		"within the span":  {before: 20 * time.Minute, after: time.Hour},
		"cut off":          {before: 20 * time.Minute, after: time.Hour, crash: true},
		"after the span":   {before: 61 * time.Minute},
		"stepped forward":  {before: 20 * time.Minute, step: 48 * time.Hour, after: time.Hour},
		"cut off long ago": {before: 61 * time.Minute, after: time.Hour, crash: true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit()
			pool := dispatch.NewSharedPool("payments", 10, dispatch.Rate(1, time.Hour))
			work := k.briefly("t:work", dispatch.InPool(pool))
			hangs := k.action("t:hangs", func(ctx *dispatch.ActionCtx, _ string) error {
				k.note("work hangs", ctx.Job)
				<-ctx.Done()
				return ctx.Err()
			}, dispatch.InPool(pool), dispatch.Deadline(10*time.Hour))
			opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, ClockCheck: time.Minute, Logger: quiet, Volumes: 3}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				call := work.With("first")
				if tt.crash {
					call = hangs.With("")
				}
				mustAfter(t, h, "one", 0, call, dispatch.NoRetry(), dispatch.AtMostOnce())
				h.Advance(time.Minute)
				h.StepClock(tt.step)
				h.Advance(tt.before - time.Minute)
				if tt.step != 0 {
					must[storage.ID[entry]](t)(addEntry.Run(h.Caller("one"), "with which the step is on record"))
				}
				if tt.crash {
					h.Crash()
				} else {
					h.Restart()
				}
				mustAfter(t, h, "two", 0, work.With("second"))
				opened := time.Now()
				h.Advance(3 * time.Hour)
				events := k.events("work")
				if len(events) != 2 {
					t.Fatalf("%q began, want 2", k.noted("work"))
				}
				if got := events[1].At.Sub(opened) - tt.after; got < 0 || got > 10*time.Millisecond {
					t.Errorf("the second began %v after the open, want %v", got+tt.after, tt.after)
				}
			})
		})
	}
}

// TestG28_ASharedRateOverEveryCrash: whatever crash cuts off, no span has more starts.
func TestG28_ASharedRateOverEveryCrash(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("payments", 5, dispatch.Rate(2, 30*time.Second))
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
			if _, err := h.Scheduler(storage.AppID(fmt.Sprint("app", i%2))).RunAfter(time.Second, work.With(fmt.Sprint(i))); err != nil {
				return
			}
		}
		h.Advance(45 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(5 * time.Minute)
		h.Drain()
		keepsTo(t, k.events("work")[from:], 2, 30*time.Second)
		for _, app := range must[[]storage.AppID](t)(h.Engine.Apps()) {
			for _, job := range h.Jobs(app) {
				if !job.State.Ended() {
					t.Errorf("job %s is %s", job.ID, job.State)
				}
			}
		}
	})
}

// TestG28_AJobPutsASharedPoolOffForAllApps: nothing of it begins in any app before, also of
// what was claimed, nor after a restart.
func TestG28_AJobPutsASharedPoolOffForAllApps(t *testing.T) {
	for _, restarts := range []bool{false, true} {
		k := newKit()
		pool := dispatch.NewSharedPool("payments", 5)
		pay := k.action("t:pay", func(ctx *dispatch.ActionCtx, name string) error {
			k.note("pay "+name, ctx.Job)
			if name == "busy" && ctx.Job.Attempt == 1 {
				time.Sleep(time.Second)
				return dispatch.RetryAfter(time.Minute, dispatch.WholePool(), dispatch.Because(errBusy))
			}
			return nil
		}, dispatch.InPool(pool))
		other := k.action("t:other", func(ctx *dispatch.ActionCtx, _ string) error {
			k.note("other", ctx.Job)
			time.Sleep(5 * time.Second)
			return nil
		})
		opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 2, Concurrency: 2, Logger: quiet}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			begin := h.Now()
			mustAfter(t, h, "a", 0, pay.With("busy"))
			mustAfter(t, h, "b", 0, other.With(""))
			h.Settle()
			mustAfter(t, h, "c", 0, pay.With("claimed")) // and waits for a permit of the engine
			h.Advance(10 * time.Second)
			mustAfter(t, h, "d", 0, pay.With("later"))
			h.Advance(10 * time.Second)
			if got := k.noted("pay"); len(got) != 1 || k.count("other") != 1 {
				t.Errorf("%q began, want the one that is busy, and what is in no pool", got)
			}
			want := "rate: pool payments, which all apps share, waits until 2000-01-01T00:01:01"
			if got := h.Jobs("d")[0].Reason; !strings.HasPrefix(got, want) {
				t.Errorf("the reason is %q, want %q", got, want)
			}
			if restarts {
				h.Restart()
			}
			h.AdvanceTo(begin.Add(time.Minute + 900*time.Millisecond))
			if got := k.noted("pay"); len(got) != 1 {
				t.Errorf("restarts %t: %q began before", restarts, got)
			}
			h.AdvanceTo(begin.Add(time.Minute + 1100*time.Millisecond))
			if got := k.count("pay"); got != 4 {
				t.Errorf("restarts %t: %q have begun after a minute, want all", restarts, k.noted("pay"))
			}
		})
	}
}

// TestG27_ASharedPoolKeepsTheOrderOfEachApp: one job of all apps runs at a time; one that
// waits for another attempt keeps its own app's back, and no other's.
func TestG27_ASharedPoolKeepsTheOrderOfEachApp(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("ledger", 1, dispatch.Ordered())
	post := k.action("t:post", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("post "+name, ctx.Job)
		defer k.enter("post")()
		time.Sleep(time.Second)
		if name == "a0" && ctx.Job.Attempt == 1 {
			return errors.New("no")
		}
		return nil
	}, dispatch.InPool(pool), dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: 10 * time.Second}))
	long := k.action("t:long", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Minute); return nil }, dispatch.Deadline(time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		mustAfter(t, h, "busy", 0, long.With(""))
		h.Settle()
		mustAfter(t, h, "busy", 0, post.With("busy")) // waits for a permit of its app, and keeps none of the pool
		for i := range 3 {
			mustAfter(t, h, "a", time.Second, post.With(fmt.Sprint("a", i)))
			mustAfter(t, h, "b", time.Second, post.With(fmt.Sprint("b", i)))
		}
		h.Advance(2 * time.Minute)
		if got := k.mostAtOnce("post"); got != 1 {
			t.Errorf("%d ran at once", got)
		}
		of := func(app string) (names []string) {
			for _, name := range k.noted("post") {
				if strings.HasPrefix(name, "post "+app) && name != "post busy" {
					names = append(names, strings.TrimPrefix(name, "post "))
				}
			}
			return names
		}
		if a, b := of("a"), of("b"); !slices.Equal(a, []string{"a0", "a0", "a1", "a2"}) || !slices.Equal(b, []string{"b0", "b1", "b2"}) {
			t.Errorf("%q and %q began", a, b)
		}
		if events := k.events("post b"); events[2].At.Sub(begin) > 20*time.Second {
			t.Errorf("the last job of the other app began after %v", events[2].At.Sub(begin))
		}
		if k.count("post busy") != 1 {
			t.Error("the job of the busy app has not begun")
		}
		h.Drain()
	})
}
