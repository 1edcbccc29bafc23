package actors

import (
	"maps"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is the permits of the pools that all apps of the engine share. An app asks for
// one when a job of it could begin, and waits in a circle with the others (G18): each permit
// that is free goes to the app that has been given none for longest. What it is given it uses
// in its next step, or gives back. Permits are taken in one order, that of the pool, then
// that of the engine, so that no two wait for each other.

// sharedPools are those permits. It has a lock of its own, below that of pools.
type sharedPools struct {
	declared map[string]*dispatch.Pool
	clock    *clock
	tell     func(*appState, storage.Lane) // that it was given a permit of the lane

	mu    sync.Mutex
	lanes map[storage.Lane]*sharedLane
	doubt map[string]time.Duration // monotonic; pools whose starts cannot be read wait until then
}

// sharedLane is a pool, or a key of one, that something waits or runs in.
type sharedLane struct {
	of      map[*appState]*share
	taken   int         // permits that apps have
	stuck   int         // permits that stuck handlers keep
	waiting []*appState // in the order they are given permits
	starts  startLog    // of all apps; what is ahead are permits, given or not used yet
	alarm   *time.Timer // when the rate lets the first that waits begin, or the lane be forgotten
}

// share is what an app has of the permits of a lane.
type share struct {
	taken  int
	unused int // of those, what no job has yet
	ahead  int // of those, whose attempt has not begun
}

func newSharedPools(declared map[string]*dispatch.Pool, clock *clock, tell func(*appState, storage.Lane)) *sharedPools {
	return &sharedPools{declared: declared, clock: clock, tell: tell, lanes: map[storage.Lane]*sharedLane{}}
}

// change does something with a lane, hands out what is free then, and forgets the lane if
// nothing is left in it.
func (sp *sharedPools) change(at storage.Lane, do func(*sharedLane)) {
	sp.mu.Lock()
	l := sp.lanes[at]
	if l == nil {
		l = &sharedLane{of: map[*appState]*share{}, starts: startLog{until: sp.doubt[at.Pool]}}
		sp.lanes[at] = l
	}
	do(l)
	var given []*appState
	for len(l.waiting) > 0 && sp.free(at, l) > 0 {
		app := l.waiting[0]
		l.waiting = slices.Delete(l.waiting, 0, 1)
		l.give(app)
		given = append(given, app)
	}
	sp.rearm(at, l)
	sp.mu.Unlock()
	for _, app := range given {
		sp.tell(app, at)
	}
}

// free is how many permits of the lane are left, by its limit and its rate. The caller has
// the lock.
func (sp *sharedPools) free(at storage.Lane, l *sharedLane) int {
	p := sp.declared[at.Pool]
	return min(p.Limit()-l.taken-max(l.stuck, 0), l.starts.left(p, sp.clock.elapsed()))
}

// give gives the app a permit.
func (l *sharedLane) give(app *appState) {
	s := l.of[app]
	if s == nil {
		s = &share{}
		l.of[app] = s
	}
	s.taken, s.unused, l.taken = s.taken+1, s.unused+1, l.taken+1
	s.ahead, l.starts.ahead = s.ahead+1, l.starts.ahead+1
}

// drop takes n permits from the app, so many of them of attempts that have not begun.
func (l *sharedLane) drop(app *appState, n, ahead int) {
	s := l.of[app]
	if s == nil {
		return // the app has stopped
	}
	s.taken, l.taken = s.taken-n, l.taken-n
	s.ahead, l.starts.ahead = s.ahead-ahead, l.starts.ahead-ahead
	if s.taken == 0 {
		delete(l.of, app)
	}
}

// dropUnused takes the permits from the app that no job has, and says whether there were any.
func (l *sharedLane) dropUnused(app *appState) bool {
	s := l.of[app]
	if s == nil || s.unused == 0 {
		return false
	}
	n := s.unused
	s.unused = 0
	l.drop(app, n, n)
	return true
}

// leave takes the app from those that wait.
func (l *sharedLane) leave(app *appState) {
	l.waiting = slices.DeleteFunc(l.waiting, func(a *appState) bool { return a == app })
}

// reserve says whether the app has a permit that no job of it has, and has it wait for one
// if not. Those that wait already come first.
func (sp *sharedPools) reserve(app *appState, at storage.Lane) (ok bool) {
	sp.change(at, func(l *sharedLane) {
		if s := l.of[app]; s != nil && s.unused > 0 {
			ok = true
			return
		}
		switch {
		case len(l.waiting) == 0 && sp.free(at, l) > 0:
			l.give(app)
			ok = true
		case !slices.Contains(l.waiting, app):
			l.waiting = append(l.waiting, app)
		}
	})
	return ok
}

// use has a job have a permit that the app has reserved.
func (sp *sharedPools) use(app *appState, at storage.Lane) {
	sp.change(at, func(l *sharedLane) {
		if s := l.of[app]; s == nil || s.unused == 0 {
			l.give(app) // never more than the limit are admitted all the same
		}
		l.of[app].unused--
	})
}

// release gives the permit of a job back, whose handler has begun or not.
func (sp *sharedPools) release(app *appState, at storage.Lane, begun bool) {
	ahead := 1
	if begun {
		ahead = 0
	}
	sp.change(at, func(l *sharedLane) { l.drop(app, 1, ahead) })
}

// giveBack gives back what no job of the app has. Unless it waits on it does not want more.
func (sp *sharedPools) giveBack(app *appState, at storage.Lane, waits bool) {
	sp.change(at, func(l *sharedLane) {
		if !waits {
			l.leave(app)
		}
		l.dropUnused(app)
	})
}

// reject gives back what no job of the app has, if there is something, and has the app wait
// for no more then.
func (sp *sharedPools) reject(app *appState, at storage.Lane) (had bool) {
	sp.change(at, func(l *sharedLane) {
		if had = l.dropUnused(app); had {
			l.leave(app)
		}
	})
	return had
}

// forget takes from the app all that it has.
func (sp *sharedPools) forget(app *appState) {
	sp.mu.Lock()
	lanes := slices.Collect(maps.Keys(sp.lanes))
	sp.mu.Unlock()
	for _, at := range lanes {
		sp.change(at, func(l *sharedLane) {
			l.leave(app)
			if s := l.of[app]; s != nil {
				l.drop(app, s.taken, s.ahead)
			}
		})
	}
}

// stick has n more stuck handlers of the lane keep a permit each, if the pool has them do so.
func (sp *sharedPools) stick(at storage.Lane, n int) {
	if p := sp.declared[at.Pool]; p != nil && p.IsShared() && p.HoldsWhileStuck() {
		sp.change(at, func(l *sharedLane) { l.stuck += n })
	}
}

// taken is how many permits of the lane are not free, and of how many.
func (sp *sharedPools) taken(at storage.Lane) (n, limit int) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if l := sp.lanes[at]; l != nil {
		n = l.taken + l.stuck
	}
	return n, sp.declared[at.Pool].Limit()
}

// isShared says whether the pool is declared, and of all apps.
func (ps *pools) isShared(pool string) bool {
	p := ps.declared[pool]
	return p != nil && p.IsShared()
}

// giveBackShared gives back what the app was given and cannot use now: it asks again when it
// can. While a mutation has the turn it may be able to soon.
func (s *scheduler) giveBackShared() {
	if len(s.given) == 0 || s.holder != nil {
		return
	}
	for _, at := range s.given {
		if s.eng.sharedPools.reject(s.appState, at) {
			s.walks[ofPools].look(s.eng.clock.wall())
		}
	}
	s.given = nil
}

// leaveShared has the app wait for no permit any more.
func (ps *pools) leaveShared() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for at := range ps.lanes {
		if ps.isShared(at.Pool) {
			ps.shared.giveBack(ps.app, at, false)
		}
	}
}

// crowd notes that jobs of the lane wait for a permit of the app: they keep none of the pool
// meanwhile.
func (ps *pools) crowd(at storage.Lane) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.at(at).crowded = true
	ps.crowded = true
}

// uncrowd has those lanes looked at again, and says whether there are any.
func (ps *pools) uncrowd() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if !ps.crowded {
		return false
	}
	for _, l := range ps.lanes {
		if l.crowded {
			l.crowded, l.stalled = false, false
		}
	}
	ps.crowded = false
	return true
}

// isCrowded says whether the job would wait for a permit of the app if it were claimed now:
// as many jobs as it may run are before it.
func (s *scheduler) isCrowded(job *storage.Job) bool {
	n, _ := slices.BinarySearchFunc(s.runQueue.due, job, func(r *run, job *storage.Job) int {
		if job.OvertakenBy(&r.job) {
			return -1
		}
		return 1
	})
	return s.started+n >= s.limits.Concurrency
}

// SharedPoolStatus is what a pool that all apps share does at one moment, over all of its
// keys.
type SharedPoolStatus struct {
	Name    string
	Limit   int // attempts at once, of all apps together, or of each key
	Running int // permits that jobs have
	Stuck   int // permits that stuck handlers keep (dispatch.HoldWhileStuck)
	Apps    int // that wait for a permit

	Rate int           // at most so many begin, in all apps together, or of each key,
	Span time.Duration // in any span of that length; 0: as many as will
	Next time.Time     // when the next one of those may, as far as known; zero: no rate keeps it waiting
}

// SharedPools tells of each declared pool that all apps share, by name.
func (e *Engine) SharedPools() []SharedPoolStatus {
	var list []SharedPoolStatus
	for _, name := range slices.Sorted(maps.Keys(e.pools)) {
		if p := e.pools[name]; p.IsShared() {
			list = append(list, e.sharedPools.status(p))
		}
	}
	return list
}

func (sp *sharedPools) status(p *dispatch.Pool) SharedPoolStatus {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	st := SharedPoolStatus{Name: p.Name(), Limit: p.Limit(), Next: sp.next(p.Name())}
	st.Rate, st.Span = p.Rate()
	waiting := map[*appState]bool{}
	for at, l := range sp.lanes {
		if at.Pool != p.Name() {
			continue
		}
		st.Running, st.Stuck = st.Running+l.taken, st.Stuck+l.stuck
		for _, app := range l.waiting {
			waiting[app] = true
		}
	}
	st.Apps = len(waiting)
	return st
}
