package actors

import (
	"slices"
	"strings"
	"time"

	"carillon/storage"
)

// This file is how the jobs of pools are claimed: at their instant, and only as far as
// their pool has permits, in the order of their rank. The walks find that one is due; from
// then on its lane is known to wait, and is read from its index when a permit is left. So
// a job that waits is neither read nor written again.

// skipMost bounds how many of them are passed by whose function is paused, before the app's
// callers have a turn.
const skipMost = 4096

// admitMost bounds how many jobs of a lane are looked at in one pass that are due, and wait
// for something else than a permit.
const admitMost = 256

// admitAll claims what may begin in each lane that waits and has a permit left.
func (c *claimPass) admitAll() {
	if c.walk = &c.walks[ofPools]; !c.ready(c.wall) {
		return
	}
	c.blocked, c.nextAt = false, time.Time{}
	lanes := c.pools.admitting()
	slices.SortFunc(lanes, func(a, b storage.Lane) int {
		if n := strings.Compare(a.Pool, b.Pool); n != 0 {
			return n
		}
		return strings.Compare(a.Key, b.Key)
	})
	for _, at := range lanes {
		if !c.admit(at) {
			c.look(c.wall) // as soon as there is room
			return
		}
	}
}

// admit claims the jobs of the lane that may begin. It is false if there was no room for
// more claims.
func (c *claimPass) admit(at storage.Lane) bool {
	if !c.readStarts(c.tx, at) {
		c.look(c.wall.Add(time.Second))
		return true
	}
	l := laneReader{tx: c.tx, lane: at, wall: c.wall, ordered: c.pools.ordered(at.Pool)}
	from, none := c.pools.begin(at)
	for p := range from {
		l.of[p].from, l.of[p].over, l.of[p].none = from[p], none[p], none[p]
	}
	if l.ordered {
		return c.admitNext(&l)
	}
	passed, late, skipped, more, crowded := 0, 0, 0, true, false
	c.timed = false
	defer func() {
		rest, none := l.rest()
		c.pools.settle(at, rest, none, more || passed > 0, crowded || (!more || passed >= admitMost) && !c.timed, "")
	}()
	for c.pools.room(at) > 0 && passed < admitMost {
		if skipped >= skipMost {
			c.look(c.wall)
			c.yields = true
			return true
		}
		job, err := l.first(max(c.pools.room(at), skipped, 1))
		if err != nil {
			c.eng.opts.Logger.Error("reading the jobs of a pool", "app", c.id, "pool", at.Pool, "err", err)
			c.look(c.wall.Add(time.Second))
			c.timed = true
			passed++
		}
		if job == nil {
			more = false
			return true
		}
		if job.TooLate(c.wall) { // it expires
			if late++; late >= passMost {
				c.look(c.wall)
				c.yields = true
				return true
			}
			continue
		}
		if c.functionPaused(job) != nil { // it is found again when that is over
			skipped++
			c.passedBy = true
			continue
		}
		if !c.hasRoom(job) {
			l.pass(job)
			return false
		}
		if c.pools.isShared(at.Pool) && c.isCrowded(job) {
			l.pass(job)
			c.pools.crowd(at)
			crowded = true
			return true
		}
		n := len(c.claimed)
		if c.runs.get(job.ID) == nil { // else an earlier job of the id is under way
			c.consider(job)
		}
		if len(c.claimed) == n {
			l.pass(job)
			passed++
		}
	}
	return true
}

// laneReader reads the jobs of a lane that are due, in the order of their rank, or if it is
// ordered in that of their places.
type laneReader struct {
	tx      *storage.Tx
	lane    storage.Lane
	wall    time.Time
	ordered bool
	of      [storage.MaxPriority + 1]struct {
		jobs   []storage.Job
		from   storage.Place // to read on
		rest   storage.Place // of the first job that was passed, if one was
		passed bool
		over   bool
		none   bool // there are none at all
	}
}

// first takes the next job; nil if none is due. about is how many are wanted.
func (l *laneReader) first(about int) (job *storage.Job, err error) {
	best := 0
	for p := storage.MinPriority; p <= storage.MaxPriority; p++ {
		of := &l.of[p]
		for len(of.jobs) == 0 && !of.over {
			var more bool
			var bad error
			of.jobs, of.from, more, bad = l.tx.DueIn(l.lane, p, of.from, min(about, claimPage))
			if of.over = !more || bad != nil; bad != nil {
				err = bad
			}
			of.none = of.over && bad == nil && len(of.jobs) == 0
		}
		switch {
		case len(of.jobs) == 0:
		case of.jobs[0].Due.After(l.wall):
			l.pass(&of.jobs[0])
			of.jobs, of.over = nil, true
		case best == 0 || l.overtakes(&of.jobs[0], &l.of[best].jobs[0]):
			best = p
		}
	}
	if best == 0 {
		return nil, err
	}
	of := &l.of[best]
	job = &of.jobs[0]
	of.jobs = of.jobs[1:]
	return job, err
}

// overtakes says whether the one job is before the other.
func (l *laneReader) overtakes(job, other *storage.Job) bool {
	if l.ordered {
		return job.Place().Less(other.Place())
	}
	return other.OvertakenBy(job)
}

// pass notes that the job stays where it is.
func (l *laneReader) pass(job *storage.Job) {
	if of := &l.of[job.Priority]; !of.passed {
		of.rest, of.passed = job.Place(), true
	}
}

// rest is where the jobs begin that are left, by priority, and of which there are none.
func (l *laneReader) rest() (from [storage.MaxPriority + 1]storage.Place, none [storage.MaxPriority + 1]bool) {
	for p := range l.of {
		of := &l.of[p]
		none[p] = of.none && !of.passed
		switch {
		case of.passed:
			from[p] = of.rest
		case len(of.jobs) > 0:
			from[p] = of.jobs[0].Place()
		default:
			from[p] = of.from
		}
	}
	return from, none
}
