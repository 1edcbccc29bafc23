package actors_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G18: an app with 5,000 due jobs and one with 10 share the engine's slots turn
// by turn, so that the small one waits for its share and not for the backlog.
func TestG18_ANoisyAppStarvesNoOther(t *testing.T) {
	const slots, takes = 64, 100 * time.Millisecond
	k := newKit()
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, app string) error {
		k.note("start "+app, ctx.Job)
		time.Sleep(takes)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Concurrency: slots}, func(h *actorstest.Harness) {
		begin := h.Now()
		must[none](t)(k.scheduleMany(h, "noisy", 5000, time.Second, work.With("noisy")))
		must[none](t)(k.scheduleMany(h, "quiet", 10, 2*time.Second, work.With("quiet")))
		h.Drain()
		h.Advance(time.Minute)
		if n := k.count("start"); n != 5010 {
			t.Errorf("%d jobs ran", n)
		}
		events := k.events("start quiet")
		if len(events) != 10 {
			t.Fatalf("%d jobs of the quiet app ran", len(events))
		}
		// Every slot is free again after one job; each app that waits gets its turn
		// then, so the quiet app has its ten after one round, or what is left of it.
		late := events[9].At.Sub(begin.Add(2 * time.Second))
		if limit := takes; late > limit {
			t.Errorf("the quiet app's last job started %v late, want %v at most", late, limit)
		}
		last := k.events("start noisy")
		t.Logf("the quiet app was done after %v, the noisy ones after %v", late, last[len(last)-1].At.Sub(begin))
	})
}

// G18: the same for mutations, of which each app runs one at a time anyway.
func TestG18_ANoisyAppOfMutationsStarvesNoOther(t *testing.T) {
	const jobs = 1000
	k := newKit()
	work := k.mutation("t:work", func(ctx *dispatch.MutationCtx, app string) error {
		k.note("start "+app, ctx.Job)
		time.Sleep(3 * time.Millisecond)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Concurrency: 4, AppConcurrency: 4}, func(h *actorstest.Harness) {
		begin := h.Now()
		must[none](t)(k.scheduleMany(h, "noisy", jobs, time.Second, work.With("noisy")))
		must[none](t)(k.scheduleMany(h, "quiet", 10, 2*time.Second, work.With("quiet")))
		// A caller's mutation gets its turn between those of the jobs.
		h.Advance(3 * time.Second)
		called := h.Now()
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("noisy"), "call"))
		if waited := h.Now().Sub(called); waited > 100*time.Millisecond {
			t.Errorf("a caller of the noisy app waited %v for the turn", waited)
		}
		h.Drain()
		h.Advance(time.Minute)
		events := k.events("start quiet")
		if len(events) != 10 || k.count("start noisy") != jobs {
			t.Fatalf("%d and %d jobs ran", len(events), k.count("start noisy"))
		}
		if late := events[9].At.Sub(begin.Add(2 * time.Second)); late > 200*time.Millisecond {
			t.Errorf("the quiet app's last job started %v late", late)
		}
	})
}

// G18: MaxJobs at n and n+1. What is refused changes nothing; cancel, completion
// and retries work at the limit, and make room.
func TestG18_MaxJobs(t *testing.T) {
	const limit = 5
	k := newKit()
	over := k.mutation("t:over", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := addEntry.Run(ctx, name); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With("over"))
		if name == "goes on" {
			if !errors.Is(err, storage.ErrLimit) {
				t.Errorf("the error is %v, want ErrLimit in it", err)
			}
			return nil
		}
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxJobs: limit}, func(h *actorstest.Harness) {
		refused := func() {
			t.Helper()
			_, err := h.Scheduler("acme").RunAfter(0, addEntry.With("refused"))
			wantCode(t, err, dispatch.CodeResourceExhausted)
			if n := len(h.Jobs("acme", storage.StatePending, storage.StateRunning)); n != limit {
				t.Errorf("%d jobs after a refusal, want %d", n, limit)
			}
		}
		dead := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
		h.Settle()
		var ids []storage.JobID
		for i := range limit {
			ids = append(ids, mustAfter(t, h, "acme", time.Hour, addEntry.With(fmt.Sprint(i))))
		}
		refused()
		_, err := over.Run(h.Caller("acme"), "rolled back")
		wantCode(t, err, dispatch.CodeResourceExhausted)
		wantEntries(t, h, "acme")
		must[none](t)(over.Run(h.Caller("acme"), "goes on"))
		wantEntries(t, h, "acme", "goes on")
		ok, err := h.Scheduler("acme").RetryDead(dead)
		if ok || err == nil {
			t.Errorf("at the limit a dead job is retried: %v, %v", ok, err)
		}
		wantState(t, h, "acme", dead, storage.StateFailed, 1)
		mustAfter(t, h, "other", 0, addEntry.With("another app"))
		h.Crash()
		refused()

		wantCancel(t, h, "acme", ids[0], true, storage.StatePending)
		retrying := mustAfter(t, h, "acme", 0, failAlways.With("y"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
		h.Settle()
		wantState(t, h, "acme", retrying, storage.StatePending, 1)
		refused()
		h.Advance(3 * time.Minute)
		wantState(t, h, "acme", retrying, storage.StateFailed, 3)
		if ok, err := h.Scheduler("acme").RetryDead(dead); !ok || err != nil {
			t.Errorf("with room a dead job is not retried: %v, %v", ok, err)
		}
		h.Settle()
		mustAfter(t, h, "acme", time.Hour, addEntry.With("4b"))
		refused()
		h.Advance(2 * time.Hour)
		wantEntries(t, h, "acme", "goes on", "1", "2", "3", "4", "4b")
		for range limit {
			mustAfter(t, h, "acme", time.Hour, addEntry.With("again"))
		}
		refused()
	})
}

// G18: one message's worth of due jobs is far more than are claimed at once.
func TestG18_ABacklogOfOneInstant(t *testing.T) {
	const jobs = 2000
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(k.scheduleMany(h, "acme", jobs, time.Second, addEntry.With("x")))
		h.Advance(time.Second)
		h.Drain()
		if n := k.count("add"); n != jobs {
			t.Errorf("%d of %d jobs ran", n, jobs)
		}
		l := must[ledger](t)(ledgerOf.Run(h.Caller("acme"), none{}))
		if len(l.Entries) != jobs || len(l.Success) != jobs || l.Open != 0 {
			t.Errorf("%d entries, %d successes, %d open", len(l.Entries), len(l.Success), l.Open)
		}
	})
}
