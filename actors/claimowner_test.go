package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G4, G5: the ends of attempts cannot be written down while the volume is down, and their
// app is held meanwhile and opened anew by the same engine. It knows whose handlers have
// begun: those attempts count, and one that runs at most once is over. What waits for a
// slot has not begun.
func TestG4_ALostEndIsKnownToTheAppOpenedAnew(t *testing.T) {
	for _, which := range []string{"the commit before", "the commit of the end"} {
		t.Run(which, func(t *testing.T) {
			k, f := newKit(), newFaults()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("start "+name, ctx.Job)
				if name == "waits" {
					return nil
				}
				time.Sleep(time.Second)
				return dispatch.Errorf(dispatch.CodeUnavailable, "not now")
			})
			opts := actors.Options{Functions: k.reg, AppConcurrency: 2, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, Volumes: 1}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				once := mustAfter(t, h, "acme", 0, act.With("once"), dispatch.AtMostOnce())
				again := mustAfter(t, h, "acme", 0, act.With("again"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3}))
				h.Settle()
				waits := mustAfter(t, h, "acme", 0, act.With("waits"), dispatch.AtMostOnce())
				h.Settle()
				f.fail("reopen", -1)
				f.fail("commit", 1)
				if which == "the commit before" {
					_, err := addEntry.Run(h.Caller("acme"), "unknown")
					wantCode(t, err, dispatch.CodeUnknown)
				}
				h.Advance(2 * time.Second)
				if err := h.Engine.Delete(h.Context(), "acme"); err == nil {
					t.Fatal("the app was deleted from a volume that is down")
				}
				f.fail("reopen", 0)
				h.Advance(time.Hour)
				wantState(t, h, "acme", once, storage.StateFailed, 1)
				if n := k.count("start once"); n != 1 {
					t.Errorf("what runs at most once was started %d times", n)
				}
				if job, n := h.Job("acme", again), k.count("start again"); job.Attempts != n {
					t.Errorf("it was started %d times, and says %d attempts: %+v", n, job.Attempts, job.History)
				}
				if which == "the commit before" {
					wantUntouched(t, h, waits) // else it began in the slot of what had ended
				}
				if n := k.count("start waits"); n != 1 {
					t.Errorf("what has waited for a slot was started %d times", n)
				}
			})
		})
	}
}
