package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	"carillon/storage"
)

// HandlerRun is what a Middleware is told of the run that it stands around.
type HandlerRun struct {
	Path  string // of the function, as it is declared
	Kind  Kind
	App   storage.AppID
	Auth  Auth
	Job   JobRun // the zero JobRun: it is no job
	Tick  Tick
	Depth int // 0: a call or a job; above: it runs inside another function, so deeply
}

// Middleware stands around every run of a handler: of calls, jobs and ticks, and of the
// functions that run inside others. It calls next once, with ctx or one made from it, which
// becomes the handler's. What it does before, it does before the handler; what next
// returns is why the handler failed, or nil.
//
// The run fails with the error that it returns; with nil it ends as the handler did, whose
// error it cannot take back. If it returns nil and has not called next the run is an
// internal error. Around a mutation it runs inside the transaction, whose turn it has: what
// takes long there keeps the app waiting, and if it fails, the transaction is rolled back.
// A panic, the handler's as well as its own, goes through it, and is an internal error.
type Middleware func(ctx context.Context, run HandlerRun, next func(context.Context) error) error

// Use puts the middleware around all handlers of the registry: the one that was first
// given is outermost. It panics if m is nil, or if the registry is in use already.
func (r *Registry) Use(m Middleware) {
	if m == nil {
		panic("dispatch: the middleware is nil")
	}
	if r.sealed.Load() {
		panic("dispatch: middleware is given before the registry is in use")
	}
	r.around = append(r.around, m)
}

// errNotRun is the end of a run whose middleware has not called next, and says nothing of
// why; errRunTwice what the second call of next returns.
var (
	errNotRun   = errors.New("a middleware has not called next")
	errRunTwice = errors.New("a middleware calls next once")
)

// around runs the handler, whose context ctx is, inside of the middleware of its registry.
func (f *frame) around(ctx *context.Context, handler func() (json.RawMessage, error)) (json.RawMessage, error) {
	run := HandlerRun{
		Path: f.fn.Path, Kind: f.fn.Kind, App: f.env.App, Auth: Auth{f.env.Identity}, Job: f.env.Job, Tick: f.env.Tick, Depth: f.env.Depth,
	}
	var out json.RawMessage
	next := func(inside context.Context) (err error) {
		*ctx = inside
		if t := TraceIn(inside); t != nil && f.env.Trace != nil && t != f.env.Trace {
			*f.env.Trace = *t
		}
		out, err = handler()
		return err
	}
	for _, m := range slices.Backward(f.env.Registry.around) {
		next = m.before(run, next)
	}
	err := next(*ctx)
	return out, err
}

// before is the middleware with the handler, and what stands around it, behind it.
func (m Middleware) before(run HandlerRun, next func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		called, ended := false, errNotRun
		err := m(ctx, run, func(ctx context.Context) error {
			if called {
				return errRunTwice
			}
			called = true
			ended = next(ctx)
			return ended
		})
		switch ended.(type) {
		case argsError, resultError:
			return ended // what becomes of it is not for the middleware to say
		}
		if err == nil {
			err = ended
		}
		return err
	}
}
