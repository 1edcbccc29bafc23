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

var errBusy = errors.New("429 Too Many Requests")

// TestG28_AJobThatPutsItselfOffIsNotCharged: it is tried again after just that span, however
// few retries it has; each is an attempt, and a mutation is rolled back.
func TestG28_AJobThatPutsItselfOffIsNotCharged(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		if k.note("act", ctx.Job); ctx.Job.Attempt <= 5 {
			return fmt.Errorf("charging: %w", dispatch.RetryAfter(10*time.Second, dispatch.Because(errBusy)))
		}
		return nil
	})
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error {
		if _, err := addEntry.Run(ctx, fmt.Sprint("attempt ", ctx.Job.Attempt)); err != nil {
			return err
		}
		if k.note("write", ctx.Job); ctx.Job.Attempt <= 5 {
			return dispatch.RetryAfter(10 * time.Second)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		for what, call := range map[string]dispatch.Call{"act": act.With(""), "write": write.With("")} {
			begin := h.Now()
			id := mustAfter(t, h, "acme", 0, call, dispatch.NoRetry())
			h.Advance(time.Minute)
			job := wantState(t, h, "acme", id, storage.StateSuccess, 6)
			if job.Failures != 0 || len(job.History) != 5 || !job.History[4].Postponed || job.History[4].Error.Code != "unavailable" {
				t.Errorf("%s: %d failures, history %+v", what, job.Failures, job.History)
			}
			for i, e := range k.events(what) {
				if d := e.At.Sub(begin) - time.Duration(i)*10*time.Second; d < 0 || d > 100*time.Millisecond {
					t.Errorf("%s: attempt %d began after %v", what, i+1, e.At.Sub(begin))
				}
			}
		}
		if names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{})); !slices.Equal(names, []string{"attempt 6"}) {
			t.Errorf("what is written is %q, want that of the last attempt", names)
		}
	})
}

// TestG28_PuttingOffHasAnEnd: after 1,000 times in a row, or 24 hours, a job is charged;
// one that runs at most once has failed at once; a failure between begins a new row.
func TestG28_PuttingOffHasAnEnd(t *testing.T) {
	k := newKit()
	var wait atomic.Int64
	var fails atomic.Int64
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		if int64(ctx.Job.Attempt) == fails.Load() {
			return errBusy
		}
		return dispatch.RetryAfter(time.Duration(wait.Load()))
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		for _, tt := range []struct {
			wait     time.Duration
			fails    int64
			opt      dispatch.RunOption
			attempts int
		}{
			{0, 0, dispatch.NoRetry(), 1001},
			{-time.Hour, 0, dispatch.NoRetry(), 1001},
			{12 * time.Hour, 0, dispatch.NoRetry(), 3},
			{24*time.Hour - time.Second, 0, dispatch.NoRetry(), 3},
			{24 * time.Hour, 0, dispatch.NoRetry(), 2},
			{48 * time.Hour, 0, dispatch.NoRetry(), 2},
			{time.Second, 0, dispatch.AtMostOnce(), 1},
			{0, 10, dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2}), 1011},
		} {
			wait.Store(int64(tt.wait))
			fails.Store(tt.fails)
			id := mustAfter(t, h, "acme", 0, act.With(""), tt.opt)
			h.Advance(72 * time.Hour)
			wantState(t, h, "acme", id, storage.StateFailed, tt.attempts)
		}
		// A charged one waits as long as it was asked to.
		wait.Store(int64(24 * time.Hour))
		id := mustAfter(t, h, "acme", 0, act.With(""), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
		h.Advance(25 * time.Hour)
		if job := wantState(t, h, "acme", id, storage.StatePending, 2); job.Failures != 1 || job.Due.Sub(h.Now()) < 22*time.Hour {
			t.Errorf("after 24 hours it has %d failures and is due in %v", job.Failures, job.Due.Sub(h.Now()))
		}
	})
}

// TestG28_AJobPutsItsWholePoolOff: nothing of it begins before, also of what was claimed, and
// nothing is written meanwhile; other keys, and other jobs, go on.
func TestG28_AJobPutsItsWholePoolOff(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 5)
	var commits atomic.Int64
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		time.Sleep(time.Second)
		if name == "busy" && ctx.Job.Attempt == 1 {
			return dispatch.RetryAfter(time.Minute, dispatch.WholePool(), dispatch.Because(errBusy))
		}
		return nil
	})
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error { k.note("act "+name, ctx.Job); return nil })
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1, Logger: quiet}
	opts.Testing.Fault = func(point string) error {
		if point == "commit" {
			commits.Add(1)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		mustAfter(t, h, "acme", 0, act.With("busy"), dispatch.InPool(pool, "a"))
		for range 5 { // some of them are claimed, and wait for a permit of the app
			mustAfter(t, h, "acme", 0, act.With("same"), dispatch.InPool(pool, "a"))
			mustAfter(t, h, "acme", 0, write.With("same"), dispatch.InPool(pool, "a"))
		}
		other := mustAfter(t, h, "acme", 0, act.With("other"), dispatch.InPool(pool, "b"))
		waits := mustAfter(t, h, "acme", 2*time.Second, act.With("same"), dispatch.InPool(pool, "a"))
		h.Advance(5 * time.Second)
		wantState(t, h, "acme", other, storage.StateSuccess, 1)
		if got := k.noted("act"); !slices.Equal(got, []string{"act busy", "act other"}) {
			t.Errorf("%q began, want the one that is busy and the other one", got)
		}
		if reason := h.Job("acme", waits).Reason; !strings.HasPrefix(reason, `rate: key "a" of pool stripe waits until 2000-01-01T00:01:01`) {
			t.Errorf("the reason is %q", reason)
		}
		before := commits.Load()
		h.AdvanceTo(begin.Add(time.Minute))
		if n := commits.Load() - before; n != 0 {
			t.Errorf("%d commits while the pool waited", n)
		}
		h.Advance(time.Minute)
		h.Drain()
		events := k.events("act")
		if len(events) != 14 {
			t.Fatalf("%d began, want 14", len(events))
		}
		for _, e := range events[2:3] {
			if d := e.At.Sub(begin); d < time.Minute+time.Second || d > time.Minute+1100*time.Millisecond {
				t.Errorf("%s began after %v, want a minute and a second", e.What, d)
			}
		}
	})
}

// TestG28_APoolThatWaitsWaitsOverEveryCrash: once it is durable that the job has put its
// pool off, nothing of it begins before.
func TestG28_APoolThatWaitsWaitsOverEveryCrash(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 1)
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		time.Sleep(time.Second)
		if name == "0" && ctx.Job.Attempt == 1 {
			return dispatch.RetryAfter(time.Minute, dispatch.WholePool())
		}
		return nil
	}, dispatch.InPool(pool))
	from := 0
	var first storage.JobID
	options := func() actors.Options {
		from, first = k.count("act"), ""
		return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for i := range 4 {
			id, err := h.Scheduler("acme").RunAfter(time.Second, act.With(fmt.Sprint(i)))
			if err != nil {
				return
			}
			if i == 0 {
				first = id
			}
		}
		h.Advance(10 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Restart()
		h.Advance(3 * time.Minute)
		h.Drain()
		if first == "" {
			return
		}
		for _, a := range h.Job("acme", first).History {
			for _, e := range k.events("act")[from:] {
				if d := e.At.Sub(a.EndedAt); a.Postponed && d > 0 && d < time.Minute {
					t.Errorf("%s began %v after its pool was put off for a minute", e.What, d)
				}
			}
		}
		for _, job := range h.Jobs("acme") {
			if job.State != storage.StateSuccess {
				t.Errorf("job %s is %s", job.ID, job.State)
			}
		}
	})
}

// TestG28_APoolThatWaitsAndTheClock: a step of the clock neither ends the wait nor has it
// last for ever, over a restart either.
func TestG28_APoolThatWaitsAndTheClock(t *testing.T) {
	for _, step := range []time.Duration{-48 * time.Hour, 48 * time.Hour} {
		for _, restart := range []bool{false, true} {
			k := newKit()
			pool := dispatch.NewPool("stripe", 1)
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				if k.note("act "+name, ctx.Job); ctx.Job.Attempt == 1 && name == "busy" {
					return dispatch.RetryAfter(time.Hour, dispatch.WholePool())
				}
				return nil
			}, dispatch.InPool(pool))
			opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, ClockCheck: time.Minute, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				mustAfter(t, h, "acme", 0, act.With("busy"))
				h.Advance(time.Second)
				at, want := k.events("act")[0].At, time.Hour
				mustAfter(t, h, "acme", 0, act.With("next"))
				h.StepClock(step)
				h.Advance(30 * time.Minute)
				if restart {
					must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "with which the step is on record"))
					h.Restart()
					want = time.Since(at) + time.Hour
				}
				h.Advance(3 * time.Hour)
				next := k.events("act next")
				if len(next) != 1 {
					t.Fatalf("step %v, restart %t: %d began, want 1", step, restart, len(next))
				}
				if d := next[0].At.Sub(at) - want; d < -time.Millisecond || d > 10*time.Millisecond {
					t.Errorf("step %v, restart %t: the next began after %v, want %v", step, restart, d+want, want)
				}
			})
		}
	}
}
