package actors

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// feeds hand what was committed to those who watch apps. An app has a feed from when it is
// first watched until keptFor after it was last, whether it sleeps or not. The committer only
// leaves its transactions there; a goroutine that lives while there are some makes events of
// them, once for all watchers. The lock is a leaf.
type feeds struct {
	n        atomic.Int64 // 0: a commit looks no further
	mu       sync.Mutex
	apps     map[storage.AppID]*feed
	watchers int
	closed   bool
	making   sync.WaitGroup
}

// maxUnread is what the transactions may weigh that wait for being read.
const maxUnread = 8 << 20

// Why a watch begins with a snapshot.
const (
	resetBegins  = "the watch begins"
	resetGone    = "what came behind the position is in memory no more"
	resetLagged  = "the watch was too slow"
	resetUnknown = "it was not known whether a commit is durable"
	resetDeleted = "the app was deleted"
	resetMade    = "the app was imported"
)

// unread is a transaction that is durable, or what a job does that runs.
type unread struct {
	commit uint64
	tx     *storage.Tx
	job    *storage.Job // of an event that is ephemeral
	kind   EventKind
	nth    uint64 // among all that the feed was given
}

// join has the caller watch the app, from behind the position on if that is possible.
func (fs *feeds) join(id storage.AppID, f storage.JobFilter, after Position, most int) (*watcher, error) {
	f.States, f.Tags = append([]storage.State(nil), f.States...), append([]string(nil), f.Tags...)
	w := &watcher{filter: f, key: indexKey(&f), wake: make(chan struct{}, 1), after: after}
	fs.mu.Lock()
	if fs.closed || fs.watchers >= most {
		defer fs.mu.Unlock()
		if fs.closed {
			return nil, errShutdown()
		}
		return nil, dispatch.Errorf(dispatch.CodeResourceExhausted, "the engine has %d calls that watch, as many as it may (MaxWatchers)", fs.watchers)
	}
	w.feed = fs.apps[id]
	if w.feed == nil {
		w.feed = &feed{app: id, id: rand.Uint64(), watchers: map[string]map[*watcher]struct{}{}}
		if fs.apps == nil {
			fs.apps = map[storage.AppID]*feed{}
		}
		fs.apps[id] = w.feed
		fs.n.Add(1)
	}
	if w.feed.idle != nil {
		w.feed.idle.Stop()
		w.feed.idle = nil
	}
	w.feed.n++
	fs.watchers++
	fs.mu.Unlock()
	w.feed.add(w)
	return w, nil
}

// leave has the caller watch no more. The last one leaves the feed for some time.
func (fs *feeds) leave(w *watcher) {
	f := w.feed
	f.remove(w)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.watchers--
	if f.n--; f.n == 0 && !fs.closed {
		f.idle = time.AfterFunc(keptFor, func() { fs.drop(f) })
	}
}

// drop forgets a feed that is not watched.
func (fs *feeds) drop(f *feed) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.n == 0 && fs.apps[f.app] == f {
		delete(fs.apps, f.app)
		fs.n.Add(-1)
	}
}

// tell hands the feed of the app what the transaction has done, now that this is durable
// as of the commit. The committer calls it.
func (fs *feeds) tell(id storage.AppID, tx *storage.Tx, commit uint64, weight int64) {
	if fs.n.Load() > 0 {
		fs.give(id, unread{commit: commit, tx: tx}, int(weight))
	}
}

// started tells those who watch the app that a handler of the job begins. The caller has the
// turn, or is the SchedulerActor.
func (fs *feeds) started(r *run) {
	if fs.n.Load() == 0 {
		return
	}
	job := r.job.Brief()
	job.State, job.Attempts, job.StartedAt = storage.StateRunning, r.attempt, r.startedAt
	fs.give(r.app.id, unread{job: &job, kind: EventStarted}, 1<<10)
}

// progressed is Engine.progressed.
func (fs *feeds) progressed(id storage.AppID, of *storage.Job, p storage.Progress) {
	if fs.n.Load() == 0 {
		return
	}
	job := of.Named()
	job.State, job.Progress = storage.StateRunning, &p
	fs.give(id, unread{job: &job, kind: EventProgressed}, 1<<10)
}

// tellStart is that of a mutation, which is no job if r is nil.
func (app *appState) tellStart(r *run) {
	if r != nil {
		app.eng.feeds.started(r)
	}
}

func (fs *feeds) give(id storage.AppID, u unread, weight int) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.apps[id]
	if f == nil || fs.closed {
		return
	}
	f.given++
	u.nth = f.given
	if f.weight += weight; f.weight > maxUnread && len(f.unread) > 0 {
		f.unread, f.weight, f.overflown = nil, 0, true
	} else {
		f.unread = append(f.unread, u)
	}
	if !f.making {
		f.making = true
		fs.making.Go(func() { fs.read(f) })
	}
}

// read makes events of what the feed was given, until there is nothing more.
func (fs *feeds) read(f *feed) {
	for {
		fs.mu.Lock()
		given, life, overflown := f.unread, f.life, f.overflown
		f.unread, f.weight, f.overflown = nil, 0, false
		if len(given) == 0 && !overflown {
			f.making = false
			fs.mu.Unlock()
			return
		}
		fs.mu.Unlock()
		if overflown {
			fs.restart(f, resetLagged)
			continue
		}
		for i := range given {
			f.tell(&given[i], life)
		}
		f.wakeDue()
	}
}

// restart has all who watch the feed begin again: there is a gap.
func (fs *feeds) restart(f *feed, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fs.mu.Lock()
	f.life++
	f.unread, f.weight, f.doubtful = nil, 0, false
	fs.mu.Unlock()
	f.begin(reason)
}

// doubt notes that a change set of the app has failed, of which something may be durable.
func (fs *feeds) doubt(id storage.AppID) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.apps[id]; f != nil {
		f.doubtful = true
	}
}

// lookAgain has those who watch the app begin again, now that what is durable can be read: if
// reason is not "", or there is doubt.
func (fs *feeds) lookAgain(id storage.AppID, reason string) {
	if fs.n.Load() == 0 {
		return
	}
	fs.mu.Lock()
	f := fs.apps[id]
	if f != nil && reason == "" && f.doubtful {
		reason = resetUnknown
	}
	fs.mu.Unlock()
	if f != nil && reason != "" {
		fs.restart(f, reason)
	}
}

// close has all who watch end, behind what is durable. No change set is under way.
func (fs *feeds) close() {
	fs.mu.Lock()
	fs.closed = true
	apps := fs.apps
	fs.apps = nil
	fs.mu.Unlock()
	fs.making.Wait()
	for _, f := range apps {
		fs.mu.Lock()
		if f.idle != nil {
			f.idle.Stop()
		}
		fs.mu.Unlock()
		f.end()
	}
}

// take waits for what the watcher has to be told. reset says why it must begin again, "" that
// it need not.
func (fs *feeds) take(ctx context.Context, w *watcher) (told []*change, reset string, err error) {
	for {
		if told, reset, over := w.take(); reset != "" || len(told) > 0 {
			return told, reset, nil
		} else if over {
			return nil, "", errShutdown()
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return nil, "", contextError(ctx, "")
		}
	}
}

// ready notes that the watcher has a snapshot as of the commit, and returns its position.
func (fs *feeds) ready(w *watcher, commit uint64) Position {
	fs.mu.Lock()
	given := w.feed.given
	fs.mu.Unlock()
	return w.feed.ready(w, commit, given)
}
