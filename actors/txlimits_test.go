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

// TestG24_AMutationHasLimits runs mutations that would do more in their transaction
// than they may, in each way that one can: the call that passes a limit is told so,
// has changed nothing, and a job that ends with that is not tried again.
func TestG24_AMutationHasLimits(t *testing.T) {
	const most = 20
	k := newKit()
	inner := k.mutation("t:inner", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := entries.Insert(ctx.DB, entry{Name: name})
		return err
	})
	ops := map[string]func(ctx *dispatch.MutationCtx, i int) error{
		"jobs": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With(fmt.Sprint(i)))
			return err
		},
		"documents": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := entries.Insert(ctx.DB, entry{Name: fmt.Sprint(i)})
			return err
		},
		"nested": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := inner.Run(ctx, fmt.Sprint(i))
			return err
		},
		"bytes": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := entries.Insert(ctx.DB, entry{Name: strings.Repeat("x", 9000)})
			return err
		},
		"triggers": func(ctx *dispatch.MutationCtx, i int) error {
			return ctx.Scheduler.Crons().Create(dispatch.Trigger{Name: fmt.Sprint("t", i), Schedule: cron.Expr("@yearly"), Call: addEntry.With("tick")})
		},
		"runs of a trigger": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := ctx.Scheduler.Crons().RunNow("one")
			return err
		},
		"cancels": func(ctx *dispatch.MutationCtx, i int) error {
			_, err := ctx.Scheduler.Cancel(storage.JobID(fmt.Sprint("old", i)))
			return err
		},
	}
	loop := k.mutation("t:loop", func(ctx *dispatch.MutationCtx, name string) error {
		k.note("loop "+name, ctx.Job)
		for i := range 10 * most {
			if err := ops[name](ctx, i); err != nil {
				return fmt.Errorf("number %d: %w", i, err)
			}
		}
		return nil
	})
	careful := k.mutation("t:careful", func(ctx *dispatch.MutationCtx, name string) error {
		for i := range 10 * most {
			if ops[name](ctx, i) != nil {
				break
			}
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, TxLimits: storage.TxLimits{Jobs: most, Writes: 2 * most, Bytes: 100_000}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		sched := h.Scheduler("acme")
		for i := range 10 * most {
			mustAfter(t, h, "acme", 24*time.Hour, addEntry.With("old"), dispatch.ID(storage.JobID(fmt.Sprint("old", i))))
		}
		if err := sched.Crons().Create(dispatch.Trigger{Name: "one", Schedule: cron.Expr("@yearly"), Call: addEntry.With("tick")}); err != nil {
			t.Fatal(err)
		}
		before := len(h.Jobs("acme"))
		for name := range ops {
			_, err := loop.Run(h.Caller("acme"), name)
			wantCode(t, err, dispatch.CodeResourceExhausted)
			if !dispatch.IsPermanent(err) || !errors.Is(err, storage.ErrTxLimit) {
				t.Errorf("%s: %v is not permanent", name, err)
			}
			id := mustAfter(t, h, "acme", 0, loop.With(name))
			h.Settle()
			wantState(t, h, "acme", id, storage.StateFailed, 1)
			if n := k.count("loop " + name); n != 2 {
				t.Errorf("%s: it began %d times, want 2", name, n)
			}
			if ok, err := sched.DropDead(id); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if n := len(h.Jobs("acme")); n != before {
			t.Errorf("%d jobs after mutations that failed, want %d", n, before)
		}
		wantEntries(t, h, "acme")
		// What was done before the limit stands if the mutation does not fail.
		if _, err := careful.Run(h.Caller("acme"), "jobs"); err != nil {
			t.Error(err)
		}
		if n := len(h.Jobs("acme")); n != before+most {
			t.Errorf("%d jobs, want %d", n, before+most)
		}
		if _, err := careful.Run(h.Caller("acme"), "documents"); err != nil {
			t.Error(err)
		}
		if names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{})); len(names) != 2*most {
			t.Errorf("%d documents, want %d", len(names), 2*most)
		}
		// The host is not in a transaction of many calls: no limit is in its way.
		for range 2 * most {
			mustAfter(t, h, "acme", time.Hour, addEntry.With("host"))
		}
	})
}

// TestG24_AnEngineEndsWhatAMutationFilled: a job whose mutation has used its limits
// to the last is completed all the same, with what follows from it.
func TestG24_AnEngineEndsWhatAMutationFilled(t *testing.T) {
	k := newKit()
	full := k.mutation("t:full", func(ctx *dispatch.MutationCtx, _ string) error {
		for i := range 5 {
			if _, err := ctx.Scheduler.RunAfter(0, addEntry.With(fmt.Sprint(i))); err != nil {
				return err
			}
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, TxLimits: storage.TxLimits{Jobs: 5, Writes: 10}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Minute, full.With(""))
		h.Advance(time.Minute)
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
		wantEntries(t, h, "acme", "0", "1", "2", "3", "4")
	})
}
