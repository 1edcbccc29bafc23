package dispatch

import (
	"context"
	"slices"
	"time"

	"carillon/storage"
)

// This file is what a registry is told of jobs and handlers that need a person: what stands
// around each run is Middleware.

// DeadHook is told of a job that is dead: it has failed, and is not tried again by itself. The
// job is as App.Get would show it, with its Error and Args.
type DeadHook func(ctx context.Context, app storage.AppID, job storage.Job)

// StuckRun is a handler that was given up and has not returned within its grace.
type StuckRun struct {
	App     storage.AppID
	Path    string        // of the function
	Job     storage.JobID // "" for a call
	Attempt int           // of the job; 0 for a call
	Since   time.Time     // when it was given up
}

// StuckHook is told of a handler that is stuck.
type StuckHook func(ctx context.Context, stuck StuckRun)

// OnDead has the hook called for every job of the program that comes to be dead, once, when
// that is durable, in a goroutine of its own: it may take its time, and keeps nothing waiting
// but the engine's close, which ends ctx. A panic is logged. It is called by the process that has
// ended the job, and not made up for by another one if that dies first: what must not be
// missed is a follow-up (OnDone). Of several hooks each is called, in their order, in one
// goroutine. It panics if the hook is nil, or if the registry is in use already.
func (r *Registry) OnDead(hook DeadHook) {
	r.mustTakeHook(hook == nil)
	r.dead = append(r.dead, hook)
}

// OnStuck has the hook called for every handler that comes to be stuck, as OnDead for a dead
// job. Nothing of a stuck handler is durable, and none outlives its process.
func (r *Registry) OnStuck(hook StuckHook) {
	r.mustTakeHook(hook == nil)
	r.stuck = append(r.stuck, hook)
}

func (r *Registry) mustTakeHook(isNil bool) {
	if isNil {
		panic("dispatch: the hook is nil")
	}
	if r.sealed.Load() {
		panic("dispatch: hooks are given before the registry is in use")
	}
}

// DeadHooks returns the hooks for dead jobs. For engines.
func (r *Registry) DeadHooks() []DeadHook { return slices.Clone(r.dead) }

// StuckHooks returns the hooks for stuck handlers. For engines.
func (r *Registry) StuckHooks() []StuckHook { return slices.Clone(r.stuck) }
