package actors

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// result is what an invocation or a host's operation comes to.
type result struct {
	value  json.RawMessage
	err    error
	commit uint64 // of a mutation: a commit that has it
}

// invocation is the message to the Runner: a call of a client, the host, a
// function, or a due job. They differ in who is told the result.
type invocation struct {
	dispatch.Invocation
	ctx      context.Context
	fn       *dispatch.Function  // set by the Runner
	timeout  time.Duration       // set by the Runner
	now      time.Time           // clock.now when its handler started
	job      *run                // of a due job
	from     *source             // of a run from an action
	key      *dispatch.KeyedCall // the idempotency key of a call; nil: it has none
	on       storage.Reader      // of a query: what it reads, at inv.now; nil: what is committed
	store    *storage.App        // set by the Runner
	notKept  storage.NotKept     // of a due job: why its result cannot be kept
	stored   dispatch.StoredArgs // of a due job: how its arguments fit
	handle   handle              // of a call's handler
	start    start               // of a call, for the caller
	answered atomic.Bool
	answer   func(result) // how the caller is told; called once, must not block
}

// reply tells the caller the result, once. What comes second is dropped.
func (inv *invocation) reply(r result) {
	if inv.answered.CompareAndSwap(false, true) {
		inv.answer(r)
	}
}

// source is an action that is running, as what it asks for sees it: once over,
// nothing more is done for it. Only the holder of the app's turn ends a job's
// source by a cancel, so that what the action does is wholly before or wholly
// after the cancel.
type source struct {
	over  atomic.Pointer[dispatch.Error]
	log   *runLog                      // the same
	notes *notes                       // of the job that it is, or that has run it; nil: it is no part of one
	cut   atomic.Pointer[interruption] // why something that the action asked for was not done, through no fault of either
}

// note takes note of how something ended that the action asked for.
func (s *source) note(err error) error {
	switch {
	case s == nil:
	case errors.Is(err, errLapsed):
		s.cut.Store(cutByLapse)
	case volumeFailed(err):
		s.cut.Store(cutByVolume)
	case errors.Is(err, errShed):
		s.cut.Store(cutByLoad)
	case errors.Is(err, errWaited):
		s.cut.Store(cutByWait)
	}
	return err
}

// why is the cause of what the action's handler returns, beside the handler itself:
// that of the end of its context, a volume that failed, or a call that was shed or
// has waited too long. nil if there is none.
func (s *source) why(ctx context.Context) error {
	if cut := s.cut.Load(); cut != nil && ctx.Err() == nil {
		return cut
	}
	return context.Cause(ctx)
}

// end lets nothing more be done for the action; the first reason stays.
func (s *source) end(code dispatch.Code, message string) {
	s.over.CompareAndSwap(nil, &dispatch.Error{Code: code, Message: message})
}

// refusal says why nothing is done for the action any more, or nil.
func (s *source) refusal() error {
	if s == nil {
		return nil
	}
	if err := s.over.Load(); err != nil {
		return err
	}
	return nil
}

// actionKey is under what a context has the action of the app that it comes from.
type actionKey struct{ app storage.AppID }

// actionIn returns the action of the app that ctx comes from and that is not over,
// or nil.
func actionIn(ctx context.Context, app storage.AppID) *source {
	if src, ok := ctx.Value(actionKey{app}).(*source); ok && src.refusal() == nil {
		return src
	}
	return nil
}

// operation is the message to the SchedulerActor for a change that no function
// makes: the host or an action schedules, cancels, retries.
type operation struct {
	ctx    context.Context
	from   *source
	change func(*storage.Tx) error
	sheds  bool // refused while the app is overloaded
	frees  bool // jobs may have waited for the one that it ends
	start  start
	// durable is called when the change is; default: nothing is.
	durable func(*appState)
	answer  func(error) // called once, must not block
}

// errShutdown answers what comes while, or waits when, the engine closes.
func errShutdown() error {
	return &dispatch.Error{Code: dispatch.CodeUnavailable, Message: "the engine is closing"}
}

// contextError is how a caller whose context is over is told.
func contextError(ctx context.Context, path string) error {
	e := dispatch.AsError(context.Cause(ctx))
	if ctx.Err() != nil {
		e = dispatch.AsError(ctx.Err())
	}
	return &dispatch.Error{Code: e.Code, Path: path, Message: e.Message, Err: e.Err}
}
