package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

var ada = &dispatch.Identity{Subject: "ada", Claims: map[string]any{"role": "admin", "n": 7.0, "groups": []any{"a", "b"}}}

// whoami notes who runs it, in every kind of function.
type whoami struct {
	mu   sync.Mutex
	seen map[string]*dispatch.Identity
}

func (w *whoami) note(what string, auth dispatch.Auth) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id, ok := auth.Identity(); ok {
		w.seen[what] = &id
	} else {
		w.seen[what] = nil
	}
}

func (w *whoami) want(t *testing.T, what string, want *dispatch.Identity) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	got, ran := w.seen[what]
	if !ran {
		t.Errorf("%s did not run", what)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%s ran as %+v, want %+v", what, got, want)
	}
}

// functions binds a mutation, an action and a query that note who they run as;
// the action runs the others, whose names then end in " inside".
func (w *whoami) functions(k *kit) (m, a *dispatch.MutationRef[string, none], act *dispatch.ActionRef[string, none]) {
	w.seen = map[string]*dispatch.Identity{}
	query := dispatch.Query[string, none]("w:query")
	query.Handle(k.reg, func(ctx *dispatch.QueryCtx, what string) (none, error) {
		w.note("query "+what, ctx.Auth)
		return none{}, nil
	})
	m = k.mutation("w:mutation", func(ctx *dispatch.MutationCtx, what string) error {
		w.note("mutation "+what, ctx.Auth)
		_, err := query.Run(ctx, what+" nested")
		return err
	})
	act = k.action("w:action", func(ctx *dispatch.ActionCtx, what string) error {
		w.note("action "+what, ctx.Auth)
		if _, err := m.Run(ctx, what+" inside"); err != nil {
			return err
		}
		_, err := query.Run(ctx, what+" inside")
		return err
	})
	// It schedules, in a mutation, each of them as nobody and as its caller.
	a = k.mutation("w:schedule", func(ctx *dispatch.MutationCtx, what string) error {
		for _, call := range []dispatch.Call{m.With(what + " as nobody"), act.With(what + " as nobody")} {
			if _, err := ctx.Scheduler.RunAfter(time.Second, call); err != nil {
				return err
			}
		}
		for _, call := range []dispatch.Call{m.With(what + " as caller"), act.With(what + " as caller")} {
			if _, err := ctx.Scheduler.RunAfter(time.Second, call, dispatch.AsCaller()); err != nil {
				return err
			}
		}
		return nil
	})
	return m, a, act
}

// G25: a scheduled run is nobody, whoever has scheduled it; with AsCaller it is
// who scheduled it, with all claims; and what it runs runs as the same.
func TestG25_AJobRunsAsTheIdentityRecorded(t *testing.T) {
	k, w := newKit(), &whoami{}
	_, schedule, act := w.functions(k)
	fromAction := k.action("t:schedule", func(ctx *dispatch.ActionCtx, what string) error {
		_, err := ctx.Scheduler.RunAfter(time.Second, act.With(what), dispatch.AsCaller())
		return err
	})
	chain := k.mutation("t:chain", func(ctx *dispatch.MutationCtx, what string) error {
		w.note("chain "+what, ctx.Auth)
		if len(what) >= 3 {
			return nil
		}
		_, err := ctx.Scheduler.RunAfter(time.Second, dispatch.Path("t:chain").With(what+"x"), dispatch.AsCaller())
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(schedule.Run(h.CallerAs("acme", ada), "by ada"))
		must[none](t)(schedule.Run(h.Caller("acme"), "by nobody"))
		must[none](t)(fromAction.Run(h.CallerAs("acme", ada), "by ada's action"))
		must[none](t)(chain.Run(h.CallerAs("acme", ada), "x"))
		mustAfter(t, h, "acme", time.Second, act.With("by the host"), dispatch.AsCaller())
		h.Crash() // it is on disk
		h.Advance(10 * time.Second)
		for _, kind := range []string{"mutation", "action"} {
			w.want(t, kind+" by ada as nobody", nil)
			w.want(t, kind+" by ada as caller", ada)
			w.want(t, kind+" by nobody as nobody", nil)
			w.want(t, kind+" by nobody as caller", nil)
		}
		w.want(t, "query by ada as caller nested", ada)
		w.want(t, "mutation by ada as caller inside", ada)
		w.want(t, "query by ada as caller inside", ada)
		w.want(t, "query by ada as caller inside nested", ada)
		w.want(t, "mutation by ada as nobody inside", nil)
		w.want(t, "action by ada's action", ada)
		w.want(t, "action by the host", nil)
		w.want(t, "chain xxx", ada)
		// Never the token, only the claims; and not for every reader of the job.
		for _, job := range h.Jobs("acme") {
			if len(job.Claims) > 0 && !strings.Contains(string(job.Claims), `"subject":"ada"`) {
				t.Errorf("a job stores the claims %s", job.Claims)
			}
		}
	})
}

// G25: the Reauthorize hook has the last word: it may change who a job is, refuse
// for good, or be unavailable, which is tried again.
func TestG25_Reauthorize(t *testing.T) {
	for _, tt := range []struct {
		name     string
		hook     func(calls int) (*dispatch.Identity, error)
		state    storage.State
		attempts int
		code     dispatch.Code
		as       *dispatch.Identity
	}{
		{
			"changed", func(int) (*dispatch.Identity, error) { return &dispatch.Identity{Subject: "eve"}, nil },
			storage.StateSuccess, 1, "", &dispatch.Identity{Subject: "eve"},
		},
		{
			"nobody any more", func(int) (*dispatch.Identity, error) { return nil, nil },
			storage.StateSuccess, 1, "", nil,
		},
		{"refused", func(int) (*dispatch.Identity, error) {
			return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "ada has left")
		}, storage.StateFailed, 1, dispatch.CodePermissionDenied, nil},
		{
			"refused with an error of its own", func(int) (*dispatch.Identity, error) { return nil, errors.New("no") },
			storage.StateFailed, 1, dispatch.CodeInternal, nil,
		},
		{"unavailable once", func(n int) (*dispatch.Identity, error) {
			if n == 1 {
				return nil, dispatch.Errorf(dispatch.CodeUnavailable, "the directory is down")
			}
			return ada, nil
		}, storage.StateSuccess, 2, "", ada},
		{"unavailable for ever", func(int) (*dispatch.Identity, error) {
			return nil, dispatch.Errorf(dispatch.CodeUnavailable, "the directory is down")
		}, storage.StateFailed, 3, dispatch.CodeUnavailable, nil},
		{"a panic", func(n int) (*dispatch.Identity, error) {
			if n == 1 {
				panic("no")
			}
			return ada, nil
		}, storage.StateSuccess, 2, "", ada},
		{"Goexit", func(n int) (*dispatch.Identity, error) {
			if n == 1 {
				runtime.Goexit()
			}
			return ada, nil
		}, storage.StateSuccess, 2, "", ada},
		{
			"an identity that is none", func(int) (*dispatch.Identity, error) { return &dispatch.Identity{}, nil },
			storage.StateFailed, 1, dispatch.CodeInvalidArgument, nil,
		},
	} {
		for _, kind := range []dispatch.Kind{dispatch.KindMutation, dispatch.KindAction} {
			t.Run(fmt.Sprint(kind, " ", tt.name), func(t *testing.T) {
				k, w := newKit(), &whoami{}
				m, _, act := w.functions(k)
				call := m.With("x")
				if kind == dispatch.KindAction {
					call = act.With("x")
				}
				plan := func(ctx *dispatch.MutationCtx) error {
					_, err := ctx.Scheduler.RunAfter(0, call, dispatch.AsCaller(), dispatch.ID("job"),
						dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Second}))
					return err
				}
				k.plan = plan
				calls := 0
				hook := func(_ context.Context, app storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
					calls++
					if app != "acme" || !reflect.DeepEqual(id, ada) {
						t.Errorf("asked about %+v of app %s", id, app)
					}
					return tt.hook(calls)
				}
				actorstest.Run(t, actors.Options{Functions: k.reg, Reauthorize: hook, Logger: quiet}, func(h *actorstest.Harness) {
					must[none](t)(runPlan.Run(h.CallerAs("acme", ada), none{}))
					h.Advance(time.Minute)
					job := wantState(t, h, "acme", "job", tt.state, tt.attempts)
					if tt.state == storage.StateSuccess {
						w.want(t, string(kind)+" x", tt.as)
						return
					}
					if job.Error.Code != string(tt.code) {
						t.Errorf("the job says %+v, want code %s", job.Error, tt.code)
					}
					if len(w.seen) != 0 {
						t.Errorf("it ran: %+v", w.seen)
					}
				})
			})
		}
	}
}

// G25: a hook that takes its time holds up neither the app nor other jobs, and is
// bounded by the job's deadline.
func TestG25_ASlowReauthorize(t *testing.T) {
	k, w := newKit(), &whoami{}
	m, _, act := w.functions(k)
	hook := func(ctx context.Context, _ storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	k.plan = func(ctx *dispatch.MutationCtx) error {
		for i, call := range []dispatch.Call{m.With("slow"), act.With("slow")} {
			_, err := ctx.Scheduler.RunAfter(0, call, dispatch.AsCaller(), dispatch.ID(storage.JobID(fmt.Sprint("job", i))), dispatch.Timeout(time.Minute), dispatch.NoRetry())
			if err != nil {
				return err
			}
		}
		_, err := ctx.Scheduler.RunAfter(0, m.With("quick"))
		return err
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Reauthorize: hook}, func(h *actorstest.Harness) {
		must[none](t)(runPlan.Run(h.CallerAs("acme", ada), none{}))
		h.Settle()
		w.want(t, "mutation quick", nil)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		h.Advance(2 * time.Minute)
		for i := range 2 {
			job := wantState(t, h, "acme", storage.JobID(fmt.Sprint("job", i)), storage.StateFailed, 1)
			if job.Error.Code != string(dispatch.CodeDeadlineExceeded) {
				t.Errorf("the job says %+v", job.Error)
			}
		}
	})
}

// G25: calls run as whom they are made; an identity that is none is refused, and
// what a function does to the one it is given is its own affair.
func TestG25_CallsRunAsTheirCaller(t *testing.T) {
	k, w := newKit(), &whoami{}
	m, _, act := w.functions(k)
	spoil := k.action("t:spoil", func(ctx *dispatch.ActionCtx, what string) error {
		id, _ := ctx.Auth.Identity()
		id.Claims["role"] = "god"
		_, err := m.Run(ctx, what)
		return err
	})
	public := dispatch.Mutation[string, none]("t:public")
	public.Handle(k.reg, func(ctx *dispatch.MutationCtx, what string) (none, error) {
		w.note(what, ctx.Auth)
		_, err := ctx.Auth.Require()
		return none{}, err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(act.Run(h.CallerAs("acme", ada), "host"))
		w.want(t, "action host", ada)
		w.want(t, "mutation host inside", ada)
		must[none](t)(spoil.Run(h.CallerAs("acme", ada), "spoilt"))
		w.want(t, "mutation spoilt", ada)
		if ada.Claims["role"] != "admin" {
			t.Error("a function has changed its caller's identity")
		}
		app := h.App("acme")
		_, err := app.Call(h.Context(), "t:public", json.RawMessage(`"client"`), ada)
		if err != nil {
			t.Error(err)
		}
		w.want(t, "client", ada)
		_, err = app.Call(h.Context(), "t:public", json.RawMessage(`"nobody"`), nil)
		wantCode(t, err, dispatch.CodeUnauthenticated)
		_, err = app.Call(h.Context(), "t:public", json.RawMessage(`"bad"`), &dispatch.Identity{})
		wantCode(t, err, dispatch.CodeInvalidArgument)
	})
}
