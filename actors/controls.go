package actors

import (
	"context"
	"time"

	"carillon/storage"
)

// This file is what a person controls while the app runs: what is paused (G35), and limits
// of pools that win over the declared ones. A job that waits for the end of a pause is
// neither claimed nor written: the walks pass it by, once, or it waits in its lane, which
// has no permit meanwhile; an app that is paused as a whole is not walked through at all.

// controls are the pauses of an app as they meet its jobs, and its limits of pools.
type controls struct {
	of        *storage.Controls
	app       *storage.Pause
	functions map[string]*storage.Pause // by path of today
	lanes     map[storage.Lane]*storage.Pause
	limits    map[string]int // by pool
}

var uncontrolled controls

// controls are those of the last change submitted. Any goroutine may ask.
func (app *appState) controls() *controls {
	of := app.store.Controls()
	if of == nil {
		return &uncontrolled
	}
	if c := app.controlled.Load(); c != nil && c.of == of {
		return c
	}
	c := &controls{of: of, functions: map[string]*storage.Pause{}, lanes: map[storage.Lane]*storage.Pause{}, limits: of.Limits}
	for scope, pause := range of.Pauses {
		switch {
		case scope.App:
			c.app = &pause
		case scope.Function != "":
			c.functions[app.eng.pathOf(scope.Function)] = &pause
		default:
			c.lanes[storage.Lane{Pool: scope.Pool, Key: scope.PoolKey}] = &pause
		}
	}
	app.controlled.Store(c)
	return c
}

// pathOf is the path of today of a function, which formerly may have had this one.
func (e *Engine) pathOf(path string) string {
	if fn, ok := e.opts.Functions.Lookup(path); ok {
		return fn.Path
	}
	return path
}

// lane is the pause of a lane, or nil.
func (c *controls) lane(at storage.Lane) *storage.Pause {
	if p := c.lanes[storage.Lane{Pool: at.Pool}]; p != nil || at.Pool == "" {
		return p
	}
	return c.lanes[at]
}

// paused is the pause that keeps the job from beginning, or nil.
func (app *appState) paused(job *storage.Job) *storage.Pause {
	c := app.controls()
	if c == &uncontrolled {
		return nil
	}
	if c.app != nil {
		return c.app
	}
	if p := app.functionPaused(job); p != nil {
		return p
	}
	return c.lane(job.Lane())
}

// functionPaused is the pause of the job's function, or nil.
func (app *appState) functionPaused(job *storage.Job) *storage.Pause {
	c := app.controls()
	if len(c.functions) == 0 {
		return nil
	}
	return c.functions[app.eng.pathOf(job.Function)]
}

// followControls has the app follow what was paused, resumed or limited since it last
// looked. Claims of what is paused now are taken back, unless their handlers have begun,
// and what is resumed is looked for.
func (s *scheduler) followControls() {
	was, is := s.followed, s.controls()
	if was == is {
		return
	}
	s.followed = is
	for _, r := range s.runQueue.remove(func(r *run) bool { return s.paused(&r.job) != nil }) {
		s.takeBack(r)
	}
	if was == nil {
		return // the app was opened, or read again: all is looked at anyway
	}
	for path := range was.functions {
		if is.functions[path] == nil {
			s.passedBy = false
			s.claimFrom(storage.Place{}) // the walks have passed its jobs by
			return
		}
	}
	s.walks.lookAgain(s.eng.clock.wall())
}

// enqueue has a run whose claim is durable wait for its instant and a permit.
func (s *scheduler) enqueue(r *run) {
	if s.paused(&r.job) != nil {
		s.takeBack(r)
		return
	}
	s.runQueue.push(r)
}

// takeBack takes the claim back of a run that was paused before its handler began.
func (s *scheduler) takeBack(r *run) {
	if s.runs.get(r.job.ID) == r {
		s.endRun(ending{run: r, err: cutByPause})
	}
}

// nextClaim is when there may be something to claim; zero is not before another message.
func (s *scheduler) nextClaim() (at time.Time) {
	if s.controls().app == nil {
		at = s.walks.next()
	}
	return at
}

// awaits says whether due jobs wait for something that only memory knows of, so that the
// app must not fall asleep.
func (s *scheduler) awaits() bool {
	return s.controls().app == nil && (s.walks.blocked() || s.pools.waiting() || s.passedBy)
}

// Pause implements dispatch.Scheduler. The pause is durable when it returns, and no job of
// the scope begins from then on.
func (s *remoteScheduler) Pause(of storage.Scope, by, reason string) error {
	return s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) error { return s.planner.Pause(tx.JobWriter(), of, by, reason) })
}

// Resume implements dispatch.Scheduler. It is durable when it returns.
func (s *remoteScheduler) Resume(of storage.Scope) (bool, error) {
	return s.changed(func(tx *storage.Tx) (bool, error) { return s.planner.Resume(tx.JobWriter(), of) })
}

// Pauses implements dispatch.Scheduler. It reads committed state.
func (s *remoteScheduler) Pauses() (list []storage.Pause, err error) {
	err = s.eng.read(s.ctx, s.app, s.from, func(r storage.Reader) (err error) {
		list, err = r.System().Pauses()
		return err
	})
	return list, err
}

// LimitPool implements dispatch.Scheduler. The limit is durable when it returns.
func (s *remoteScheduler) LimitPool(pool string, limit int) error {
	return s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) error { return s.planner.LimitPool(tx.JobWriter(), pool, limit) })
}

// ClearPoolLimit implements dispatch.Scheduler. It is durable when it returns.
func (s *remoteScheduler) ClearPoolLimit(pool string) (bool, error) {
	return s.changed(func(tx *storage.Tx) (bool, error) { return tx.JobWriter().DropPoolLimit(pool) })
}

// changed is Engine.change for what answers whether it has changed anything.
func (s *remoteScheduler) changed(fn func(*storage.Tx) (bool, error)) (bool, error) {
	var ok bool // the actor's, until it answers
	err := s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) (err error) {
		ok, err = fn(tx)
		return err
	})
	return ok && err == nil, err
}

// Pause pauses the app, or a function, a pool or a key of one: dispatch.OfApp, OfFunction,
// OfPool. It is Pause of the app's Scheduler: durable when it returns.
func (a *App) Pause(ctx context.Context, of storage.Scope, by, reason string) error {
	return a.Scheduler(ctx).Pause(of, by, reason)
}

// Resume ends the pause of the scope. resumed is false if it was not paused. It is durable
// when it returns.
func (a *App) Resume(ctx context.Context, of storage.Scope) (resumed bool, err error) {
	return a.Scheduler(ctx).Resume(of)
}

// Pauses returns what is paused: the app, then functions and pools by name.
func (a *App) Pauses(ctx context.Context) ([]storage.Pause, error) { return a.Scheduler(ctx).Pauses() }

// LimitPool gives the pool another limit than the declared one, until ClearPoolLimit. It
// is LimitPool of the app's Scheduler: durable when it returns.
func (a *App) LimitPool(ctx context.Context, pool string, limit int) error {
	return a.Scheduler(ctx).LimitPool(pool, limit)
}

// ClearPoolLimit has the declared limit of the pool count again. cleared is false if it
// did. It is durable when it returns.
func (a *App) ClearPoolLimit(ctx context.Context, pool string) (cleared bool, err error) {
	return a.Scheduler(ctx).ClearPoolLimit(pool)
}
