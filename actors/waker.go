package actors

import (
	"errors"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/storage"
)

// wakeLead is how long before its first job is due a sleeping app is woken, on
// top of ClaimAhead.
const wakeLead = 50 * time.Millisecond

// waker is the actor that wakes sleeping apps in time. It keeps nothing in
// memory but one alarm: which app is due when is in the volumes' alarm indexes,
// written in the same transaction as the change that moved it.
//
// It is also where steps of the wall clock are noticed: timers follow the
// monotonic clock, so every app is told to look at the wall again.
type waker struct {
	eng   *Engine
	self  *actor.PID
	alarm alarm
	skew  time.Duration
	check *time.Timer
	sweep map[storage.AppID]bool // apps that have not looked at the declared triggers yet
}

// The messages to the waker.
type (
	lookAround struct{}
	wakeAlarm  struct{ gen uint64 }
	checkClock struct{}
	appSwept   struct{ id storage.AppID }
)

// look has the waker read the alarm indexes again: an app has gone to sleep, or
// has come into being behind the engine's back.
func (w *waker) look() { w.eng.sys.tell(w.self, &lookAround{}) }

// Receive implements the actor.
func (w *waker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		w.skew = w.eng.clock.skew()
		w.checkLater()
		w.beginSweep()
	case *appSwept:
		w.endSweep(m.id)
		return
	case *lookAround:
	case *wakeAlarm:
		if !w.alarm.fired(m.gen) {
			return
		}
	case *checkClock:
		w.checkLater()
		skew := w.eng.clock.skew()
		if moved := skew - w.skew; moved > -time.Millisecond && moved < time.Millisecond {
			return
		}
		w.skew = skew
		w.eng.directory.each(func(ref *appRef) { w.eng.sys.tell(ref.app.scheduler, &clockMoved{}) })
	case *actor.Stopping, *actor.Restarting:
		w.alarm.clear()
		if w.check != nil {
			w.check.Stop()
		}
		return
	default:
		return
	}
	w.wakeDue()
}

func (w *waker) checkLater() {
	sys, self := w.eng.sys, w.self
	w.check = time.AfterFunc(w.eng.opts.ClockCheck, func() { sys.tell(self, &checkClock{}) })
}

// beginSweep wakes every app if the declared triggers are not those that every
// app has looked at already: an app that sleeps and has nothing due would not
// come to know of a new one.
func (w *waker) beginSweep() {
	d := &w.eng.declared
	known, err := w.eng.store.Declared()
	if err == nil && known == d.fingerprint {
		return
	}
	ids, listErr := w.eng.store.Apps()
	if err != nil || listErr != nil {
		w.eng.opts.Logger.Error("reading which triggers were declared", "err", errors.Join(err, listErr))
		return
	}
	w.sweep = map[storage.AppID]bool{}
	for _, id := range append(ids, d.named()...) {
		w.sweep[id] = true
	}
	for id := range w.sweep {
		w.eng.directory.wake(id)
	}
	w.endSweep("")
}

// endSweep notes that an app has looked, and remembers when all have.
func (w *waker) endSweep(id storage.AppID) {
	if w.sweep == nil {
		return
	}
	if delete(w.sweep, id); len(w.sweep) > 0 {
		return
	}
	w.sweep = nil
	eng := w.eng
	eng.handlers.spawn("", func() result { return result{err: eng.store.SetDeclared(eng.declared.fingerprint)} }, func(res result) {
		if res.err != nil && !eng.closing.Load() {
			eng.opts.Logger.Error("remembering which triggers are declared", "err", res.err)
		}
	})
}

// wakeDue wakes every sleeping app that is due soon, and sets the alarm for the
// first of the others.
func (w *waker) wakeDue() {
	wall := w.eng.clock.wall()
	lead := wakeLead + w.eng.opts.ClaimAhead
	var first time.Time
	var due []storage.AppID
	err := w.eng.store.Alarms(func(id storage.AppID, at time.Time) bool {
		if _, live := w.eng.directory.live.Load(id); live {
			return true // it has an alarm of its own
		}
		if at.Add(-lead).After(wall) {
			if first.IsZero() || at.Before(first) {
				first = at
			}
			return false
		}
		due = append(due, id)
		return true
	})
	sys, self := w.eng.sys, w.self
	switch {
	case err != nil:
		w.eng.opts.Logger.Error("reading the alarm index", "err", err)
		w.alarm.set(time.Second, func(gen uint64) { sys.tell(self, &wakeAlarm{gen}) })
	case first.IsZero():
		w.alarm.clear()
	default:
		wait := min(max(first.Add(-lead).Sub(wall), 0), maxSleep)
		w.alarm.set(wait, func(gen uint64) { sys.tell(self, &wakeAlarm{gen}) })
	}
	for _, id := range due {
		w.eng.directory.wake(id)
	}
}
