package dispatch

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"

	"carillon/internal/inturn"
	"carillon/storage"
)

// frame is one run of one function: what its context leads to. Each kind has
// frame and context in one piece of memory, because every run needs both.
type frame struct {
	env  Env
	fn   *Function
	db   readOnly          // of a query or a mutation
	tx   storage.JobWriter // of a mutation
	tags tagHandler
	done atomic.Bool // the handler has returned

	entered bool // by way of the middleware
}

// readOnly hides the methods of a Writer from a query that a mutation runs.
type readOnly struct{ storage.Reader }

func (f *frame) init(env Env, fn *Function) {
	f.env, f.fn = env, fn
	if f.env.Context == nil {
		f.env.Context = context.Background()
	}
	if f.env.Logger == nil {
		f.env.Logger = slog.New(slog.DiscardHandler)
	}
}

// failure is what the run ends with.
func (f *frame) failure(err error) *Error {
	e := failure(f.fn.Path, err)
	if f.env.Lines != nil {
		e.keepCause()
	}
	return e
}

func runQuery(env Env, fn *Function, db readOnly, args json.RawMessage) (json.RawMessage, error) {
	run := &struct {
		frame
		ctx QueryCtx
	}{}
	run.init(env, fn)
	run.db = db
	run.ctx = QueryCtx{
		Context: run.env.Context, DB: db, Auth: Auth{env.Identity}, Now: env.Now, Log: run.logger(), run: &run.frame,
	}
	return border(&run.frame, &run.ctx, fn.query, args)
}

func runMutation(env Env, fn *Function, tx storage.JobWriter, args json.RawMessage) (json.RawMessage, error) {
	run := &struct {
		frame
		ctx       MutationCtx
		turn      inturn.Context
		scheduler txScheduler
	}{}
	run.init(env, fn)
	db := tx.Writer()
	run.tx, run.db = tx, readOnly{db}
	run.turn = inturn.Context{Context: run.env.Context, App: string(env.App)}
	run.ctx = MutationCtx{
		Context: &run.turn, DB: db, Auth: Auth{env.Identity}, Now: env.Now, Log: run.logger(), Job: env.Job, Tick: env.Tick, run: &run.frame,
	}
	run.scheduler = txScheduler{w: tx, planner: run.env.Planner(), newCrons: env.NewCrons}
	run.ctx.Scheduler = &run.scheduler
	return border(&run.frame, &run.ctx, fn.mutation, args)
}

func runAction(env Env, fn *Function, args json.RawMessage) (json.RawMessage, error) {
	run := &struct {
		frame
		ctx ActionCtx
	}{}
	run.init(env, fn)
	run.ctx = ActionCtx{
		Context: run.env.Context, Auth: Auth{env.Identity}, Scheduler: env.Scheduler,
		Now: env.Now, Log: run.logger(), Job: env.Job, Tick: env.Tick, run: &run.frame,
	}
	return border(&run.frame, &run.ctx, fn.action, args)
}

// over says why nothing can be run from the frame any more, or nil.
func (f *frame) over(path string) error {
	switch {
	case f == nil:
		return notRunning(path)
	case f.done.Load():
		return failure(path, storage.ErrTxDone)
	}
	return nil
}

// path is that of the function, "" if the context was not made by an engine.
func (f *frame) path() string {
	if f == nil {
		return ""
	}
	return f.fn.Path
}

// nest prepares a run inside this one, in the same transaction or snapshot.
func (f *frame) nest(ctx context.Context, path string, kind Kind) (*Function, Env, error) {
	if err := f.over(path); err != nil {
		return nil, Env{}, err
	}
	fn, err := f.env.Registry.Resolve(path, OriginFunction, kind)
	if err != nil {
		return nil, Env{}, err
	}
	env := f.env
	env.Context = ctx
	env.NotKept = nil // a function's result is the outer one's to use
	env.Remote = nil
	env.Stored = nil // the outer one, which is of this program, gives it its arguments
	if env.Trace != nil {
		own := *env.Trace
		env.Trace = &own
	}
	env.Depth++
	return fn, env, nil
}

func (f *frame) nestQuery(ctx context.Context, path string, args json.RawMessage) (json.RawMessage, error) {
	fn, env, err := f.nest(ctx, path, KindQuery)
	if err != nil {
		return nil, err
	}
	return runQuery(env, fn, f.db, args)
}

// nestMutation runs a mutation in a buffer of its own, which joins the outer
// one if it succeeds and is dropped if it fails or panics.
func (f *frame) nestMutation(ctx context.Context, path string, args json.RawMessage) (json.RawMessage, error) {
	fn, env, err := f.nest(ctx, path, KindMutation)
	if err != nil {
		return nil, err
	}
	var out json.RawMessage
	err = f.tx.Nested(func(tx storage.JobWriter) (err error) {
		out, err = runMutation(env, fn, tx, args)
		return err
	})
	if err != nil {
		return nil, AsError(err)
	}
	return out, nil
}

// invoke runs a function from an action: through the engine, as the same
// identity, in a transaction of its own.
func (f *frame) invoke(ctx context.Context, kind Kind, path string, args json.RawMessage) (json.RawMessage, error) {
	if err := f.over(path); err != nil {
		return nil, err
	}
	if f.env.Invoker == nil {
		return nil, notRunning(path)
	}
	out, err := f.env.Invoker.Invoke(ctx, Invocation{
		Path: path, Kind: kind, Args: args, Identity: f.env.Identity,
		Origin: OriginFunction, Job: f.env.Job, Tick: f.env.Tick, Depth: f.env.Depth + 1,
	})
	if err != nil {
		return nil, AsError(err)
	}
	return out, nil
}
