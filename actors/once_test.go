package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG29_OnceForEachParentHoweverOftenItIsTried: what an action has scheduled once it does not
// schedule again when it is tried again, cut off by crashes or not, and though the child has
// long ended and is purged.
func TestG29_OnceForEachParentHoweverOftenItIsTried(t *testing.T) {
	k := newKit()
	var children []storage.JobID
	var told []storage.Told
	parent := k.action("t:parent", func(ctx *dispatch.ActionCtx, name string) error {
		var done storage.Told
		id, err := ctx.Scheduler.RunAfter(0, addEntry.With(name), dispatch.Once("receipt"), dispatch.Tell(&done))
		if err != nil {
			return err
		}
		children, told = append(children, id), append(told, done)
		if ctx.Job.Attempt < 4 {
			return errors.New("oops")
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 4, Base: time.Hour, Backoff: dispatch.Linear}))
	opts := actors.Options{Functions: k.reg, Logger: quiet, Retention: time.Minute}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, parent.With("a"))
		h.Settle()
		if child := h.Job("acme", children[0]); child.Parent != id || child.Once != "receipt" {
			t.Errorf("the child is of %q, once %q, want %s, receipt", child.Parent, child.Once, id)
		}
		h.Advance(90 * time.Minute)
		h.Crash()
		h.Advance(10 * time.Hour)
		wantEntries(t, h, "acme", "a")
		if n := len(slices.Compact(slices.Clone(children))); n != 1 || len(children) != 4 {
			t.Errorf("in %d attempts it was answered %d ids", len(children), n)
		}
		for i, done := range told {
			if done.Kept != (i > 0) {
				t.Errorf("attempt %d is told %+v", i+1, done)
			}
		}
		// Another job has names of its own; the parent is purged, and leaves nothing.
		mustAfter(t, h, "acme", 0, parent.With("b"))
		h.Advance(10 * time.Hour)
		wantEntries(t, h, "acme", "a", "b")
	})
}

// TestG29_OnceOfAMutation is undone with it, and is one in what it runs inside itself.
func TestG29_OnceOfAMutation(t *testing.T) {
	k := newKit()
	inner := k.mutation("t:inner", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := ctx.Scheduler.RunAfter(0, addEntry.With(name), dispatch.Once("x"))
		return err
	})
	outer := k.mutation("t:outer", func(ctx *dispatch.MutationCtx, name string) error {
		for n := range 3 {
			if _, err := inner.Run(ctx, fmt.Sprint(name, n, " of attempt ", ctx.Job.Attempt)); err != nil {
				return err
			}
		}
		if ctx.Job.Attempt == 1 {
			return errors.New("oops")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, outer.With("a"))
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "a0 of attempt 2")
		// Not of a job, it is refused.
		_, err := outer.Run(h.Caller("acme"), "b")
		wantCode(t, err, dispatch.CodeInvalidArgument)
		_, err = h.Scheduler("acme").RunAfter(0, addEntry.With("c"), dispatch.Once("x"))
		wantCode(t, err, dispatch.CodeInvalidArgument)
	})
}

// TestG29_OnceOverEveryCrash: one child, whatever was cut off.
func TestG29_OnceOverEveryCrash(t *testing.T) {
	options := func() actors.Options {
		k := newKit()
		k.action("t:parent", func(ctx *dispatch.ActionCtx, name string) error {
			if _, err := ctx.Scheduler.RunAfter(0, addEntry.With(name), dispatch.Once("x")); err != nil {
				return err
			}
			if _, err := ctx.Scheduler.RunAfter(0, addEntry.With(name+"2"), dispatch.Once("y")); err != nil {
				return err
			}
			return nil
		})
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		_, _ = h.Scheduler("acme").RunAfter(0, dispatch.Path("t:parent").With("a"), dispatch.ID("parent"))
		h.Advance(time.Minute)
	}, func(h *actorstest.Harness) {
		h.Advance(time.Hour)
		if _, ok, err := h.Scheduler("acme").Get("parent"); err != nil || !ok {
			wantEntries(t, h, "acme")
			return
		}
		wantEntries(t, h, "acme", "a", "a2")
	})
}
