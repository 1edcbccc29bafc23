package actors

import (
	"errors"
	"time"

	"carillon/storage"
)

// This file ends jobs that were not begun in time (Job.NotAfter), whatever they have waited
// for: no attempt begins after that instant, and the job has expired by then. What waits to
// be started has its claim taken back. The rest is read from its index, a chunk in a change
// set, and the next one when that is durable: a million that expire at once keep due work
// from no more than a chunk. While the wall is in doubt (eras.go) nothing expires for it: such
// jobs wait until it is believed, or put right.

// expireChunk is how many jobs one change set has expire at most, and those that bulkTime
// lets it.
const expireChunk = 128

// lates is how far the jobs of an app that have a NotAfter were looked at.
type lates struct {
	nextAt time.Time          // when to look again; zero: there are none
	seen   time.Time          // when they were looked at last
	from   storage.LateCursor // those before it have expired, or wait to be begun
	busy   bool               // a chunk is on its way to the disk
}

// note has the job expire in time.
func (l *lates) note(job *storage.Job) {
	if job.NotAfter.IsZero() {
		return
	}
	if !job.NotAfter.After(l.seen) {
		l.from = storage.LateCursor{} // it is behind
	}
	l.look(job.NotAfter.Add(time.Millisecond))
}

// look has the jobs looked at by the instant.
func (l *lates) look(at time.Time) {
	if l.nextAt.IsZero() || at.Before(l.nextAt) {
		l.nextAt = at
	}
}

// lookFromStart has all of them looked at again.
func (l *lates) lookFromStart(wall time.Time) {
	l.from = storage.LateCursor{}
	l.look(wall)
}

// expireLate has a chunk of the jobs expire that are too late. It is false if there is
// nothing to do.
func (s *scheduler) expireLate() bool {
	if s.lates.busy || s.lates.nextAt.IsZero() || !s.phase().begins() || s.uncorrected() || !s.mayQueue() {
		return false
	}
	at := s.eng.clock.look()
	if s.lates.nextAt.After(at.wall) {
		return false
	}
	s.lates.nextAt, s.lates.seen = time.Time{}, at.wall
	s.recallLate(at.wall)
	if wait := s.eng.clock.doubtedFor(); wait > 0 {
		s.lates.look(at.wall.Add(wait))
		return true
	}
	tx := s.begin(at)
	tx.Pin()
	n, next, then, err := tx.ExpireLate(at.wall, s.lates.from, expireChunk, s.whyLate)
	if s.lates.from = next; !then.IsZero() {
		s.lates.look(then.Add(time.Millisecond))
	}
	if errors.Is(err, storage.ErrUnavailable) {
		s.rollback(tx, nil, nil)
		s.breakDown(err)
		return true
	}
	if err != nil {
		s.eng.opts.Logger.Error("ending jobs that were not begun in time", "app", s.id, "err", err)
		s.lates.look(at.wall.Add(time.Second)) // neither forgotten nor tried in a loop
	}
	if tx.Unchanged() {
		s.rollback(tx, nil, nil)
		return true
	}
	s.eng.opts.Logger.Info("jobs have expired: they were not begun in time", "app", s.id, "jobs", n)
	if s.walks.blocked() {
		s.walks.lookAgain(at.wall) // what has waited for one of them
	}
	s.lates.busy = true
	sys, self := s.eng.sys, s.self
	s.commitRuns(tx, nil, runChanges{own: true}, func(error) { sys.tell(self, &lateOn{}) })
	return true
}

// recallLate takes the claims back of jobs that are too late and have not begun, and notes
// when the others will be.
func (s *scheduler) recallLate(wall time.Time) {
	for _, r := range s.runs.all() {
		switch {
		case r.job.NotAfter.IsZero() || s.runs.live(r.job.ID) || s.runs.isOver(r):
		case r.job.TooLate(wall):
			s.endRun(ending{run: r, err: cutByTime})
		default:
			s.lates.note(&r.job)
		}
	}
}

// whyLate is why a job has expired: what it has waited for, as far as that is known.
func (s *scheduler) whyLate(job *storage.Job) string {
	why := job.Reason // of a held one
	if why == "" {
		_, why = s.waits(job)
	}
	text := "no attempt was to begin after " + job.NotAfter.UTC().Format(time.RFC3339Nano)
	if why != "" {
		text += ": " + why
	}
	return text
}
