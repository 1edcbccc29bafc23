package actors

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage"
)

const (
	// historyApps is of how many apps at most the last hour is kept: those that have done something lately.
	historyApps = 1024
	minuteSpan  = time.Minute
	hourMinutes = int64(historySpan / minuteSpan)
)

// AppSample is what an app has done in a minute, or in as much of the last one as has passed.
type AppSample struct {
	At   time.Time     // its end, by the wall clock
	Span time.Duration // its length, by a clock that no step moves

	Begun  int64         // attempts of jobs whose handlers began
	Ended  int64         // attempts that have ended, and are durable
	Failed int64         // of those, the last ones of jobs that failed
	Late   time.Duration // from when those that began were due until they did, all together
	Latest time.Duration // the longest of those
}

// appHistories is the last hour of the apps that have done something lately.
type appHistories struct {
	mu   sync.Mutex
	of   map[storage.AppID]*appHistory
	ring []*appHistory
	next int   // in the ring, which is looked at next to make room
	from int64 // the first minute of which all is known of an app that is not in it
}

// appHistory is that of one app.
type appHistory struct {
	app  storage.AppID
	from int64 // the first minute of which all is known
	used atomic.Bool
	gone atomic.Bool // it is in appHistories no more

	mu      sync.Mutex
	minutes []minuteOfApp // the oldest first, and none without anything
}

// minuteOfApp is a minute, by its number since the engine was opened.
type minuteOfApp struct {
	number               int64
	begun, ended, failed int64
	late, latest         time.Duration
}

// minute is the number of the minute that it is now.
func (e *Engine) minute() int64 { return int64(e.clock.elapsed() / minuteSpan) }

// note notes what the app does now.
func (app *appState) note(what func(*minuteOfApp)) {
	h := app.history.Load()
	if h == nil || h.gone.Load() {
		h = app.eng.apps.take(app.id, app.eng.minute())
		app.history.Store(h)
	}
	h.used.Store(true)
	now := app.eng.minute()
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.minutes); n == 0 || h.minutes[n-1].number < now {
		h.minutes = slices.DeleteFunc(h.minutes, func(m minuteOfApp) bool { return m.number <= now-hourMinutes })
		h.minutes = append(h.minutes, minuteOfApp{number: now})
	}
	what(&h.minutes[len(h.minutes)-1])
}

// take is the history of the app, in the place of one that has done nothing lately if there are too many.
func (a *appHistories) take(id storage.AppID, now int64) *appHistory {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.of[id]; h != nil {
		return h
	}
	if a.of == nil {
		a.of = map[storage.AppID]*appHistory{}
	}
	h := &appHistory{app: id, from: a.from}
	a.of[id] = h
	if len(a.ring) < historyApps {
		a.ring = append(a.ring, h)
		return h
	}
	for a.ring[a.next].used.Swap(false) { // once round at most, but for what they do meanwhile
		a.next = (a.next + 1) % historyApps
	}
	a.leave(a.ring[a.next])
	a.from = now + 1
	a.ring[a.next] = h
	a.next = (a.next + 1) % historyApps
	return h
}

// leave has the history be kept no more. The lock is held.
func (a *appHistories) leave(h *appHistory) {
	h.gone.Store(true)
	if a.of[h.app] == h {
		delete(a.of, h.app)
	}
}

// forget forgets what an app has done that is deleted.
func (a *appHistories) forget(id storage.AppID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if h := a.of[id]; h != nil {
		a.leave(h)
	}
}

// AppHistory returns what the app has done in the last hour, the oldest minute first, each up to now of which that is known:
// it is kept in memory from Open on, of the 1,024 apps at most that have done something lately, about 4 KiB for each. It
// neither blocks nor wakes the app, which need not be there.
func (e *Engine) AppHistory(id storage.AppID) []AppSample {
	elapsed, wall := e.clock.elapsed(), e.clock.wall()
	now := int64((elapsed - 1) / minuteSpan) // of a minute that begins now there is nothing to say
	e.apps.mu.Lock()
	h, from := e.apps.of[id], e.apps.from
	e.apps.mu.Unlock()
	var minutes []minuteOfApp
	if h != nil {
		from = h.from
		h.mu.Lock()
		minutes = slices.Clone(h.minutes)
		h.mu.Unlock()
	}
	var samples []AppSample
	for n := max(from, now-hourMinutes+1); n <= now; n++ {
		end := min(time.Duration(n+1)*minuteSpan, elapsed)
		s := AppSample{At: wall.Add(end - elapsed), Span: end - time.Duration(n)*minuteSpan}
		if i := slices.IndexFunc(minutes, func(m minuteOfApp) bool { return m.number == n }); i >= 0 {
			m := &minutes[i]
			s.Begun, s.Ended, s.Failed, s.Late, s.Latest = m.begun, m.ended, m.failed, m.late, m.latest
		}
		if s.Span > 0 {
			samples = append(samples, s)
		}
	}
	return samples
}
