package actors

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"carillon/storage"
)

// This file is how the jobs of an ordered pool begin: one after another, each when the one
// before it has ended. The job whose turn it is keeps those behind it back from when it is
// claimed until its end is written down. While it waits for another attempt, or is held, the
// store says that it has the turn (storage.Tx.Turn), so that a restart knows it, too.

// ordered says whether the pool is declared, and Ordered.
func (ps *pools) ordered(pool string) bool {
	p := ps.declared[pool]
	return p != nil && p.IsOrdered()
}

// admitNext claims the next job of an ordered lane, if one may begin. It is false if there
// was no room for more claims.
func (c *claimPass) admitNext(l *laneReader) bool {
	var ahead storage.JobID
	waits, stalled := true, false
	c.timed = false
	defer func() {
		rest, none := l.rest()
		c.pools.settle(l.lane, rest, none, waits, stalled && !c.timed, ahead)
	}()
	for i := 0; i < admitMost && c.pools.room(l.lane) > 0; i++ {
		job, turn, err := c.next(l)
		if err != nil {
			c.eng.opts.Logger.Error("reading the jobs of a pool", "app", c.id, "pool", l.lane.Pool, "err", err)
			c.look(c.wall.Add(time.Second))
			c.timed = true
		}
		switch {
		case job == nil:
			waits = err != nil
			return true
		case !turn:
			l.pass(job) // it stays where it is, if it is not claimed
		}
		switch {
		case job.State == storage.StateHeld || job.Due.After(c.wall) || job.TooLate(c.wall) || c.functionPaused(job) != nil:
			ahead, stalled = job.ID, true // until it has gone, is due, or is resumed
			return true
		case !c.hasRoom(job):
			return false
		}
		if c.pools.isShared(l.lane.Pool) && c.isCrowded(job) {
			c.pools.crowd(l.lane)
			stalled = true
			return true
		}
		n := len(c.claimed)
		c.kept = nil
		if c.runs.get(job.ID) != nil {
			c.keep(job, time.Time{}) // an earlier job of the id is under way
		} else {
			c.consider(job)
		}
		switch {
		case len(c.claimed) > n:
			return true
		case c.kept != nil:
			ahead, stalled = job.ID, true
			return true
		}
	}
	return true
}

// next is the job of an ordered lane that has its turn, or that gets it now; nil if none
// waits that is due.
func (c *claimPass) next(l *laneReader) (job *storage.Job, turn bool, err error) {
	held, turn, err := c.tx.Turn(l.lane)
	if turn {
		return &held, true, err
	}
	job, bad := l.first(1)
	return job, false, errors.Join(err, bad)
}

// leaveOrder has the lanes looked at from which a job has gone.
func (s *scheduler) leaveOrder(lanes []storage.Lane) {
	if s.pools.unstall(lanes) {
		s.walks[ofPools].look(s.eng.clock.wall())
	}
}

// unstall says whether jobs wait in one of the lanes, and has them looked at again.
func (ps *pools) unstall(lanes []storage.Lane) (waits bool) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, at := range lanes {
		if l := ps.lanes[at]; l != nil && l.waits {
			l.stalled, waits = false, true
		}
	}
	return waits
}

// predecessor is why a job of an ordered lane waits for another one, or "". The caller has
// the lock.
func (ps *pools) predecessor(job *storage.Job) string {
	l := ps.lanes[job.Lane()]
	if l == nil || l.ahead == "" || l.ahead == job.ID {
		return ""
	}
	what := "has not ended"
	if l.running > 0 {
		what = "runs"
	}
	return fmt.Sprintf("predecessor %s in %s %s", l.ahead, nameOf(job.Lane()), what)
}

func nameOf(at storage.Lane) string {
	if at.Key == "" {
		return "pool " + at.Pool
	}
	return "key " + strconv.Quote(at.Key) + " of pool " + at.Pool
}
