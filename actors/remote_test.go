package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// worker is a dispatch.RemoteCaller that notes its calls and answers by their path.
type worker struct {
	mu    sync.Mutex
	calls []dispatch.RemoteCall
	at    []time.Time
	act   func(context.Context, dispatch.RemoteCall) (json.RawMessage, error)
}

// Call implements dispatch.RemoteCaller.
func (w *worker) Call(ctx context.Context, call dispatch.RemoteCall) (json.RawMessage, error) {
	w.mu.Lock()
	w.calls, w.at = append(w.calls, call), append(w.at, time.Now())
	act := w.act
	w.mu.Unlock()
	if act == nil {
		return json.RawMessage(`"done"`), nil
	}
	return act(ctx, call)
}

// take returns what was called since it was last asked.
func (w *worker) take() (calls []dispatch.RemoteCall, at []time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls, at, w.calls, w.at = w.calls, w.at, nil, nil
	return calls, at
}

func (w *worker) answers(act func(context.Context, dispatch.RemoteCall) (json.RawMessage, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.act = act
}

func wantRemoteCalls(tb testing.TB, w *worker, n int) []dispatch.RemoteCall {
	tb.Helper()
	calls, _ := w.take()
	if len(calls) != n {
		tb.Fatalf("the worker was called %d times, want %d: %+v", len(calls), n, calls)
	}
	return calls
}

func completeWorkflow(tb testing.TB, h *actorstest.Harness, pool string, id storage.JobID, want bool) {
	tb.Helper()
	ok, err := h.App("acme").CompleteWorkflow(h.Context(), pool, id)
	wantEnds(tb, ok, err, want, "")
}

func remoteCall(path, args string) dispatch.Call {
	return dispatch.Path(path).With(json.RawMessage(args))
}

// TestG41_ARemoteFunctionIsAnAction: the worker is told of job and attempt, retries are those of an
// action, its result is kept, and names beside the prefix are refused as ever. A tick is one, too.
func TestG41_ARemoteFunctionIsAnAction(t *testing.T) {
	k, w := newKit(), new(worker)
	k.reg.Remote("mail:*", w)
	outer := k.action("t:outer", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := dispatch.Action[int, string]("mail:nested").Run(ctx, 1)
		return err
	})
	crons := []dispatch.Trigger{{Name: "daily", Schedule: cron.Expr("0 0 1 1 *"), Call: dispatch.Path("mail:tick").With(nil)}}
	actorstest.Run(t, actors.Options{Functions: k.reg, Crons: crons, Logger: quiet}, func(h *actorstest.Harness) {
		w.answers(func(_ context.Context, call dispatch.RemoteCall) (json.RawMessage, error) {
			if call.Attempt == 1 {
				return nil, dispatch.Errorf(dispatch.CodeNotFound, "the worker answered 404")
			}
			return json.RawMessage(`{"sent":[1]}`), nil
		})
		id := mustAfter(t, h, "acme", time.Second, remoteCall("mail:send", `["$lunora.wire$","bigint","1"]`))
		h.Advance(time.Hour)
		job := wantState(t, h, "acme", id, storage.StateSuccess, 2)
		if !job.Remote || string(job.Result) != `{"sent":[1]}` || job.History[0].Error.Code != "not_found" {
			t.Errorf("the job is %+v", job)
		}
		calls := wantRemoteCalls(t, w, 2)
		want := dispatch.RemoteCall{
			App: "acme", Job: id, Attempt: 2, Path: "mail:send", Args: json.RawMessage(`["$lunora.wire$","bigint","1"]`),
			ScheduledFor: job.Due, MaxResult: dispatch.DefaultLimit,
		}
		if got := calls[1]; string(got.Args) != string(want.Args) || !got.ScheduledFor.Equal(want.ScheduledFor) || !got.ScheduledFor.After(job.ScheduledFor) {
			t.Errorf("called with %+v, want %+v", got, want)
		} else if !sameCall(got, want) {
			t.Errorf("called with %+v, want %+v", got, want)
		}
		for _, path := range []string{"mai:send", "mail/x:send", "workflow:x"} {
			_, err := h.Scheduler("acme").RunAfter(0, remoteCall(path, `{}`))
			wantCode(t, err, dispatch.CodeNotFound)
		}
		_, err := h.Scheduler("acme").RunAfter(0, remoteCall("mail:send", `{"a":`))
		wantCode(t, err, dispatch.CodeInvalidArgument)

		w.answers(nil)
		mustAfter(t, h, "acme", 0, outer.With(""))
		h.Settle()
		if call := wantRemoteCalls(t, w, 1)[0]; call.Job != "" || call.Attempt != 0 {
			t.Errorf("a function that another one runs is called as %+v, want no job", call)
		}
		run, err := h.Scheduler("acme").Crons().RunNow("daily")
		if err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if call := wantRemoteCalls(t, w, 1)[0]; call.Job != run || string(call.Args) != `{}` {
			t.Errorf("the tick is called as %+v", call)
		}
		w.answers(func(context.Context, dispatch.RemoteCall) (json.RawMessage, error) {
			return nil, &dispatch.RemoteTooLarge{Bytes: 3 << 20}
		})
		large := mustAfter(t, h, "acme", 0, remoteCall("mail:send", ``))
		h.Settle()
		if job := wantState(t, h, "acme", large, storage.StateSuccess, 1); job.NotKept == nil || job.NotKept.Bytes != 3<<20 {
			t.Errorf("a result that is too large: %+v", job)
		}
	})
}

func sameCall(a, b dispatch.RemoteCall) bool {
	return a.App == b.App && a.Job == b.Job && a.Attempt == b.Attempt && a.Path == b.Path && a.Workflow == b.Workflow && a.Pool == b.Pool && a.MaxResult == b.MaxResult
}

// TestG41_ClientsReachNoRemoteFunctionThatIsNotPublic: it is as unknown to them.
func TestG41_ClientsReachNoRemoteFunctionThatIsNotPublic(t *testing.T) {
	k, w := newKit(), new(worker)
	k.reg.Remote("mail:*", w)
	k.reg.PublicRemote("open:*", w)
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		_, err := h.Call("acme", "mail:send", `{}`)
		wantCode(t, err, dispatch.CodeNotFound)
		wantRemoteCalls(t, w, 0)
		if out, err := h.Call("acme", "open:ask", `{"n":1}`); err != nil || out != `"done"` {
			t.Errorf("a public one answers %s, %v", out, err)
		}
		wantRemoteCalls(t, w, 1)
	})
}

// TestG41_WhereAJobRunsIsDecidedWhenItIsScheduled: a release that runs the path elsewhere holds it.
func TestG41_WhereAJobRunsIsDecidedWhenItIsScheduled(t *testing.T) {
	k, w := newKit(), new(worker)
	k.reg.Remote("mail:*", w)
	local, none := newKit(), newKit()
	local.action("mail:send", func(_ *dispatch.ActionCtx, _ string) error { return nil })
	with := func(h *actorstest.Harness, of *kit) {
		h.Reconfigure(func(o *actors.Options) { o.Functions = of.reg.Clone() })
		h.Advance(2 * time.Minute)
	}
	actorstest.Run(t, actors.Options{Functions: k.reg.Clone(), Logger: quiet}, func(h *actorstest.Harness) {
		remote := mustAfter(t, h, "acme", time.Minute, remoteCall("mail:send", `"x"`))
		with(h, none)
		wantHeld(t, h, "acme", remote, `no remote function "mail:send"`)
		with(h, local)
		wantHeld(t, h, "acme", remote, "is one of this program, and the job is of a remote one")
		own := mustAfter(t, h, "acme", time.Minute, remoteCall("mail:send", `"x"`))
		wantRemoteCalls(t, w, 0)
		with(h, k)
		wantState(t, h, "acme", remote, storage.StateSuccess, 1)
		wantHeld(t, h, "acme", own, "is remote, and the job is of one of the program's")
		wantRemoteCalls(t, w, 1)
		with(h, local)
		wantState(t, h, "acme", own, storage.StateSuccess, 1)
	})
}

// TestG41_ADeclineIsNotCharged: the job waits for 30 s, or as its policy has it if that is longer, and
// after 24 hours it is charged.
func TestG41_ADeclineIsNotCharged(t *testing.T) {
	k, w := newKit(), new(worker)
	k.reg.Remote("mail:*", w)
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		declines := func(n int) func(context.Context, dispatch.RemoteCall) (json.RawMessage, error) {
			return func(_ context.Context, call dispatch.RemoteCall) (json.RawMessage, error) {
				if call.Attempt <= n {
					return nil, dispatch.ErrDeclined
				}
				return nil, nil
			}
		}
		for _, tt := range []struct {
			policy dispatch.RetryPolicy
			wait   time.Duration
		}{
			{dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}, 30 * time.Second},
			{dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute}, time.Minute},
		} {
			w.answers(declines(5))
			id := mustAfter(t, h, "acme", 0, remoteCall("mail:send", ``), dispatch.WithRetry(tt.policy))
			h.Advance(time.Hour)
			if job := wantState(t, h, "acme", id, storage.StateSuccess, 6); job.Failures != 0 {
				t.Errorf("%d failures are charged", job.Failures)
			}
			_, at := w.take()
			for i := 1; i < len(at); i++ {
				if got := at[i].Sub(at[i-1]); got < tt.wait || got > tt.wait+time.Second {
					t.Errorf("base %v: attempt %d came after %v, want %v", tt.policy.Base, i+1, got, tt.wait)
				}
			}
		}
		w.answers(declines(1 << 30))
		id := mustAfter(t, h, "acme", 0, remoteCall("mail:send", ``), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Hour}))
		h.Advance(23 * time.Hour)
		wantState(t, h, "acme", id, storage.StatePending, 24)
		h.Advance(3 * time.Hour)
		if job := h.Job("acme", id); job.Failures != 1 {
			t.Errorf("after 26 hours of declines it has %d failures, want 1", job.Failures)
		}
	})
}

// TestG41_AWorkflowHoldsItsSlot: until it is completed, over a crash, after which it is asked again; a
// second one of the pool waits. What is no workflow in a pool frees its slot at the answer.
func TestG41_AWorkflowHoldsItsSlot(t *testing.T) {
	k, w, pool := newKit(), new(worker), dispatch.NewPool("flows", 1)
	k.reg.Remote("workflow:*", w)
	k.reg.Remote("mail:*", w)
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet, ActionTimeout: time.Minute}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		first := mustAfter(t, h, "acme", 0, remoteCall("workflow:ORDERS", `{"n":1}`), dispatch.InPool(pool))
		second := mustAfter(t, h, "acme", time.Second, remoteCall("mail:send", `{}`), dispatch.InPool(pool))
		free := mustAfter(t, h, "acme", time.Second, remoteCall("workflow:ORDERS", `{}`))
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", first, storage.StateRunning, 1)
		wantState(t, h, "acme", second, storage.StatePending, 0)
		wantState(t, h, "acme", free, storage.StateSuccess, 1)
		if call := wantRemoteCalls(t, w, 2)[0]; call.Workflow != "ORDERS" || call.Pool != "flows" || call.Job != first {
			t.Errorf("called with %+v", call)
		}
		h.Crash()
		h.Advance(time.Minute)
		if call := wantRemoteCalls(t, w, 1)[0]; call.Job != first || call.Attempt != 2 {
			t.Errorf("after a crash called with %+v, want attempt 2 of %s", call, first)
		}
		wantState(t, h, "acme", second, storage.StatePending, 0)
		completeWorkflow(t, h, "other", first, false)
		completeWorkflow(t, h, "", first, false)
		completeWorkflow(t, h, "", "", false)
		completeWorkflow(t, h, "flows", second, false)
		completeWorkflow(t, h, "flows", "unknown", false)
		completeWorkflow(t, h, "flows", first, true)
		completeWorkflow(t, h, "flows", first, false)
		h.Settle()
		wantState(t, h, "acme", first, storage.StateSuccess, 2)
		wantState(t, h, "acme", second, storage.StateSuccess, 1)
		wantRemoteCalls(t, w, 1)

		third := mustAfter(t, h, "acme", 0, remoteCall("workflow:ORDERS", `{}`), dispatch.InPool(pool))
		h.Settle()
		completeWorkflow(t, h, "flows", "", true)
		completeWorkflow(t, h, "flows", "", false)
		h.Settle()
		wantState(t, h, "acme", third, storage.StateSuccess, 1)

		// The engine waits for none when it closes, which is no failure of it.
		fourth := mustAfter(t, h, "acme", 0, remoteCall("workflow:ORDERS", `{}`), dispatch.InPool(pool))
		h.Settle()
		before := h.Now()
		h.Restart()
		h.Settle()
		if job := wantState(t, h, "acme", fourth, storage.StateRunning, 2); job.Failures != 0 || h.Now().Sub(before) > time.Second {
			t.Errorf("after %v: %+v", h.Now().Sub(before), job)
		}
		h.Advance(dispatch.DefaultPending + time.Minute)
		if job := h.Job("acme", fourth); job.Failures != 1 || job.History[1].Error.Code != "deadline_exceeded" {
			t.Errorf("a workflow that is not completed: %+v", job)
		}
		h.Scheduler("acme").Cancel(fourth)
		h.Settle()
		completeWorkflow(t, h, "flows", "", false)
	})
}

// TestG41_AWorkflowIsCompletedBeforeItsAnswer: the end is kept, over a crash and a failure, too.
func TestG41_AWorkflowIsCompletedBeforeItsAnswer(t *testing.T) {
	k, w, pool := newKit(), new(worker), dispatch.NewPool("flows", 1)
	k.reg.Remote("workflow:*", w)
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for _, crash := range []bool{false, true} {
			w.answers(func(ctx context.Context, _ dispatch.RemoteCall) (json.RawMessage, error) {
				select {
				case <-time.After(time.Minute):
				case <-ctx.Done():
				}
				return nil, errors.New("no answer")
			})
			id := mustAfter(t, h, "acme", 0, remoteCall("workflow:ORDERS", `{}`), dispatch.InPool(pool))
			h.Settle()
			completeWorkflow(t, h, "flows", id, true)
			if crash {
				h.Crash()
			}
			h.Advance(2 * time.Minute)
			wantState(t, h, "acme", id, storage.StateSuccess, 1)
			wantRemoteCalls(t, w, 1)
		}
	})
}

// TestG41_ARemoteCallIsStopped: by a cancel, and at its deadline.
func TestG41_ARemoteCallIsStopped(t *testing.T) {
	k, w := newKit(), new(worker)
	k.reg.Remote("mail:*", w, dispatch.Deadline(time.Minute))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		ended := make(chan error, 10)
		w.answers(func(ctx context.Context, _ dispatch.RemoteCall) (json.RawMessage, error) {
			<-ctx.Done()
			ended <- ctx.Err()
			return nil, ctx.Err()
		})
		id := mustAfter(t, h, "acme", 0, remoteCall("mail:send", ``))
		h.Settle()
		if _, err := h.Scheduler("acme").Cancel(id); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		wantState(t, h, "acme", id, storage.StateCanceled, 1)
		late := mustAfter(t, h, "acme", 0, remoteCall("mail:send", ``), dispatch.NoRetry())
		h.Advance(61 * time.Second)
		if job := wantState(t, h, "acme", late, storage.StateFailed, 1); job.Error.Code != "deadline_exceeded" {
			t.Errorf("it ended with %+v", job.Error)
		}
	})
}

// TestG41_PrefixesOfRemoteFunctions: what is none, and what would leave open where a path runs, panics.
func TestG41_PrefixesOfRemoteFunctions(t *testing.T) {
	w := new(worker)
	for prefix, ok := range map[string]bool{
		"mail:*": true, "mail:send_*": true, "team/*": true, "team/a/*": true, "workflow:*": true,
		"*": false, "": false, "mail:": false, "mail": false, "mail*": false, "mail:**": false, ":*": false, "/*": false, "ma il:*": false,
		"team/*:*": false, "mail:a/*": false, strings.Repeat("x", dispatch.MaxPath) + ":*": false,
	} {
		if err := dispatch.CheckRemotePrefix(prefix); (err == nil) != ok {
			t.Errorf("prefix %q: %v", prefix, err)
		}
	}
	handle := func(path string) func(*dispatch.Registry) {
		return func(reg *dispatch.Registry) {
			newAction(path).Handle(reg, func(*dispatch.ActionCtx, string) (none, error) { return none{}, nil })
		}
	}
	remote := func(prefix string) func(*dispatch.Registry) {
		return func(reg *dispatch.Registry) { reg.Remote(prefix, w) }
	}
	for name, steps := range map[string][]func(*dispatch.Registry){
		"no prefix":         {remote("mail")},
		"twice":             {remote("mail:*"), remote("mail:*")},
		"within another":    {remote("mail:*"), remote("mail:send*")},
		"around another":    {remote("team/a:*"), remote("team/*")},
		"a function before": {handle("mail:send"), remote("mail:*")},
		"a function after":  {remote("mail:*"), handle("mail:send")},
		"no caller":         {func(reg *dispatch.Registry) { reg.Remote("mail:*", nil) }},
		"in use":            {(*dispatch.Registry).Seal, remote("mail:*")},
		"former paths":      {func(reg *dispatch.Registry) { reg.Remote("mail:*", w, dispatch.Formerly("a:b")) }},
	} {
		reg := dispatch.NewRegistry()
		for i, step := range steps {
			if panics := panicsOf(func() { step(reg) }); panics != (i == len(steps)-1) {
				t.Errorf("%s: step %d panics: %t", name, i+1, panics)
			}
		}
	}
	reg := dispatch.NewRegistry()
	remote("mail:*")(reg)
	remote("mai:*")(reg)
	if _, ok := reg.Lookup("mail:a b"); ok || slices.IndexFunc(reg.Remotes(), func(i dispatch.Info) bool { return i.Path == "mai:*" }) != 1 {
		t.Errorf("a path that is none is found, or the prefixes are %+v", reg.Remotes())
	}
}

func newAction(path string) *dispatch.ActionRef[string, none] {
	return dispatch.InternalAction[string, none](path)
}

func panicsOf(fn func()) (panics bool) {
	defer func() { panics = recover() != nil }()
	fn()
	return false
}
