package dispatch_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/internal/inturn"
	"carillon/storage"
)

// noWriter is a writer for handlers that do not touch it.
func noWriter() storage.JobWriter { return storage.JobWriter{} }

// invokerFunc is an Invoker made of a function.
type invokerFunc func(context.Context, dispatch.Invocation) (json.RawMessage, error)

func (f invokerFunc) Invoke(ctx context.Context, inv dispatch.Invocation) (json.RawMessage, error) {
	return f(ctx, inv)
}

// engine is the smallest Invoker that runs queries, mutations without data, and actions.
type engine struct {
	reg  *dispatch.Registry
	seen []dispatch.Invocation
}

func (e *engine) Invoke(ctx context.Context, inv dispatch.Invocation) (json.RawMessage, error) {
	e.seen = append(e.seen, inv)
	fn, err := e.reg.Resolve(inv.Path, inv.Origin, inv.Kind)
	if err != nil {
		return nil, err
	}
	env := dispatch.Env{
		Context: ctx, App: "acme", Registry: e.reg, Identity: inv.Identity, Now: noon, Job: inv.Job, Invoker: e, Depth: inv.Depth,
	}
	switch fn.Kind {
	case dispatch.KindQuery:
		return fn.RunQuery(env, nil, inv.Args)
	case dispatch.KindMutation:
		return fn.RunMutation(env, noWriter(), inv.Args)
	default:
		return fn.RunAction(env, inv.Args)
	}
}

func TestCallerRunsEveryKind(t *testing.T) {
	type ctx = context.Context
	double := dispatch.Query[int, int]("n:double")
	triple := dispatch.InternalMutation[int, int]("n:triple")
	negate := dispatch.Action[int, int]("n:negate")
	e := &engine{reg: dispatch.NewRegistry()}
	double.Handle(e.reg, func(_ *dispatch.QueryCtx, n int) (int, error) { return 2 * n, nil })
	triple.Handle(e.reg, func(_ *dispatch.MutationCtx, n int) (int, error) { return 3 * n, nil })
	negate.Handle(e.reg, func(_ *dispatch.ActionCtx, n int) (int, error) { return -n, nil })

	type key struct{}
	outer := ctx(context.WithValue(context.Background(), key{}, "v"))
	caller := dispatch.NewCaller(outer, e, &dispatch.Identity{Subject: "ada"})
	for _, tt := range []struct {
		run  func() (int, error)
		want int
	}{
		{func() (int, error) { return double.Run(caller, 7) }, 14},
		{func() (int, error) { return triple.Run(caller, 7) }, 21},
		{func() (int, error) { return negate.Run(caller, 7) }, -7},
	} {
		if got, err := tt.run(); got != tt.want || err != nil {
			t.Errorf("got %d, %v, want %d", got, err, tt.want)
		}
	}
	want := dispatch.Invocation{
		Path: "n:double", Kind: dispatch.KindQuery, Args: json.RawMessage("7"),
		Identity: &dispatch.Identity{Subject: "ada"}, Origin: dispatch.OriginHost,
	}
	if !reflect.DeepEqual(e.seen[0], want) {
		t.Errorf("invocation %+v\nwant %+v", e.seen[0], want)
	}
	if out, err := caller.Invoke("n:double", json.RawMessage("4")); string(out) != "8" || err != nil {
		t.Errorf("by path: %s, %v", out, err)
	}
	_, err := dispatch.Query[int, int]("n:triple").Run(caller, 1)
	wantError(t, err, dispatch.CodeInvalidArgument, `function "n:triple" is of kind mutation, not query`)
	_, err = dispatch.Query[int, int]("n:gone").Run(caller, 1)
	wantError(t, err, dispatch.CodeNotFound, `no function "n:gone"`)
	_, err = dispatch.Query[int, string]("n:double").Run(caller, 1)
	wantError(t, err, dispatch.CodeInternal, "internal error")
}

func TestAnActionRunsAsItsCallerAndForItsJob(t *testing.T) {
	e := &engine{reg: dispatch.NewRegistry()}
	inner := dispatch.InternalMutation[none, string]("a:inner")
	outer := dispatch.Action[none, string]("a:outer")
	inner.Handle(e.reg, func(ctx *dispatch.MutationCtx, _ none) (string, error) {
		id, err := ctx.Auth.Require()
		return fmt.Sprintf("%s/%s/%d", id.Subject, ctx.Job.ID, ctx.Job.Attempt), err
	})
	outer.Handle(e.reg, func(ctx *dispatch.ActionCtx, _ none) (string, error) { return inner.Run(ctx, none{}) })
	job := dispatch.JobRun{ID: "j1", Attempt: 2, ScheduledFor: noon}
	out, err := e.Invoke(context.Background(), dispatch.Invocation{
		Path: "a:outer", Origin: dispatch.OriginJob, Identity: &dispatch.Identity{Subject: "ada"}, Job: job,
	})
	mustDo(t, err)
	if string(out) != `"ada/j1/2"` {
		t.Errorf("the inner run saw %s", out)
	}
	if got := e.seen[1]; got.Origin != dispatch.OriginFunction || got.Depth != 1 || !reflect.DeepEqual(got.Job, job) || got.Kind != dispatch.KindMutation {
		t.Errorf("inner invocation %+v", got)
	}
}

func TestContextsHaveWhatTheEngineGives(t *testing.T) {
	reg := dispatch.NewRegistry()
	dispatch.Mutation[none, none]("a:b").Handle(reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) {
		if ctx.Now != noon || ctx.Job.ID != "j1" || ctx.Scheduler == nil || ctx.DB == nil || ctx.Log == nil {
			t.Errorf("context %+v", ctx)
		}
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context has no deadline")
		}
		return none{}, nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	fn, _ := reg.Lookup("a:b")
	out, err := fn.RunMutation(dispatch.Env{
		Context: ctx, Registry: reg, Now: noon, Job: dispatch.JobRun{ID: "j1"},
	}, noWriter(), nil)
	if string(out) != "null" || err != nil {
		t.Errorf("a result of None is %s, %v", out, err)
	}
}

func TestRunOfAnotherKindIsRefused(t *testing.T) {
	reg := dispatch.NewRegistry()
	handleNothing[none](reg, "a:b")
	fn, _ := reg.Lookup("a:b")
	_, err := fn.RunQuery(dispatch.Env{}, nil, nil)
	wantError(t, err, dispatch.CodeInvalidArgument, `function "a:b" is of kind mutation, not query`)
	_, err = fn.RunAction(dispatch.Env{}, nil)
	wantError(t, err, dispatch.CodeInvalidArgument, `function "a:b" is of kind mutation, not action`)
	dispatch.Query[none, none]("a:q").Handle(reg, func(*dispatch.QueryCtx, none) (none, error) { return none{}, nil })
	fn, _ = reg.Lookup("a:q")
	_, err = fn.RunMutation(dispatch.Env{}, noWriter(), nil)
	wantError(t, err, dispatch.CodeInvalidArgument, `function "a:q" is of kind query, not mutation`)
}

// D5.
func TestWhatARunEndsWith(t *testing.T) {
	errFull := dispatch.Errorf(dispatch.CodeFailedPrecondition, "the box is full")
	for _, tt := range []struct {
		name    string
		handler func() (any, error)
		code    dispatch.Code
		message string
	}{
		{"own error", func() (any, error) { return nil, errFull }, dispatch.CodeFailedPrecondition, "the box is full"},
		{"wrapped", func() (any, error) { return nil, fmt.Errorf("put: %w", errFull) }, dispatch.CodeFailedPrecondition, "the box is full"},
		{"permanent", func() (any, error) { return nil, dispatch.Permanent(errFull) }, dispatch.CodeFailedPrecondition, "the box is full"},
		{"storage", func() (any, error) { return nil, storage.ErrNotFound }, dispatch.CodeNotFound, "not found"},
		{"foreign", func() (any, error) { return nil, errors.New("hunter2") }, dispatch.CodeInternal, "internal error"},
		{"panic", func() (any, error) { panic("hunter2") }, dispatch.CodeInternal, "internal error"},
		{"panic with an error", func() (any, error) { panic(storage.ErrNotFound) }, dispatch.CodeInternal, "internal error"},
		{"panic with nil", func() (any, error) { panic(nil) }, dispatch.CodeInternal, "internal error"},
		{"nil dereference", func() (any, error) { var p *payload; return p.N, nil }, dispatch.CodeInternal, "internal error"},
		{"result that cannot be encoded", func() (any, error) { return make(chan int), nil }, dispatch.CodeInternal, "internal error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reg := dispatch.NewRegistry()
			dispatch.InternalAction[none, any]("a:b").Handle(reg, func(*dispatch.ActionCtx, none) (any, error) { return tt.handler() })
			fn, _ := reg.Lookup("a:b")
			out, err := fn.RunAction(dispatch.Env{Registry: reg}, nil)
			wantError(t, err, tt.code, tt.message)
			e, ok := err.(*dispatch.Error)
			if !ok || e.Path != "a:b" || out != nil {
				t.Errorf("error %#v with result %s", err, out)
			}
			if tt.code == dispatch.CodeFailedPrecondition && !errors.Is(err, errFull) {
				t.Error("the handler's error is not in the chain")
			}
			if got := dispatch.IsPermanent(err); got != (tt.name == "permanent" || tt.name == "result that cannot be encoded") {
				t.Errorf("permanent: %v", got)
			}
			if strings.HasPrefix(tt.name, "panic") {
				var p *dispatch.PanicError
				if !errors.As(err, &p) || !bytes.Contains(p.Stack, []byte("invoke_test.go")) {
					t.Errorf("the cause %v has no stack that leads here", e.Err)
				}
				if text := e.LogValue().String(); !strings.Contains(text, "invoke_test.go") {
					t.Errorf("the log has no stack: %s", text)
				}
			}
		})
	}
	if errFull.Path != "" {
		t.Error("a run has changed the handler's error")
	}
}

func TestResultsOverTheLimitAreRefused(t *testing.T) {
	reg := dispatch.NewRegistry()
	dispatch.Query[int, string]("a:b").Handle(reg, func(_ *dispatch.QueryCtx, n int) (string, error) {
		return strings.Repeat("x", n-2), nil
	})
	fn, _ := reg.Lookup("a:b")
	for _, tt := range []struct {
		limits dispatch.Limits
		limit  int
	}{
		{dispatch.Limits{}, dispatch.DefaultLimit},
		{dispatch.Limits{Result: 10}, 10},
	} {
		env := dispatch.Env{Limits: tt.limits}
		out, err := fn.RunQuery(env, nil, fmt.Appendf(nil, "%d", tt.limit))
		if len(out) != tt.limit || err != nil {
			t.Errorf("%d bytes, %v", len(out), err)
		}
		_, err = fn.RunQuery(env, nil, fmt.Appendf(nil, "%d", tt.limit+1))
		wantError(t, err, dispatch.CodeResourceExhausted, fmt.Sprintf("result: %d bytes, the limit is %d", tt.limit+1, tt.limit))
	}
}

func TestArgumentsThatDoNotDecodeAreWorthNoRetry(t *testing.T) {
	e := &engine{reg: dispatch.NewRegistry()}
	handleNothing[int](e.reg, "a:inner")
	dispatch.Action[none, none]("a:outer").Handle(e.reg, func(ctx *dispatch.ActionCtx, _ none) (none, error) {
		_, err := dispatch.Mutation[string, none]("a:inner").Run(ctx, "x")
		wantError(t, err, dispatch.CodeInvalidArgument, "args: want number, got string")
		return none{}, err
	})
	_, err := e.Invoke(context.Background(), dispatch.Invocation{Path: "a:inner", Args: json.RawMessage(`"x"`)})
	if !dispatch.IsPermanent(err) {
		t.Errorf("a job with arguments that do not decode is retried: %v", err)
	}
	_, err = e.Invoke(context.Background(), dispatch.Invocation{Path: "a:outer"})
	if !dispatch.IsPermanent(err) {
		t.Errorf("an action is retried that gives a function the same arguments again: %v", err)
	}
	wantError(t, err, dispatch.CodeInvalidArgument, "args: want number, got string")
	if got := dispatch.AsError(err).Path; got != "a:outer" {
		t.Errorf("the error names %s, want the function that was called", got)
	}
}

func TestRunsNestAtMostMaxNesting(t *testing.T) {
	e := &engine{reg: dispatch.NewRegistry()}
	query := dispatch.Query[int, int]("a:query")
	query.Handle(e.reg, func(ctx *dispatch.QueryCtx, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		deeper, err := query.Run(ctx, n-1)
		return deeper + 1, err
	})
	action := dispatch.Action[int, int]("a:action")
	action.Handle(e.reg, func(ctx *dispatch.ActionCtx, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		deeper, err := action.Run(ctx, n-1)
		return deeper + 1, err
	})
	caller := dispatch.NewCaller(context.Background(), e, nil)
	for name, run := range map[string]func(int) (int, error){
		"query":  func(n int) (int, error) { return query.Run(caller, n) },
		"action": func(n int) (int, error) { return action.Run(caller, n) },
	} {
		if got, err := run(dispatch.MaxNesting); got != dispatch.MaxNesting || err != nil {
			t.Errorf("%s nested %d deep: %d, %v", name, dispatch.MaxNesting, got, err)
		}
		_, err := run(dispatch.MaxNesting + 1)
		wantError(t, err, dispatch.CodeResourceExhausted, "functions run inside one another more than 64 deep")
	}
}

// D7.
func TestAContextRunsNothingAfterItsHandlerReturned(t *testing.T) {
	e := &engine{reg: dispatch.NewRegistry()}
	var query *dispatch.QueryCtx
	var mutation *dispatch.MutationCtx
	var action *dispatch.ActionCtx
	read := dispatch.Query[none, none]("a:query")
	read.Handle(e.reg, func(ctx *dispatch.QueryCtx, _ none) (none, error) { query = ctx; return none{}, nil })
	write := dispatch.Mutation[none, none]("a:mutation")
	write.Handle(e.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) { mutation = ctx; return none{}, nil })
	act := dispatch.Action[none, none]("a:action")
	act.Handle(e.reg, func(ctx *dispatch.ActionCtx, _ none) (none, error) { action = ctx; panic("gone") })
	for _, path := range []string{"a:query", "a:mutation", "a:action"} {
		_, _ = e.Invoke(context.Background(), dispatch.Invocation{Path: path})
	}
	for _, run := range []func() (none, error){
		func() (none, error) { return read.Run(query, none{}) },
		func() (none, error) { return read.Run(mutation, none{}) },
		func() (none, error) { return write.Run(mutation, none{}) },
		func() (none, error) { return act.Run(action, none{}) },
	} {
		_, err := run()
		wantError(t, err, dispatch.CodeAborted, "transaction is over")
		if !errors.Is(err, storage.ErrTxDone) {
			t.Errorf("%v is not storage.ErrTxDone", err)
		}
	}
}

func TestAContextThatNoEngineMadeRunsNothing(t *testing.T) {
	read := dispatch.Query[none, none]("a:query")
	for _, caller := range []dispatch.QueryRunner{
		&dispatch.QueryCtx{}, &dispatch.MutationCtx{}, &dispatch.ActionCtx{}, dispatch.Caller{},
	} {
		_, err := read.Run(caller, none{})
		wantError(t, err, dispatch.CodeFailedPrecondition, "the caller's context was not made by an engine")
	}
}

func TestInTurnIsKnownToWhatDerivesFromAMutation(t *testing.T) {
	e := &engine{reg: dispatch.NewRegistry()}
	read := dispatch.Query[none, bool]("a:query")
	read.Handle(e.reg, func(ctx *dispatch.QueryCtx, _ none) (bool, error) { return inturn.In(ctx, "acme"), nil })
	write := dispatch.Mutation[none, bool]("a:mutation")
	write.Handle(e.reg, func(ctx *dispatch.MutationCtx, _ none) (bool, error) {
		derived, cancel := context.WithCancel(ctx)
		defer cancel()
		if !inturn.In(derived, "acme") || !inturn.In(ctx.Context, "acme") || inturn.In(ctx, "other") {
			t.Error("a mutation's context does not know its turn")
		}
		return read.Run(ctx, none{})
	})
	caller := dispatch.NewCaller(context.Background(), e, nil)
	if in, err := write.Run(caller, none{}); !in || err != nil {
		t.Errorf("a query inside a mutation is in its turn: %v, %v", in, err)
	}
	if in, err := read.Run(caller, none{}); in || err != nil {
		t.Errorf("a query alone is in a turn: %v, %v", in, err)
	}
}

func TestLogIsTagged(t *testing.T) {
	var log bytes.Buffer
	base := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
	reg := dispatch.NewRegistry()
	dispatch.Action[none, none]("a:b").Handle(reg, func(ctx *dispatch.ActionCtx, _ none) (none, error) {
		ctx.Log.Debug("hidden")
		ctx.Log.Info("one", "k", 1)
		ctx.Log.With("w", 2).WithGroup("g").Warn("two", "k", 1)
		ctx.Log.WithGroup("g").Warn("three", "k", 1)
		return none{}, nil
	})
	fn, _ := reg.Lookup("a:b")
	env := dispatch.Env{App: "acme", Logger: base}
	_, err := fn.RunAction(env, nil)
	mustDo(t, err)
	env.Job = dispatch.JobRun{ID: "j1", Attempt: 3}
	_, err = fn.RunAction(env, nil)
	mustDo(t, err)
	env.Job.Tags = []string{"a", "b c"}
	_, err = fn.RunAction(env, nil)
	mustDo(t, err)
	want := `level=INFO msg=one app=acme function=a:b k=1
level=WARN msg=two app=acme function=a:b w=2 g.k=1
level=WARN msg=three app=acme function=a:b g.k=1
level=INFO msg=one app=acme function=a:b job=j1 attempt=3 k=1
level=WARN msg=two app=acme function=a:b job=j1 attempt=3 w=2 g.k=1
level=WARN msg=three app=acme function=a:b job=j1 attempt=3 g.k=1
level=INFO msg=one app=acme function=a:b job=j1 attempt=3 tags="[a b c]" k=1
level=WARN msg=two app=acme function=a:b job=j1 attempt=3 tags="[a b c]" w=2 g.k=1
level=WARN msg=three app=acme function=a:b job=j1 attempt=3 tags="[a b c]" g.k=1
`
	if log.String() != want {
		t.Errorf("log\n%swant\n%s", &log, want)
	}
}

func BenchmarkRunMutation(b *testing.B) {
	reg := dispatch.NewRegistry()
	dispatch.Mutation[inner, none]("a:b").Handle(reg, func(*dispatch.MutationCtx, inner) (none, error) { return none{}, nil })
	fn, _ := reg.Lookup("a:b")
	env := dispatch.Env{Context: context.Background(), App: "acme", Registry: reg, Now: noon, Logger: slog.Default()}
	args, w := json.RawMessage(`{"b":true}`), noWriter()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fn.RunMutation(env, w, args); err != nil {
			b.Fatal(err)
		}
	}
}

func TestGoexitEndsTheRunWithoutSwallowingIt(t *testing.T) {
	reg := dispatch.NewRegistry()
	var kept *dispatch.ActionCtx
	act := dispatch.Action[none, none]("a:b")
	act.Handle(reg, func(ctx *dispatch.ActionCtx, _ none) (none, error) {
		kept = ctx
		runtime.Goexit()
		return none{}, nil
	})
	fn, _ := reg.Lookup("a:b")
	returned, gone := false, make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = fn.RunAction(dispatch.Env{Registry: reg}, nil)
		returned = true
	}()
	<-gone
	if returned {
		t.Error("RunAction has returned")
	}
	_, err := act.Run(kept, none{})
	wantError(t, err, dispatch.CodeAborted, "transaction is over")
}
