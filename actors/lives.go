package actors

import (
	"sync"
	"sync/atomic"

	"carillon/dispatch"
	"carillon/internal/histogram"
	"carillon/storage"
)

// lives are the rooms of the apps that have live queries. The committer leaves there what was
// written; an app without live queries costs it a look at a counter.
type lives struct {
	n       atomic.Int64 // of rooms; 0: a commit looks no further
	mu      sync.Mutex   // a leaf
	rooms   map[liveKey]*liveRoom
	queries int
	weight  int64
	closed  bool
	working sync.WaitGroup

	runs  atomic.Int64        // of queries
	stale histogram.Histogram // ns from when something was written until a round has shown it
}

// liveKey is of whom a room is: what the host may call, clients may not.
type liveKey struct {
	app    storage.AppID
	origin dispatch.Origin
}

// join has the Live be in the room of its app.
func (ls *lives) join(a *App, l *Live, origin dispatch.Origin) {
	for {
		ls.mu.Lock()
		key := liveKey{a.id, origin}
		r := ls.rooms[key]
		if r == nil {
			r = newLiveRoom(ls, a, origin)
			if ls.closed {
				r.finish(errShutdown())
			} else {
				if ls.rooms == nil {
					ls.rooms = map[liveKey]*liveRoom{}
				}
				ls.rooms[key] = r
				ls.n.Add(1)
			}
		}
		closed := ls.closed
		ls.mu.Unlock()
		l.room = r
		if closed {
			l.err = errShutdown()
			return
		}
		r.mu.Lock()
		if !r.over {
			r.quick.put(l)
			r.mu.Unlock()
			return
		}
		r.mu.Unlock()
		ls.forget(r)
	}
}

// leave has the Live be over. The last one ends the room.
func (ls *lives) leave(l *Live, err error) {
	r := l.room
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(l, err)
	if len(r.quick.all)+len(r.slow.all) == 0 && !r.over {
		r.finish(err)
		ls.forget(r)
	}
}

// end ends the room, and all who are there.
func (ls *lives) end(r *liveRoom, err error) {
	ls.forget(r)
	r.end(err)
}

// forget has the room be found no more.
func (ls *lives) forget(r *liveRoom) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if key := (liveKey{r.app.id, r.origin}); ls.rooms[key] == r {
		delete(ls.rooms, key)
		ls.n.Add(-1)
	}
}

// of are the rooms of the app.
func (ls *lives) of(id storage.AppID) (rooms []*liveRoom) {
	if ls.n.Load() == 0 {
		return nil
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, origin := range [...]dispatch.Origin{dispatch.OriginClient, dispatch.OriginHost} {
		if r := ls.rooms[liveKey{id, origin}]; r != nil {
			rooms = append(rooms, r)
		}
	}
	return rooms
}

// tell leaves for the live queries of the app what the transaction has written, now that this is
// durable as of the commit. The committer calls it.
func (ls *lives) tell(id storage.AppID, tx *storage.Tx, commit uint64) {
	for _, r := range ls.of(id) {
		written := tx.JobWrites()
		r.give(liveWrite{commit: commit, written: written}, written.Weight())
	}
}

// started tells the live queries of the app that a handler of the job begins: it shows as running.
func (ls *lives) started(r *run) {
	for _, room := range ls.of(r.app.id) {
		room.give(liveWrite{written: storage.StartOf(&r.job)}, 1<<8)
	}
}

// doubt notes that a change set of the app has failed, of which something may be durable.
func (ls *lives) doubt(id storage.AppID) {
	for _, r := range ls.of(id) {
		r.lose()
	}
}

// gone ends all live queries of an app that was deleted, or made anew.
func (ls *lives) gone(id storage.AppID, err error) {
	for _, r := range ls.of(id) {
		ls.end(r, err)
	}
}

// count counts queries, and what they retain.
func (ls *lives) count(queries int, weight int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.queries += queries
	ls.weight += weight
}

// sums are how many queries there are, and what they retain.
func (ls *lives) sums() (queries int, weight int64) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.queries, ls.weight
}

// close ends all live queries, and returns when none runs.
func (ls *lives) close() {
	ls.mu.Lock()
	ls.closed = true
	var rooms []*liveRoom
	for _, r := range ls.rooms {
		rooms = append(rooms, r)
	}
	ls.mu.Unlock()
	for _, r := range rooms {
		ls.end(r, errShutdown())
	}
	ls.working.Wait()
}
