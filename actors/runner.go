package actors

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/dispatch"
)

// runner is the function-runner actor of one app. An RPC and a due job are the
// same message to it: it resolves the reference, rebuilds the identity, and has
// the function run in a goroutine — a query on a snapshot, an action on its
// own, a mutation once the SchedulerActor has given it the turn.
type runner struct {
	app  *appState
	held []*invocation // that came before the app was open
}

// appOpen is the SchedulerActor's word that the app's indexes are built.
type appOpen struct{}

// dueJobs are runs whose instant has come, in the order they are to start.
type dueJobs struct{ runs []*invocation }

// Receive implements the actor.
func (r *runner) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *invocation:
		if r.holds() {
			r.held = append(r.held, m)
			return
		}
		r.ask(r.accept(m))
	case *dueJobs:
		if r.holds() {
			r.held = append(r.held, m.runs...)
			return
		}
		r.acceptAll(m.runs)
	case *appOpen:
		r.acceptAll(r.held)
		r.held = nil
	case *actor.Stopping, *actor.Restarting:
		for _, inv := range r.held {
			inv.reply(result{err: errShutdown()})
		}
		r.held = nil
	}
}

// holds says whether what comes now is held back: calls come before the indexes are
// built, and then behind those that have.
func (r *runner) holds() bool { return len(r.held) > 0 || !r.app.phase().admits() }

// ask asks for the turn, which no turn at all (nil) needs.
func (r *runner) ask(t *turn) {
	if t != nil {
		r.app.eng.sys.tell(r.app.scheduler, t)
	}
}

// acceptAll accepts them, and asks for all the turns they need at once.
func (r *runner) acceptAll(invs []*invocation) {
	turns := make([]*turn, 0, len(invs))
	for _, inv := range invs {
		if t := r.accept(inv); t != nil {
			turns = append(turns, t)
		}
	}
	if len(turns) > 0 {
		r.app.eng.sys.tell(r.app.scheduler, &turnsAsked{turns})
	}
}

// accept has the invocation run, or answered that it cannot be. A mutation is
// returned as the turn it needs.
func (r *runner) accept(inv *invocation) *turn {
	eng := r.app.eng
	fn, err := eng.opts.Functions.Resolve(inv.Path, inv.Origin, inv.Kind)
	if err != nil {
		inv.stored.Unfit = err
		inv.reply(result{err: err})
		return nil
	}
	inv.fn, inv.store = fn, r.app.store
	if err := inv.mayBeKeyed(); err != nil {
		inv.reply(result{err: err})
		return nil
	}
	if inv.job == nil {
		if err := r.app.runs.blocks(fn.Path); err != nil {
			inv.reply(result{err: err})
			return nil
		}
	}
	inv.timeout = eng.opts.timeout(fn)
	if inv.job != nil {
		if d := inv.job.job.Timeout; d > 0 {
			inv.timeout = d
		}
		if fn.Kind == dispatch.KindQuery {
			inv.stored.Unfit = dispatch.Errorf(dispatch.CodeInvalidArgument, "%s is a query: it cannot be a job", fn.Path)
			inv.reply(result{err: inv.stored.Unfit})
			return nil
		}
		if len(inv.job.job.Claims) > 0 && eng.opts.trusting {
			// Here and now, so that the job keeps its place among those that are due.
			if err := r.reauthorize(inv); err != nil {
				inv.reply(result{err: err})
				return nil
			}
		} else if len(inv.job.job.Claims) > 0 {
			r.hook(inv)
			return nil
		}
	}
	return r.run(inv)
}

// hook has the host's hook rebuild the identity of the job. It is user code: it may
// take its time, which is the attempt's, and get stuck like any handler.
func (r *runner) hook(inv *invocation) {
	eng, began := r.app.eng, time.Now()
	var over atomic.Bool
	giveUp := time.AfterFunc(inv.timeout+eng.opts.Grace, func() {
		if over.CompareAndSwap(false, true) {
			r.app.leaveCall(inv, true, 0)
			inv.reply(result{err: overran(inv.Path, inv.timeout, nil)})
		}
	})
	eng.handlers.spawn(inv.Path, func() result { return result{err: r.reauthorize(inv)} }, func(res result) {
		giveUp.Stop()
		switch {
		case !over.CompareAndSwap(false, true):
			r.app.returnedFrom(inv)
		case res.err != nil:
			inv.reply(res)
		default:
			inv.timeout = max(inv.timeout-time.Since(began), time.Millisecond)
			r.ask(r.run(inv))
		}
	})
}

// run sends the invocation on, by the kind of its function. It may be called
// from any goroutine.
func (r *runner) run(inv *invocation) *turn {
	eng := r.app.eng
	if inv.fn.Kind == dispatch.KindMutation {
		return &turn{inv: inv}
	}
	if !inv.start.begin() {
		inv.reply(result{err: errTurnWait(r.app.id, inv.Path, eng.opts.TurnWait)})
		return nil
	}
	switch inv.fn.Kind {
	case dispatch.KindQuery:
		eng.handlers.query(r.app, inv)
	case dispatch.KindAction:
		if err := inv.from.refusal(); err != nil {
			inv.reply(result{err: err})
			return nil
		}
		eng.handlers.action(r.app, inv)
	}
	return nil
}

// reauthorize rebuilds the identity that the job was scheduled with.
func (r *runner) reauthorize(inv *invocation) error {
	eng := r.app.eng
	stored, err := dispatch.DecodeIdentity(inv.job.job.Claims)
	if err != nil {
		return dispatch.Permanent(err)
	}
	ctx, cancel := context.WithTimeout(inv.ctx, inv.timeout)
	defer cancel()
	id, err := eng.opts.Reauthorize(ctx, r.app.id, stored)
	if err == nil {
		inv.Identity, err = id.Normalize()
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return blame(inv.Path, inv.timeout, err, context.Cause(ctx))
	}
	switch dispatch.AsError(err).Code {
	case dispatch.CodeUnavailable, dispatch.CodeDeadlineExceeded:
		return err
	}
	return dispatch.Permanent(err)
}
