package actors

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/dispatch"
	"carillon/storage"
)

// directory is the one spawner of app actors, and how callers find them. A
// caller enters an app before it sends it anything and leaves it when it was
// answered; an app is put to sleep only while nobody is inside. So no message
// is ever sent to an actor that has stopped.
type directory struct {
	eng  *Engine
	self *actor.PID
	live sync.Map // storage.AppID -> *appRef
	gone chan struct{}

	// Below: the actor's.
	byPID   map[string]*appRef
	asleep  map[storage.AppID][]*enterApp // waiting until the app has stopped
	deleted map[storage.AppID][]*dropApp
}

// appRef is a live app. inside counts who is in; asleep means nobody can enter
// any more.
type appRef struct {
	id       storage.AppID
	app      *appState
	pid      *actor.PID // the app's supervisor
	inside   atomic.Int64
	admitted atomic.Bool
}

const asleep = -1 << 40

func (r *appRef) enter() bool {
	for {
		n := r.inside.Load()
		if n < 0 {
			return false
		}
		if r.inside.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (r *appRef) leave() { r.inside.Add(-1) }

// The messages to the directory.
type (
	enterApp struct {
		id     storage.AppID
		answer func(*appRef, error) // entered; nil: only to wake it
	}
	dropApp struct {
		id   storage.AppID
		done func() // called when the app has stopped, or was not live
	}
	sleepApp struct{ ref *appRef }
)

// enter finds the app, or has it spawned, and enters it.
func (d *directory) enter(ctx context.Context, id storage.AppID) (*appRef, error) {
	if v, ok := d.live.Load(id); ok {
		if ref := v.(*appRef); ref.enter() {
			return ref, nil
		}
	}
	type answer struct {
		ref *appRef
		err error
	}
	got := make(chan answer, 1)
	d.eng.sys.tell(d.self, &enterApp{id, func(ref *appRef, err error) { got <- answer{ref, err} }})
	select {
	case a := <-got:
		return a.ref, a.err
	case <-ctx.Done():
		go func() { // whoever is let in must leave
			select {
			case a := <-got:
				if a.err == nil {
					a.ref.leave()
				}
			case <-d.gone:
			}
		}()
		return nil, contextError(ctx, "")
	case <-d.gone:
		return nil, errShutdown()
	}
}

// wake has the app spawned if it is not live.
func (d *directory) wake(id storage.AppID) { d.eng.sys.tell(d.self, &enterApp{id: id}) }

// sleep puts the app to sleep, unless somebody is inside. After true the app's
// actors are sent nothing more.
func (d *directory) sleep(ref *appRef) bool {
	if !ref.inside.CompareAndSwap(0, asleep) {
		return false
	}
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
	case *enterApp:
		d.admit(c, m)
	case *sleepApp:
		c.Stop(m.ref.pid)
	case *dropApp:
		d.drop(c, m)
	case *actor.Terminated:
		d.stopped(c, m.Who)
	case *actor.Stopped:
		close(d.gone)
	}
}

func (d *directory) admit(c actor.Context, m *enterApp) {
	if v, ok := d.live.Load(m.id); ok {
		ref := v.(*appRef)
		switch {
		case m.answer == nil && ref.inside.Load() >= 0:
		case m.answer != nil && ref.enter():
			m.answer(ref, nil)
		default:
			d.asleep[m.id] = append(d.asleep[m.id], m)
		}
		return
	}
	ref, err := d.spawn(c, m.id)
	if err != nil {
		d.eng.opts.Logger.Error("opening an app", "app", m.id, "err", err)
		if m.answer != nil {
			m.answer(nil, dispatch.AsError(err))
		}
		return
	}
	if m.answer != nil {
		ref.inside.Add(1)
		m.answer(ref, nil)
	}
}

// spawn opens the app's state and starts its actors.
func (d *directory) spawn(c actor.Context, id storage.AppID) (*appRef, error) {
	store, err := d.eng.store.App(id)
	if err != nil {
		return nil, err
	}
	ref := &appRef{id: id}
	ref.app = &appState{eng: d.eng, id: id, store: store, runs: newRuns(), clockwork: newClockwork(id), ref: ref}
	ref.app.crons = ref.app.newCrons
	sup := &supervisor{app: ref.app, ready: make(chan struct{})}
	ref.pid, err = c.SpawnNamed(d.eng.sys.props("app", func() actor.Actor { return sup }), "app/"+string(id))
	if err != nil {
		return nil, err
	}
	c.Watch(ref.pid)
	// The children's addresses are part of the app's state before anybody sees it.
	<-sup.ready
	d.byPID[ref.pid.Id] = ref
	d.live.Store(id, ref)
	return ref, nil
}

// drop stops the app's actors for good, as soon as nobody is inside.
func (d *directory) drop(c actor.Context, m *dropApp) {
	v, ok := d.live.Load(m.id)
	if !ok {
		m.done()
		return
	}
	d.deleted[m.id] = append(d.deleted[m.id], m)
	ref := v.(*appRef)
	for {
		n := ref.inside.Load()
		if n < 0 {
			return // it is stopping already
		}
		if ref.inside.CompareAndSwap(n, n+asleep) {
			break
		}
	}
	// Nobody enters any more. Those inside are served; jobs are told to stop.
	for _, r := range ref.app.runs.all() {
		ref.app.runs.stop(r)
	}
	d.eng.sys.tell(ref.app.scheduler, &drain{func() { d.eng.sys.tell(d.self, &sleepApp{ref}) }})
}

// stopped lets those in who have waited for the app to stop.
func (d *directory) stopped(c actor.Context, pid *actor.PID) {
	ref := d.byPID[pid.Id]
	if ref == nil {
		return
	}
	delete(d.byPID, pid.Id)
	d.live.Delete(ref.id)
	for _, m := range d.deleted[ref.id] {
		m.done()
	}
	delete(d.deleted, ref.id)
	waiting := d.asleep[ref.id]
	delete(d.asleep, ref.id)
	for _, m := range waiting {
		d.admit(c, m)
	}
	d.eng.waker.look()
}

// supervisor is the actor above one app's two. It is replaced by nothing: when
// it stops, the app is asleep.
type supervisor struct {
	app   *appState
	ready chan struct{}
	once  sync.Once
}

// Receive implements the actor.
func (p *supervisor) Receive(c actor.Context) {
	if _, ok := c.Message().(*actor.Started); !ok {
		return
	}
	sys := p.app.eng.sys
	spawn := func(name string, producer func() actor.Actor) *actor.PID {
		pid, err := c.SpawnNamed(sys.props(name, producer), name)
		if err != nil {
			panic(fmt.Sprintf("actors: spawn %s of app %s: %v", name, p.app.id, err))
		}
		return pid
	}
	// The SchedulerActor waits for its first message until it knows the Runner.
	p.app.runner = spawn("runner", func() actor.Actor { return &runner{app: p.app} })
	p.app.scheduler = actor.NewPID(c.Self().Address, c.Self().Id+"/scheduler")
	spawn("scheduler", func() actor.Actor { return &scheduler{appState: p.app} })
	p.once.Do(func() { close(p.ready) })
}
