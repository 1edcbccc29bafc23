package actors

import (
	"sync"
	"time"

	"carillon/storage"
)

// This file is how triggers that are without a success for too long are told, once
// each, and counted. An app that is taken up, and after each change to its triggers or
// end of their runs, says when each is to have succeeded again. The waker waits for
// those instants, while the apps sleep, too. Of an app that has not been taken up since
// the engine was opened only a listing tells.

// overdues are when triggers become overdue, by app and name.
type overdues struct {
	mu   sync.Mutex
	apps map[storage.AppID]map[string]*deadline
}

type deadline struct {
	at   time.Time // it is overdue after that
	told bool
}

// set says when the triggers of the app become overdue.
func (o *overdues) set(id storage.AppID, at map[string]time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.apps[id]
	if len(at) == 0 {
		delete(o.apps, id)
		return
	}
	is := map[string]*deadline{}
	for name, at := range at {
		is[name] = &deadline{at: at}
		if d := was[name]; d != nil && d.at.Equal(at) {
			is[name].told = d.told
		}
	}
	if o.apps == nil {
		o.apps = map[storage.AppID]map[string]*deadline{}
	}
	o.apps[id] = is
}

// each calls fn for every deadline.
func (o *overdues) each(fn func(id storage.AppID, name string, d *deadline)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, triggers := range o.apps {
		for name, d := range triggers {
			fn(id, name, d)
		}
	}
}

// count is how many triggers are overdue, of the app or with "" of all.
func (o *overdues) count(id storage.AppID, wall time.Time) (n int) {
	o.each(func(of storage.AppID, _ string, d *deadline) {
		if wall.After(d.at) && (id == "" || id == of) {
			n++
		}
	})
	return n
}

// overdueAfter is the instant after which the trigger has been without a success for
// too long, or zero if it never is.
func overdueAfter(t *storage.Trigger) time.Time {
	if t.SuccessWithin <= 0 {
		return time.Time{}
	}
	since := t.CreatedAt
	for _, at := range []time.Time{t.LastSuccess, t.LastSuccessAt} { // older releases have the slot only
		if at.After(since) {
			since = at
		}
	}
	return since.Add(t.SuccessWithin)
}

// overdue says whether the trigger has been without a success for too long.
func overdue(t *storage.Trigger, wall time.Time) bool {
	at := overdueAfter(t)
	return !at.IsZero() && wall.After(at)
}

// watch has the app look when its triggers become overdue, if one of these can.
func (p *planner) watch(triggers []storage.Trigger) {
	for i := range triggers {
		if triggers[i].SuccessWithin > 0 {
			p.watched.Store(true)
		}
	}
	p.unlooked.Store(true)
}

// lookAtDeadlines tells the waker when the app's triggers become overdue, if that may
// have moved. The caller has the turn.
func (s *scheduler) lookAtDeadlines() {
	if !s.planner.watched.Load() || s.phase().draining() || !s.planner.unlooked.Swap(false) {
		return
	}
	tx := s.begin(s.eng.clock.look())
	triggers, err := tx.JobWriter().System().Triggers()
	s.rollback(tx, nil, nil)
	if err != nil {
		return // a listing tells, and the next look is after the next run
	}
	at := map[string]time.Time{}
	for i := range triggers {
		if after := overdueAfter(&triggers[i]); !after.IsZero() {
			at[triggers[i].Name] = after
		}
	}
	s.eng.overdues.set(s.id, at)
	s.eng.sys.tell(s.eng.waker.self, &deadlinesMoved{})
}

// tellOverdue warns of each trigger that has become overdue, once until it has
// succeeded, and has the waker look again when the next one does.
func (w *waker) tellOverdue() {
	wall := w.eng.clock.wall()
	w.eng.overdues.each(func(id storage.AppID, name string, d *deadline) {
		switch {
		case !wall.After(d.at):
			w.wakeBy(d.at.Add(wakeLead + time.Millisecond))
		case !d.told:
			d.told = true
			w.eng.opts.Logger.Warn("trigger is overdue: no success for too long", "app", id, "trigger", name, "since", d.at)
		}
	})
}
