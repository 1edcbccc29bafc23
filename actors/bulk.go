package actors

import (
	"errors"
	"math"
	"slices"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// bulkChunk is how many jobs one transaction of a bulk operation changes at most, which
// a page of a listing also bounds in bytes, so that the app's due work and its other
// callers wait for no more than that.
const bulkChunk = 128

// bulkTime is after how long such a transaction leaves the rest of its jobs to the next.
const bulkTime = 2 * time.Millisecond

// CountJobs returns how many jobs the filter chooses, whatever its Limit and Cursor: with
// the States of CancelMany, RetryMany or DropMany, on how many that would be.
func (s *HostScheduler) CountJobs(f storage.JobFilter) (n int, err error) {
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) (err error) {
		n, _, err = r.System().Count(f, math.MaxInt, nil)
		return err
	})
	return n, err
}

// CancelMany is Cancel of every job that the filter chooses when it is called, in steps
// of some hundred, each a commit, between which due work goes on. Jobs that are scheduled
// meanwhile stay, such as a trigger's next tick. It returns how many are durably
// canceled, also beside an error: those are the first of them then, and another call goes
// on. The filter's States are pending, running and held, which are what none means; it has
// no Limit and no Cursor.
func (s *HostScheduler) CancelMany(f storage.JobFilter) (n int, err error) {
	return s.bulk(bulk{
		do: s.eng.change, states: Cancelable(), byDefault: Cancelable(), moving: true,
		old: func(job *storage.Job, seq uint64, _ storage.Place) bool { return job.Seq() <= seq },
		each: func(tx *storage.Tx, id storage.JobID) (bool, error) {
			answer, err := tx.JobWriter().CancelJob(id)
			return answer.Canceled, err
		},
	}, f)
}

// RetryMany is RetryDead of every job that the filter chooses when it is called, in steps
// like those of CancelMany. It returns how many are durably pending again, also beside
// an error; resource_exhausted says that the app has as many jobs as it may. A dead job
// whose unique key another one has stays dead. The filter's States are failed, which is
// what none means, and held; it has no Limit and no Cursor.
func (s *HostScheduler) RetryMany(f storage.JobFilter) (n int, err error) {
	return s.bulk(deadBulk(s.eng.add, func(tx *storage.Tx, id storage.JobID) (bool, error) {
		ok, err := tx.RetryDeadAt(id, s.eng.clock.wall())
		if errors.Is(err, storage.ErrExists) {
			return false, nil // another job has its unique key: it stays dead
		}
		return ok, err
	}), f)
}

// DropMany is DropDead of every job that the filter chooses when it is called, in steps
// like those of CancelMany. It returns how many are durably gone, also beside an error.
// The filter is one of RetryMany.
func (s *HostScheduler) DropMany(f storage.JobFilter) (n int, err error) {
	return s.bulk(deadBulk(s.eng.change, (*storage.Tx).DropDead), f)
}

// Cancelable are the states of the jobs that CancelMany is on, Retryable those of
// RetryMany and DropMany, the first of which is what they take for none.
func Cancelable() []storage.State {
	return []storage.State{storage.StatePending, storage.StateRunning, storage.StateHeld}
}

// Retryable: see Cancelable.
func Retryable() []storage.State { return []storage.State{storage.StateFailed, storage.StateHeld} }

// bulk is an operation on many jobs.
type bulk struct {
	do                changer
	states, byDefault []storage.State
	// old says whether the job was there when the operation began, and seq and ended
	// were the last sequence number and the last place of a job that has ended or is held.
	old  func(job *storage.Job, seq uint64, ended storage.Place) bool
	each func(*storage.Tx, storage.JobID) (changed bool, err error)
	// moving says that the jobs may move to before a cursor meanwhile: it is over when
	// none is found from the beginning on.
	moving bool
}

// deadBulk is a bulk operation on dead or held jobs. What was retried may die again: it
// ends behind those that had ended then.
func deadBulk(do changer, each func(*storage.Tx, storage.JobID) (bool, error)) bulk {
	return bulk{
		do: do, states: Retryable(), byDefault: Retryable()[:1], each: each,
		old: func(job *storage.Job, _ uint64, ended storage.Place) bool { return !ended.Less(job.Place()) },
	}
}

// bulk does the operation to all jobs that the filter chooses. The jobs are found
// outside of the turn, so that the app waits for no search.
func (s *HostScheduler) bulk(b bulk, f storage.JobFilter) (n int, err error) {
	if err := b.check(&f); err != nil {
		return 0, dispatch.AsError(err)
	}
	var seq uint64 // this and those below are the actor's, until it answers
	var ended storage.Place
	err = s.eng.change(s.ctx, s.app, nil, func(tx *storage.Tx) error {
		seq, ended = tx.LastSeq(), tx.LastEnded()
		return nil
	})
	if err != nil {
		return 0, err
	}
	old := func(job *storage.Job) bool { return b.old(job, seq, ended) }
	f.Limit = bulkChunk
	again := false
	var damage error // of single jobs: the others are not spared for it
	for {
		page, err := s.List(f)
		if err != nil {
			return n, err
		}
		page.Jobs = slices.DeleteFunc(page.Jobs, func(job storage.Job) bool { return !old(&job) })
		for jobs := page.Jobs; len(jobs) > 0; {
			var c chunk
			err := b.do(s.ctx, s.app, nil, func(tx *storage.Tx) error {
				tx.Pin()
				until := s.eng.clock.elapsed() + bulkTime
				inTime := func() bool { return s.eng.clock.elapsed() < until }
				return c.run(tx, &f, jobs, old, b.each, inTime)
			})
			if err != nil {
				return n, err
			}
			if n += c.changed; c.full != nil {
				return n, asError(c.full)
			}
			if damage == nil {
				damage = c.damage
			}
			again = again || c.changed > 0
			jobs = jobs[c.done:]
		}
		switch {
		case page.Next != "":
			f.Cursor = page.Next
		case b.moving && again:
			f.Cursor, again = "", false
		default:
			return n, asError(damage)
		}
	}
}

// chunk is what one transaction of a bulk operation did.
type chunk struct {
	done    int   // of the jobs, 1 at least
	changed int   // of those
	full    error // why it went no further; what could be done stays done
	damage  error // of the first job that cannot be read
}

// run does each to the jobs that are still chosen, while it is in time.
func (c *chunk) run(tx *storage.Tx, f *storage.JobFilter, jobs []storage.Job, old func(*storage.Job) bool, each func(*storage.Tx, storage.JobID) (bool, error), inTime func() bool) error {
	system := tx.JobWriter().System()
	for i := 0; i < len(jobs) && (i == 0 || inTime()); i++ {
		c.done++
		job, ok, err := system.Get(jobs[i].ID)
		changed := false
		if err == nil && ok && old(&job) && f.Chooses(&job) {
			changed, err = each(tx, job.ID)
		}
		switch {
		case errors.Is(err, storage.ErrLimit):
			c.full = err
			return nil
		case errors.Is(err, storage.ErrCorrupt):
			if c.damage == nil {
				c.damage = err
			}
		case err != nil:
			return err
		case changed:
			c.changed++
			tx.Concerns(string(job.ID))
		}
	}
	return nil
}

// check says why the filter is not one for the operation, or nil, and fills in its states.
func (b *bulk) check(f *storage.JobFilter) error {
	if f.Limit != 0 || f.Cursor != "" || f.Desc {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "limit, cursor and desc are for listings: a bulk operation is on every job that the filter chooses")
	}
	for _, state := range f.States {
		if !slices.Contains(b.states, state) {
			return dispatch.Errorf(dispatch.CodeInvalidArgument, "state %.32q: this bulk operation is on jobs that are %q", string(state), b.states)
		}
	}
	if len(f.States) == 0 {
		f.States = b.byDefault
	}
	return f.Check()
}
