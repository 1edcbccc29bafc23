package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG32_ACascadeOfMany: it goes on in another transaction behind 128 descendants, so that
// others have their turns. If one of its commits fails it says so, and what is durable stands.
func TestG32_ACascadeOfMany(t *testing.T) {
	const many = 2*128 + 1
	for point, first := range map[string]int{"": many, "commit": 0, "committed": 128} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			leaf := k.mutation("t:leaf", func(*dispatch.MutationCtx, string) error { return nil })
			root := k.mutation("t:root", func(ctx *dispatch.MutationCtx, _ string) error {
				calls := make([]dispatch.Scheduled, many)
				for i := range calls {
					calls[i] = dispatch.After(time.Hour, leaf.With(""))
				}
				_, err := ctx.Scheduler.RunMany(calls)
				return err
			})
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, root.With(""))
				h.Settle()
				was := h.Engine.Stats().Commits
				f.fail(point, 1)
				answer, err := h.Scheduler("acme").Cancel(id, dispatch.Cascade())
				if (err != nil) != (point != "") || err == nil && answer.Along != many {
					t.Errorf("%+v, %v", answer, err)
				}
				if n := h.Engine.Stats().Commits - was; point == "" && n < 3 {
					t.Errorf("%d jobs were canceled in %d commits, want 3", many, n)
				}
				h.Advance(10 * time.Second) // the volume is up again
				if n := len(h.Jobs("acme", storage.StatePending)); n != many-first {
					t.Errorf("%d jobs are pending, want %d", n, many-first)
				}
				answer = must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(id, dispatch.Cascade()))
				if answer.Along != many-first || len(h.Jobs("acme", storage.StatePending)) != 0 {
					t.Errorf("once more: %+v", answer)
				}
			})
		})
	}
}

// TestG32_AnEndWhoseCommitFails: the follow-up is stored with the end of its job, or neither is;
// either way there is one in the end.
func TestG32_AnEndWhoseCommitFails(t *testing.T) {
	for point, runs := range map[string]int{"commit": 2, "committed": 1} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			after, n := k.after("t:after"), 0
			job := k.mutation("t:job", func(*dispatch.MutationCtx, string) error {
				if n++; n == 1 {
					f.fail(point, 1)
				}
				return nil
			})
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", time.Minute, job.With(""), dispatch.OnDone(after.With("a")))
				h.Advance(2 * time.Minute)
				if got := h.Jobs("acme", storage.StateSuccess); n != runs || len(got) != 2 {
					t.Errorf("the job has run %d times, want %d; with its follow-ups there are %d, want 2", n, runs, len(got))
				}
				wantState(t, h, "acme", id, storage.StateSuccess, runs)
			})
		})
	}
}
