package actors_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG24_TheWaitForTheTurnIsBounded: a call that has waited for Options.TurnWait is
// refused with unavailable and never applied; one that gets the turn just before has
// its whole deadline; a due job waits for as long as it takes.
func TestG24_TheWaitForTheTurnIsBounded(t *testing.T) {
	k := newKit()
	slow := k.mutation("t:slow", func(ctx *dispatch.MutationCtx, name string) error {
		time.Sleep(10 * time.Second)
		_, err := entries.Insert(ctx.DB, entry{Name: name})
		return err
	}, dispatch.Deadline(20*time.Second))
	opts := actors.Options{Functions: k.reg, TurnWait: 10 * time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var all sync.WaitGroup
		defer all.Wait()
		begin := h.Now()
		all.Go(func() { must[none](t)(slow.Run(h.Caller("acme"), "first")) })
		h.Settle()
		// Just in time, and then as long as it may take.
		h.Advance(time.Millisecond)
		all.Go(func() { must[none](t)(slow.Run(h.Caller("acme"), "second")) })
		h.Settle()
		// These wait for the second, one for just as long as they may.
		for i, call := range map[string]func() error{
			"mutation": func() error { _, err := addEntry.Run(h.Caller("acme"), "late"); return err },
			"schedule": func() error {
				_, err := h.Scheduler("acme").RunAfter(0, addEntry.With("late"))
				return err
			},
		} {
			all.Go(func() {
				err := call()
				wantCode(t, err, dispatch.CodeUnavailable)
				if took := h.Now().Sub(begin); took != 10*time.Second+time.Millisecond {
					t.Errorf("%s: told after %v: %v", i, took, err)
				}
			})
		}
		h.Advance(30 * time.Second)
		wantEntries(t, h, "acme", "first", "second")
	})
}

// TestG5_AJobWhoseCallWaitedTooLongIsNotCharged: a job's action whose call, or whose
// scheduling, was refused since it had waited for Options.TurnWait is interrupted by that,
// whatever it makes of the error, and its policy spends nothing. One that passes over the
// refusal succeeds.
func TestG5_AJobWhoseCallWaitedTooLongIsNotCharged(t *testing.T) {
	k := newKit()
	slow := k.mutation("t:slow", func(*dispatch.MutationCtx, string) error { time.Sleep(15 * time.Second); return nil }, dispatch.Deadline(20*time.Second))
	var acts map[string]func(*dispatch.ActionCtx) error
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, what string) error {
		time.Sleep(time.Second) // the turn is taken meanwhile
		return acts[what](ctx)
	})
	acts = map[string]func(*dispatch.ActionCtx) error{
		"calls": func(ctx *dispatch.ActionCtx) error { _, err := addEntry.Run(ctx, "called"); return err },
		"schedules": func(ctx *dispatch.ActionCtx) error {
			if _, err := ctx.Scheduler.RunAfter(0, addEntry.With("scheduled")); err != nil {
				return errors.New("it says so in words of its own")
			}
			return nil
		},
		"passes over": func(ctx *dispatch.ActionCtx) error { addEntry.Run(ctx, "passed over"); return nil },
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, TurnWait: time.Second, Logger: quiet}, func(h *actorstest.Harness) {
		jobs := map[string]storage.JobID{}
		for what := range acts {
			jobs[what] = must[storage.JobID](t)(h.Scheduler("acme").RunAfter(0, act.With(what), dispatch.NoRetry()))
		}
		once := must[storage.JobID](t)(h.Scheduler("acme").RunAfter(0, act.With("calls"), dispatch.AtMostOnce()))
		h.Settle()
		must[none](t)(slow.Run(h.Caller("acme"), ""))
		h.Drain()
		wantState(t, h, "acme", jobs["passes over"], storage.StateSuccess, 1)
		wantState(t, h, "acme", once, storage.StateFailed, 1)
		h.Advance(time.Minute)
		for _, what := range []string{"calls", "schedules"} {
			job := h.Job("acme", jobs[what])
			if job.State != storage.StateSuccess || job.Failures != 0 || job.Attempts < 2 || !job.History[0].Interrupted {
				t.Errorf("%s: %s after %d attempts, %d of them failures: %+v", what, job.State, job.Attempts, job.Failures, job.History)
			}
		}
		wantEntries(t, h, "acme", "called", "scheduled")
	})
}

// TestG24_DueJobsWaitForTheTurnWithoutABound: a job whose turn comes late runs in the
// end, at its first attempt.
func TestG24_DueJobsWaitForTheTurnWithoutABound(t *testing.T) {
	k := newKit()
	slow := k.mutation("t:slow", func(*dispatch.MutationCtx, string) error { time.Sleep(15 * time.Second); return nil }, dispatch.Deadline(20*time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, TurnWait: time.Second}, func(h *actorstest.Harness) {
		id := must[storage.JobID](t)(h.Scheduler("acme").RunAfter(50*time.Millisecond, addEntry.With("job")))
		must[none](t)(slow.Run(h.Caller("acme"), ""))
		h.Settle()
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
	})
}
