package actors

import (
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// claimBatch is how many claimed jobs may wait to be started, and claimBytes what they
// may have of arguments and identities together, unless it is a single job. It is what
// keeps a backlog's handlers busy while claims are on their way to the disk, and bounds
// the memory that a backlog takes.
const (
	claimBatch = 1024
	claimBytes = 8 << 20
)

// claimPage is how many jobs one read of the sorted job bucket brings.
const claimPage = 256

// suspectAfter is how many crashes in a row make a job a suspect. Suspects are
// claimed at their instant and few at a time, ever fewer with each crash, so
// that the next one tells the culprit from those that were only claimed beside it.
const suspectAfter = 2

// claims counts the runs that are claimed and not started.
type claims struct{ runs, bytes int }

func (c *claims) add(r *run)  { c.runs, c.bytes = c.runs+1, c.bytes+claimSize(&r.job) }
func (c *claims) drop(r *run) { c.runs, c.bytes = c.runs-1, c.bytes-claimSize(&r.job) }

// room says whether the job may be claimed beside them.
func (c *claims) room(job *storage.Job) bool {
	return c.runs == 0 || c.runs < claimBatch && c.bytes+claimSize(job) <= claimBytes
}

// low says whether so few are left that more are claimed.
func (c *claims) low() bool { return c.runs <= claimBatch/2 && c.bytes <= claimBytes/2 }

// claimSize is what a claimed job keeps in memory that its caller has chosen.
func claimSize(job *storage.Job) int { return len(job.Args) + len(job.Claims) }

// claimFrom has the bucket read again from the place on.
func (s *scheduler) claimFrom(p storage.Place) {
	if p.Less(s.from) {
		s.from = p
	}
	s.nextAt = s.eng.clock.wall()
}

// claimAt is when to claim the job: a little ahead of its instant, so
// that its durable claim costs no lateness.
func (s *scheduler) claimAt(job *storage.Job) time.Time {
	if job.AtMostOnce || job.Interruptions >= suspectAfter {
		return job.Due
	}
	return job.Due.Add(-s.eng.opts.ClaimAhead)
}

// claimDue claims the jobs that are due soon, in one change set. It is false if
// there was nothing to do.
func (s *scheduler) claimDue(at reading) bool {
	wall := at.wall
	if !s.phase().begins() || s.uncorrected() || s.nextAt.IsZero() || s.nextAt.After(wall) || !s.claims.low() {
		return false
	}
	tx := s.begin(at)
	tx.Pin()
	var cancelings, claimed []*run
	tx.OnCancel(s.noteCancels(&cancelings))
	var kept *storage.Place // the first job that stays unclaimed
	s.blocked = false
	keep := func(job *storage.Job, at time.Time) {
		if kept == nil {
			p := job.Place()
			kept = &p
		}
		s.blocked = s.blocked || at.IsZero()
		if !at.IsZero() && (s.nextAt.IsZero() || at.Before(s.nextAt)) {
			s.nextAt = at
		}
	}
	s.nextAt = time.Time{}
	suspects, most := s.suspects()
	held := 0
	from, more, again := s.from, true, false
	for more {
		var jobs []storage.Job
		var err error
		jobs, from, more, err = tx.Due(from, claimPage)
		if err != nil {
			s.eng.opts.Logger.Error("reading due jobs", "app", s.id, "err", err)
			if len(jobs) == 0 {
				s.nextAt = wall.Add(time.Second) // neither forgotten nor tried in a loop
				break
			}
		}
		for i := range jobs {
			job := &jobs[i]
			if s.runs.get(job.ID) != nil {
				continue
			}
			suspect := job.Interruptions >= suspectAfter
			at := s.claimAt(job)
			switch {
			case job.Due.Add(-s.eng.opts.ClaimAhead).After(wall), !s.claims.room(job), !hasRoom(tx, held):
				keep(job, at)
				more = false
			case at.After(wall):
				keep(job, at)
				continue
			case suspect && suspects >= min(most, suspectsAtOnce(job.Interruptions)), s.keptBack(job):
				keep(job, time.Time{}) // until that run has ended, or a handler returned
				continue
			case s.eng.unrunnable(job) != "":
				if job.Due.After(wall) {
					keep(job, job.Due)
				} else if err := s.hold(tx, job, s.eng.unrunnable(job), wall); err != nil {
					s.eng.opts.Logger.Error("holding a job", "app", s.id, "job", job.ID, "err", err)
					keep(job, wall.Add(time.Second))
				} else {
					held++
					again = again || job.Attempts > 0
				}
				continue
			case job.Trigger != "":
				if v, at := s.judge(tx, job, claimed, wall); v == holdTick {
					keep(job, at)
					continue
				} else if v == dropTick {
					again = again || job.Attempts > 0 // its trigger's next may have waited for it
					continue
				}
				fallthrough
			default:
				ok, err := tx.Claim(job)
				if err != nil {
					s.eng.opts.Logger.Error("claiming a job", "app", s.id, "job", job.ID, "err", err)
					keep(job, wall.Add(time.Second))
				} else if ok {
					if suspect {
						suspects, most = suspects+1, min(most, suspectsAtOnce(job.Interruptions))
					}
					r := s.newRun(*job, suspect)
					r.tick = s.planner.tickOf(tx, job)
					s.claims.add(r)
					claimed = append(claimed, r)
				}
				continue
			}
			break
		}
	}
	if again {
		s.nextAt = wall
	}
	s.from = from
	if kept != nil {
		s.from = *kept
	}
	if tx.Unchanged() {
		s.rollback(tx, cancelings, nil)
		return true
	}
	for _, r := range claimed {
		s.runs.add(r)
	}
	s.commitRuns(tx, cancelings, runChanges{claimed: claimed}, nil)
	return true
}

// judge asks the planner about a tick. claimed are the runs claimed beside it
// in the same transaction.
func (s *scheduler) judge(tx *storage.Tx, job *storage.Job, claimed []*run, wall time.Time) (verdict, time.Time) {
	running := s.runs.ofTrigger(job.Trigger)
	for _, r := range claimed {
		if r.job.Trigger == job.Trigger {
			running = append(running, r)
		}
	}
	var v verdict
	var at time.Time
	err := tx.JobWriter().Nested(func(w storage.JobWriter) (err error) {
		v, at, err = s.planner.judge(w, job, running, wall, tx.Now())
		return err
	})
	if err != nil {
		return s.tickFailed(tx, job, err), wall.Add(time.Second)
	}
	return v, at
}

// suspectsAtOnce is how many suspects may be claimed together with one that so
// many crashes have cut off: 64, 8, then only itself.
func suspectsAtOnce(interruptions int) int {
	return max(64>>min(3*(interruptions-suspectAfter), 16), 1)
}

// suspects counts the suspects that are claimed, and says how many there may be
// because of the worst of them.
func (s *scheduler) suspects() (n, most int) {
	most = suspectsAtOnce(suspectAfter)
	for _, r := range s.runs.all() {
		if r.suspect {
			n, most = n+1, min(most, suspectsAtOnce(r.job.Interruptions))
		}
	}
	return n, most
}

func (s *scheduler) newRun(job storage.Job, suspect bool) *run {
	r := &run{app: s.appState, job: job, path: job.Function, attempt: job.Attempts + 1, suspect: suspect}
	if fn, ok := s.eng.opts.Functions.Lookup(job.Function); ok {
		r.path, r.mutation = fn.Path, fn.Kind == dispatch.KindMutation
	}
	return r
}

// claimInserted claims, in the transaction that inserts them, the jobs that are
// due now and come before every unclaimed one; the alarm learns of the rest.
func (s *scheduler) claimInserted(tx *storage.Tx) (claimed []*run) {
	jobs := tx.Inserted()
	if len(jobs) == 0 {
		return nil
	}
	wall := s.eng.clock.wall()
	for i := range jobs {
		job := &jobs[i]
		at := s.claimAt(job)
		first := s.nextAt.IsZero() || job.Place().Less(s.from)
		soon := job.Trigger == "" && s.eng.unrunnable(job) == "" && !at.After(wall) && job.Interruptions < suspectAfter && !s.keptBack(job)
		if first && soon && !s.phase().draining() && !s.uncorrected() && s.claims.room(job) {
			ok, err := tx.Claim(job)
			if err != nil {
				s.noteUnclaimed(job)
			} else if ok {
				r := s.newRun(*job, false)
				s.runs.add(r)
				s.claims.add(r)
				claimed = append(claimed, r)
			}
			continue
		}
		s.noteUnclaimed(job)
	}
	return claimed
}

// noteUnclaimed has a job that was put into the bucket claimed in time.
func (s *scheduler) noteUnclaimed(job *storage.Job) {
	if job.Place().Less(s.from) {
		s.from = job.Place()
	}
	if at := s.claimAt(job); s.nextAt.IsZero() || at.Before(s.nextAt) {
		s.nextAt = at
	}
}
