package actors

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"carillon/dispatch"
	"carillon/internal/brief"
	"carillon/internal/inturn"
	"carillon/storage"
)

// waiters are the calls of App.Wait, of all apps: an app may sleep while its jobs are waited
// for. Those of one job share an entry. They look once more when it is there, so that an end
// that they are not told of is one that they have seen. The lock is a leaf.
type waiters struct {
	n      atomic.Int64 // 0: a commit looks no further
	mu     sync.Mutex
	apps   map[storage.AppID]*appWaiters
	closed bool
}

// appWaiters are those of one app.
type appWaiters struct {
	n        int
	jobs     map[uint64]*awaited // by sequence number, which no other job of the app ever has
	doubtful bool                // a change set has failed: ends may be durable that were not told
}

// awaited is a job that is waited for.
type awaited struct {
	waiters int
	over    chan struct{} // closed when what is below is set
	job     storage.Job
	again   bool // it may have ended, or is gone: they have to look
}

// Wait waits until the job has ended and returns it, with its Result or its Error; for the
// typed result, or an error of the job's end, see dispatch.Await. One that has ended is
// returned at once. A job that is retried, held or rescheduled meanwhile is waited for until
// its end; so is one that was dead and was retried before the call. It writes nothing, keeps
// no app awake, and returns no end that is not durable; after a restart of the program a new
// call for the id goes on. Errors: not_found if there is no such job, or none any more,
// resource_exhausted if the app has Options.MaxWaiters calls that wait, failed_precondition
// inside a mutation of the app, unavailable when the engine closes, and that of ctx.
func (a *App) Wait(ctx context.Context, id storage.JobID) (storage.Job, error) {
	if inturn.In(ctx, string(a.id)) {
		return storage.Job{}, &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Err: storage.ErrReentrant,
			Message: "called from inside a mutation of the same app, which keeps its jobs from ending",
		}
	}
	for {
		job, err := a.look(ctx, id)
		if err != nil || job.State.Ended() {
			return job, err
		}
		seq := job.Seq()
		on, err := a.eng.waiters.add(a.id, seq, a.eng.opts.MaxWaiters)
		if err != nil {
			return storage.Job{}, err
		}
		job, err = a.look(ctx, id)
		if err != nil || job.Seq() == seq && job.State.Ended() {
			a.eng.waiters.leave(a.id, seq, on)
			return job, err
		}
		if job.Seq() != seq { // the id was given to a later job
			a.eng.waiters.leave(a.id, seq, on)
			continue
		}
		select {
		case <-on.over:
			if on.again {
				continue
			}
			if err := a.eng.lapse.held(); err != nil {
				return storage.Job{}, err
			}
			return on.job, nil
		case <-a.eng.lapse.lost:
			a.eng.waiters.leave(a.id, seq, on)
			return storage.Job{}, a.eng.lapse.gone()
		case <-ctx.Done():
			a.eng.waiters.leave(a.id, seq, on)
			return storage.Job{}, contextError(ctx, "")
		}
	}
}

// look reads the job, which there must be.
func (a *App) look(ctx context.Context, id storage.JobID) (storage.Job, error) {
	job, ok, err := a.Scheduler(ctx).Get(id)
	if err == nil && !ok {
		err = &dispatch.Error{
			Code: dispatch.CodeNotFound, Err: storage.ErrNotFound,
			Message: fmt.Sprintf("there is no job %s, or it is kept no more", brief.Quote(string(id))),
		}
	}
	return job, err
}

// add has the caller wait for the job.
func (w *waiters) add(id storage.AppID, seq uint64, most int) (*awaited, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, errShutdown()
	}
	app := w.apps[id]
	if app == nil {
		app = &appWaiters{jobs: map[uint64]*awaited{}}
		if w.apps == nil {
			w.apps = map[storage.AppID]*appWaiters{}
		}
		w.apps[id] = app
	}
	if app.n >= most {
		return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "app %s has %d calls that wait for jobs, as many as it may (MaxWaiters)", id, app.n)
	}
	on := app.jobs[seq]
	if on == nil {
		on = &awaited{over: make(chan struct{})}
		app.jobs[seq] = on
	}
	on.waiters++
	app.n++
	w.n.Add(1)
	return on, nil
}

// leave has the caller wait no more. It does nothing if it was told meanwhile.
func (w *waiters) leave(id storage.AppID, seq uint64, on *awaited) {
	w.mu.Lock()
	defer w.mu.Unlock()
	app := w.apps[id]
	if app == nil || app.jobs[seq] != on {
		return
	}
	if on.waiters--; on.waiters == 0 {
		delete(app.jobs, seq)
	}
	w.less(id, app, 1)
}

// less counts so many waiters of the app less. The lock is held.
func (w *waiters) less(id storage.AppID, app *appWaiters, n int) {
	w.n.Add(int64(-n))
	if app.n -= n; app.n == 0 {
		delete(w.apps, id)
	}
}

// finish tells those who wait for the job. The lock is held.
func (w *waiters) finish(id storage.AppID, app *appWaiters, seq uint64, job storage.Job, again bool) {
	on := app.jobs[seq]
	if on == nil {
		return
	}
	delete(app.jobs, seq)
	on.job, on.again = job, again
	close(on.over)
	w.less(id, app, on.waiters)
}

// tell tells the waiters of the app of the jobs that the transaction has ended, now that
// this is durable.
func (w *waiters) tell(id storage.AppID, tx *storage.Tx) {
	if w.n.Load() == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	app := w.apps[id]
	if app == nil {
		return
	}
	ended, vanished := tx.Ended(func(seq uint64) bool { return app.jobs[seq] != nil })
	for _, job := range ended {
		w.finish(id, app, job.Seq(), job, false)
	}
	for _, seq := range vanished {
		w.finish(id, app, seq, storage.Job{}, true)
	}
}

// doubt notes that a change set of the app has failed, of which something may be durable.
func (w *waiters) doubt(id storage.AppID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if app := w.apps[id]; app != nil {
		app.doubtful = true
	}
}

// lookAgain has the waiters of the app look at what is durable, now that it can be read: all
// of them, or only if there is doubt.
func (w *waiters) lookAgain(id storage.AppID, all bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	app := w.apps[id]
	if app == nil || !all && !app.doubtful {
		return
	}
	for seq := range app.jobs {
		w.finish(id, app, seq, storage.Job{}, true)
	}
}

// close has all waiters look, and find the engine closed.
func (w *waiters) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for id, app := range w.apps {
		for seq := range app.jobs {
			w.finish(id, app, seq, storage.Job{}, true)
		}
	}
}
