package actors

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// feeds hand what was committed to those who watch apps. The committer only leaves what was
// written there; a goroutine that lives while there is some makes events of it, once for all
// watchers. When the last watcher of an app has left, its feed stays for keptFor, whether the
// app sleeps or not, so that a watch can go on: what is written meanwhile lies there unread,
// and when that is too much the feed goes, for no position is given out that a watch could go
// on from. The lock is a leaf.
type feeds struct {
	n        atomic.Int64 // of apps; 0: a commit looks no further
	mu       sync.Mutex
	apps     map[storage.AppID]*feed
	left     []*feed // those without watchers, in the order in which they were left
	weight   int     // of those
	watchers int
	closed   bool
	making   sync.WaitGroup
}

// These bound what lies in a feed that is watched until it is read, what is written after the
// last watcher has left it, and what all feeds without watchers weigh.
const (
	maxUnread     = 8 << 20
	maxUnwatched  = 4 << 20
	maxLeftWeight = 64 << 20
)

// Why a watch begins with a snapshot.
const (
	resetBegins  = "the watch begins"
	resetGone    = "what came behind the position is in memory no more"
	resetLagged  = "the watch was too slow"
	resetUnknown = "it was not known whether a commit is durable"
	resetDeleted = "the app was deleted"
	resetMade    = "the app was imported"
)

// unread is what a transaction has written that is durable, or what a job does that runs.
type unread struct {
	commit    uint64
	mark      storage.CommitMark // if it is the app's last of the commit
	written   *storage.JobWrites
	ephemeral *change
	weight    int
}

// join has the caller watch the app, from behind the position on if that is possible.
func (fs *feeds) join(id storage.AppID, f storage.JobFilter, after Position, most int) (*watcher, error) {
	f.States, f.Tags = append([]storage.State(nil), f.States...), append([]string(nil), f.Tags...)
	w := &watcher{filter: f, key: indexKeyOf(&f), wake: make(chan struct{}, 1), after: after}
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
		w.feed = &feed{app: id, id: rand.Uint64(), watchers: map[indexKey][]*watcher{}}
		if fs.apps == nil {
			fs.apps = map[storage.AppID]*feed{}
		}
		fs.apps[id] = w.feed
		fs.n.Add(1)
	}
	fs.take(w.feed)
	w.feed.n++
	fs.watchers++
	fs.mu.Unlock()
	w.feed.add(w)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.makeEvents(w.feed) // of what was written while it had no watchers
	return w, nil
}

// leave has the caller watch no more. The last one leaves the feed for some time.
func (fs *feeds) leave(w *watcher) {
	f := w.feed
	kept := f.remove(w)
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.watchers--
	if f.n--; f.n > 0 || fs.closed {
		return
	}
	f.since = 0
	fs.left = append(fs.left, f)
	fs.weigh(f, kept+f.weight)
	f.idle = time.AfterFunc(keptFor, func() {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		if f.n == 0 {
			fs.drop(f)
		}
	})
}

// weigh adds to the weight of a feed without watchers, and drops those that were left first
// if all of them weigh too much. The lock is held.
func (fs *feeds) weigh(f *feed, more int) {
	f.held += more
	fs.weight += more
	for fs.weight > maxLeftWeight {
		fs.drop(fs.left[0])
	}
}

// take takes the feed from those without watchers, if it is one. The lock is held.
func (fs *feeds) take(f *feed) {
	if i := slices.Index(fs.left, f); i >= 0 {
		fs.left = slices.Delete(fs.left, i, i+1)
		fs.weight -= f.held
		f.held = 0
		f.idle.Stop()
	}
}

// drop forgets a feed without watchers. The lock is held.
func (fs *feeds) drop(f *feed) {
	if fs.apps[f.app] == f {
		fs.take(f)
		delete(fs.apps, f.app)
		fs.n.Add(-1)
	}
}

// tell hands the feed of the app what the transaction has written, now that this is durable
// as of the commit. The committer calls it.
func (fs *feeds) tell(id storage.AppID, tx *storage.Tx, commit uint64, app *storage.App) {
	if fs.n.Load() == 0 {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.apps[id]; f != nil {
		written := tx.JobWrites()
		fs.give(f, unread{commit: commit, mark: app.CommittedMark(), written: written, weight: written.Weight()})
	}
}

// started tells those who watch the app that a handler of the job begins. The caller has the
// turn, or is the SchedulerActor.
func (fs *feeds) started(r *run) {
	if fs.watches(r.app.id) {
		ch := &change{event: Event{Kind: EventStarted, Job: r.job.Brief()}, was: storage.StatePending}
		job := &ch.event.Job
		job.State, job.Attempts, job.StartedAt = storage.StateRunning, r.attempt, r.startedAt
		fs.note(r.app.id, ch)
	}
}

// progressed tells those who watch the app how far the job has come, step by step. The caller is
// the SchedulerActor.
func (fs *feeds) progressed(r *run, steps []storage.Progress) {
	for i := range steps {
		job := r.job.Named()
		job.State, job.Progress = storage.StateRunning, &steps[i]
		fs.note(r.app.id, &change{event: Event{Kind: EventProgressed, Job: job}, was: storage.StatePending})
	}
}

// watches says whether the app has watchers.
func (fs *feeds) watches(id storage.AppID) bool {
	if fs.n.Load() == 0 {
		return false
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.apps[id]
	return f != nil && f.n > 0
}

// note hands the feed of the app an ephemeral event, if it has watchers.
func (fs *feeds) note(id storage.AppID, ch *change) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.apps[id]; f != nil && f.n > 0 {
		fs.give(f, unread{ephemeral: ch, weight: 1 << 10})
	}
}

// tellStart is that of a mutation, which is no job if r is nil.
func (app *appState) tellStart(r *run) {
	if r != nil {
		app.eng.feeds.started(r)
		app.eng.lives.started(r)
		app.eng.bells.ring(app.id)
	}
}

// give leaves something in the feed. The lock is held.
func (fs *feeds) give(f *feed, u unread) {
	f.given++
	if u.ephemeral != nil {
		u.ephemeral.nth = f.given
	}
	switch {
	case f.n > 0 && f.weight+u.weight > maxUnread && len(f.unread) > 0:
		f.unread, f.weight, f.overflown = nil, 0, true
	default:
		f.unread = append(f.unread, u)
		f.weight += u.weight
	}
	if f.n > 0 {
		fs.makeEvents(f)
	} else if f.since += u.weight; f.since > maxUnwatched {
		fs.drop(f)
	} else {
		fs.weigh(f, u.weight)
	}
}

// makeEvents has events be made of what lies in a feed with watchers. The lock is held.
func (fs *feeds) makeEvents(f *feed) {
	if !f.making && !fs.closed && (len(f.unread) > 0 || f.overflown) {
		f.making = true
		fs.making.Go(func() { fs.read(f) })
	}
}

// read makes events of what the feed was given, until there is nothing more, or no watcher.
func (fs *feeds) read(f *feed) {
	for {
		fs.mu.Lock()
		given, life, overflown := f.unread, f.life, f.overflown
		if f.n == 0 || len(given) == 0 && !overflown {
			f.making = false
			fs.mu.Unlock()
			return
		}
		f.unread, f.weight, f.overflown = nil, 0, false
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
		fs.take(f)
		fs.mu.Unlock()
		f.end()
	}
}

// next waits for what the watcher has to be told. reset says why it must begin again, "" that
// it need not.
func (fs *feeds) next(ctx context.Context, w *watcher, l *lapse) (told []*change, reset string, err error) {
	for {
		if told, reset, over := w.take(); reset != "" || len(told) > 0 {
			return told, reset, nil
		} else if over {
			return nil, "", errShutdown()
		}
		select {
		case <-w.wake:
		case <-l.lost:
			return nil, "", l.gone()
		case <-ctx.Done():
			return nil, "", contextError(ctx, "")
		}
	}
}

// given is how much the feed was given.
func (fs *feeds) given(f *feed) uint64 {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return f.given
}
