package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// pools are the pools of an app: of each lane that something waits or runs in, what does.
// The table outlives a restart of the SchedulerActor. It has a lock of its own, a leaf,
// because readers ask it why a job waits.
type pools struct {
	declared map[string]*dispatch.Pool
	app      *appState
	runs     *runs            // the app's
	controls func() *controls // the app's
	shared   *sharedPools
	clock    *clock

	mu      sync.Mutex
	lanes   map[storage.Lane]*lane
	crowded bool          // some are
	opens   time.Duration // monotonic; when to look at the lanes whose rate keeps jobs waiting; 0: at none
}

// lane is a pool, or a key of one, that something waits or runs in.
type lane struct {
	running int           // runs that hold a permit: claimed ones, and those that have begun
	waits   bool          // a job may be due that is not claimed
	crowded bool          // of a pool that all apps share: they wait for a permit of the app
	stalled bool          // those that are due wait for something else than a permit
	ahead   storage.JobID // of an ordered lane: the job that they wait for; "" if none is known

	from [storage.MaxPriority + 1]storage.Place // by priority: no job that waits lies before it
	none [storage.MaxPriority + 1]bool          // nor behind it, until one arrives

	starts startLog
}

func newPools(app *appState) *pools {
	return &pools{declared: app.eng.pools, app: app, runs: app.runs, controls: app.controls, clock: app.eng.clock, shared: app.eng.sharedPools, lanes: map[storage.Lane]*lane{}}
}

// limit is how many permits the lane has, but for those that stuck handlers keep. The
// caller has the lock.
func (ps *pools) limit(at storage.Lane) int {
	p, c := ps.declared[at.Pool], ps.controls()
	if p == nil || c.lane(at) != nil {
		return 0
	}
	limit := p.Limit()
	if n, ok := c.limits[at.Pool]; ok {
		limit = n
	}
	if p.HoldsWhileStuck() {
		limit -= ps.runs.leftInLane(at)
	}
	return limit
}

// at returns the lane. The caller has the lock.
func (ps *pools) at(at storage.Lane) *lane {
	l := ps.lanes[at]
	if l == nil {
		l = &lane{}
		ps.lanes[at] = l
	}
	return l
}

// arrive notes that a job of the lane is due.
func (ps *pools) arrive(job *storage.Job) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.at(job.Lane())
	if from := &l.from[job.Priority]; job.Place().Less(*from) {
		*from = job.Place()
	}
	l.none[job.Priority] = false
	l.waits, l.stalled = true, false
}

// begin is where the jobs of the lane begin, by priority, and of which there are none.
func (ps *pools) begin(at storage.Lane) (from [storage.MaxPriority + 1]storage.Place, none [storage.MaxPriority + 1]bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.at(at)
	return l.from, l.none
}

// settle notes what is left of a lane after it was looked through.
func (ps *pools) settle(at storage.Lane, from [storage.MaxPriority + 1]storage.Place, none [storage.MaxPriority + 1]bool, waits, stalled bool, ahead storage.JobID) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.at(at)
	l.from, l.none = from, none
	l.waits, l.stalled = waits, waits && stalled
	if ps.isShared(at.Pool) {
		ps.shared.giveBack(ps.app, at, l.waits && !l.stalled)
	}
	if l.running == 0 {
		l.ahead = ahead
	}
	ps.noteOpens(at, l)
	ps.tidy(at, l)
}

// tidy forgets a lane that nothing waits or runs in. The caller has the lock.
func (ps *pools) tidy(at storage.Lane, l *lane) {
	if l.running == 0 && !l.waits && ps.forgettable(at, l) {
		delete(ps.lanes, at)
	}
}

// take takes a permit of the job's pool for the run.
func (ps *pools) take(r *run) {
	if r.job.Pool == "" {
		return
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.at(r.job.Lane())
	l.running++
	if ps.isShared(r.job.Pool) {
		ps.shared.use(ps.app, r.job.Lane())
	}
	l.ahead = r.job.ID
	l.starts.claimed()
}

// free gives the permit of the run back, whose handler has begun or not, and says whether
// a job may wait for it.
func (ps *pools) free(r *run, begun bool) (awaited bool) {
	if r.job.Pool == "" {
		return false
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.at(r.job.Lane())
	l.running--
	begun = begun || r.counted
	ps.noteEnd(r, l, begun)
	if ps.isShared(r.job.Pool) {
		ps.shared.release(ps.app, r.job.Lane(), begun)
	}
	l.ahead = ""
	ps.tidy(r.job.Lane(), l)
	return l.waits
}

// open is how many jobs of the lane may begin, if none waits: else 0.
func (ps *pools) open(at storage.Lane) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	l := ps.lanes[at]
	if l == nil {
		return ps.limit(at)
	}
	if l.waits {
		return 0
	}
	return min(ps.limit(at)-l.running, ps.startsLeft(at, l))
}

// room is how many more jobs of the lane may begin.
func (ps *pools) room(at storage.Lane) int {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.left(at)
}

// left is room with the lock, by permits and rate. Of a pool that all apps share it is at most one, which is
// reserved then.
func (ps *pools) left(at storage.Lane) int {
	left := ps.limit(at)
	if l := ps.lanes[at]; l != nil {
		left = min(left-l.running, ps.startsLeft(at, l))
	}
	if left > 0 && ps.isShared(at.Pool) {
		if left = 0; ps.shared.reserve(ps.app, at) {
			left = 1
		}
	}
	return left
}

// admitting returns the lanes in which a job may be due and begin.
func (ps *pools) admitting() (list []storage.Lane) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.opens = 0
	for at, l := range ps.lanes {
		switch {
		case !l.waits:
			ps.tidy(at, l) // its rate may have kept it
		case !l.stalled && ps.left(at) > 0:
			list = append(list, at)
		default:
			ps.noteOpens(at, l)
		}
	}
	return list
}

// rouse has the lanes looked at again whose jobs wait for something else than a permit,
// and from the place on.
func (ps *pools) rouse(from storage.Place) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, l := range ps.lanes {
		l.stalled, l.none = false, [storage.MaxPriority + 1]bool{}
		for p := range l.from {
			if from.Less(l.from[p]) {
				l.from[p] = from
			}
		}
	}
}

// unstallAll has the lanes looked at again whose jobs wait for something else than a permit.
func (ps *pools) unstallAll() {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, l := range ps.lanes {
		l.stalled = false
	}
}

// waiting says whether a job of any lane may be due.
func (ps *pools) waiting() bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, l := range ps.lanes {
		if l.waits {
			return true
		}
	}
	return false
}

// waitsFor is what a job that is due and waits in its lane waits for, and why; "" if for
// nothing of the lane's. A rate of the pool would be told here.
func (ps *pools) waitsFor(job *storage.Job) (storage.Wait, string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	at := job.Lane()
	if ps.ordered(at.Pool) {
		if why := ps.predecessor(job); why != "" {
			return storage.WaitPredecessor, why
		}
	}
	if ps.isShared(at.Pool) {
		if n, limit := ps.shared.taken(at); n >= limit {
			return storage.WaitPool, fmt.Sprintf("%s, which all apps share, is full: %d of %d permits are taken", nameOf(at), n, limit)
		}
		if why := ps.shared.rateReason(at); why != "" {
			return storage.WaitRate, why
		}
	}
	l, limit := ps.lanes[at], ps.limit(at)
	if l == nil {
		return "", ""
	}
	if l.running < limit {
		if why := ps.rateReason(at, l); why != "" {
			return storage.WaitRate, why
		}
		return "", ""
	}
	return storage.WaitPool, fmt.Sprintf("%s is full: %d of %d permits are taken", nameOf(at), l.running, limit)
}

// running is how many runs hold a permit of the pool, over all of its keys.
func (ps *pools) running(name string) (n int) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for at, l := range ps.lanes {
		if at.Pool == name {
			n += l.running
		}
	}
	return n
}

// PoolStatus is what a pool of an app does at one moment, over all of its keys.
type PoolStatus struct {
	Name  string
	Limit int // attempts at once, of the app, or of each key
	// Declared is the limit that the program gives it. Limit is another one if that was
	// set at run time (App.LimitPool).
	Declared int
	// Paused is the pause of the pool, not of its keys or of the app; nil: it is not paused.
	Paused  *storage.Pause
	Ordered bool      // one job after another: the next begins when the one before has ended
	Shared  bool      // of all apps: the limit is that of all together, the rest is the app's
	Running int       // jobs that hold a permit
	Stuck   int       // handlers of its jobs that were given up and have not returned
	Queued  int       // jobs that are due and hold none
	Oldest  time.Time // when the first of those was due; zero if there are none

	Rate int           // at most so many begin, of the app, or of each key,
	Span time.Duration // in any span of that length; 0: as many as will
	Next time.Time     // when the next one of those may, as far as known; zero: no rate keeps it waiting
}

// Pools tells of each declared pool, by name. It counts the jobs that wait by reading
// their index, some hundred thousand in a second, and does not wake the app.
func (a *App) Pools(ctx context.Context) ([]PoolStatus, error) {
	list := make([]PoolStatus, 0, len(a.eng.pools))
	for _, name := range slices.Sorted(maps.Keys(a.eng.pools)) {
		p := a.eng.pools[name]
		rate, span := p.Rate()
		list = append(list, PoolStatus{Name: name, Limit: p.Limit(), Declared: p.Limit(), Ordered: p.IsOrdered(), Shared: p.IsShared(), Rate: rate, Span: span})
	}
	if v, live := a.eng.directory.live.Load(a.id); live {
		app := v.(*appRef).app
		for i := range list {
			list[i].Running = app.pools.running(list[i].Name)
			list[i].Stuck = app.runs.leftIn(list[i].Name)
			list[i].Next = app.pools.nextOf(list[i].Name)
		}
	}
	err := a.eng.read(ctx, a.id, nil, func(r storage.Reader) (err error) {
		now := a.eng.clock.wall()
		limits, err := r.System().PoolLimits()
		if err != nil {
			return err
		}
		pauses, err := r.System().Pauses()
		if err != nil {
			return err
		}
		for i := range list {
			if n, ok := limits[list[i].Name]; ok {
				list[i].Limit = n
			}
			for _, p := range pauses {
				if p.Of == dispatch.OfPool(list[i].Name) {
					list[i].Paused = &p
				}
			}
			if list[i].Queued, list[i].Oldest, err = r.System().Waiting(list[i].Name, now); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// Pool returns the declared pool (Options.Pools) that is called so, and whether there is one.
func (e *Engine) Pool(name string) (*dispatch.Pool, bool) {
	p, ok := e.pools[name]
	return p, ok
}

// pools are the declared pools by name.
func (o *Options) pools() map[string]*dispatch.Pool {
	byName := make(map[string]*dispatch.Pool, len(o.Pools))
	for _, p := range o.Pools {
		if p != nil {
			byName[p.Name()] = p
		}
	}
	return byName
}

// checkPools says what is wrong with the declared pools, and with those of functions.
func (o *Options) checkPools() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, dispatch.Errorf(dispatch.CodeInvalidArgument, "options: "+format, args...))
	}
	byName := o.pools()
	for i, p := range o.Pools {
		switch {
		case p == nil:
			bad("Pools[%d] is nil", i)
		case byName[p.Name()] != p:
			bad("two of Pools have the name %s", p.Name())
		}
	}
	if o.Functions != nil {
		for _, fn := range slices.Concat(o.Functions.Functions(), o.Functions.Remotes()) {
			if err := fn.Placement.Check(byName); err != nil {
				bad("function %s: %w", fn.Path, err)
			}
		}
	}
	return errors.Join(errs...)
}

// registry is the fingerprint of the functions and pools that jobs may need. Held jobs are
// released to an engine that has another one.
func (o *Options) registry() string {
	print := o.Functions.Fingerprint()
	if names := slices.Sorted(maps.Keys(o.pools())); len(names) > 0 {
		print += "+" + strings.Join(names, "+")
	}
	return print
}
