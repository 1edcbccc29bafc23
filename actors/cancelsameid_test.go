package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG1_AMutationMayGiveTheIDOfAJobItCancels: a mutation that cancels a job and schedules
// another under its id, due at once, has that one run, whatever state it found the first
// in: it waits for the turn, it is the mutation itself, or its action runs and returns.
func TestG1_AMutationMayGiveTheIDOfAJobItCancels(t *testing.T) {
	const id = storage.JobID("the-id")
	again := func(ctx *dispatch.MutationCtx) error {
		if _, err := ctx.Scheduler.Cancel(id); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(0, addEntry.With("second"), dispatch.ID(id))
		return err
	}
	for _, tt := range []struct {
		name  string
		first func(k *kit) dispatch.Call // the job that is canceled
	}{
		{"waiting", func(*kit) dispatch.Call { return addEntry.With("first") }},
		{"itself", func(k *kit) dispatch.Call { return runPlan.With(none{}) }},
		{"action", func(k *kit) dispatch.Call {
			return k.action("t:acts", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }).With("")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKit()
			slow := k.mutation("t:slow", func(ctx *dispatch.MutationCtx, _ string) error {
				time.Sleep(time.Second)
				if tt.name == "itself" {
					return nil
				}
				return again(ctx)
			})
			k.plan = func(ctx *dispatch.MutationCtx) error { time.Sleep(time.Second); return again(ctx) }
			first := tt.first(k)
			actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
				done := make(chan error, 2)
				call := func() { _, err := slow.Run(h.Caller("acme"), ""); done <- err }
				schedule := func() { mustAfter(t, h, "acme", 0, first, dispatch.ID(id)) }
				if tt.name == "waiting" {
					mustAfter(t, h, "acme", 550*time.Millisecond, first, dispatch.ID(id)) // claimed ahead, and due while the turn is held
					h.Advance(500 * time.Millisecond)
					go call()
				} else {
					schedule()
					h.Settle()
					go call()
				}
				h.Settle()
				go func() { _, err := addEntry.Run(h.Caller("acme"), "a call that waits"); done <- err }()
				h.Advance(3 * time.Second)
				for range 2 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				if job := h.Job("acme", id); job.State != storage.StateSuccess || job.Attempts != 1 || job.Function != addEntry.Path() {
					t.Errorf("the second job is %s after %d attempts, with %+v", job.State, job.Attempts, job.History)
				}
				if i := h.Inspect("acme"); i.Claimed != 0 || i.Running != 0 {
					t.Errorf("at rest: %+v", i)
				}
				h.Advance(time.Minute)
				wantEntries(t, h, "acme", "second", "a call that waits")
			})
		})
	}
}
