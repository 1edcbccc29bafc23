package kill_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// The jobs of some functions are watched, in each app and over each life of the server. A watcher
// hangs up now and then, and goes on behind the last event that it was told.

// killWatched is the tag of the jobs that are watched.
const killWatched = "watched"

// killWatch is the path at which the server tells of them, for which it has no route; after is the
// position to go on from.
const killWatch = "/watch/{app}"

// killEvent is what it tells.
type killEvent struct {
	Kind     actors.EventKind
	Position actors.Position
	Seq      uint64
	ID       storage.JobID
	State    storage.State
	Reason   string // of a reset, or why the watch has ended
}

// watchHandler serves killWatch.
func watchHandler(eng *actors.Engine) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, flush := json.NewEncoder(w), http.NewResponseController(w)
		tell := func(e killEvent) bool { return out.Encode(e) == nil && flush.Flush() == nil }
		app, err := eng.App(storage.AppID(r.PathValue("app")))
		var after actors.Position
		if text := r.FormValue("after"); err == nil && text != "" {
			after, err = actors.ParsePosition(text)
		}
		if err != nil {
			tell(killEvent{Reason: err.Error()})
			return
		}
		for e, err := range app.WatchAfter(r.Context(), storage.JobFilter{Tags: []string{killWatched}}, after) {
			if err != nil {
				if !eng.Shared() || dispatch.AsError(err).Code != dispatch.CodeUnavailable { // else its lease has lapsed
					tell(killEvent{Reason: err.Error()})
				}
				return
			}
			if !tell(killEvent{e.Kind, e.Position, e.Job.Seq(), e.Job.ID, e.Job.State, e.Reason}) {
				return
			}
		}
	}
}

// killWatchers watch all apps.
type killWatchers struct {
	apps map[string]*killWatcher
	stop context.CancelFunc
	done sync.WaitGroup
}

// killWatcher watches an app.
type killWatcher struct {
	loop *killLoop
	app  string

	mu      sync.Mutex
	lives   []killWatchedLife
	resumed int // how often it has gone on
}

// killWatchedLife is what it was told by one life of the server.
type killWatchedLife struct {
	number int
	events []killEvent
}

// start begins to watch.
func (ws *killWatchers) start(l *killLoop) {
	var ctx context.Context
	ctx, ws.stop = context.WithCancel(context.Background())
	l.t.Cleanup(ws.stop)
	ws.apps = map[string]*killWatcher{}
	for n := range killApps {
		w := &killWatcher{loop: l, app: fmt.Sprint("demo", n)}
		ws.apps[w.app] = w
		ws.done.Go(func() { w.run(ctx) })
	}
}

// run watches each life until it is killed.
func (w *killWatcher) run(ctx context.Context) {
	for number, over := 0, false; !over; {
		life := w.loop.serving(number)
		if life == nil { // the clients have stopped, and what they have begun goes on
			if life, over = w.loop.latest(), true; life.number < number {
				return // it is watched
			}
		}
		number = life.number + 1
		w.mu.Lock()
		w.lives = append(w.lives, killWatchedLife{number: life.number})
		at := &w.lives[len(w.lives)-1]
		w.mu.Unlock()
		for again := true; again; {
			again = w.stream(ctx, life, at)
			if !again && w.loop.died != nil && ctx.Err() == nil && !life.over() { // its lease has lapsed
				w.loop.pause(20 * time.Millisecond)
				again = true
			}
		}
	}
}

// stream watches until the connection is cut off, or hangs up: then it is to be called again.
func (w *killWatcher) stream(ctx context.Context, life *killLife, at *killWatchedLife) (again bool) {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	query := url.Values{}
	for _, e := range at.events {
		if !e.Position.IsZero() {
			query.Set("after", e.Position.String())
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, life.url+"/watch/"+w.app+"?"+query.Encode(), nil)
	if err != nil {
		w.loop.tally.Other("%v", err)
		return false
	}
	resp, err := (&http.Client{Transport: w.loop.client.Transport}).Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	ready := false
	for most := 20 + rand.IntN(200); lines.Scan(); {
		var e killEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return false // the line was cut off
		}
		w.mu.Lock()
		at.events = append(at.events, e)
		w.mu.Unlock()
		ready = ready || !e.Position.IsZero()
		if most--; most < 0 && ready {
			w.resumed++
			return true
		}
	}
	return false
}

// killView is what a watcher knows of an app's jobs.
type killView struct {
	jobs  map[uint64]killEvent  // as they are, by sequence
	known map[storage.JobID]int // how much was told when a job was told of first
	ended map[storage.JobID]int // and how much when its end was
	last  actors.Position
}

// viewOf plays what was told by one life, behind what the view of the life before has, nil if there
// was none. It demands that nothing is told twice or in another order than that of the commits, that
// no change is of a job that was not told of, that an end is the last that is told of a job, and that
// a snapshot has what was told before (G36).
func viewOf(to killFinder, before *killView, life killWatchedLife) *killView {
	v := &killView{jobs: map[uint64]killEvent{}, known: map[storage.JobID]int{}, ended: map[storage.JobID]int{}}
	var was map[uint64]killEvent
	if before != nil {
		was = before.jobs
	}
	begun := false
	note := func(i int, e killEvent) {
		v.jobs[e.Seq] = e
		if _, known := v.known[e.ID]; !known {
			v.known[e.ID] = i
		}
		if _, ended := v.ended[e.ID]; !ended && e.State.Ended() {
			v.ended[e.ID] = i
		}
	}
	for i, e := range life.events {
		job, known := v.jobs[e.Seq]
		switch {
		case e.Kind == "":
			to.Other("the watch has ended in life %d: %s", life.number, e.Reason)
		case e.Kind == actors.EventReset:
			if begun {
				was = maps.Clone(v.jobs)
			}
			v.jobs, begun = map[uint64]killEvent{}, true
		case !begun:
			to.Other("the watch of life %d begins with %+v", life.number, e)
			begun = true
		case e.Kind == actors.EventJob:
			if known {
				to.Doubled("a snapshot of life %d has job %s twice", life.number, e.ID)
			}
			v.jobs[e.Seq] = e
		case e.Kind == actors.EventReady:
			for seq, old := range was {
				now, there := v.jobs[seq]
				switch {
				case !there:
					to.Lost("it was told that job %s is %s, and a snapshot of life %d does not have it", old.ID, old.State, life.number)
				case old.State.Ended() && now.State != old.State:
					to.Lost("it was told that job %s is %s, and in a snapshot of life %d it is %s", old.ID, old.State, life.number, now.State)
				}
			}
			for _, e := range v.jobs {
				note(i, e)
			}
			v.last, was = e.Position, nil
		case e.Kind == actors.EventStarted || e.Kind == actors.EventProgressed:
		default:
			if e.Position.Compare(v.last) <= 0 {
				to.Doubled("at %v life %d has told of job %s, %s, behind %v", e.Position, life.number, e.ID, e.Kind, v.last)
			}
			v.last = e.Position
			switch {
			case e.Kind == actors.EventScheduled && known:
				to.Doubled("life %d has told that job %s is scheduled, and knew it as %s", life.number, e.ID, job.State)
			case e.Kind != actors.EventScheduled && !known:
				to.Lost("life %d has told of job %s, %s, and not that it is scheduled", life.number, e.ID, e.Kind)
			case known && job.State.Ended():
				to.Doubled("life %d has told of job %s, which is %s, that it is %s", life.number, e.ID, job.State, e.State)
			}
			note(i, e)
		}
	}
	return v
}

// order demands that what a client was told before it made a call was told to the watcher before
// what came of that call. at are its ops, in their order.
func (v *killView) order(to killFinder, ops []killOp, life int) {
	type was struct {
		job   storage.JobID
		ended bool
	}
	var before []was
	watched := map[storage.JobID]bool{}
	for _, d := range ops {
		if d.Do == "jobs:cancel" && d.Acked && d.Canceled && watched[d.Job] {
			before = append(before, was{d.Job, true})
		}
		if !d.watched() || !d.Acked {
			continue
		}
		job := d.Jobs[0]
		if at, known := v.known[job]; known {
			for _, b := range before {
				place := v.known
				if b.ended {
					place = v.ended
				}
				if n, told := place[b.job]; !told || n > at {
					to.Lost("the watch of life %d has told of job %s and not of job %s before, of which a client knew (its end: %t)", life, job, b.job, b.ended)
				}
			}
			before = nil // what is before this one is before the next
		}
		watched[job] = true
		before = append(before, was{job, false})
		if d.Ended != "" {
			before = append(before, was{job, true})
		}
	}
}

// watched says whether the job of the op is.
func (d *killOp) watched() bool {
	return d.Do == "chain:later" || d.Do == "export:later" || d.Do == "ask:later"
}

// verify waits until the last watches have told of all ends, and holds what all have told against
// the logs and the jobs.
func (ws *killWatchers) verify(v *killVerdict, logs [][]killOp) {
	limit := time.Now().Add(time.Minute)
	for app, w := range ws.apps {
		var jobs []storage.JobID
		for n, ops := range logs {
			for _, d := range ops {
				if v.clients[n].app == app && d.watched() && d.Acked {
					jobs = append(jobs, d.Jobs[0])
				}
			}
		}
		w.wait(jobs, limit)
	}
	ws.stop()
	ws.done.Wait()
	events, resumed, resets := 0, 0, 0
	for app, w := range ws.apps {
		var view *killView
		for _, life := range w.lives {
			if len(life.events) == 0 {
				continue // it was killed before
			}
			view = viewOf(v.tally, view, life)
			for n, ops := range logs {
				if v.clients[n].app == app {
					view.order(v.tally, ops, life.number)
				}
			}
			for _, e := range life.events {
				if events++; e.Kind == actors.EventReset {
					resets++
				}
			}
		}
		resumed += w.resumed
		for n, ops := range logs {
			if v.clients[n].app == app {
				v.seen(view, ops)
			}
		}
	}
	v.t.Logf("%d events were told by watches, which have begun %d times and gone on %d times", events, resets, resumed)
}

// seen demands that the last view has the jobs of the ops as they are.
func (v *killVerdict) seen(view *killView, ops []killOp) {
	states := map[storage.JobID]storage.State{}
	if view != nil {
		for _, e := range view.jobs {
			states[e.ID] = e.State
		}
	}
	for _, d := range ops {
		if !d.watched() || !d.Acked {
			continue
		}
		row, _, err := v.job(d.App, d.Jobs[0])
		if err != nil {
			v.tally.Other("job %s: %v", d.Jobs[0], err)
		}
		if row.State != states[d.Jobs[0]] {
			v.tally.Lost("job %s (%s) is %s, and the last that a watch has told is %q", d.Jobs[0], d.Key, row.State, states[d.Jobs[0]])
		}
	}
}

// wait waits until the watch has told of the ends of the jobs, as far as that comes.
func (w *killWatcher) wait(jobs []storage.JobID, limit time.Time) {
	for ; time.Now().Before(limit); w.loop.pause(20 * time.Millisecond) {
		w.mu.Lock()
		ended := map[storage.JobID]bool{}
		if n := len(w.lives); n > 0 {
			for _, e := range w.lives[n-1].events {
				ended[e.ID] = ended[e.ID] || e.State.Ended()
			}
		}
		w.mu.Unlock()
		if !slices.ContainsFunc(jobs, func(id storage.JobID) bool { return !ended[id] }) {
			return
		}
	}
}
