package actors

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/storage"
)

// Health returns what is wrong with the engine, nil if nothing is: volumes that apply
// no changes, whose apps are not served while those of the others are, and an actor
// that all apps share and that has panicked. The latter is a fault of Carillon's own;
// the engine goes on as far as it can, and only another Open ends the error. It waits
// for the file system, but for no commit.
func (e *Engine) Health() error {
	if e.closing.Load() {
		return errShutdown()
	}
	err := errors.Join(e.lapse.held(), e.store.Health())
	if fault := e.fault.Load(); fault != nil {
		err = errors.Join(*fault, err)
	}
	return asError(err)
}

// Held returns nil while no other node can have taken the store over, and else why this one answers no calls: its
// lease is not held, for now or for good (Lost). It is nil for a store that no other node can own. It does not
// block.
func (e *Engine) Held() error { return e.lapse.held() }

// Volumes returns which volumes are served, and why the others are not: all are refused
// once Close has closed them. Like Health it waits for the file system.
func (e *Engine) Volumes() []storage.VolumeHealth { return e.store.Volumes() }

// Closing says whether Close was called: the engine serves no new calls.
func (e *Engine) Closing() bool { return e.closing.Load() }

// Warnings returns what needs a person though all apps are served; nil if nothing does. Each
// of its lines names a volume: one whose file cannot be written, on a full disk for one, so that
// its changes stay in the log, and are refused when that is full; or one of whose data a loss
// was accepted (storage.Salvage) and not acknowledged. What Health returns is not in it.
func (e *Engine) Warnings() error {
	if e.closing.Load() {
		return errShutdown()
	}
	return e.store.Warnings()
}

// shared is an actor that all apps need: the directory, the waker or the permit broker. A
// panic is the end of one message, and never of the actor: its supervisor would stop
// its children, which are all apps.
type shared struct {
	actor.Actor
	eng  *Engine
	name string
}

// Receive implements the actor.
func (s *shared) Receive(c actor.Context) {
	if p, ok := c.Message().(*ping); ok {
		p.answer()
		return
	}
	err := s.eng.guard(s.name, c.Message(), func() { s.Actor.Receive(c) })
	if w, ok := s.Actor.(*waker); ok && err != nil {
		w.wakeBy(w.eng.clock.wall().Add(wakeLead + time.Second)) // it may have cleared its alarm
	}
}

// guard runs fn. A panic is logged, turns Health red, and is the error.
func (e *Engine) guard(name string, message any, fn func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the %s panicked at %T: %v", name, message, v)
			e.opts.Logger.Error("actor panicked", "actor", name, "message", fmt.Sprintf("%T", message), "panic", v, "stack", string(debug.Stack()))
			e.fault.CompareAndSwap(nil, &err)
		}
	}()
	fn()
	return nil
}

// checkFiles notices a volume whose file was replaced or removed, which is lost from then on.
// It may wait for the file system, and so runs beside the waker.
func (w *waker) checkFiles() {
	if !w.checking.CompareAndSwap(false, true) {
		return // a disk does not answer
	}
	eng := w.eng
	eng.handlers.spawn("", func() result {
		_ = eng.store.Health() // what is wrong is logged where it is found
		return result{}
	}, func(result) { w.checking.Store(false) })
}
