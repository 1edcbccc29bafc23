package actors

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/actors/internal/timing"
	"carillon/dispatch"
	"carillon/internal/inturn"
	"carillon/storage"
)

// Engine runs the apps of one directory. Its methods may be called from any
// goroutine.
type Engine struct {
	opts     Options
	store    *storage.Store
	clock    *clock
	timers   *timing.Timers // nil: Go's own
	sys      *system
	handlers *handlers
	broker   *permitBroker
	claimed  claimTotal

	sharedPools *sharedPools
	directory   *directory
	waker       *waker
	declared    declared
	registry    string // fingerprint of the functions
	pools       map[string]*dispatch.Pool

	ctx     context.Context // of everything that runs without a caller
	cancel  context.CancelCauseFunc
	closing atomic.Bool

	hooks    hooks
	alerts   *alerts
	waiters  waiters
	feeds    feeds
	resumes  chan struct{} // full while as many watches as may read what they have missed in the log
	lives    lives
	instants instants
	bells    bells
	overdues overdues
	lapse    lapse
	surveys  surveys
	aborted  atomic.Bool   // by abort: nothing more is written
	ends     atomic.Bool   // Close, or what ends it besides, has begun
	ended    chan struct{} // closed when that has returned, with closed
	closed   error
	fault    atomic.Pointer[error] // of an actor that all apps share

	purgedDead atomic.Int64
	shed       atomic.Int64
	meters     meters
	history    history
	apps       appHistories
	functions  map[*dispatch.Function]*functionMeter
}

// Open opens the directory, making it as needed, and becomes its only owner. It
// takes up at once what is due or was interrupted, and touches no other app. It
// does not block for longer than Options.LockTimeout a volume. If options,
// functions, tables or triggers are at fault it touches no file, and the error
// names all that are; other errors are storage.ErrLocked, storage.ErrFormat, or
// the file system's.
//
// With Options.Log the directory is that of a node's copies, which Open makes if there are none. While another node
// owns the store it waits for Options.LockTimeout, and until the TTL of one that has crashed is over, and returns
// storage.ErrLocked then: a standby is made by Join. The engine ends when its lease is lost (Engine.Lost): close it,
// and open another one. Close leaves the log.
func Open(dir string, opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	plans, err := opts.check()
	if err != nil {
		return nil, err
	}
	store, err := storage.Open(dir, opts.storage())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return openOn(store, opts, plans)
}

// openOn opens an engine on the store, which it closes when it cannot, and else when it ends. plans are the
// declared triggers.
func openOn(store *storage.Store, opts Options, plans []storage.Trigger) (*Engine, error) {
	opts.Functions.Seal()
	clock, err := newClock(&opts, store)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	if clock.eras.behind > 0 {
		opts.Logger.Warn("the wall clock is behind what was written down last", "step", -clock.eras.behind)
	}
	e := &Engine{opts: opts, store: store, clock: clock, sys: newSystem(opts.Logger), pools: opts.pools()}
	e.timers, e.resumes = timing.NewTimers(), make(chan struct{}, resumesAtOnce)
	e.meters.late.Unit = int64(time.Millisecond)
	e.lives.stale.Unit = int64(time.Millisecond)
	e.declared = declare(plans, opts.Crons)
	e.registry = opts.registry()
	e.ctx, e.cancel = context.WithCancelCause(context.Background())
	e.functions = functionMeters(opts.Functions)
	e.lapse, e.ended = newLapse(opts.leaseOf(store)), make(chan struct{})
	e.handlers = &handlers{eng: e}
	e.hooks = hooks{opts.Functions.DeadHooks(), opts.Functions.StuckHooks()}
	e.alerts = e.newAlerts()
	e.broker = newPermitBroker(e.sys, opts.Concurrency)
	e.claimed.limit, e.claimed.ofApp = opts.Testing.Claims, opts.Testing.ClaimBytes
	e.sharedPools = newSharedPools(e.pools, clock, func(app *appState, at storage.Lane) { e.sys.tell(app.scheduler, &poolGiven{at}) })
	e.sharedPools.remember(store.Starts, opts.Logger)
	e.directory = &directory{
		eng: e, gone: make(chan struct{}), byPID: map[string]*appRef{},
		asleep: map[storage.AppID][]*acquireApp{}, held: map[storage.AppID][]*holdApp{},
		lost:   map[storage.AppID]map[storage.ClaimID]*ending{},
		census: census{eng: e, most: opts.MaxApps},
	}
	if err := e.directory.census.begin(); err != nil {
		opts.Logger.Warn("counting the apps", "err", err)
	}
	e.waker = &waker{eng: e, gone: make(chan struct{}), failing: map[string]string{}}
	// Addresses are known before any actor runs: the actors tell each other at once.
	e.broker.self = e.sys.address("broker")
	e.directory.self = e.sys.address("directory")
	e.waker.self = e.sys.address("waker")
	e.sys.spawn("broker", func() actor.Actor { return &shared{e.broker, e, "broker"} })
	e.sys.spawn("directory", func() actor.Actor { return &shared{e.directory, e, "directory"} })
	e.sys.spawn("waker", func() actor.Actor { return &shared{e.waker, e, "waker"} })
	clock.watch(func(era storage.Era) { e.sys.tell(e.waker.self, &clockStepped{era}) })
	e.waker.rescan()
	if e.lapse.lease != nil {
		go e.watchLease()
	}
	if opts.Testing.Opened != nil {
		opts.Testing.Opened(e.abort)
	}
	return e, nil
}

// check says what is wrong with the program, as far as its shape tells: all of
// it at once. plans are the declared triggers.
func (o *Options) check() (plans []storage.Trigger, err error) {
	errs := []error{o.validate(), o.storage().Check(), o.checkPools()}
	if o.Functions != nil {
		plans, err = o.planner().CheckTriggers(o.Crons)
		errs = append(errs, o.Functions.Check(), err, o.checkAlerts())
	}
	return plans, errors.Join(errs...)
}

// storage are the options of the store.
func (o *Options) storage() storage.Options {
	opts := storage.Options{
		Volumes: o.Volumes, LockTimeout: o.LockTimeout, Tables: o.Tables, MaxJobs: o.MaxJobs, MaxArgBytes: o.MaxArgBytes, MaxResultBytes: o.MaxResultBytes, MaxCheckpointBytes: o.MaxCheckpointBytes,
		Program: o.Program, AdoptEmpty: o.AdoptEmpty, ReadOnly: o.ReadOnly,
		CheckTrigger: dispatch.CheckStored, Logger: o.Logger, NoSync: o.Testing.NoSync, Fault: o.Testing.Fault,
		LogMemory: o.Testing.LogMemory, LogSegment: o.Testing.LogSegment, LogKeep: o.LogKeep,
		Log: o.Log, Node: o.Node,
	}
	if o.Functions != nil {
		opts.Packages = o.Functions.Packages()
	}
	return opts
}

// planner checks what the host schedules.
func (o *Options) planner() dispatch.Planner {
	return dispatch.Planner{Registry: o.Functions, Limits: o.Limits, Pools: o.pools(), Clock: func() (time.Time, storage.EraID) { return o.Testing.Clock(), 0 }}
}

func (e *Engine) planner() dispatch.Planner {
	p := e.opts.planner()
	p.Clock, p.Pools = e.clock.due, e.pools
	return p
}

// App returns the app of that name, which need not exist yet: it comes into
// being with its first committed change. The error is about the name only.
func (e *Engine) App(id storage.AppID) (*App, error) {
	if err := id.Check(); err != nil {
		return nil, dispatch.AsError(err)
	}
	return &App{eng: e, id: id}, nil
}

// Apps returns the names of all apps that exist, sorted. Like a query it waits
// for a sync that is under way, so that it names no app that a crash could take.
func (e *Engine) Apps() ([]storage.AppID, error) {
	ids, err := e.store.Apps()
	if err = e.lapse.answer(err); err != nil {
		return nil, dispatch.AsError(err)
	}
	return ids, nil
}

// Export writes an app, as of one moment, to w, while it runs.
func (e *Engine) Export(ctx context.Context, id storage.AppID, w io.Writer) error {
	return asError(e.lapse.answer(e.store.Export(ctx, id, e.lapse.writer(w))))
}

// Backup writes the whole store, all apps, as of one moment, to w, while it runs. With since,
// the Position of an earlier backup, it writes what was committed after that; if the log does
// not go back that far it writes everything, and BackupInfo.Since is "". storage.Restore makes
// a store of backups.
//
// It reads before it writes, into a nameless file of the directory as large as the backup, so
// a w that blocks holds nothing up. One backup is made at a time, others wait. An error is
// invalid_argument for a since that is none, data_loss, which names what is damaged, unavailable,
// or that of ctx or of w: what was written then is of no use.
func (e *Engine) Backup(ctx context.Context, w io.Writer, since string) (storage.BackupInfo, error) {
	if e.closing.Load() {
		return storage.BackupInfo{}, errShutdown()
	}
	info, err := e.store.Backup(ctx, e.lapse.writer(w), since)
	return info, asError(e.lapse.answer(err))
}

// Import makes an app from what Export wrote, under any name that is free. It
// appears whole and durable when Import returns nil, and not at all otherwise.
// Calls of that name wait meanwhile, for Options.MutationTimeout at most.
func (e *Engine) Import(ctx context.Context, id storage.AppID, r io.Reader) error {
	if e.closing.Load() {
		return errShutdown()
	}
	// Nothing is stopped for a name that is taken.
	if err := e.store.Free(id); err != nil {
		return asError(e.lapse.answer(err))
	}
	// An app of that name may be live without existing, and must look again.
	release, err := e.hold(ctx, id, true)
	if err != nil {
		return err
	}
	defer release()
	if err := e.store.Import(ctx, id, r, e.auditOf(ctx, id)...); err != nil {
		return asError(err)
	}
	e.feeds.lookAgain(id, resetMade)
	e.bells.ring(id)
	e.instants.forget(id)
	e.lives.gone(id, dispatch.Errorf(dispatch.CodeAborted, "app %s was imported", id))
	e.waker.wakeUp(id) // as soon as it is released, to look at the declared triggers
	return nil
}

// Delete removes an app for good. Calls inside it are served first; running jobs
// are told to stop and have Options.Grace to return; calls that come meanwhile wait
// for Options.MutationTimeout at most. The name is free again when Delete returns.
// If ctx ends before the app has stopped, Delete changes nothing: the app goes on,
// and jobs that were told to stop are run again, uncharged. It is refused inside a
// mutation or an action of the app.
func (e *Engine) Delete(ctx context.Context, id storage.AppID) error {
	if e.closing.Load() {
		return errShutdown()
	}
	release, err := e.hold(ctx, id, false)
	if err != nil {
		return err
	}
	defer release()
	err = e.store.Delete(id, e.auditOf(ctx, id)...)
	if err == nil {
		e.waiters.lookAgain(id, true)
		e.feeds.lookAgain(id, resetDeleted)
		e.bells.ring(id)
		e.instants.forget(id)
		e.apps.forget(id)
		e.lives.gone(id, dispatch.Errorf(dispatch.CodeNotFound, "app %s was deleted", id))
		e.overdues.set(id, nil)
	}
	return asError(err)
}

// Check verifies every structure of the store (G7); it may run beside traffic.
func (e *Engine) Check() error { return e.store.Check() }

// asError is AsError for a result that may be no error.
func asError(err error) error {
	if err == nil {
		return nil
	}
	return dispatch.AsError(err)
}

// acquire finds or wakes the app for a caller.
func (e *Engine) acquire(ctx context.Context, id storage.AppID, from *source) (*appRef, error) {
	if e.closing.Load() && from == nil {
		return nil, e.lapse.refusal()
	}
	return e.directory.acquire(ctx, id, from)
}

// admit asks Options.Admit.
func (e *Engine) admit(ctx context.Context, id storage.AppID) error {
	if e.opts.Admit == nil || ctx.Value(made{}) != nil {
		return nil
	}
	err := e.store.Free(id)
	exists := errors.Is(err, storage.ErrExists)
	if err == nil || exists {
		err = e.opts.Admit(ctx, id, exists)
	}
	return asError(err)
}

// invoke sends an invocation to the app's Runner and waits for its result.
func (e *Engine) invoke(ctx context.Context, id storage.AppID, call dispatch.Invocation, from *source) (value json.RawMessage, err error) {
	defer func() { from.note(err) }()
	if inturn.In(ctx, string(id)) {
		return nil, &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Path: call.Path, Err: storage.ErrReentrant,
			Message: "called from inside a mutation of the same app: run it through the mutation's context",
		}
	}
	if e.opts.Still {
		return nil, errStill(call.Path)
	}
	ctx, key, err := dispatch.TakeIdempotencyKey(ctx)
	if err != nil {
		return nil, err
	}
	ctx, commit := takeCommit(ctx)
	ref, err := e.acquire(ctx, id, from)
	if err != nil {
		return nil, err
	}
	done := make(chan result, 1)
	inv := &invocation{Invocation: call, ctx: dispatch.TraceRun(ctx, nil), from: from, key: key}
	inv.answer = func(r result) {
		ref.release()
		done <- r
	}
	e.sys.tell(ref.app.runner, inv)
	r, err := await(ctx, e, id, call.Path, &inv.start, done)
	if err != nil {
		return nil, err
	}
	if commit != nil {
		*commit = r.commit
	}
	return r.value, asError(r.err)
}

// errStill answers a call of a function of an engine that is still.
func errStill(path string) error {
	return &dispatch.Error{Code: dispatch.CodeFailedPrecondition, Path: path, Message: "the engine is still: it calls no function"}
}

// change has the app's SchedulerActor make a change and waits until it is
// durable. If ctx ends first the outcome is not known.
func (e *Engine) change(ctx context.Context, id storage.AppID, from *source, fn func(*storage.Tx) error) error {
	return e.operate(ctx, id, &operation{from: from}, func(_ *appState, tx *storage.Tx) error { return fn(tx) })
}

// add is change for what makes more work: it is shed while the app is overloaded.
func (e *Engine) add(ctx context.Context, id storage.AppID, from *source, fn func(*storage.Tx) error) error {
	return e.operate(ctx, id, &operation{from: from, sheds: true}, func(_ *appState, tx *storage.Tx) error { return fn(tx) })
}

// changeApp is change for what needs the app as well.
func (e *Engine) changeApp(ctx context.Context, id storage.AppID, from *source, fn func(*appState, *storage.Tx) error) error {
	return e.operate(ctx, id, &operation{from: from}, fn)
}

// operate has the app's SchedulerActor do the operation, which makes the change.
func (e *Engine) operate(ctx context.Context, id storage.AppID, op *operation, fn func(*appState, *storage.Tx) error) (err error) {
	from := op.from
	defer func() { from.note(err) }()
	if inturn.In(ctx, string(id)) {
		return &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Err: storage.ErrReentrant,
			Message: "called from inside a mutation of the same app: use the mutation's own scheduler",
		}
	}
	ref, err := e.acquire(ctx, id, from)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	op.ctx = ctx
	op.change = func(tx *storage.Tx) error { return fn(ref.app, tx) }
	op.answer = func(err error) {
		if err == nil && op.durable != nil {
			op.durable(ref.app)
		}
		ref.release()
		done <- err
	}
	e.sys.tell(ref.app.scheduler, op)
	failed, err := await(ctx, e, id, "", &op.start, done)
	if err != nil {
		return err
	}
	return asError(failed)
}

// read runs fn on the app's committed state.
func (e *Engine) read(ctx context.Context, id storage.AppID, from *source, fn func(storage.Reader) error) (err error) {
	defer func() { from.note(err) }()
	ref, err := e.acquire(ctx, id, from)
	if err != nil {
		return err
	}
	defer ref.release()
	snap, err := ref.app.store.Snapshot(e.clock.now())
	if err != nil {
		return dispatch.AsError(err)
	}
	defer snap.Close()
	return asError(e.lapse.answer(fn(snap.Reader())))
}

// ErrHandlers is part of Close's error if handlers have not returned.
var ErrHandlers = errors.New("handlers have not returned")

// Close drains and closes the engine: new calls are refused, those inside are
// served, no job starts any more, and running jobs may finish until ctx ends;
// then their contexts are canceled, and they have Options.Grace to return: Close
// returns by then. What is cut off is written down as interrupted, spends no attempt, and is
// taken up when the directory is opened again. Close returns when nothing of the
// engine runs; if handlers have not returned even then, the error is ErrHandlers and
// says how many. For stuck handlers (Engine.Stuck) it waits for Options.Grace only. A
// second Close waits for the first and returns the same.
func (e *Engine) Close(ctx context.Context) error {
	err := e.end(func() error { return e.shutdown(ctx) })
	e.lapse.wait()
	return err
}

// end ends the engine, in that way, if nothing has begun to, and returns when it has ended.
func (e *Engine) end(way func() error) error {
	if e.ends.CompareAndSwap(false, true) {
		e.closing.Store(true)
		e.closed = way()
		close(e.ended)
	}
	<-e.ended
	return e.closed
}

func (e *Engine) shutdown(ctx context.Context) error {
	quiet := make(chan struct{})
	go func() {
		defer close(quiet)
		e.drain()
	}()
	select {
	case <-quiet:
	case <-e.ctx.Done(): // its lease has ended
	case <-ctx.Done():
		e.cancel(cutByClose)
	}
	over, forget := e.grace() // one for all that is still waited for
	defer forget()
	select {
	case <-quiet:
	case <-over:
	}
	return e.stop(e.store.Close, over)
}

// grace returns a channel that is closed Options.Grace from now, unless forgotten.
func (e *Engine) grace() (over <-chan struct{}, forget func()) {
	c := make(chan struct{})
	timer := time.AfterFunc(e.opts.Grace, func() { close(c) })
	return c, func() { timer.Stop() }
}

// drain returns when no app has anything under way and no handler runs that is not
// stuck, or when the engine is stopped over its head.
func (e *Engine) drain() {
	drained := make(chan struct{})
	n := 0
	e.directory.each(func(ref *appRef) {
		if !ref.acquire(nil) {
			return // asleep, or going to
		}
		n++
		e.sys.tell(ref.app.scheduler, &drain{done: func() {
			ref.release()
			select {
			case drained <- struct{}{}:
			case <-e.directory.gone:
			}
		}})
	})
	for range n {
		select {
		case <-drained:
		case <-e.directory.gone:
			return
		}
	}
	e.handlers.wait(false, e.directory.gone)
}

// abort stops the engine as Testing.Opened says.
func (e *Engine) abort() error {
	err := e.end(func() error {
		e.aborted.Store(true)
		over, forget := e.grace()
		defer forget()
		return e.stop(e.store.Abort, over)
	})
	e.lapse.wait()
	return err
}

// stop ends the actors, closes the store, and waits for the handlers until over is closed.
func (e *Engine) stop(closeStore func() error, over <-chan struct{}) error {
	e.cancel(cutByClose)
	root := e.sys.actors.Root
	root.Stop(e.waker.self)
	root.Stop(e.directory.self)
	<-e.directory.gone
	<-e.waker.gone
	e.lives.close()
	e.instants.forget("")
	e.surveys.close()
	err := closeStore()
	e.waiters.close()
	e.feeds.close()
	root.Stop(e.broker.self)
	e.sys.actors.Shutdown()
	e.timers.Close()
	e.sharedPools.close()

	returned := e.handlers.wait(true, over)
	e.sys.workers.Close(returned)
	if !returned {
		err = errors.Join(err, fmt.Errorf("%d %w", e.handlers.running(), ErrHandlers))
	}
	return err
}
