package actors_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G3, G5: a job whose result cannot be kept has succeeded, once and with all of its
// effects; to a caller such a result is an error, and its mutation is undone.
func TestG5_AResultThatCannotBeKeptIsASuccess(t *testing.T) {
	const limit = 100
	for name, tt := range map[string]struct {
		result any
		bytes  int
		reason string
		code   dispatch.Code // for a caller; "" is none
	}{
		"as long as may be": {strings.Repeat("x", limit-2), 0, "", ""},
		"too long":          {strings.Repeat("x", limit-1), limit + 1, "it is larger than 100 bytes", dispatch.CodeResourceExhausted},
		"no JSON":           {math.NaN(), 0, "it cannot be encoded: unsupported value: NaN", dispatch.CodeInternal},
	} {
		for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				k := newKit()
				var call func(string) dispatch.Call
				var run func(dispatch.Caller, string) error
				if kind == dispatch.KindAction {
					ref := dispatch.InternalAction[string, any]("t:act")
					ref.Handle(k.reg, func(ctx *dispatch.ActionCtx, name string) (any, error) {
						_, err := addEntry.Run(ctx, name)
						return tt.result, err
					})
					call, run = ref.With, func(c dispatch.Caller, name string) error { _, err := ref.Run(c, name); return err }
				} else {
					ref := dispatch.InternalMutation[string, any]("t:write")
					ref.Handle(k.reg, func(ctx *dispatch.MutationCtx, name string) (any, error) {
						_, err := addEntry.Run(ctx, name)
						return tt.result, err
					})
					call, run = ref.With, func(c dispatch.Caller, name string) error { _, err := ref.Run(c, name); return err }
				}
				opts := actors.Options{Functions: k.reg, Logger: quiet, Limits: dispatch.Limits{Result: limit}}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					id := mustAfter(t, h, "acme", 0, call("job"))
					h.Advance(time.Hour)
					h.Restart()
					job := wantState(t, h, "acme", id, storage.StateSuccess, 1)
					if n := job.NotKept; (n != nil) != (tt.reason != "") || n != nil && (n.Bytes != tt.bytes || n.Reason != tt.reason) {
						t.Errorf("the job says of its result: %+v", n)
					}
					err := run(h.Caller("acme"), "call")
					want := []string{"job"}
					if tt.code == "" || kind == dispatch.KindAction {
						want = append(want, "call")
					}
					if tt.code != "" {
						wantCode(t, err, tt.code)
					} else if err != nil {
						t.Error(err)
					}
					wantEntries(t, h, "acme", want...)
				})
			})
		}
	}
}

// G5: what ends the same way however often it is repeated is not repeated, with all
// that was done before it.
func TestG5_WhatRepeatingDoesNotMendIsNotRetried(t *testing.T) {
	k := newKit()
	long := strings.Repeat("x", 300)
	echo := dispatch.InternalMutation[string, any]("t:echo")
	echo.Handle(k.reg, func(_ *dispatch.MutationCtx, s string) (any, error) {
		if s == "nan" {
			return math.NaN(), nil
		}
		return strings.Repeat("x", len(s)), nil
	})
	number := dispatch.InternalMutation[int, none]("t:number")
	number.Handle(k.reg, func(*dispatch.MutationCtx, int) (none, error) { return none{}, nil })
	wrong := dispatch.InternalMutation[string, none]("t:number") // declared otherwise by another package
	strange := dispatch.InternalMutation[any, none]("t:strange")
	strange.Handle(k.reg, func(*dispatch.MutationCtx, any) (none, error) { return none{}, nil })
	docs := storage.NewTable[map[string]any]("docs")

	// what both kinds can do
	both := map[string]func(ctx dispatch.MutationRunner, s dispatch.Scheduler) error{
		"arguments too long": func(ctx dispatch.MutationRunner, _ dispatch.Scheduler) error {
			_, err := echo.Run(ctx, long)
			return err
		},
		"arguments without JSON": func(ctx dispatch.MutationRunner, _ dispatch.Scheduler) error {
			_, err := strange.Run(ctx, math.NaN())
			return err
		},
		"arguments that do not decode": func(ctx dispatch.MutationRunner, _ dispatch.Scheduler) error {
			_, err := wrong.Run(ctx, "x")
			return err
		},
		"a result too long": func(ctx dispatch.MutationRunner, _ dispatch.Scheduler) error {
			_, err := echo.Run(ctx, long[:199])
			return err
		},
		"a result without JSON": func(ctx dispatch.MutationRunner, _ dispatch.Scheduler) error {
			_, err := echo.Run(ctx, "nan")
			return err
		},
		"a job's arguments too long": func(_ dispatch.MutationRunner, s dispatch.Scheduler) error {
			_, err := s.RunAfter(0, echo.With(long))
			return err
		},
		"a job's arguments without JSON": func(_ dispatch.MutationRunner, s dispatch.Scheduler) error {
			_, err := s.RunAfter(0, strange.With(math.NaN()))
			return err
		},
		"a job's arguments do not fit": func(_ dispatch.MutationRunner, s dispatch.Scheduler) error {
			_, err := s.RunAfter(0, wrong.With("x"))
			return err
		},
	}
	writes := map[string]func(ctx *dispatch.MutationCtx) error{
		"a document too long": func(ctx *dispatch.MutationCtx) error {
			_, err := docs.Insert(ctx.DB, map[string]any{"s": strings.Repeat("x", 1<<20)})
			return err
		},
		"a document without JSON": func(ctx *dispatch.MutationCtx) error {
			_, err := docs.Insert(ctx.DB, map[string]any{"s": math.NaN()})
			return err
		},
		"a document that is no object": func(ctx *dispatch.MutationCtx) error { _, err := docs.Insert(ctx.DB, nil); return err },
	}
	var calls []dispatch.Call
	for name, do := range both {
		name := strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), "'", "")
		act := k.action("act:"+name, func(ctx *dispatch.ActionCtx, _ string) error {
			k.note("act "+name, ctx.Job)
			if err := do(ctx, ctx.Scheduler); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			return errors.New("it was let pass")
		})
		write := k.mutation("write:"+name, func(ctx *dispatch.MutationCtx, _ string) error {
			k.note("write "+name, ctx.Job)
			if err := do(ctx, ctx.Scheduler); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			return errors.New("it was let pass")
		})
		calls = append(calls, act.With("x"), write.With("x"))
	}
	for name, do := range writes {
		name := strings.ReplaceAll(name, " ", "")
		write := k.mutation("write:"+name, func(ctx *dispatch.MutationCtx, _ string) error {
			k.note("write "+name, ctx.Job)
			if err := do(ctx); err != nil {
				return fmt.Errorf("wrapped: %w", err)
			}
			return errors.New("it was let pass")
		})
		calls = append(calls, write.With("x"))
	}
	opts := actors.Options{Functions: k.reg, Logger: quiet, Limits: dispatch.Limits{Args: 200, Result: 200}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		ids := map[storage.JobID]dispatch.Call{}
		for _, call := range calls {
			ids[mustAfter(t, h, "acme", 0, call)] = call
		}
		h.Advance(2 * time.Hour)
		for id, call := range ids {
			if job := h.Job("acme", id); job.State != storage.StateFailed || job.Attempts != 1 {
				t.Errorf("%v: %s after %d attempts: %+v", call, job.State, job.Attempts, job.Error)
			}
		}
		if n := k.count(""); n != len(calls) {
			t.Errorf("%d attempts of %d jobs", n, len(calls))
		}
	})
}

// G5: what may pass by waiting is retried: a full app, a volume, whatever the
// function says without more.
func TestG5_AQuotaIsRetried(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With("x"))
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxJobs: 1, Logger: quiet}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, act.With("x"))
		h.Advance(2 * time.Hour)
		if job := wantState(t, h, "acme", id, storage.StateFailed, 6); job.Error.Code != string(dispatch.CodeResourceExhausted) {
			t.Errorf("the job says %+v", job.Error)
		}
	})
}
