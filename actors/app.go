package actors

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// errGoexit is the detail of a run whose function called runtime.Goexit.
var errGoexit = errors.New("the function called runtime.Goexit")

// App is one tenant, as the host sees it. It holds nothing: make one where you
// need one.
type App struct {
	eng *Engine
	id  storage.AppID
}

// ID returns the app's name.
func (a *App) ID() storage.AppID { return a.id }

// Exists says whether the app has come into being: with its first committed change,
// or an import. Like a query it waits for a sync that is under way. It does not wake
// the app.
func (a *App) Exists() (bool, error) {
	err := a.eng.store.Free(a.id)
	if lapsed := a.eng.lapse.held(); lapsed != nil {
		return false, lapsed
	}
	if errors.Is(err, storage.ErrExists) {
		return true, nil
	}
	return false, asError(err)
}

// As returns the caller that runs functions of the app within ctx as the
// identity; nil is anonymous. It reaches internal functions too: for requests from
// outside use Call.
func (a *App) As(ctx context.Context, identity *dispatch.Identity) dispatch.Caller {
	return dispatch.NewCaller(ctx, a, identity)
}

// Invoke implements dispatch.Invoker, for the callers that As returns.
func (a *App) Invoke(ctx context.Context, inv dispatch.Invocation) (json.RawMessage, error) {
	return a.eng.invoke(ctx, a.id, inv, nil)
}

// Call runs a public function for a client: to it an internal function is
// exactly like an unknown one. It returns the result as JSON, or an *Error; a
// mutation is durable when it returns nil.
func (a *App) Call(ctx context.Context, path string, args json.RawMessage, identity *dispatch.Identity) (json.RawMessage, error) {
	identity, err := identity.Normalize()
	if err != nil {
		return nil, err
	}
	return a.Invoke(ctx, dispatch.Invocation{Path: path, Args: args, Identity: identity, Origin: dispatch.OriginClient})
}

// Read runs fn on the app's committed state, as of one moment, in the caller's
// goroutine: documents for which there is no query. It waits for a sync that is
// under way. The Reader is good until fn returns, and fn must be quick: meanwhile
// the app cannot be deleted, and pages of its volume are not used again.
func (a *App) Read(ctx context.Context, fn func(storage.Reader) error) error {
	return a.eng.read(ctx, a.id, nil, fn)
}

// Scheduler returns the host's scheduler of the app: what a function's
// ctx.Scheduler does, each call durable when it returns, and the dead jobs.
func (a *App) Scheduler(ctx context.Context) *HostScheduler {
	planner := a.eng.planner()
	planner.Trace = dispatch.TraceIn(ctx)
	return &HostScheduler{remoteScheduler{eng: a.eng, app: a.id, ctx: ctx, planner: planner}}
}

// remoteScheduler is the scheduler outside of a transaction: each call is one
// of its own.
type remoteScheduler struct {
	eng     *Engine
	app     storage.AppID
	ctx     context.Context
	from    *source
	planner dispatch.Planner
}

var _ dispatch.Scheduler = (*remoteScheduler)(nil)

// RunAfter implements dispatch.Scheduler. The job is durable when it returns.
func (s *remoteScheduler) RunAfter(d time.Duration, call dispatch.Call, opts ...dispatch.RunOption) (storage.JobID, error) {
	job, err := s.planner.After(d, call, opts...)
	return s.insert(job, opts, err, func(k *dispatch.KeyedCall) (storage.IdempotencyKey, error) {
		return k.OfAfter(s.planner, d, call, opts)
	})
}

// RunAt implements dispatch.Scheduler. The job is durable when it returns.
func (s *remoteScheduler) RunAt(t time.Time, call dispatch.Call, opts ...dispatch.RunOption) (storage.JobID, error) {
	job, err := s.planner.At(t, call, opts...)
	return s.insert(job, opts, err, func(k *dispatch.KeyedCall) (storage.IdempotencyKey, error) { return k.OfAt(s.planner, t, call, opts) })
}

// insert schedules the job. keyOf makes the idempotency key of the call, if it has one.
func (s *remoteScheduler) insert(job storage.Job, opts []dispatch.RunOption, err error, keyOf func(*dispatch.KeyedCall) (storage.IdempotencyKey, error)) (storage.JobID, error) {
	if err != nil {
		return "", err
	}
	ctx, keyed, err := dispatch.TakeIdempotencyKey(s.ctx)
	if err != nil {
		return "", err
	}
	var key storage.IdempotencyKey
	if keyed != nil {
		if key, err = keyOf(keyed); err != nil {
			return "", err
		}
	}
	var done storage.Told // the actor's, until it answers: a caller who gives up must not touch it
	err = s.eng.operate(ctx, s.app, &operation{from: s.from, sheds: true}, func(app *appState, tx *storage.Tx) (err error) {
		if keyed == nil {
			done, err = tx.JobWriter().Schedule(job)
		} else {
			done, err = app.scheduleOnce(tx, &key, job)
		}
		tx.Concerns(string(done.ID))
		return err
	})
	if err != nil {
		return "", err
	}
	dispatch.TellScheduled(opts, done)
	return done.ID, nil
}

// RunMany implements dispatch.Scheduler. The jobs are durable when it returns.
func (s *remoteScheduler) RunMany(calls []dispatch.Scheduled) ([]storage.JobID, error) {
	jobs, err := s.planner.Many(calls)
	if err != nil || len(jobs) == 0 {
		return nil, err
	}
	if _, keyed, err := dispatch.TakeIdempotencyKey(s.ctx); err != nil || keyed != nil {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "an idempotency key is of one call: RunMany has none")
	}
	var told []storage.Told // the actor's, until it answers
	err = s.eng.operate(s.ctx, s.app, &operation{from: s.from, sheds: true}, func(app *appState, tx *storage.Tx) (err error) {
		told, err = dispatch.InsertMany(tx.Bounded(&app.limits.TxLimits), jobs)
		return err
	})
	if err != nil {
		return nil, err
	}
	return dispatch.TellMany(calls, told), nil
}

// List implements dispatch.Scheduler. It reads committed state.
func (s *remoteScheduler) List(filter storage.JobFilter) (page storage.JobPage, err error) {
	err = s.eng.read(s.ctx, s.app, s.from, func(r storage.Reader) (err error) {
		page, err = r.System().List(filter)
		return err
	})
	return page, err
}

// Get implements dispatch.Scheduler. It reads committed state.
func (s *remoteScheduler) Get(id storage.JobID) (job storage.Job, ok bool, err error) {
	err = s.eng.read(s.ctx, s.app, s.from, func(r storage.Reader) (err error) {
		job, ok, err = r.System().Get(id)
		return err
	})
	return job, ok && err == nil, err
}

// Reschedule implements dispatch.Scheduler. The change is durable when it returns.
func (s *remoteScheduler) Reschedule(id storage.JobID, changes ...dispatch.ChangeOption) (storage.Rescheduling, error) {
	c, err := s.planner.Changes(changes...)
	if err != nil {
		return storage.Rescheduling{}, err
	}
	var answer storage.Rescheduling // the actor's, until it answers
	err = s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) (err error) {
		answer, err = c.Make(tx.JobWriter(), id)
		return err
	})
	if err != nil {
		return storage.Rescheduling{}, err
	}
	return answer, nil
}

// Cancel implements dispatch.Scheduler. The cancel is durable when it returns.
func (s *remoteScheduler) Cancel(id storage.JobID, opts ...dispatch.CancelOption) (storage.Cancellation, error) {
	var answer storage.Cancellation // this and those below are the actor's, until it answers
	var of *storage.Descendants
	var n int
	more := dispatch.Cascades(opts)
	err := s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) (err error) {
		of = tx.JobWriter().DescendantsOf(id)
		answer, err = tx.JobWriter().CancelJob(id)
		return err
	})
	if err != nil {
		return storage.Cancellation{}, err
	}
	for more {
		err := s.eng.change(s.ctx, s.app, s.from, func(tx *storage.Tx) (err error) {
			n, more, err = tx.JobWriter().CancelDescendants(of, bulkChunk)
			return err
		})
		if err != nil {
			return answer, err
		}
		answer.Along += n
	}
	return answer, nil
}
