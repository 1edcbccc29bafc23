package actors_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG24_ClaimsOfAllAppsAreBounded: what apps have claimed that waits for permits is bounded
// together; each may have a few all the same, and has more when others' have begun.
func TestG24_ClaimsOfAllAppsAreBounded(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	noop := k.action("t:noop", func(*dispatch.ActionCtx, string) error { return nil })
	opts := actors.Options{Functions: k.reg, Concurrency: 1, ActionTimeout: 2 * time.Hour, ClaimAhead: time.Second, Logger: quiet, Testing: actors.Testing{Claims: 100}}
	for _, tt := range []struct {
		name       string
		jobs, want []int // of each app, and claimed of them
	}{
		{"a lone app", []int{101}, []int{100}},
		{"more than a few are left", []int{67, 50}, []int{67, 33}},
		{"a few are left", []int{68, 50}, []int{68, 32}},
		{"fewer are left", []int{69, 50}, []int{69, 32}},
		{"none is left", []int{120, 50, 31}, []int{100, 32, 31}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				first := mustAfter(t, h, "first", 0, hang.With("x"))
				h.Settle()
				app := func(i int) storage.AppID { return storage.AppID(fmt.Sprint("app-", i)) }
				for i, n := range tt.jobs {
					after := dispatch.After(time.Hour+time.Duration(i)*time.Second, noop.With("x"))
					must[[]storage.JobID](t)(h.Scheduler(app(i)).RunMany(slices.Repeat([]dispatch.Scheduled{after}, n)))
				}
				claimed := func() (all int) {
					for i := range tt.jobs {
						all += h.Inspect(app(i)).Claimed
					}
					return all
				}
				h.Advance(time.Hour + time.Minute)
				for i, want := range tt.want {
					if n := h.Inspect(app(i)).Claimed; n != want {
						t.Errorf("app %d has claimed %d of %d jobs, want %d", i, n, tt.jobs[i], want)
					}
				}
				if n := h.Engine.Stats().Claimed; int(n) != claimed() {
					t.Errorf("the engine counts %d claims, the apps %d", n, claimed())
				}
				must[storage.Cancellation](t)(h.Scheduler("first").Cancel(first))
				h.Drain()
				if n := h.Engine.Stats().Claimed; n != 0 {
					t.Errorf("the engine counts %d claims when all have begun", n)
				}
			})
		})
	}
}

// TestG24_ClaimsOfAnAppThatIsGoneAreNotCounted: those of a deleted app make room.
func TestG24_ClaimsOfAnAppThatIsGoneAreNotCounted(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	opts := actors.Options{Functions: k.reg, AppConcurrency: 1, ActionTimeout: 2 * time.Hour, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for range 9 {
			mustAfter(t, h, "acme", 0, hang.With("x"))
		}
		h.Settle()
		if n := h.Engine.Stats().Claimed; n != 8 {
			t.Errorf("%d are claimed beside the one that runs, want 8", n)
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if n := h.Engine.Stats().Claimed; n != 0 {
			t.Errorf("%d are counted as claimed of an app that is gone", n)
		}
	})
}

// TestG24_ClaimsOfAnAppThatIsRestartedAreCountedOnce: an app whose SchedulerActor has panicked has
// those that it takes over, and no others.
func TestG24_ClaimsOfAnAppThatIsRestartedAreCountedOnce(t *testing.T) {
	k := newKit()
	var armed atomic.Bool
	clock := func() time.Time {
		if armed.Load() && inScheduler() && armed.CompareAndSwap(true, false) {
			panic("a bug")
		}
		return time.Now()
	}
	hang := k.hangs("t:hang")
	opts := actors.Options{Functions: k.reg, AppConcurrency: 1, ActionTimeout: 2 * time.Hour, Logger: quiet, Testing: actors.Testing{Clock: clock}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for range 9 {
			mustAfter(t, h, "acme", 0, hang.With("x"))
		}
		h.Settle()
		for range 3 {
			armed.Store(true)
			go func() { _, _ = h.App("acme").Scheduler(h.Context()).Cancel("none") }()
			h.Advance(time.Minute)
			if armed.Load() {
				t.Fatal("the actor has not panicked")
			}
			if n, of := h.Engine.Stats().Claimed, h.Inspect("acme").Claimed; int(n) != of || of == 0 {
				t.Errorf("the engine counts %d claims, and the app has %d", n, of)
			}
		}
	})
}
