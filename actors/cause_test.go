package actors_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// endings are the ways a handler can end once it is told to stop. The first ones say
// nothing that tells a stop from a failure.
var endings = map[string]func(context.Context) error{
	"a client's error": func(context.Context) error { return errors.New("rpc error: code = Canceled desc = context canceled") },
	"the context's":    func(ctx context.Context) error { return ctx.Err() },
	"its cause":        func(ctx context.Context) error { return context.Cause(ctx) },
	"a code":           func(context.Context) error { return dispatch.Errorf(dispatch.CodeInternal, "connection reset") },
	"goexit":           func(context.Context) error { runtime.Goexit(); return nil },
	"success":          func(context.Context) error { return nil },
	"permanent": func(context.Context) error {
		return dispatch.Permanent(dispatch.Errorf(dispatch.CodeNotFound, "no such card"))
	},
	"panic": func(context.Context) error { panic("torn apart") },
}

// verdict is what an end comes to: the state, whether it spent an attempt of the
// policy, and the code of the error.
type verdict struct {
	state storage.State
	spent int
	code  dispatch.Code
}

// byCause is the verdict about an ending, where what a handler says does not stand.
func byCause(name string, cause verdict) verdict {
	switch name {
	case "success":
		return verdict{storage.StateSuccess, 0, ""}
	case "permanent":
		return verdict{storage.StateFailed, 1, dispatch.CodeNotFound}
	case "panic":
		return verdict{storage.StateFailed, 1, dispatch.CodeInternal}
	}
	return cause
}

// wantVerdict demands it of a job without retries that has had one attempt.
func wantVerdict(t *testing.T, job *storage.Job, want verdict) {
	t.Helper()
	code := dispatch.Code("")
	if job.Error != nil {
		code = dispatch.Code(job.Error.Code)
	}
	if job.State != want.state || job.Failures != want.spent || job.Interruptions != 0 || job.Attempts != 1 || code != want.code {
		t.Errorf("%s, %d failures, %d interruptions, %d attempts, code %q, want %+v; %+v",
			job.State, job.Failures, job.Interruptions, job.Attempts, code, want, job.Error)
	}
}

// G5: an attempt that the engine ends, because it is closed or the app is held,
// spends nothing, whatever the handler makes of it; success, a permanent failure
// and a panic stand.
func TestG5_WhatTheEngineEndsIsInterrupted(t *testing.T) {
	for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
		for _, by := range []string{"close", "hold"} {
			if by == "hold" && kind == dispatch.KindMutation {
				continue // its turn is served
			}
			for name, end := range endings {
				t.Run(fmt.Sprint(kind, " ", by, " ", name), func(t *testing.T) {
					k := newKit()
					stop := func(ctx context.Context, job dispatch.JobRun) error {
						if job.Attempt > 1 {
							return nil
						}
						<-ctx.Done()
						return end(ctx)
					}
					keep := k.action("t:keep", func(ctx *dispatch.ActionCtx, _ string) error {
						<-ctx.Done()
						time.Sleep(10 * time.Second) // so that a hold gives up
						return nil
					})
					call := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { return stop(ctx, ctx.Job) }).With
					if kind == dispatch.KindMutation {
						call = k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { return stop(ctx, ctx.Job) }).With
					}
					opts := actors.Options{Functions: k.reg, Logger: quiet, MutationTimeout: 9 * time.Hour, ActionTimeout: 9 * time.Hour, Grace: time.Minute}
					actorstest.Run(t, opts, func(h *actorstest.Harness) {
						if by == "hold" {
							mustAfter(t, h, "acme", 0, keep.With("x"), dispatch.AtMostOnce())
						}
						id := mustAfter(t, h, "acme", 0, call("x"), dispatch.NoRetry())
						var once storage.JobID
						if kind == dispatch.KindAction {
							once = mustAfter(t, h, "acme", 0, call("once"), dispatch.AtMostOnce())
						}
						h.Advance(time.Second)
						if by == "close" {
							ctx, cancel := context.WithTimeout(context.Background(), time.Second)
							defer cancel()
							if err := h.Engine.Close(ctx); err != nil {
								t.Error(err)
							}
							h.Open()
						} else {
							ctx, cancel := context.WithTimeout(h.Context(), time.Second)
							defer cancel()
							wantCode(t, h.Engine.Delete(ctx, "acme"), dispatch.CodeDeadlineExceeded)
						}
						h.Advance(time.Minute)
						after := ptr(h.Job("acme", id))
						want := byCause(name, verdict{})
						if want.state == "" {
							// It ran again, and succeeded then.
							if after.State != storage.StateSuccess || after.Attempts != 2 || after.Failures != 0 || len(after.History) != 1 || !after.History[0].Interrupted {
								t.Errorf("%s, %d attempts, %d failures, history %+v", after.State, after.Attempts, after.Failures, after.History)
							}
						} else {
							wantVerdict(t, after, want)
						}
						if once != "" {
							wantVerdict(t, ptr(h.Job("acme", once)), byCause(name, verdict{storage.StateFailed, 0, dispatch.CodeAborted}))
						}
					})
				})
			}
		}
	}
}

// G5: what a deadline has ended is deadline_exceeded, whatever the handler makes of
// it, and spends an attempt.
func TestG5_WhatADeadlineEndsIsDeadlineExceeded(t *testing.T) {
	for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
		for name, end := range endings {
			if kind == dispatch.KindMutation && byCause(name, verdict{}).state != "" {
				continue // whether that comes before its turn is lost, at this very instant, is open
			}
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				k := newKit()
				late := func(ctx context.Context) error {
					<-ctx.Done()
					if kind == dispatch.KindAction {
						time.Sleep(time.Second) // within its grace
					}
					return end(ctx)
				}
				var run func() error
				var h *actorstest.Harness
				var call dispatch.Call
				if kind == dispatch.KindAction {
					act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { return late(ctx) })
					call = act.With("x")
					run = func() error { _, err := act.Run(h.Caller("acme"), "x"); return err }
				} else {
					write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { return late(ctx) })
					call = write.With("x")
					run = func() error { _, err := write.Run(h.Caller("acme"), "x"); return err }
				}
				opts := actors.Options{Functions: k.reg, Logger: quiet, MutationTimeout: time.Minute, ActionTimeout: time.Minute}
				actorstest.Run(t, opts, func(harness *actorstest.Harness) {
					h = harness
					id := mustAfter(t, h, "acme", 0, call, dispatch.NoRetry())
					h.Advance(2 * time.Minute)
					job := h.Job("acme", id)
					want := byCause(name, verdict{storage.StateFailed, 1, dispatch.CodeDeadlineExceeded})
					wantVerdict(t, &job, want)
					if err := run(); want.code != "" {
						wantCode(t, err, want.code)
					} else if err != nil {
						t.Errorf("the call: %v", err)
					}
				})
			})
		}
	}
}

// G5: a handler that Close had to leave behind is interrupted, and so is one whose
// turn Close has taken; neither is a crash, however often that happens in a row.
func TestG5_TenDeploysInARowKillNoJob(t *testing.T) {
	k := newKit()
	deaf := true
	var free chan struct{}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		if deaf {
			<-free
		}
		return nil
	})
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error {
		k.note("start "+name, ctx.Job)
		if deaf {
			<-free
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, Logger: quiet, MaxInterruptions: 2, Grace: time.Second, ActionTimeout: time.Hour, MutationTimeout: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		free = make(chan struct{})
		k.plan = func(ctx *dispatch.MutationCtx) error {
			for i, job := range []struct {
				id   storage.JobID
				call dispatch.Call
				opt  dispatch.RunOption
			}{
				{"action", act.With("a"), dispatch.NoRetry()},
				{"once", act.With("o"), dispatch.AtMostOnce()},
				{"mutation", write.With("m"), dispatch.NoRetry()},
				{"waits", addEntry.With("w"), dispatch.NoRetry()},
			} {
				if _, err := ctx.Scheduler.RunAfter(time.Duration(i)*time.Millisecond, job.call, dispatch.ID(job.id), job.opt); err != nil {
					return err
				}
			}
			return nil
		}
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		defer close(free)
		for i := range 10 {
			h.Advance(time.Second)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if err := h.Engine.Close(ctx); err == nil {
				t.Error("Close does not tell of the handlers that have not returned")
			}
			cancel()
			deaf = i < 9
			h.Open()
		}
		h.Advance(time.Minute)
		for _, id := range []storage.JobID{"action", "mutation"} {
			if job := wantState(t, h, "acme", id, storage.StateSuccess, 11); job.Failures != 0 {
				t.Errorf("%d failures", job.Failures)
			}
		}
		wantVerdict(t, ptr(h.Job("acme", "once")), verdict{storage.StateFailed, 0, dispatch.CodeAborted})
		if job := wantState(t, h, "acme", "waits", storage.StateSuccess, 1); len(job.History) > 0 {
			t.Errorf("what waited for the turn says %+v", job.History)
		}
	})
}

func ptr[T any](v T) *T { return &v }

// G5: a job that Close found waiting for the turn, or for its identity, has not
// begun, and one whose identity could not be rebuilt because of that is not dead.
func TestG5_CloseCostsNoAttemptThatHasNotBegun(t *testing.T) {
	k, w := newKit(), &whoami{}
	m, _, act := w.functions(k)
	blocked := true
	slow := k.mutation("t:slow", func(ctx *dispatch.MutationCtx, _ string) error {
		if !blocked {
			return nil
		}
		<-ctx.Done()
		return errors.New("rpc error: code = Canceled")
	})
	hook := func(ctx context.Context, _ storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
		if blocked {
			<-ctx.Done()
			return nil, errors.New("rpc error: code = Canceled")
		}
		return id, nil
	}
	k.plan = func(ctx *dispatch.MutationCtx) error {
		for i, call := range []dispatch.Call{m.With("later"), act.With("later")} {
			if _, err := ctx.Scheduler.RunAfter(0, call, dispatch.AsCaller(), dispatch.ID(storage.JobID(fmt.Sprint("job", i))), dispatch.NoRetry()); err != nil {
				return err
			}
		}
		if _, err := ctx.Scheduler.RunAfter(0, slow.With("x"), dispatch.ID("holds"), dispatch.NoRetry()); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(0, addEntry.With("waits"), dispatch.ID("waits"), dispatch.NoRetry())
		return err
	}
	opts := actors.Options{Functions: k.reg, Logger: quiet, Reauthorize: hook, MutationTimeout: time.Hour, ActionTimeout: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		must[none](t)(runPlan.Run(h.CallerAs("acme", ada), none{}))
		h.Settle()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := h.Engine.Close(ctx); err != nil {
			t.Error(err)
		}
		blocked = false
		h.Open()
		h.Advance(time.Minute)
		wantState(t, h, "acme", "holds", storage.StateSuccess, 2)
		for _, id := range []storage.JobID{"waits", "job0"} {
			if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); len(job.History) > 0 {
				t.Errorf("job %s says %+v", id, job.History)
			}
		}
		// An action's attempt has begun with its hook.
		if job := wantState(t, h, "acme", "job1", storage.StateSuccess, 2); job.Failures != 0 {
			t.Errorf("%d failures", job.Failures)
		}
	})
}

// G5: an action fails because the volume has failed what it asked for: that spends
// nothing, and is not tried again at once.
func TestG5_AnActionThatAVolumeFailedIsInterrupted(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for _, what := range []string{"a mutation", "a schedule"} {
			t.Run(point+" "+what, func(t *testing.T) {
				k, f := newKit(), newFaults()
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
					k.note("start "+name, ctx.Job)
					if ctx.Job.Attempt == 1 {
						f.fail(point, 1)
					}
					var err error
					if what == "a mutation" {
						_, err = addEntry.Run(ctx, name)
					} else {
						_, err = ctx.Scheduler.RunAfter(0, addEntry.With(name))
					}
					if err != nil {
						return errors.New("could not write it down")
					}
					return nil
				})
				actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, Volumes: 1}, func(h *actorstest.Harness) {
					id := mustAfter(t, h, "acme", 0, act.With("x"), dispatch.NoRetry())
					h.Advance(time.Minute)
					job := wantState(t, h, "acme", id, storage.StateSuccess, 2)
					if job.Failures != 0 || len(job.History) != 1 || !job.History[0].Interrupted {
						t.Errorf("%d failures, history %+v", job.Failures, job.History)
					}
					starts := k.events("start")
					if wait := starts[1].At.Sub(starts[0].At); wait < time.Second {
						t.Errorf("tried again after %v", wait)
					}
				})
			})
		}
	}
}

// G10: a canceled action is canceled whatever it returns, also while the engine
// is being closed.
func TestG10_WhatACanceledActionReturnsCountsForNothing(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			k := newKit()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
				<-ctx.Done()
				time.Sleep(time.Second)
				return end(ctx)
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, act.With("x"))
				h.Settle()
				if a := must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(id)); !a.Canceled || a.Found != storage.StateRunning {
					t.Errorf("cancel: %+v", a)
				}
				h.Restart()
				h.Advance(time.Hour)
				if job := wantState(t, h, "acme", id, storage.StateCanceled, 1); job.Failures != 0 {
					t.Errorf("%d failures", job.Failures)
				}
			})
		})
	}
}
