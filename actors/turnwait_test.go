package actors_test

import (
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
