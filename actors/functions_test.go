package actors_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G18: arguments and results at the limits, and a byte more: refused at the call,
// or the end of the run, and nothing is changed.
func TestG18_LimitsOfArgumentsAndResults(t *testing.T) {
	const limit = 1000
	k := newKit()
	take := k.mutation("t:take", func(ctx *dispatch.MutationCtx, arg string) error {
		_, err := addEntry.Run(ctx, fmt.Sprint(len(arg)))
		return err
	})
	give := dispatch.Mutation[int, string]("t:give")
	give.Handle(k.reg, func(ctx *dispatch.MutationCtx, n int) (string, error) {
		_, err := addEntry.Run(ctx, fmt.Sprint("gave ", n))
		return strings.Repeat("x", n), err
	})
	later := k.mutation("t:later", func(ctx *dispatch.MutationCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(0, take.With(strings.Repeat("x", limit-1)))
		return err
	})
	opts := actors.Options{Functions: k.reg, Limits: dispatch.Limits{Args: limit, Result: limit}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		full, over := strings.Repeat("x", limit-2), strings.Repeat("x", limit-1) // and two quotes
		must[none](t)(take.Run(h.Caller("acme"), full))
		mustAfter(t, h, "acme", 0, take.With(full))
		h.Settle()
		_, err := take.Run(h.Caller("acme"), over)
		wantCode(t, err, dispatch.CodeResourceExhausted)
		_, err = h.Scheduler("acme").RunAfter(0, take.With(over))
		wantCode(t, err, dispatch.CodeResourceExhausted)
		_, err = later.Run(h.Caller("acme"), "")
		wantCode(t, err, dispatch.CodeResourceExhausted)

		must[string](t)(give.Run(h.Caller("acme"), limit-2))
		_, err = give.Run(h.Caller("acme"), limit-1)
		wantCode(t, err, dispatch.CodeResourceExhausted)
		id := mustAfter(t, h, "acme", 0, give.With(limit-1), dispatch.NoRetry())
		h.Settle()
		if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); job.NotKept == nil || job.NotKept.Bytes != limit+1 {
			t.Errorf("the job says of its result: %+v", job.NotKept)
		}
		wantEntries(t, h, "acme", fmt.Sprint(limit-2), fmt.Sprint(limit-2), fmt.Sprint("gave ", limit-2), fmt.Sprint("gave ", limit-1))
		if jobs := h.Jobs("acme"); len(jobs) != 2 {
			t.Errorf("%d jobs were stored", len(jobs))
		}
	})
}

// G2: what can be known to be wrong with a schedule is said at the call, inside
// the mutation, which is rolled back with it (B47) or goes on without it.
func TestG2_BadSchedulesAreRefusedAtTheCall(t *testing.T) {
	type obj struct {
		N int `json:"n"`
	}
	k := newKit()
	dispatch.InternalMutation[obj, none]("t:obj").Handle(k.reg, func(*dispatch.MutationCtx, obj) (none, error) { return none{}, nil })
	act := k.hangs("t:act")
	calls := map[string]struct {
		call dispatch.Call
		opts []dispatch.RunOption
		code dispatch.Code
	}{
		"unknown path":           {dispatch.Path("no:such").With(nil), nil, dispatch.CodeNotFound},
		"malformed path":         {dispatch.Path("nosuch").With(nil), nil, dispatch.CodeNotFound},
		"a query":                {dispatch.Path("kit:list").With(nil), nil, dispatch.CodeInvalidArgument},
		"no function":            {dispatch.Call{}, nil, dispatch.CodeNotFound},
		"wrong type":             {dispatch.Path("t:obj").With(map[string]any{"n": "x"}), nil, dispatch.CodeInvalidArgument},
		"unknown field":          {dispatch.Path("t:obj").With(map[string]any{"m": 1}), nil, dispatch.CodeInvalidArgument},
		"cannot be encoded":      {dispatch.Path("t:obj").With(func() {}), nil, dispatch.CodeInvalidArgument},
		"bad id":                 {addEntry.With("x"), []dispatch.RunOption{dispatch.ID("a:b")}, dispatch.CodeInvalidArgument},
		"empty id":               {addEntry.With("x"), []dispatch.RunOption{dispatch.ID("")}, dispatch.CodeInvalidArgument},
		"long id":                {addEntry.With("x"), []dispatch.RunOption{dispatch.ID(storage.JobID(strings.Repeat("a", 65)))}, dispatch.CodeInvalidArgument},
		"id in use":              {addEntry.With("x"), []dispatch.RunOption{dispatch.ID("held")}, dispatch.CodeAlreadyExists},
		"id of a dead job":       {addEntry.With("x"), []dispatch.RunOption{dispatch.ID("dead")}, dispatch.CodeAlreadyExists},
		"at most once, mutation": {addEntry.With("x"), []dispatch.RunOption{dispatch.AtMostOnce()}, dispatch.CodeInvalidArgument},
		"at most once, retried":  {act.With("x"), []dispatch.RunOption{dispatch.AtMostOnce(), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2})}, dispatch.CodeInvalidArgument},
		"no timeout":             {addEntry.With("x"), []dispatch.RunOption{dispatch.Timeout(0)}, dispatch.CodeInvalidArgument},
		"negative base":          {addEntry.With("x"), []dispatch.RunOption{dispatch.WithRetry(dispatch.RetryPolicy{Base: -1})}, dispatch.CodeInvalidArgument},
		"too many attempts":      {addEntry.With("x"), []dispatch.RunOption{dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1001})}, dispatch.CodeInvalidArgument},
	}
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"), dispatch.ID("held"))
		mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.ID("dead"), dispatch.NoRetry())
		h.Settle()
		for name, tt := range calls {
			_, err := h.Scheduler("acme").RunAfter(0, tt.call, tt.opts...)
			var e *dispatch.Error
			if !errors.As(err, &e) || e.Code != tt.code {
				t.Errorf("%s, by the host: %v, want %s", name, err, tt.code)
			}
			for _, goesOn := range []bool{false, true} {
				k.plan = func(ctx *dispatch.MutationCtx) error {
					if _, err := addEntry.Run(ctx, name); err != nil {
						return err
					}
					_, err := ctx.Scheduler.RunAfter(0, tt.call, tt.opts...)
					if err == nil || dispatch.AsError(err).Code != tt.code {
						t.Errorf("%s, in a mutation: %v, want %s", name, err, tt.code)
					}
					if goesOn {
						return nil
					}
					return err
				}
				_, err = runPlan.Run(h.Caller("acme"), none{})
				if goesOn != (err == nil) {
					t.Errorf("%s: the mutation answers %v", name, err)
				}
			}
		}
		names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		if len(names) != len(calls) {
			t.Errorf("entries %s, want one for each mutation that went on", brief(names))
		}
		if jobs := h.Jobs("acme"); len(jobs) != 2 {
			t.Errorf("%d jobs are stored, want the two of the beginning", len(jobs))
		}
	})
}

// G8: an id that was chosen is held by a pending, running or dead job and free
// after success, cancel and drop (B1 to B3).
func TestG8_ChosenIDs(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		const id = storage.JobID("my-job_1")
		schedule := func(d time.Duration, call dispatch.Call) error {
			got, err := h.Scheduler("acme").RunAfter(d, call, dispatch.ID(id), dispatch.NoRetry())
			if err == nil && got != id {
				t.Errorf("the id is %q", got)
			}
			return err
		}
		held := func(what string) {
			t.Helper()
			wantCode(t, schedule(0, addEntry.With("refused while "+what)), dispatch.CodeAlreadyExists)
		}
		free := func(d time.Duration, call dispatch.Call) {
			t.Helper()
			if err := schedule(d, call); err != nil {
				t.Error(err)
			}
		}
		free(time.Hour, addEntry.With("a"))
		held("pending")
		wantCancel(t, h, "acme", id, true, storage.StatePending)
		free(0, addEntry.With("b"))
		h.Settle()
		free(0, hang.With("c"))
		h.Settle()
		held("running")
		wantCancel(t, h, "acme", id, true, storage.StateRunning)
		h.Settle()
		free(0, failAlways.With("d"))
		h.Settle()
		held("dead")
		if ok, err := h.Scheduler("acme").DropDead(id); !ok || err != nil {
			t.Error(ok, err)
		}
		free(time.Minute, addEntry.With("e"))
		h.Crash()
		held("pending, after a crash")
		h.Advance(time.Minute)
		wantEntries(t, h, "acme", "b", "e")
		job := wantState(t, h, "acme", id, storage.StateSuccess, 1)
		if string(job.Args) != `"e"` {
			t.Errorf("the id leads to the job with the arguments %s, want the latest", job.Args)
		}
	})
}

// G8: an internal function is to a client exactly like one that is not there.
func TestG8_InternalFunctionsDoNotExistForClients(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		app := h.App("acme")
		_, internal := app.Call(h.Context(), "kit:fail", json.RawMessage(`"x"`), nil)
		_, unknown := app.Call(h.Context(), "kit:none", json.RawMessage(`"x"`), nil)
		a, _ := json.Marshal(internal)
		b, _ := json.Marshal(unknown)
		if strings.ReplaceAll(string(a), "kit:fail", "kit:none") != string(b) {
			t.Errorf("a client is told %s of an internal function, and %s of one that is not there", a, b)
		}
		if apps := must[[]storage.AppID](t)(h.Engine.Apps()); len(apps) != 0 {
			t.Errorf("a call that failed made an app: %q", apps)
		}
	})
}
