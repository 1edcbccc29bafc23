package actors

import (
	"runtime/debug"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how the hooks of the registry are told (dispatch.OnDead, OnStuck): behind the
// commit, in a goroutine of the handlers'.

// hooks are those of the registry, as they were at the open.
type hooks struct {
	dead  []dispatch.DeadHook
	stuck []dispatch.StuckHook
}

// tellDead tells the hooks of the jobs that the transaction, which is durable, has left dead.
func (app *appState) tellDead(tx *storage.Tx) {
	if len(app.eng.hooks.dead) == 0 || !tx.MayLeaveDead() {
		return
	}
	eng, id := app.eng, app.id
	eng.handlers.spawn("OnDead", func() result {
		for _, job := range tx.LeftDead() {
			for _, hook := range eng.hooks.dead {
				callHook(eng, "OnDead", func() { hook(eng.ctx, id, job) })
			}
		}
		return result{}
	}, func(result) {})
}

// tellStuck tells the hooks of the stuck handler.
func (e *Engine) tellStuck(s *StuckHandler) {
	e.alertStuck(s)
	if len(e.hooks.stuck) == 0 {
		return
	}
	run := dispatch.StuckRun{App: s.App, Path: s.Function, Job: s.Job, Attempt: s.Attempt, Since: s.Since}
	e.handlers.spawn("OnStuck", func() result {
		for _, hook := range e.hooks.stuck {
			callHook(e, "OnStuck", func() { hook(e.ctx, run) })
		}
		return result{}
	}, func(result) {})
}

// callHook calls a hook, and logs its panic.
func callHook(e *Engine, name string, call func()) {
	defer func() {
		if v := recover(); v != nil {
			e.handlers.log(name, &dispatch.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	call()
}
