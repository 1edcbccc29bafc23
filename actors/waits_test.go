package actors_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// wantWait demands what the job waits for, and what it says of that.
func wantWait(tb testing.TB, h *actorstest.Harness, app storage.AppID, id storage.JobID, wait storage.Wait, says string) {
	tb.Helper()
	job := h.Job(app, id)
	if job.Wait != wait || !strings.Contains(job.Reason, says) || says == "" && job.Reason != "" {
		tb.Errorf("job %s (%s) waits for %q, %q; want %q, %q", id, job.State, job.Wait, job.Reason, wait, says)
	}
	for _, listed := range h.Jobs(app) {
		if listed.ID == id && (listed.Wait != job.Wait || listed.Reason != job.Reason) {
			tb.Errorf("job %s is listed with %q, %q; want %q, %q", id, listed.Wait, listed.Reason, job.Wait, job.Reason)
		}
	}
}

// TestG35_EveryPendingJobSaysWhatItWaitsFor: each in one word, and no job that runs or has
// ended.
func TestG35_EveryPendingJobSaysWhatItWaitsFor(t *testing.T) {
	pool := dispatch.NewPool("desk", 1)
	run := func(change func(k *kit, o *actors.Options), test func(k *kit, h *actorstest.Harness)) func(*testing.T) {
		return func(t *testing.T) {
			k := newKit()
			opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
			if change(k, &opts); opts.ClaimAhead == 0 {
				opts.ClaimAhead = time.Second
			}
			actorstest.Run(t, opts, func(h *actorstest.Harness) { test(k, h) })
		}
	}
	var work, fail *dispatch.ActionRef[string, none]
	workers := func(k *kit, o *actors.Options) {
		work = k.action("t:work", func(*dispatch.ActionCtx, string) error { time.Sleep(10 * time.Minute); return nil }, dispatch.Deadline(time.Hour))
		fail = k.action("t:fail", func(*dispatch.ActionCtx, string) error { return errors.New("no") })
	}
	t.Run("not due, back-off, claimed, none", run(workers, func(k *kit, h *actorstest.Harness) {
		later := mustAfter(t, h, "acme", time.Hour, work.With("x"))
		soon := mustAfter(t, h, "acme", 2*time.Second, work.With("x"))
		failed := mustAfter(t, h, "acme", 0, fail.With("x"))
		h.Advance(1500 * time.Millisecond)
		wantWait(t, h, "acme", later, storage.WaitNotDue, "")
		wantWait(t, h, "acme", soon, storage.WaitClaimed, "")
		wantWait(t, h, "acme", failed, storage.WaitBackoff, "")
		h.Advance(time.Second)
		wantWait(t, h, "acme", soon, "", "")
		h.Advance(time.Hour)
		wantWait(t, h, "acme", soon, "", "")
	}))
	t.Run("pool, unique key", run(workers, func(k *kit, h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, work.With("x"), dispatch.InPool(pool, "a"))
		full := mustAfter(t, h, "acme", 0, work.With("x"), dispatch.InPool(pool, "a"))
		key := dispatch.Unique("k", dispatch.Replace())
		mustAfter(t, h, "acme", 0, work.With("x"), key)
		h.Advance(time.Second)
		follower := mustAfter(t, h, "acme", 0, work.With("y"), key)
		h.Advance(time.Second)
		wantWait(t, h, "acme", full, storage.WaitPool, `key "a" of pool desk is full: 1 of 1 permits are taken`)
		wantWait(t, h, "acme", follower, storage.WaitPredecessor, "which runs and had its unique key before")
	}))
	t.Run("tick", run(workers, func(k *kit, h *actorstest.Harness) {
		err := h.Scheduler("acme").Crons().Create(dispatch.Trigger{Name: "m", Schedule: cron.Every(time.Minute), Call: work.With("x"), Overlap: storage.OverlapQueue})
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(3 * time.Minute)
		for _, job := range h.Jobs("acme", storage.StatePending) {
			wantWait(t, h, "acme", job.ID, storage.WaitPredecessor, "earlier tick of its trigger")
		}
	}))
	t.Run("stuck", run(func(k *kit, o *actors.Options) {
		work = k.action("t:work", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.Deadline(time.Second))
	}, func(k *kit, h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, work.With("x"))
		h.Advance(10 * time.Minute)
		wantWait(t, h, "acme", id, storage.WaitStuck, "waits for the handler of the attempt before")
		h.Advance(time.Hour)
	}))
	t.Run("held", run(workers, func(k *kit, h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Minute, work.With("x"))
		h.Reconfigure(func(o *actors.Options) { o.Functions = newKit().reg })
		wantWait(t, h, "acme", id, storage.WaitNotDue, "")
		h.Advance(2 * time.Minute)
		wantWait(t, h, "acme", id, storage.WaitHeld, `no function "t:work"`)
	}))
	t.Run("app cap and behind it", run(func(k *kit, o *actors.Options) {
		workers(k, o)
		o.AppConcurrency = 1
	}, func(k *kit, h *actorstest.Harness) {
		must[none](t)(k.scheduleMany(h, "acme", 1200, time.Second, work.With("x")))
		h.Advance(2 * time.Second)
		waits := map[storage.Wait]int{}
		for _, job := range h.Jobs("acme") {
			waits[job.Wait]++
		}
		if waits[""] != 1 || waits[storage.WaitAppCap] < 500 || waits[storage.WaitClaim] < 100 || len(waits) != 3 {
			t.Errorf("jobs wait for %v", waits)
		}
		last := h.Jobs("acme")[1199].ID
		wantWait(t, h, "acme", last, storage.WaitClaim, "1 of 1 permits of the app are taken")
		if err := h.App("acme").Pause(h.Context(), dispatch.OfApp(), "", ""); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		for _, job := range h.Jobs("acme", storage.StatePending) {
			if job.Wait != storage.WaitPaused {
				t.Fatalf("job %s waits for %q", job.ID, job.Wait)
			}
		}
	}))
	t.Run("rate", run(func(k *kit, o *actors.Options) {
		workers(k, o)
		o.AppStartsPerSecond = 1
	}, func(k *kit, h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Second, work.With("x"))
		id := mustAfter(t, h, "acme", time.Second, work.With("x"))
		h.Advance(1500 * time.Millisecond)
		wantWait(t, h, "acme", id, storage.WaitRate, "in the last second")
	}))
	t.Run("engine cap", run(func(k *kit, o *actors.Options) {
		workers(k, o)
		o.Concurrency = 1
	}, func(k *kit, h *actorstest.Harness) {
		mustAfter(t, h, "noisy", 0, work.With("x"))
		h.Advance(time.Second)
		id := mustAfter(t, h, "acme", 0, work.With("x"))
		h.Advance(time.Second)
		wantWait(t, h, "acme", id, storage.WaitEngineCap, "the permits that all apps share are taken")
	}))
	t.Run("suspect", run(workers, func(k *kit, h *actorstest.Harness) {
		for i := range 2 {
			mustAfter(t, h, "acme", 0, work.With(fmt.Sprint(i)))
		}
		for range 5 {
			h.Advance(10 * time.Second)
			h.Kill()
			h.Open()
		}
		h.Advance(10 * time.Second)
		waits := map[storage.Wait]int{}
		for _, job := range h.Jobs("acme") {
			waits[job.Wait]++
		}
		if waits[storage.WaitSuspect] != 1 || waits[""] != 1 {
			t.Errorf("jobs wait for %v", waits)
		}
	}))
	disk := newFaults()
	t.Run("volume down", run(func(k *kit, o *actors.Options) {
		workers(k, o)
		o.Testing.Fault = disk.ask
	}, func(k *kit, h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Hour, work.With("x"))
		disk.fail("commit", -1)
		for range 5 {
			if _, err := h.Scheduler("acme").RunAfter(0, fail.With("x")); err == nil {
				t.Fatal("a commit has not failed")
			}
			h.Settle()
		}
		wantWait(t, h, "acme", id, storage.WaitVolume, "the volume has failed")
		disk.fail("commit", 0)
		h.Advance(time.Minute)
		wantWait(t, h, "acme", id, storage.WaitNotDue, "")
	}))
}
