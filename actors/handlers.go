package actors

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// handlers are the goroutines in which functions run: one for each run, never
// an actor's. A panic or a runtime.Goexit of a function is the end of its run
// and of nothing else.
type handlers struct {
	eng   *Engine
	mu    sync.Mutex
	n     int // how many run
	stuck int // how many of those are stuck
	waits []handlersWait

	ignored sync.Map // paths of functions that noteIgnored has logged
}

// handlersWait is a wait for the end of the handlers.
type handlersWait struct {
	stuckToo bool // for those that are stuck, too
	over     chan struct{}
}

func (h *handlers) add(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n += n
	h.tell()
}

// countStuck notes that so many more of those that run are stuck.
func (h *handlers) countStuck(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stuck += n
	h.tell()
}

// tell ends the waits that are over. The caller has the lock.
func (h *handlers) tell() {
	h.waits = slices.DeleteFunc(h.waits, func(w handlersWait) bool {
		if !h.none(w.stuckToo) {
			return false
		}
		close(w.over)
		return true
	})
}

func (h *handlers) none(stuckToo bool) bool { return h.n == 0 || !stuckToo && h.n <= h.stuck }

// running is how many functions run now.
func (h *handlers) running() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.n
}

// wait returns true once no function runs, but for stuck ones unless stuckToo, or
// false when stop is closed before.
func (h *handlers) wait(stuckToo bool, stop <-chan struct{}) bool {
	h.mu.Lock()
	if h.none(stuckToo) {
		h.mu.Unlock()
		return true
	}
	w := handlersWait{stuckToo, make(chan struct{})}
	h.waits = append(h.waits, w)
	h.mu.Unlock()
	select {
	case <-w.over:
		return true
	case <-stop:
		return false
	}
}

// goexit is how a run ends whose function called runtime.Goexit.
func goexit(path string) error {
	return &dispatch.Error{Code: dispatch.CodeInternal, Path: path, Message: "internal error", Err: errGoexit}
}

// spawn runs fn in a goroutine of its own and then calls done with its result,
// however it ended.
func (h *handlers) spawn(path string, fn func() result, done func(result)) {
	h.add(1)
	h.eng.sys.workers.Schedule(func() {
		defer h.add(-1)
		res := result{err: goexit(path)}
		defer func() {
			if v := recover(); v != nil {
				res = result{err: &dispatch.PanicError{Value: v, Stack: debug.Stack()}}
			}
			h.log(path, res.err)
			done(res)
		}()
		res = fn()
	})
}

// log tells the operator what the caller is not told.
func (h *handlers) log(path string, err error) {
	if err == nil {
		return
	}
	if e := dispatch.AsError(err); e.Code == dispatch.CodeInternal {
		h.eng.opts.Logger.Error("function failed", "function", path, "err", e)
	}
}

// env is what every run of the app has in common.
func (h *handlers) env(app *appState, inv *invocation, ctx context.Context) dispatch.Env {
	env := dispatch.Env{
		Context:  ctx,
		App:      app.id,
		Registry: h.eng.opts.Functions,
		Pools:    h.eng.pools,
		Identity: inv.Identity,
		Now:      inv.now,
		Logger:   h.eng.opts.Logger,
		Job:      inv.Job,
		Tick:     inv.Tick,
		Limits:   h.eng.opts.Limits,
		Clock:    h.eng.clock.due,
		Depth:    inv.Depth,
		NewCrons: app.crons,
		Trace:    dispatch.TraceIn(inv.ctx),
	}
	switch {
	case inv.job != nil:
		env.NotKept, env.Stored = &inv.notKept, &inv.stored
		env.Lines = inv.job.log.add
	case inv.from != nil && inv.from.log != nil:
		env.Lines = inv.from.log.add
	}
	return env
}

// noteIgnored tells the operator, once of each function, that arguments of a job had
// what its function does not know.
func (h *handlers) noteIgnored(app *appState, inv *invocation) {
	if inv.stored.Ignored == nil {
		return
	}
	if _, logged := h.ignored.LoadOrStore(inv.Path, true); !logged {
		h.eng.opts.Logger.Warn("a job ran without what its function does not know of its arguments",
			"app", app.id, "function", inv.Path, "job", inv.Job.ID, "err", inv.stored.Ignored)
	}
}

// query runs a query on a snapshot of its own, or on the one that it was given. At its deadline
// its own is closed and the caller told, whatever the handler does.
func (h *handlers) query(app *appState, inv *invocation) {
	base, stop := context.WithCancelCause(inv.ctx)
	ctx, cancel := context.WithTimeout(base, inv.timeout)
	unlink := context.AfterFunc(h.eng.ctx, func() { stop(context.Cause(h.eng.ctx)) })
	if inv.on == nil {
		inv.now = h.eng.clock.now()
	}
	h.spawn(inv.Path, func() result {
		reader, end := inv.on, func() {}
		if reader == nil {
			snap, err := app.store.Snapshot(inv.now)
			if err != nil {
				return result{err: err}
			}
			reader, end = snap.Reader(), snap.Close
		}
		defer end()
		late := context.AfterFunc(ctx, func() {
			end()
			app.leaveCall(inv, errors.Is(context.Cause(ctx), context.DeadlineExceeded), h.eng.opts.Grace)
			inv.reply(result{err: blame(inv.Path, inv.timeout, contextError(ctx, inv.Path), context.Cause(ctx))})
		})
		defer late()
		began := time.Now()
		value, err := inv.fn.RunQuery(h.env(app, inv, ctx), reader, inv.Args)
		h.eng.ran(inv.fn, began, err)
		return result{value: value, err: err}
	}, func(res result) {
		unlink()
		cancel()
		stop(nil)
		app.returnedFrom(inv)
		if err := h.eng.lapse.held(); err != nil {
			res = result{err: err}
		}
		inv.reply(res)
	})
}

// action runs an action. At its deadline its context is canceled; if it has
// not returned within the grace after that, it is given up.
func (h *handlers) action(app *appState, inv *invocation) {
	base, stop := context.WithCancelCause(inv.ctx)
	ctx, cancel := context.WithTimeout(base, inv.timeout)
	unlink := context.AfterFunc(h.eng.ctx, func() { stop(context.Cause(h.eng.ctx)) })
	unlease := h.eng.lapse.linked(stop)
	at := h.eng.clock.look()
	inv.now = at.now
	src := new(source)
	var giveUp *time.Timer
	if inv.job != nil {
		if cut := app.cutHere(inv.job, at.wall); cut != nil {
			unlink()
			unlease()
			cancel()
			stop(nil)
			app.returnedFrom(inv)
			inv.reply(result{err: cut})
			return
		}
		src = &inv.job.src
		h.eng.sys.tell(app.scheduler, &runStarted{inv.job, inv.now, ctx, inv.timeout})
	} else {
		if inv.from != nil {
			src.notes, src.log = inv.from.notes, inv.from.log
		}
		giveUp = time.AfterFunc(inv.timeout+h.eng.opts.Grace, func() {
			app.leaveCall(inv, true, 0)
			inv.reply(result{err: blame(inv.Path, inv.timeout, overran(inv.Path, inv.timeout, nil), context.Cause(ctx))})
		})
	}
	marked := context.WithValue(ctx, actionKey{app.id}, src)
	var lapsed error // why its handler was not called
	h.spawn(inv.Path, func() result {
		if lapsed = h.eng.lapse.held(); lapsed != nil {
			return result{err: lapsed}
		}
		env := h.env(app, inv, marked)
		if inv.job != nil {
			env.Pending = func(timeout time.Duration) (string, error) { return app.pendingOutside(inv.job, timeout) }
			if inv.fn.Remote {
				env.Remote = &dispatch.RemoteJob{
					Due: inv.job.job.Due, Pool: inv.job.job.Pool,
					Held: func(ctx context.Context) error { return app.held(ctx, inv.job) },
				}
			}
		}
		env.Invoker = &actionInvoker{eng: h.eng, app: app.id, from: src}
		if src.notes != nil {
			env.Notes = src.notes
		}
		planner := env.Planner()
		env.Scheduler = &remoteScheduler{eng: h.eng, app: app.id, ctx: marked, from: src, planner: planner}
		if app.noteStart(inv.job); inv.job != nil {
			app.noteLate(&inv.job.job, at.wall)
		}
		began := time.Now()
		value, err := inv.fn.RunAction(env, inv.Args)
		h.eng.ran(inv.fn, began, err)
		h.noteIgnored(app, inv)
		return result{value: value, err: err}
	}, func(res result) {
		cause := context.Cause(ctx)
		if inv.job != nil {
			cause = src.why(ctx)
		}
		switch {
		case lapsed == nil:
			res.err = blame(inv.Path, inv.timeout, res.err, cause)
		case inv.job != nil:
			res.err = notHeld
		}
		unlink()
		unlease()
		cancel()
		stop(nil)
		if giveUp != nil {
			giveUp.Stop()
			src.end(dispatch.CodeAborted, "the action has returned")
		}
		app.returnedFrom(inv)
		inv.reply(res)
	})
}

// actionInvoker runs what a running action asks for, in the same app.
type actionInvoker struct {
	eng  *Engine
	app  storage.AppID
	from *source
}

// Invoke implements dispatch.Invoker.
func (a *actionInvoker) Invoke(ctx context.Context, inv dispatch.Invocation) (json.RawMessage, error) {
	return a.eng.invoke(ctx, a.app, inv, a.from)
}
