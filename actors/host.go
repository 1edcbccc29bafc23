package actors

import (
	"context"
	"errors"

	"carillon/dispatch"
	"carillon/storage"
)

// HostScheduler is a dispatch.Scheduler for the host, with what only the host
// may do. AsCaller stores no identity: the host has none.
type HostScheduler struct{ remoteScheduler }

// RetryDead makes a dead or held job pending again, due at once; a dead one with a new
// budget of retries. A held one that still cannot run is held again. ok is false if no
// such job has the id.
func (s *HostScheduler) RetryDead(id storage.JobID) (ok bool, err error) {
	return s.ofDead(s.eng.add, func(tx *storage.Tx) (bool, error) { return tx.RetryDeadAt(id, s.eng.clock.wall()) })
}

// DropDead removes a dead or held job for good. ok is false if no such job has the id.
func (s *HostScheduler) DropDead(id storage.JobID) (ok bool, err error) {
	return s.ofDead(s.eng.change, func(tx *storage.Tx) (bool, error) { return tx.DropDead(id) })
}

// changer is Engine.change or Engine.add.
type changer func(context.Context, storage.AppID, *source, func(*storage.Tx) error) error

func (s *HostScheduler) ofDead(do changer, change func(*storage.Tx) (bool, error)) (bool, error) {
	var ok bool // the actor's, until it answers: a caller who gives up must not touch it
	err := do(s.ctx, s.app, nil, func(tx *storage.Tx) (err error) {
		ok, err = change(tx)
		return err
	})
	if err != nil {
		return false, err
	}
	return ok, nil
}

// bulkChunk is how many jobs one transaction of a bulk operation changes, so that
// the app's other callers wait for no more than that.
const bulkChunk = 256

// CountJobs returns how many jobs the filter chooses, whatever its Limit and Cursor.
func (s *HostScheduler) CountJobs(f storage.JobFilter) (n int, err error) {
	f.Limit, f.Cursor = 0, ""
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) error {
		for _, err := range r.System().All(f) {
			if err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// RetryJobs is RetryDead of every job that the filter chooses when it is called, some
// hundred in a transaction. It returns how many are durably pending again, also beside
// an error; resource_exhausted says that the app has as many jobs as it may. The
// filter's States are failed, which is what none means, and held; it has no Limit and
// no Cursor.
func (s *HostScheduler) RetryJobs(f storage.JobFilter) (n int, err error) {
	return s.bulk(s.eng.add, f, func(tx *storage.Tx, id storage.JobID) (bool, error) {
		return tx.RetryDeadAt(id, s.eng.clock.wall())
	})
}

// DropJobs is DropDead of every job that the filter chooses when it is called, some
// hundred in a transaction. It returns how many are durably gone, also beside an
// error. The filter is one of RetryJobs.
func (s *HostScheduler) DropJobs(f storage.JobFilter) (n int, err error) {
	return s.bulk(s.eng.change, f, func(tx *storage.Tx, id storage.JobID) (bool, error) { return tx.DropDead(id) })
}

// bulk does to the dead or held jobs that the filter chooses what each does to one.
func (s *HostScheduler) bulk(do changer, f storage.JobFilter, each func(*storage.Tx, storage.JobID) (bool, error)) (n int, err error) {
	if err := checkBulk(&f); err != nil {
		return 0, dispatch.AsError(err)
	}
	f.Limit = bulkChunk
	var last storage.Place // of what ended, or was held, when it began: what was retried may do so again
	for {
		var changed int // this and those below are the actor's, until it answers
		var next string
		var full error
		err := do(s.ctx, s.app, nil, func(tx *storage.Tx) error {
			if last == (storage.Place{}) {
				last = tx.LastEnded()
			}
			page, err := tx.JobWriter().System().List(f)
			if err != nil {
				return err
			}
			next = page.Next
			for i := range page.Jobs {
				job := &page.Jobs[i]
				if last.Less(job.Place()) {
					continue
				}
				ok, err := each(tx, job.ID)
				if errors.Is(err, storage.ErrLimit) {
					full = err // what could be done stays done
					return nil
				}
				if err != nil {
					return err
				}
				if ok {
					changed++
				}
			}
			return nil
		})
		if err != nil {
			return n, err
		}
		if n += changed; full != nil || next == "" {
			return n, asError(full)
		}
		f.Cursor = next
	}
}

// checkBulk says why the filter is not one for a bulk operation, or nil.
func checkBulk(f *storage.JobFilter) error {
	if f.Limit != 0 || f.Cursor != "" {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "limit and cursor are for listings: a bulk operation is on every job that the filter chooses")
	}
	for _, state := range f.States {
		if state != storage.StateFailed && state != storage.StateHeld {
			return dispatch.Errorf(dispatch.CodeInvalidArgument, "state %.32q: a bulk operation is on failed and held jobs", string(state))
		}
	}
	if len(f.States) == 0 {
		f.States = []storage.State{storage.StateFailed}
	}
	return f.Check()
}
