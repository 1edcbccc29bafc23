package actors

import (
	"context"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is about workflows (dispatch.Workflows). The worker's answer says that one was started;
// the handler of a job in a pool waits then, so that the attempt goes on, with its permits, until its
// end has come from outside. That is written down as the end of any attempt is that ends from outside
// (outside.go); a crash before it has the worker asked again.

// CompleteWorkflow ends the attempt of the workflow's job in the pool as a success, and with it the
// job, whose permits are free then. That is durable when it returns. The id "" stands for the job of
// that pool whose attempt began first. ok is false, and nothing is changed, if no attempt of such a
// job is under way: it has ended, waits, or is none of a workflow in the pool. Errors:
// failed_precondition inside a mutation of the app, unavailable, and unknown: then ask again.
func (a *App) CompleteWorkflow(ctx context.Context, pool string, id storage.JobID) (ok bool, err error) {
	op := new(operation)
	var done bool // the actor's, until it answers
	var of *run
	op.durable = func(app *appState) {
		if done {
			app.runs.tellAnswered(of.job.ID)
		}
	}
	err = a.eng.operate(ctx, a.id, op, func(app *appState, tx *storage.Tx) (err error) {
		if of = app.runs.workflow(pool, id); of == nil {
			return nil
		}
		hash, _ := app.runs.tokenOf(of)
		done, err = app.answer(tx, of.job.ID, hash, storage.Answer{})
		return err
	})
	if err != nil {
		return false, err
	}
	return done, nil
}

// workflow returns the run of the workflow's job in the pool, of which "" is any: then that which
// began first. It is nil if there is none whose handler has asked for a token.
func (rs *runs) workflow(pool string, id storage.JobID) (first *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byID {
		if r.job.Pool != pool || pool == "" || id != "" && r.job.ID != id || r.token == "" || !dispatch.IsWorkflow(&r.job) || r.isAnswered() {
			continue
		}
		if first == nil || r.startedAt.Before(first.startedAt) || r.startedAt.Equal(first.startedAt) && r.job.Place().Less(first.job.Place()) {
			first = r
		}
	}
	return first
}

// isAnswered says whether the end of the attempt from outside is durable. The caller has the lock.
func (r *run) isAnswered() bool {
	select {
	case <-r.answered:
		return true
	default:
		return false
	}
}

// tellAnswered has the handler go on that waits for the end of the attempt from outside, if one does.
func (rs *runs) tellAnswered(id storage.JobID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.byID[id]; r != nil && r.answered != nil && !r.isAnswered() {
		close(r.answered)
	}
}

// held returns when the attempt has been ended from outside; the error is why it does not go on.
// An app that comes to rest waits for no workflow.
func (app *appState) held(ctx context.Context, r *run) error {
	app.runs.hold(r)
	if app.phase().draining() {
		return cutByClose
	}
	select {
	case <-r.answered:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// hold notes that the handler of the run waits for the end from outside alone.
func (rs *runs) hold(r *run) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.held = true
}

// dropHeld interrupts the runs whose handlers wait for an end from outside alone: the worker is asked
// again after the next start. The app claims nothing any more, or it would ask again at once.
func (rs *runs) dropHeld() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, r := range rs.byID {
		if r.held && r.cancel != nil {
			r.cancel(cutByClose)
		}
	}
}
