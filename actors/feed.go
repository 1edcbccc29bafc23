package actors

import (
	"slices"
	"sync"
	"time"

	"carillon/storage"
)

// These bound what a feed keeps to go on from, for how long without a watcher, and how many
// events wait for a watcher: more than a mutation schedules jobs.
const (
	keptChanges = 10_000
	keptBytes   = 1 << 20
	keptFor     = time.Minute
	maxUntold   = 16_384
)

// wakeEvery is by how much each watcher that is woken puts the next round off, if there are
// many: a thousand take little of the processor from the app that they watch.
const wakeEvery, crowd = 50 * time.Microsecond, 20

// feed is what those who watch one app are told.
type feed struct {
	app storage.AppID

	// Below: guarded by feeds.mu.
	n         int // watchers
	given     uint64
	unread    []unread
	weight    int         // of that
	since     int         // of what was given since the last watcher left
	held      int         // and all that it has held since then, about
	making    bool        // a goroutine reads it
	overflown bool        // some of it was dropped
	doubtful  bool        // a change set has failed
	idle      *time.Timer // drops it when it was not watched for long

	life uint64 // how often it has begun; changed under both locks

	// mu comes before feeds.mu. Below: guarded by it.
	mu       sync.Mutex
	id       uint64 // random; another one after each gap
	watchers map[indexKey][]*watcher
	keys     []indexKey // scratch
	kept     []kept     // the latest changes, in order
	room     []kept     // they lie in it; what is before them is free
	bytes    int
	last     Position
	from     Position // if rooted: a watch can go on from there, and from what is behind it
	rooted   bool
	due      []*watcher // are woken next
	wakeAt   time.Time  // and not before
	waking   *time.Timer
	over     bool // the engine closes
}

// kept is a change that a watch can go on from.
type kept struct {
	at     Position
	change storage.JobChange
	weight int
}

// watcher is a call of App.Watch.
type watcher struct {
	feed   *feed
	filter storage.JobFilter
	key    indexKey
	wake   chan struct{}

	// Below: guarded by feed.mu.
	place int      // among those of its key
	after Position // it knows what is not behind that
	nth   uint64   // and what the feed was given up to there
	told  []*change
	reset string // why it has to begin again; "": it need not
	due   bool
}

// indexKey is by what the watchers are found with one filter.
type indexKey struct {
	of    byte // 'i', 't', 'p', 'g' or 'f'; 0: all jobs
	value string
}

// indexKeyOf is that of the condition which the fewest jobs meet.
func indexKeyOf(f *storage.JobFilter) indexKey {
	switch {
	case f.ID != "":
		return indexKey{'i', string(f.ID)}
	case len(f.Tags) > 0:
		return indexKey{'t', f.Tags[0]}
	case f.Parent != "":
		return indexKey{'p', string(f.Parent)}
	case f.Trigger != "":
		return indexKey{'g', f.Trigger}
	case f.Function != "":
		return indexKey{'f', f.Function}
	}
	return indexKey{}
}

// keysOf are the keys by which the watchers are found whose filter may choose the job.
func (f *feed) keysOf(job *storage.Job) []indexKey {
	f.keys = append(f.keys[:0], indexKey{}, indexKey{'i', string(job.ID)}, indexKey{'f', job.Function})
	for _, tag := range job.Tags {
		f.keys = append(f.keys, indexKey{'t', tag})
	}
	if job.Parent != "" {
		f.keys = append(f.keys, indexKey{'p', string(job.Parent)})
	}
	if job.Trigger != "" {
		f.keys = append(f.keys, indexKey{'g', job.Trigger})
	}
	return f.keys
}

// add has the watcher be told, from behind its position on if what came since is kept.
func (f *feed) add(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.place = len(f.watchers[w.key])
	f.watchers[w.key] = append(f.watchers[w.key], w)
	switch {
	case w.after.IsZero():
		w.reset = resetBegins
	case !f.rooted || w.after.Feed != f.id || w.after.Compare(f.from) < 0:
		w.after, w.reset = Position{}, resetGone
	default:
		for i := range f.kept {
			if k := &f.kept[i]; k.at.Compare(w.after) > 0 {
				if ch, ok := changeOf(k.at, &k.change); ok && ch.chosenBy(&w.filter) {
					w.told = append(w.told, ch)
				}
			}
		}
	}
}

// remove has the watcher be told no more, and returns what the changes weigh that are kept.
func (f *feed) remove(w *watcher) (kept int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	among := f.watchers[w.key]
	last := among[len(among)-1]
	among[w.place], last.place = last, w.place
	among[len(among)-1] = nil
	if f.watchers[w.key] = among[:len(among)-1]; len(among) == 1 {
		delete(f.watchers, w.key)
	}
	if w.due {
		f.due = slices.DeleteFunc(f.due, func(d *watcher) bool { return d == w })
	}
	return f.bytes
}

// tell makes events of what the feed was given in that life, and leaves them to the watchers.
func (f *feed) tell(u *unread, life uint64) {
	var changes []storage.JobChange
	if u.written != nil {
		changes = u.written.Changes()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life != life {
		return
	}
	if u.ephemeral != nil {
		f.leave(u.ephemeral)
	}
	for i := range changes {
		at := Position{Feed: f.id, Commit: u.commit}
		if f.last.Commit == u.commit {
			at.Index = f.last.Index + 1
		}
		if i == len(changes)-1 {
			at.Log = logOf(u.mark)
		}
		f.last = at
		f.keep(kept{at, changes[i], changes[i].Weight()})
		if len(f.watchers) == 0 {
			continue
		}
		if ch, ok := changeOf(at, &changes[i]); ok {
			f.leave(ch)
		}
	}
}

// keep keeps the change, and as many of those before it as there is room for.
func (f *feed) keep(k kept) {
	if len(f.kept) == cap(f.kept) {
		if free := len(f.room) - len(f.kept); free > len(f.kept)/4 {
			f.kept = f.room[:copy(f.room, f.kept)]
			clear(f.room[len(f.kept):])
		} else {
			f.kept = slices.Grow(f.kept, 1)
			f.room = f.kept[:cap(f.kept)]
		}
	}
	f.kept = append(f.kept, k)
	f.bytes += k.weight
	for len(f.kept) > keptChanges || f.bytes > keptBytes {
		if at := f.kept[0].at; at.Compare(f.from) > 0 {
			f.from = at
		}
		f.bytes -= f.kept[0].weight
		f.kept[0] = kept{}
		f.kept = f.kept[1:]
	}
}

// leave leaves the change to those watchers whose filter chooses its job.
func (f *feed) leave(ch *change) {
	for _, key := range f.keysOf(&ch.event.Job) {
		for _, w := range f.watchers[key] {
			switch {
			case w.reset != "" || !ch.chosenBy(&w.filter):
				continue
			case ch.event.Ephemeral():
				if ch.nth <= w.nth || len(w.told) >= maxUntold/2 {
					continue
				}
			case ch.event.Position.Compare(w.after) <= 0:
				continue
			case len(w.told) == maxUntold:
				w.begin(resetLagged)
			}
			if w.reset == "" {
				w.told = append(w.told, ch)
			}
			f.hurry(w)
		}
	}
}

// hurry has the watcher be woken in the next round.
func (f *feed) hurry(w *watcher) {
	if !w.due {
		w.due = true
		f.due = append(f.due, w)
	}
}

// wakeDue wakes those who are due, unless it is too early for that.
func (f *feed) wakeDue() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wake()
}

func (f *feed) wake() {
	if len(f.due) == 0 || f.waking != nil {
		return
	}
	now := time.Now()
	if wait := f.wakeAt.Sub(now); wait > 0 && !f.over {
		f.waking = time.AfterFunc(wait, func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.waking = nil
			f.wake()
		})
		return
	}
	if len(f.due) > crowd {
		f.wakeAt = now.Add(time.Duration(len(f.due)) * wakeEvery)
	}
	for _, w := range f.due {
		w.due = false
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	clear(f.due)
	f.due = f.due[:0]
}

// begin forgets what is kept, and has all watchers begin again. The lock is held.
func (f *feed) begin(reason string) {
	f.id++
	f.kept, f.room, f.bytes, f.rooted = nil, nil, 0, false
	for _, among := range f.watchers {
		for _, w := range among {
			w.begin(reason)
			f.hurry(w)
		}
	}
	f.wake()
}

// begin has the watcher begin again.
func (w *watcher) begin(reason string) { w.told, w.reset, w.after = nil, reason, Position{} }

// end has all watchers end when they were told what there is.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.over = true
	if f.waking != nil {
		f.waking.Stop()
		f.waking = nil
	}
	for _, among := range f.watchers {
		for _, w := range among {
			f.hurry(w)
		}
	}
	f.wake()
}

// take takes what there is to tell the watcher.
func (w *watcher) take() (told []*change, reset string, over bool) {
	w.feed.mu.Lock()
	defer w.feed.mu.Unlock()
	told, reset = w.told, w.reset
	w.told, w.reset = nil, ""
	return told, reset, w.feed.over
}

// ready notes that the watcher knows all as of the mark, when the feed had been given so much, and
// returns its position.
func (f *feed) ready(w *watcher, as storage.CommitMark, given uint64) Position {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.reset != "" {
		return Position{}
	}
	at := endOf(f.id, as)
	if !f.rooted {
		f.from, f.rooted = at, true
	}
	w.after, w.nth = at, given
	w.told = slices.DeleteFunc(w.told, func(ch *change) bool {
		if ch.event.Ephemeral() {
			return ch.nth <= given
		}
		return ch.event.Position.Compare(at) <= 0
	})
	return at
}
