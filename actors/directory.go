package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/actors/internal/timing"
	"carillon/dispatch"
	"carillon/storage"
)

// directory is the one spawner of app actors, and how callers find them. A
// caller acquires an app before it sends it anything and releases it when it was
// answered; an app is put to sleep only while no caller is inside. So no message
// is ever sent to an actor that has stopped. What holds an app is in holds.go.
type directory struct {
	eng  *Engine
	self *actor.PID
	live sync.Map // storage.AppID -> *appRef
	gone chan struct{}

	// Below: the actor's.
	byPID  map[string]*appRef
	asleep map[storage.AppID][]*acquireApp               // waiting until the app has stopped, and is not held
	held   map[storage.AppID][]*holdApp                  // the first one holds the app, or waits for it to stop; the others wait for the first
	lost   map[storage.AppID]map[storage.ClaimID]*ending // of apps that stopped before the ends of attempts were durable
	census census
	ending bool // nothing is spawned any more: a late child would never be stopped
}

// appRef is a live app.
type appRef struct {
	id       storage.AppID
	app      *appState
	pid      *actor.PID // the app's supervisor
	door     door
	listed   chan struct{} // closed once callers find the app: no job of it begins before
	admitted atomic.Bool
	woken    atomic.Bool // the app tells the waker when it has looked at what it has to do
	fresh    bool        // the app did not exist when it was spawned
	next     time.Time   // of one that has fallen asleep, when it has something to do, or zero

	drains uint64 // how often the app was told to drain for a hold, or to go on; the directory's
}

// acquire lets a caller in, unless the app drains or has stopped. A call from an
// action of the app is let in while it drains, since the drain waits for that action.
func (r *appRef) acquire(from *source) bool {
	if !r.door.enter(from != nil) {
		return false
	}
	for _, m := range r.app.members {
		m.Hurry()
	}
	return true
}

// awaited says whether a caller is inside, or a hold waits, and so waits for the app's
// actors.
func (r *appRef) awaited() bool { return r.door.state.Load() != 0 }

// release lets a caller out. The last one out of an app that has drained lets it stop.
func (r *appRef) release() {
	if r.door.leave() {
		d := r.app.eng.directory
		d.eng.sys.tell(d.self, &lastLeft{r})
	}
}

// The messages to the directory.
type (
	acquireApp struct {
		id     storage.AppID
		answer func(*appRef, error) // acquired; nil: only to wake it
	}
	holdApp struct {
		id    storage.AppID
		makes bool          // for an app to be made
		done  chan struct{} // closed when the app has stopped, or was not live
		err   error         // set before that: there are too many apps

		// Below: the directory's.
		given   bool // done is closed
		existed bool // the app did then
		counted bool // the census has one for it
	}
	releaseApp struct{ hold *holdApp } // the hold is over, or given up
	appDrained struct {
		ref    *appRef
		drains uint64
	} // that drain of the app has come to its end
	appSettled struct{ ref *appRef } // what an app that has stopped had submitted is in the file, or never will be
	lastLeft   struct{ ref *appRef } // the last caller has left an app that drains
	sleepApp   struct{ ref *appRef } // the app has fallen asleep
)

// acquire finds the app, or has it spawned, and acquires it. from is the action that
// calls, or nil: then Options.Admit is asked, unless it has been since the app is
// live. The wait for an app that is held, or slow to open, is bounded by
// Options.MutationTimeout.
func (d *directory) acquire(ctx context.Context, id storage.AppID, from *source) (*appRef, error) {
	within := from
	if within == nil {
		within = actionIn(ctx, id)
	}
	if v, ok := d.live.Load(id); ok {
		if ref := v.(*appRef); (from != nil || ref.admitted.Load()) && ref.acquire(within) {
			return ref, nil
		}
	}
	if from == nil {
		// Before anything is spawned: who is refused takes no memory.
		if err := d.eng.admit(ctx, id); err != nil {
			return nil, err
		}
		if v, ok := d.live.Load(id); ok {
			if ref := v.(*appRef); ref.acquire(within) {
				ref.admitted.Store(true)
				return ref, nil
			}
		}
	} else {
		// The app does not stop before its actions are over, and waits for no call of theirs.
		if err := from.refusal(); err != nil {
			return nil, err
		}
		return nil, errShutdown()
	}
	type answer struct {
		ref *appRef
		err error
	}
	got := make(chan answer, 1)
	d.eng.sys.tell(d.self, &acquireApp{id, func(ref *appRef, err error) { got <- answer{ref, err} }})
	giveUp := func(err error) (*appRef, error) {
		go func() { // a caller that was let in must release
			select {
			case a := <-got:
				if a.err == nil {
					a.ref.release()
				}
			case <-d.gone:
			}
		}()
		return nil, err
	}
	bound := time.NewTimer(d.eng.opts.MutationTimeout)
	defer bound.Stop()
	select {
	case a := <-got:
		if a.err == nil {
			a.ref.admitted.Store(true)
		}
		return a.ref, a.err
	case <-ctx.Done():
		return giveUp(contextError(ctx, ""))
	case <-bound.C:
		return giveUp(dispatch.Errorf(dispatch.CodeUnavailable, "app %s is being opened, deleted or imported; nothing was changed", id))
	case <-d.gone:
		return nil, errShutdown()
	}
}

// wake has the app spawned if it is not live. Either way the waker, whose call
// this is, is sent an appAwake.
func (d *directory) wake(id storage.AppID) {
	d.eng.sys.tell(d.self, &acquireApp{id: id})
}

// sleep puts the app to sleep until next (zero: until it is called), unless a
// caller is inside. After true the app's actors are sent nothing more.
func (d *directory) sleep(ref *appRef, next time.Time) bool {
	if !ref.door.move(appSleeps) {
		return false
	}
	ref.next = next
	d.eng.sys.tell(d.self, &sleepApp{ref})
	return true
}

// each calls fn for every live app.
func (d *directory) each(fn func(*appRef)) {
	d.live.Range(func(_, v any) bool {
		fn(v.(*appRef))
		return true
	})
}

// Receive implements the actor.
func (d *directory) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *acquireApp:
		d.admit(c, m)
	case *sleepApp:
		c.Stop(m.ref.pid)
	case *holdApp:
		d.hold(c, m)
	case *releaseApp:
		d.release(c, m.hold)
	case *appDrained:
		if m.drains == m.ref.drains {
			m.ref.door.move(appHasDrained)
			d.stopDrained(c, m.ref)
		}
	case *lastLeft:
		d.stopDrained(c, m.ref)
	case *actor.Terminated:
		d.ended(c, m.Who)
	case *appSettled:
		d.forget(c, m.ref)
	case *actor.Stopping:
		d.ending = true
	case *actor.Stopped:
		close(d.gone)
	}
}

func (d *directory) admit(c actor.Context, m *acquireApp) {
	if v, ok := d.live.Load(m.id); ok {
		ref := v.(*appRef)
		p, _ := ref.door.load()
		switch {
		case m.answer == nil && p == doorOpen:
			d.eng.sys.tell(d.eng.waker.self, &appAwake{})
		case m.answer != nil && ref.acquire(nil):
			m.answer(ref, nil)
		default:
			d.asleep[m.id] = append(d.asleep[m.id], m)
		}
		return
	}
	if d.ending || m.answer == nil && d.eng.closing.Load() {
		if m.answer != nil {
			m.answer(nil, errShutdown())
		}
		return // what it has to do is not begun any more
	}
	if len(d.held[m.id]) > 0 {
		d.asleep[m.id] = append(d.asleep[m.id], m)
		return
	}
	var ref *appRef
	var err error
	if fault := d.eng.guard("directory", m, func() { ref, err = d.spawn(c, m) }); fault != nil {
		// What it reads of the app may be damaged in a way that no check has foreseen.
		err = fmt.Errorf("%w: %w", storage.ErrCorrupt, fault)
	}
	if err != nil && !errors.Is(err, errTooManyApps) {
		d.eng.opts.Logger.Error("opening an app", "app", m.id, "err", err)
	}
	switch {
	case m.answer != nil && err != nil:
		m.answer(nil, named(m.id, err))
	case m.answer != nil:
		m.answer(ref, nil)
	case ref == nil:
		d.eng.sys.tell(d.eng.waker.self, &appAwake{id: m.id, err: err})
		if err == nil {
			d.eng.sys.tell(d.eng.waker.self, &appRolledOut{m.id, storage.EraID(d.eng.clock.latestStep.Load())})
		}
	}
}

// named has an error of what is stored say whose that is.
func named(id storage.AppID, err error) error {
	e := dispatch.AsError(err)
	if e.Code != dispatch.CodeDataLoss {
		return e
	}
	return &dispatch.Error{Code: e.Code, Message: fmt.Sprintf("app %s cannot be opened: %s", id, e.Message), Err: err}
}

// spawn opens the app's state and starts its actors. It returns nil if there is
// nothing to wake.
func (d *directory) spawn(c actor.Context, m *acquireApp) (*appRef, error) {
	id := m.id
	store, err := d.eng.store.App(id)
	if err != nil {
		return nil, err
	}
	d.eng.waiters.lookAgain(id, false)
	d.eng.feeds.lookAgain(id, "")
	ref := &appRef{id: id, fresh: !store.Stored(), listed: make(chan struct{})}
	if ref.fresh {
		if _, named := d.eng.declared.of(id); m.answer == nil && !named {
			return nil, nil // it was removed meanwhile
		}
		// What the program's triggers name is made whatever there is.
		if err := d.census.add(m.answer == nil); err != nil {
			return nil, err
		}
	}
	if m.answer != nil {
		ref.door.enter(false) // from the very beginning, or it could fall asleep before it is acquired
	} else {
		ref.woken.Store(true)
	}
	ref.app = &appState{eng: d.eng, id: id, store: store, runs: newRuns(d.eng.opts.Functions), ref: ref, limits: d.eng.limitsOf(id)}
	ref.app.starts.most = ref.app.limits.StartsPerSecond
	ref.app.pools = newPools(ref.app)
	if lost := d.lost[id]; lost != nil {
		ref.app.runs.lost = lost
		delete(d.lost, id)
	}
	ref.app.planner = newPlanner(id, store.Epoch(), ref.app.runs, d.eng)
	ref.app.crons = ref.app.newCrons
	// Readers do not wait for the SchedulerActor.
	store.SetMaxJobs(ref.app.limits.MaxJobs)
	store.SetMaxArgBytes(ref.app.limits.MaxArgBytes)
	store.SetMaxResultBytes(ref.app.limits.MaxResultBytes)
	store.SetMaxCheckpointBytes(ref.app.limits.MaxCheckpointBytes)
	store.SetRetention(d.eng.opts.Retention)
	store.SetDeadRetention(d.eng.opts.DeadRetention)
	store.SetClock(d.eng.clock.due)
	store.SetRegistry(d.eng.registry)
	store.SetLive(ref.app.runs.live)
	store.SetWaits(ref.app.waits)
	store.SetProgress(ref.app.runs.progressOf)
	store.SetStopping(ref.app.runs.stopping)
	store.SetNames(ref.app.runs.names.others)
	sup := &supervisor{app: ref.app}
	sup.ready.Add(1)
	// It gets hardly a message, and this mailbox has no room until one comes.
	ref.pid, err = c.SpawnNamed(d.eng.sys.props("app", func() actor.Actor { return sup }, actor.WithMailbox(actor.UnboundedLockfree())), "app/"+string(id))
	if err != nil {
		if ref.fresh {
			d.census.stopped(id)
		}
		return nil, err
	}
	// The directory is told once that it has stopped, as its parent. It must not
	// watch it, too: told a second time it would take it for the app's next life.
	// The children's addresses are part of the app's state before a caller finds it.
	sup.ready.Wait()
	d.byPID[ref.pid.Id] = ref
	d.live.Store(id, ref)
	close(ref.listed)
	d.eng.meters.wakes.Add(1)
	return ref, nil
}

// ended takes note that the app's actors have stopped. The next App of the name, or
// what holds it, reads the file: not before that has all that this one has submitted.
func (d *directory) ended(c actor.Context, pid *actor.PID) {
	ref := d.byPID[pid.Id]
	if ref == nil {
		return
	}
	delete(d.byPID, pid.Id)
	// The library's list of children keeps the addresses of some that are gone,
	// and an address all of its actor.
	pid.Reset()
	if ref.app.store.InFlight() {
		ref.app.store.Settle(func() { d.eng.sys.tell(d.self, &appSettled{ref}) })
		return
	}
	d.forget(c, ref)
}

// forget has what waits for the app to be gone go on.
func (d *directory) forget(c actor.Context, ref *appRef) {
	d.live.Delete(ref.id)
	if lost := ref.app.runs.lostEnds(); len(lost) > 0 {
		d.lost[ref.id] = lost
	}
	if ref.fresh {
		d.census.stopped(ref.id)
	}
	if held := d.held[ref.id]; len(held) > 0 {
		d.give(held[0])
		return
	}
	d.letIn(c, ref.id)
	if p, _ := ref.door.load(); p == doorAsleep {
		d.eng.meters.hibernations.Add(1)
		asleep := &appAsleep{at: ref.next}
		if ref.app.uncorrected() {
			asleep.again = ref.id
		}
		d.eng.sys.tell(d.eng.waker.self, asleep)
	} else {
		d.eng.waker.rescan()
	}
}

// letIn lets those in who have waited for the app.
func (d *directory) letIn(c actor.Context, id storage.AppID) {
	waiting := d.asleep[id]
	delete(d.asleep, id)
	for _, m := range waiting {
		d.admit(c, m)
	}
}

// supervisor is the actor above one app's two. It is replaced by nothing: when
// it stops, the app is asleep.
type supervisor struct {
	app   *appState
	ready sync.WaitGroup // for the children's addresses
	once  sync.Once
}

// Receive implements the actor.
func (p *supervisor) Receive(c actor.Context) {
	if _, ok := c.Message().(*actor.Started); !ok {
		return
	}
	sys := p.app.eng.sys
	spawn := func(name string, producer func() actor.Actor) *actor.PID {
		member := sys.gate.Member(&p.app.share, p.app.ref.awaited)
		p.app.members = append(p.app.members, member)
		pid, err := c.SpawnNamed(sys.memberProps(name, member, producer), name)
		if err != nil {
			panic(fmt.Sprintf("actors: spawn %s of app %s: %v", name, p.app.id, err))
		}
		return pid
	}
	// The SchedulerActor waits for its first message until it knows the Runner.
	p.app.runner = spawn("runner", func() actor.Actor { return &runner{app: p.app} })
	p.app.scheduler = actor.NewPID(c.Self().Address, c.Self().Id+"/scheduler")
	spawn("scheduler", func() actor.Actor { return &scheduler{appState: p.app, alarm: timing.Alarm{Timers: p.app.eng.timers}} })
	p.once.Do(p.ready.Done)
}
