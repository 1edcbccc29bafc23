package actors

import (
	"context"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/dispatch"
	"carillon/internal/inturn"
	"carillon/storage"
)

// This file is how an app is held: stopped, and kept from being spawned, so that
// Delete and Import have its state to themselves.
//
//	asleep ◄──no caller inside── open ──hold──► draining ──► drained ──last caller left──► stopped
//	                              ▲                │            │
//	                              └────given up────┴────────────┘
//
// These are the phases of its door (door.go). When it has stopped the hold is given, and
// the app is opened anew when that is over, or has been given up meanwhile.
//
// While the app drains, callers outside wait. Those inside are served, and so are
// the calls of its running actions, because the drain waits for those. The
// SchedulerActor, which owns the runs, tells them to stop: it knows of each.

// hold stops the app's actors, waits until they have stopped, and keeps the app
// from being opened until release is called. A hold that makes an app is
// refused where Options.MaxApps is reached. If ctx ends before, the app goes on.
func (e *Engine) hold(ctx context.Context, id storage.AppID, makes bool) (release func(), err error) {
	if err := id.Check(); err != nil {
		return nil, dispatch.AsError(err)
	}
	if inturn.In(ctx, string(id)) || actionIn(ctx, id) != nil {
		return nil, &dispatch.Error{
			Code: dispatch.CodeFailedPrecondition, Err: storage.ErrReentrant,
			Message: "called from inside the app, which would wait for itself",
		}
	}
	m := &holdApp{id: id, makes: makes, done: make(chan struct{})}
	release = func() { e.sys.tell(e.directory.self, &releaseApp{m}) }
	e.sys.tell(e.directory.self, m)
	select {
	case <-m.done:
		if m.err != nil {
			release()
			return nil, m.err
		}
		return release, nil
	case <-ctx.Done():
		release()
		return nil, contextError(ctx, "")
	case <-e.directory.gone:
		return nil, errShutdown()
	}
}

// hold has the app drain and stop, unless another hold has begun that.
func (d *directory) hold(c actor.Context, m *holdApp) {
	d.held[m.id] = append(d.held[m.id], m)
	if len(d.held[m.id]) > 1 {
		return // when its turn comes the app is not live
	}
	v, ok := d.live.Load(m.id)
	if !ok {
		d.give(m)
		return
	}
	ref := v.(*appRef)
	if !ref.door.move(holdBegun) {
		return // it is stopping already
	}
	ref.drains++
	done := &appDrained{ref, ref.drains}
	d.eng.sys.tell(ref.app.scheduler, &drain{hold: true, done: func() { d.eng.sys.tell(d.self, done) }})
}

// stopDrained stops an app that has drained for a hold, unless a caller is inside.
func (d *directory) stopDrained(c actor.Context, ref *appRef) {
	if ref.door.move(appStops) {
		c.Stop(ref.pid)
	}
}

// give tells the first hold that the app has stopped.
func (d *directory) give(m *holdApp) {
	d.census.held(m)
	m.given = true
	close(m.done)
}

// release ends a hold, or takes it back before it was given.
func (d *directory) release(c actor.Context, m *holdApp) {
	if m.given {
		d.census.released(m)
	}
	holds := d.held[m.id]
	i := slices.Index(holds, m)
	holds = slices.Delete(holds, i, i+1)
	d.held[m.id] = holds
	switch {
	case i > 0 || len(holds) > 0 && !m.given:
		return // another one holds the app, or waits for it to stop
	case len(holds) > 0:
		d.give(holds[0])
		return
	}
	delete(d.held, m.id)
	if !m.given && !d.resume(m.id) {
		return // it is stopping: who waits is let in when it has stopped
	}
	d.letIn(c, m.id)
	d.eng.waker.rescan() // it may have come into being behind the engine's back
}

// resume opens an app again that drains. It is false if it is stopping.
func (d *directory) resume(id storage.AppID) bool {
	v, ok := d.live.Load(id)
	if !ok {
		return true
	}
	ref := v.(*appRef)
	if !ref.door.move(holdTakenBack) {
		return false
	}
	ref.drains++ // what the drain still has to say is void
	d.eng.sys.tell(ref.app.scheduler, &resume{})
	return true
}
