package actors

import (
	"errors"

	"carillon/storage"
)

// An app that sleeps does not look at its rows. The waker looks at the first rows of all
// apps in turn, some in a minute, and wakes those that have something to clear away.
const (
	expiredScan = 256 // apps that are looked at
	expiredWake = 16  // of those, apps that are woken
)

// expiredFound is the message to the waker that a look at some apps has ended.
type expiredFound struct {
	ids  []storage.AppID
	next storage.ExpiredCursor
	err  error
}

// lookForExpired begins a look at the next apps, unless it is too early for that.
func (w *waker) lookForExpired() {
	eng := w.eng
	if w.expiring || eng.clock.elapsed() < w.expireAt || eng.closing.Load() {
		return
	}
	w.expiring, w.expireAt = true, eng.clock.elapsed()+purgeEvery
	e, from := eng.expiry(eng.clock.look()), w.expired
	var found expiredFound
	eng.handlers.spawn("", func() result {
		found.ids, found.next, found.err = eng.store.Expired(from, e, expiredScan)
		found.err = errors.Join(found.err, eng.purgeAudit())
		return result{}
	}, func(result) {
		eng.sys.tell(w.self, &found)
	})
}

// wakeExpired has the apps woken that were found, a few of them.
func (w *waker) wakeExpired(found *expiredFound) {
	w.expiring, w.expired = false, found.next
	w.complain("looking for expired rows", found.err)
	n := 0
	for _, id := range found.ids {
		if _, live := w.eng.directory.live.Load(id); live || n == expiredWake {
			continue // the first one purges by itself, the others come when their turn comes again
		}
		w.background = append(w.background, id)
		n++
	}
	w.wakeSome()
}

// expiry says which rows are past their time at the instant. While the wall is in doubt that
// is nothing for its age.
func (e *Engine) expiry(at reading) storage.Expiry {
	o := &e.opts
	x := storage.Expiry{KeepFinished: o.KeepFinished, KeepDead: o.KeepDead}
	if e.clock.doubted() {
		return x
	}
	x.Keys = at.now
	x.History = at.now.Add(-o.Retention)
	if o.DeadRetention > 0 {
		x.Dead = at.now.Add(-o.DeadRetention)
	}
	if o.HoldFor > 0 {
		x.Held = at.now.Add(-o.HoldFor)
	}
	return x
}
