package actors

import (
	"errors"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"carillon/actors/internal/timing"
	"carillon/storage"
)

// wakeLead is how long before its first job is due a sleeping app is woken, on
// top of ClaimAhead.
const wakeLead = 50 * time.Millisecond

// wakeAtOnce is how many apps are being woken at any time. Ten thousand
// due at one instant would else take the processor from all other apps; and 256 are
// enough for their first commits to be shared.
const wakeAtOnce = 256

// waker is the actor that wakes sleeping apps in time. It keeps little in memory
// but one alarm: which app is due when is in the volumes' alarm indexes, written
// in the same transaction as the change that moved it.
//
// It is also where steps of the wall clock are noticed: timers follow the
// monotonic clock, so every app is told to look at the wall again.
type waker struct {
	eng        *Engine
	self       *actor.PID
	alarm      timing.Alarm
	next       time.Time       // what the alarm is set for, by the wall; zero: not set
	due        []storage.AppID // to be woken, the first ones first
	background []storage.AppID // to be woken when no app is due
	gone       chan struct{}   // closed when it reads nothing any more
	again      bool            // the alarm index is read again when those that are due were woken
	awake      int             // how many are being woken
	moves      int             // clock.check, when it was last asked
	check      *time.Timer
	rollout    map[storage.AppID]bool // apps that have not looked at the declared triggers, and the clock, yet
	step       storage.EraID          // the latest step of the wall when that began
	later      []storage.AppID        // apps with a trigger AtStart that could not be taken up, to be woken again

	expired  storage.ExpiredCursor // up to there apps were looked at for expired rows
	expiring bool                  // some are being looked at
	expireAt time.Duration         // monotonic; when to look at others

	checking   atomic.Bool       // checkFiles is under way
	failing    map[string]string // what the log has of each thing that fails
	rollingOut atomic.Bool       // rollout is not empty
}

// The messages to the waker.
type (
	rescan     struct{}
	wakeAlarm  struct{ gen uint64 }
	checkClock struct{}

	deadlinesMoved struct{} // when triggers become overdue has changed

	clockStepped struct{ era storage.Era } // by the clock: it began with a step
	appRolledOut struct {                  // it has looked, after the step
		id   storage.AppID
		step storage.EraID
	}
	wakeApp  struct{ id storage.AppID }
	appAwake struct { // an app to be woken is, and has looked at what it has to do
		id  storage.AppID
		err error
	}
	appAsleep struct { // an app fell asleep
		at    time.Time     // when it has something to do, or zero
		again storage.AppID // the app to wake again, since the wall was stepped when it had made up its mind; or ""
	}
)

// rescan has the waker read the alarm indexes again: an app has gone to sleep, or
// has come into being behind the engine's back.
func (w *waker) rescan() { w.eng.sys.tell(w.self, &rescan{}) }

// wakeUp has the waker wake the app, whether it is due or not.
func (w *waker) wakeUp(id storage.AppID) { w.eng.sys.tell(w.self, &wakeApp{id}) }

// Receive implements the actor.
func (w *waker) Receive(c actor.Context) {
	if w.eng.opts.Still {
		if _, stopped := c.Message().(*actor.Stopped); stopped {
			close(w.gone)
		}
		return
	}
	switch m := c.Message().(type) {
	case *actor.Started:
		w.moves = w.eng.clock.check()
		w.checkLater()
		w.beginRollout()
		w.beginStarts()
		w.wakeHeld()
	case *wakeApp:
		w.due = append(w.due, m.id)
		w.wakeSome()
		return
	case *appRolledOut:
		if m.step >= w.step {
			w.endRollout(m.id)
		}
		return
	case *appAwake:
		w.awake--
		w.wakeSome()
		if m.err != nil {
			if _, starts := slices.BinarySearch(w.eng.declared.starters(), m.id); starts {
				w.later = append(w.later, m.id)
			}
			w.wakeBy(w.eng.clock.wall().Add(wakeLead + time.Second)) // its volume may be up again by then
		}
		return
	case *appAsleep:
		if !m.at.IsZero() {
			w.wakeBy(m.at)
		}
		if m.again != "" {
			w.background = append(w.background, m.again)
			w.wakeSome()
		}
		return
	case *deadlinesMoved:
		w.tellOverdue()
		return
	case *rescan:
	case *wakeAlarm:
		if !w.alarm.Fired(m.gen) {
			return
		}
		w.next = time.Time{}
		w.background, w.later = append(w.background, w.later...), nil
	case *expiredFound:
		w.wakeExpired(m)
		return
	case *checkClock:
		w.checkLater()
		w.lookForExpired()
		w.checkFiles()
		w.eng.believe()
		w.eng.sample()
		moves := w.eng.clock.check()
		if moves == w.moves {
			return
		}
		w.moves = moves
		w.recheckClocks()
	case *clockStepped:
		w.eng.opts.Logger.Warn("the wall clock was set", "step", m.era.Step, "to", m.era.Began)
		w.beginRollout()
		w.recheckClocks()
	case *actor.Stopping, *actor.Restarting:
		w.alarm.Clear()
		if w.check != nil {
			w.check.Stop()
		}
		return
	case *actor.Stopped:
		close(w.gone)
		return
	default:
		return
	}
	w.wakeDue()
}

// recheckClocks has every app that is awake look at the wall.
func (w *waker) recheckClocks() {
	w.eng.directory.each(func(ref *appRef) { w.eng.sys.tell(ref.app.scheduler, &clockMoved{}) })
}

func (w *waker) checkLater() {
	sys, self := w.eng.sys, w.self
	w.check = time.AfterFunc(w.eng.opts.ClockCheck, func() { sys.tell(self, &checkClock{}) })
}

// beginStarts wakes the apps that have a trigger AtStart.
func (w *waker) beginStarts() {
	w.background = append(w.background, w.eng.declared.starters()...)
}

// beginRollout wakes every app if the declared triggers are not those that every
// app has looked at already: an app that sleeps and has nothing due would not
// come to know of a new one. So it does if the wall was stepped, and what is due
// far ahead by a wall that was wrong has come to be due.
func (w *waker) beginRollout() {
	d := &w.eng.declared
	known, err := w.eng.store.Declared()
	rolledOut, markErr := w.eng.store.Mark(storage.EraRolledOut)
	err = errors.Join(err, markErr)
	w.step = storage.EraID(w.eng.clock.latestStep.Load())
	f := w.eng.clock.fixes(rolledOut)
	if err == nil && known == d.fingerprint && (w.step <= rolledOut || f.none()) {
		return
	}
	ids, listErr := w.eng.store.Apps()
	if w.eng.closing.Load() {
		return
	}
	if err := errors.Join(err, listErr); err != nil {
		// The apps of the other volumes look all the same.
		w.eng.opts.Logger.Error("reading which triggers were declared", "err", err)
	}
	w.rollout = map[storage.AppID]bool{}
	for _, id := range append(ids, d.named()...) {
		w.rollout[id] = true
	}
	w.rollingOut.Store(true)
	w.background = slices.Collect(maps.Keys(w.rollout))
	w.endRollout("")
}

// endRollout notes that an app has looked, and remembers when all have.
func (w *waker) endRollout(id storage.AppID) {
	if w.rollout == nil {
		return
	}
	if delete(w.rollout, id); len(w.rollout) > 0 {
		return
	}
	w.rollout = nil
	w.rollingOut.Store(false)
	eng, step := w.eng, w.step
	eng.handlers.spawn("", func() result {
		err := eng.store.SetDeclared(eng.declared.fingerprint)
		if step > 0 {
			err = errors.Join(err, eng.store.SetMark(storage.EraRolledOut, step))
		}
		return result{err: err}
	}, func(res result) {
		if res.err != nil && !eng.closing.Load() {
			eng.opts.Logger.Error("remembering which apps have looked at the declared triggers and the clock", "err", res.err)
		}
	})
}

// wakeDue looks for the sleeping apps that are due soon, and sets the alarm for
// the first of the others.
func (w *waker) wakeDue() {
	if len(w.due) > 0 {
		w.again = true
		return
	}
	w.alarm.Clear()
	w.next, w.again = time.Time{}, false
	wall := w.eng.clock.wall()
	err := w.eng.store.Alarms(func(id storage.AppID, at time.Time) bool {
		if _, live := w.eng.directory.live.Load(id); live {
			return true // it has an alarm of its own
		}
		claim := at.Add(-w.eng.opts.ClaimAhead)
		if claim.Add(-wakeLead).After(wall) {
			w.wakeBy(claim)
			return false
		}
		w.due = append(w.due, id)
		return true
	})
	if w.complain("reading the alarm index", err); err != nil {
		w.wakeBy(wall.Add(wakeLead + time.Second))
	}
	w.tellOverdue()
	w.wakeSome()
}

// complain logs what fails, when it begins to or fails otherwise than before.
func (w *waker) complain(what string, err error) {
	text := ""
	if err != nil && !w.eng.closing.Load() {
		text = err.Error()
	}
	if text != "" && text != w.failing[what] {
		w.eng.opts.Logger.Error(what, "err", err)
	}
	w.failing[what] = text
}

// wakeBy has the alarm index read in time for an app that has something to do at
// the instant.
func (w *waker) wakeBy(at time.Time) {
	if !w.next.IsZero() && !at.Before(w.next) {
		return
	}
	w.next = at
	sys, self := w.eng.sys, w.self
	wait := min(max(at.Add(-wakeLead).Sub(w.eng.clock.wall()), 0), maxSleep)
	w.alarm.Set(wait, func(gen uint64) { sys.tell(self, &wakeAlarm{gen}) })
}

// wakeSome has as many apps woken as may be at once: those that are due first.
func (w *waker) wakeSome() {
	for w.awake < wakeAtOnce && len(w.due) > 0 {
		w.wake(&w.due)
	}
	if w.again && len(w.due) == 0 {
		w.wakeDue()
	}
	for w.awake < wakeAtOnce && len(w.background) > 0 {
		w.wake(&w.background)
	}
}

func (w *waker) wake(queue *[]storage.AppID) {
	id := (*queue)[0]
	if *queue = (*queue)[1:]; len(*queue) == 0 {
		*queue = nil
	}
	w.awake++
	w.eng.directory.wake(id)
}
