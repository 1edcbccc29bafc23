package actors_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG30_CancelManyIsOnWhatTheFilterChooses: a bulk cancel is on the pending, running and
// held jobs that the filter chooses and were there when it was called; CountJobs says so
// before; what it is refused with changes nothing.
func TestG30_CancelManyIsOnWhatTheFilterChooses(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	gone := k.mutation("t:gone", func(*dispatch.MutationCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		var calls []dispatch.Scheduled
		for i := range 700 { // more than one step
			calls = append(calls, dispatch.After(time.Hour+time.Duration(i)*time.Millisecond, addEntry.With(fmt.Sprint(i)), dispatch.Tags(fmt.Sprint("t", i%2))))
		}
		must[[]storage.JobID](t)(s.RunMany(calls))
		running := mustAfter(t, h, "acme", 0, hang.With("x"), dispatch.Tags("t0"))
		done := mustAfter(t, h, "acme", 0, addEntry.With("done"), dispatch.Tags("t0"))
		if err := s.Crons().Create(dispatch.Trigger{Name: "tick", Schedule: cron.Expr("@every 2h"), Call: addEntry.With("tick"), Tags: []string{"t3"}}); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		for _, f := range []storage.JobFilter{
			{Limit: 1},
			{Cursor: "x"},
			{States: []storage.State{storage.StateFailed}},
			{States: []storage.State{storage.StatePending, storage.StateSuccess}},
			{Tags: []string{"t0", "t0"}},
			{Due: storage.TimeRange{From: h.Now(), Before: h.Now()}},
		} {
			n, err := s.CancelMany(f)
			if wantCode(t, err, dispatch.CodeInvalidArgument); n != 0 {
				t.Errorf("%+v cancels %d jobs", f, n)
			}
		}
		want := func(what string, f storage.JobFilter, n int) {
			t.Helper()
			counted := f
			if counted.States == nil {
				counted.States = actors.Cancelable()
			}
			before := must[int](t)(s.CountJobs(storage.JobFilter{States: actors.Cancelable()}))
			count := must[int](t)(s.CountJobs(counted))
			got, err := s.CancelMany(f)
			after := must[int](t)(s.CountJobs(storage.JobFilter{States: actors.Cancelable()}))
			if err != nil || count != n || got != n {
				t.Errorf("%s: %d were counted and %d canceled, %v; want %d", what, count, got, err, n)
			}
			if what != "a trigger" && what != "everything" && before-after != n {
				t.Errorf("%s: of %d jobs %d are left, want %d fewer", what, before, after, n)
			}
		}
		first := h.Jobs("acme", storage.StatePending)[0]
		want("a due range", storage.JobFilter{Due: storage.TimeRange{From: first.Due, Before: first.Due.Add(10 * time.Millisecond)}}, 10)
		want("a state", storage.JobFilter{Tags: []string{"t0"}, States: []storage.State{storage.StateRunning}}, 1)
		want("a tag", storage.JobFilter{Tags: []string{"t0"}, Function: "kit:add"}, 345)
		want("no job", storage.JobFilter{Tags: []string{"t0"}, Function: "kit:add"}, 0)
		want("a trigger", storage.JobFilter{Trigger: "tick"}, 1) // and not the tick that takes its place
		want("everything", storage.JobFilter{}, 345+1)           // the others, and the next tick
		h.Settle()
		wantState(t, h, "acme", running, storage.StateCanceled, 1)
		wantState(t, h, "acme", done, storage.StateSuccess, 1)
		if pending := h.Jobs("acme", storage.StatePending); len(pending) != 1 || pending[0].Trigger != "tick" {
			t.Errorf("%d jobs are left, want the next tick", len(pending))
		}
		h.Crash()
		h.Advance(90 * time.Minute)
		wantEntries(t, h, "acme", "done")

		held := mustAfter(t, h, "acme", time.Second, gone.With("x"), dispatch.ID("held"), dispatch.Tags("t0"))
		wantState(t, h, "acme", held, storage.StatePending, 0)
		h.Reconfigure(func(o *actors.Options) { o.Functions = newKit().reg })
		h.Advance(time.Minute)
		wantState(t, h, "acme", held, storage.StateHeld, 0)
		s = h.Scheduler("acme")
		want("held ones", storage.JobFilter{Tags: []string{"t0"}}, 1)
	})
}

// TestG30_CancelManyAtEveryCommit: a bulk cancel that a crash ends has done the first of
// its jobs, and has told of no more than are durably canceled.
func TestG30_CancelManyAtEveryCommit(t *testing.T) {
	const jobs, step = 300, 128
	k := newKit()
	told, ok := 0, false
	options := func() actors.Options {
		told, ok = 0, false
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	act := func(h *actorstest.Harness) {
		if _, err := h.Scheduler("acme").RunMany(batchOf(jobs)); err != nil {
			return
		}
		n, err := h.Scheduler("acme").CancelMany(storage.JobFilter{})
		told, ok = n, err == nil
	}
	everyCrash(t, options, act, func(h *actorstest.Harness) {
		canceled := h.Jobs("acme", storage.StateCanceled)
		pending := h.Jobs("acme", storage.StatePending)
		if n := len(canceled); n < told || n > told+step || ok && n != jobs {
			t.Errorf("%d jobs are canceled, told were %d, to the end: %t", n, told, ok)
		}
		if len(canceled) > 0 && len(pending) > 0 && canceled[len(canceled)-1].Seq() > pending[0].Seq() {
			t.Errorf("%s is canceled before %s", canceled[len(canceled)-1].ID, pending[0].ID)
		}
		n, err := h.Scheduler("acme").CancelMany(storage.JobFilter{})
		if err != nil || n != len(pending) {
			t.Errorf("another call cancels %d, %v, want the %d that are left", n, err, len(pending))
		}
	})
}

// TestG30_BulkLetsDueWorkThrough: while many jobs are canceled and retried, what is due in
// the app and beside it begins within 20 ms, on a disk whose commits take 4 ms.
func TestG30_BulkLetsDueWorkThrough(t *testing.T) {
	const jobs, timers = 3000, 60
	k := newKit()
	var slow atomic.Bool
	opts := actors.Options{Functions: k.reg, Volumes: 1, Logger: quiet, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" && slow.Load() {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		must[none](t)(k.scheduleMany(h, "acme", jobs, 0, failAlways.With("x"), dispatch.NoRetry()))
		h.Drain()
		must[[]storage.JobID](t)(s.RunMany(batchOf(jobs)))
		for _, bulk := range []func() (int, error){
			func() (int, error) {
				return s.CancelMany(storage.JobFilter{Due: storage.TimeRange{From: h.Now().Add(30 * time.Minute)}})
			},
			func() (int, error) { return s.DropMany(storage.JobFilter{}) },
		} {
			due := map[storage.JobID]time.Time{}
			for i := range timers {
				at := h.Now().Add(20*time.Millisecond + time.Duration(i)*time.Millisecond)
				for _, app := range []storage.AppID{"acme", "other"} {
					id := must[storage.JobID](t)(h.Scheduler(app).RunAt(at, addEntry.With("timer"), dispatch.ID(storage.JobID(fmt.Sprint(app, i, "-", at.UnixMilli()))), dispatch.Tags("timer")))
					due[id] = at
				}
			}
			from := k.count("add timer")
			slow.Store(true)
			var n int
			var err error
			var took time.Duration
			begun := time.Now()
			go func() {
				n, err = bulk()
				took = time.Since(begun)
			}()
			h.Advance(2 * time.Second)
			slow.Store(false)
			if err != nil || n != jobs || took < timers*time.Millisecond {
				t.Fatalf("%d jobs in %v, %v", n, took, err)
			}
			events := k.events("add timer")[from:]
			for _, e := range events {
				if late := e.At.Sub(due[e.Job]); late > 20*time.Millisecond {
					t.Errorf("%s is %v late", e.Job, late)
				}
			}
			if len(events) != 2*timers {
				t.Errorf("%d timers came, want %d", len(events), 2*timers)
			}
		}
	})
}
