package actors

import (
	"cmp"
	"errors"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is what is done to many jobs durably: an operation is written down, and worked off by
// the app itself, the oldest first, one step at a time. A step is one transaction, which looks for
// jobs, changes them, and writes down how far the operation has come. It waits for its turn among
// the app's callers, and the next one follows when it is durable, so that no due job and no caller
// waits for more than one.

const (
	// operationChunk is how many jobs a step changes at most.
	operationChunk = 64
	// operationTime is how long a step looks for them.
	operationTime = 2 * time.Millisecond
	// operationRetry is after how long a step is tried again that could not be done.
	operationRetry = time.Second
	// operationsKept is how long operations are kept that have ended.
	operationsKept = 90 * 24 * time.Hour
	// countTime is how long a count of jobs takes at most.
	countTime = 200 * time.Millisecond
)

// Operation is what HostScheduler.Operate is asked to do.
type Operation struct {
	Action storage.OperationAction
	// Filter is without Limit and Cursor. Its States are those of CancelMany, RetryMany or DropMany;
	// of a reschedule or a run they are pending, which is what none means, and held.
	Filter storage.JobFilter
	By     string       // who asks, at most 256 bytes of UTF-8
	AsOf   storage.AsOf // of a count, for jobs that were there then; the zero one is now

	// Of a reschedule, which has one of them at least.
	Due      time.Time // zero: as it is
	Priority int       // 1 to 4; 0: as it is
}

// OperationCount is how many jobs an operation would be on.
type OperationCount struct {
	Jobs int
	All  bool         // false: there are more, the count stops at MaxCounted or after 200 ms
	AsOf storage.AsOf // for an Operation that is on no other jobs
}

// operationMoved is the message that a step was answered.
type operationMoved struct{ err error }

// plan is the operation as it is written down, if nothing is wrong with it.
func (o *Operation) plan() (storage.Operation, error) {
	made := storage.Operation{Action: o.Action, Filter: o.Filter, By: o.By, AsOf: o.AsOf, Priority: o.Priority}
	if !o.Due.IsZero() {
		made.Due = wholeMillis(o.Due)
	}
	if err := made.Check(); err != nil {
		return made, dispatch.AsError(err)
	}
	var b bulk
	switch o.Action {
	case storage.OperationCancel:
		b = bulk{states: Cancelable(), byDefault: Cancelable()}
	case storage.OperationRetry, storage.OperationDrop:
		b = bulk{states: Retryable(), byDefault: Retryable()[:1]}
	default:
		pending := []storage.State{storage.StatePending, storage.StateHeld}
		b = bulk{states: pending, byDefault: pending[:1]}
	}
	return made, asError(b.check(&made.Filter))
}

// CountOperation returns how many jobs the operation would be on, and the moment that this is
// true of: an Operation with it is on no job that came later.
func (s *HostScheduler) CountOperation(o Operation) (OperationCount, error) {
	plan, err := o.plan()
	if err != nil {
		return OperationCount{}, err
	}
	return s.count(&plan)
}

// count counts the jobs of the operation.
func (s *HostScheduler) count(o *storage.Operation) (count OperationCount, err error) {
	f := o.Filter
	f.Limit = operationChunk
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) (err error) {
		if count.AsOf = o.AsOf; count.AsOf == (storage.AsOf{}) {
			if count.AsOf, err = r.System().AsOf(); err != nil {
				return err
			}
		}
		until := s.eng.clock.elapsed() + countTime
		for job, err := range r.System().All(f) {
			if err != nil {
				return err
			}
			if !count.AsOf.Covers(o.Action, &job) {
				continue
			}
			if count.Jobs++; count.Jobs == MaxCounted || s.eng.clock.elapsed() >= until {
				return nil
			}
		}
		count.All = true
		return nil
	})
	if err != nil {
		return OperationCount{}, err
	}
	return count, nil
}

// Operate counts the jobs that the operation is on, and writes it down, durably when it returns.
// It is then done by the app itself, also after a restart of the process, and beside what is
// due: in steps, each a commit that has how far it has come. It is on jobs only that were there
// when they were counted, and that the filter still chooses when their turn has come. An app that
// is paused does it all the same. With a context of WithAudit the audit log has an entry of how it
// ends, too, in the same commit. resource_exhausted says that storage.MaxOperations go on.
func (s *HostScheduler) Operate(o Operation) (storage.Operation, error) {
	plan, err := o.plan()
	if err != nil {
		return storage.Operation{}, err
	}
	count, err := s.count(&plan)
	if err != nil {
		return storage.Operation{}, err
	}
	plan.AsOf, plan.Counted, plan.CountedAll = count.AsOf, count.Jobs, count.All
	if by := s.eng.auditOf(s.ctx, s.app); len(by) > 0 {
		plan.By, plan.Audited = cmp.Or(plan.By, by[0].Operator), true
	}
	var made storage.Operation // the actor's, until it answers
	err = s.eng.change(s.ctx, s.app, nil, func(tx *storage.Tx) (err error) {
		made, err = tx.JobWriter().NewOperation(plan)
		tx.Concerns(made.ID.String())
		return err
	})
	if err != nil {
		return storage.Operation{}, err
	}
	return made, nil
}

// Operation returns an operation, and how far it has come. ok is false if there is none of that
// number. It reads committed state.
func (s *HostScheduler) Operation(id storage.OperationID) (o storage.Operation, ok bool, err error) {
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) (err error) {
		o, ok, err = r.System().Operation(id)
		return err
	})
	return o, ok && err == nil, err
}

// Operations returns the operations that the filter chooses, the latest first: those that go on,
// and for 90 days up to 1,000 that have ended. It reads committed state.
func (s *HostScheduler) Operations(f storage.OperationFilter) (list []storage.Operation, err error) {
	err = s.eng.read(s.ctx, s.app, nil, func(r storage.Reader) (err error) {
		list, err = r.System().Operations(f)
		return err
	})
	return list, err
}

// CancelOperation ends an operation that goes on; what it has done stays done. canceled is false
// if it does not go on. It is durable when it returns.
func (s *HostScheduler) CancelOperation(id storage.OperationID) (canceled bool, err error) {
	return s.changed(func(tx *storage.Tx) (bool, error) {
		o, ok, err := tx.JobWriter().System().Operation(id)
		if err != nil || !ok || !o.Going() {
			return false, err
		}
		o.Outcome, o.EndedAt = storage.OperationCanceled, tx.Now()
		return tx.JobWriter().PutOperation(&o)
	})
}

// operating is what the SchedulerActor knows of the operations of its app.
type operating struct {
	busy bool          // a step is on its way
	at   time.Duration // monotonic: no step before that
}

// goesOn says whether an operation goes on.
func (s *scheduler) goesOn() bool { return s.store.Operations() > 0 }

// moveOperation asks for the turn for the next step, if an operation goes on and none is asked
// for.
func (s *scheduler) moveOperation() {
	if s.operating.busy || !s.phase().begins() || s.backingOff() || !s.goesOn() || s.eng.clock.elapsed() < s.operating.at {
		return
	}
	s.operating.busy = true
	sys, self := s.eng.sys, s.self
	sys.tell(self, &operation{
		ctx: s.eng.ctx, change: s.operationStep,
		answer: func(err error) { sys.tell(self, &operationMoved{err}) },
	})
}

// stepAnswered takes note that the step was answered.
func (s *scheduler) stepAnswered(err error) {
	s.operating.busy = false
	if err != nil {
		s.operating.at = s.eng.clock.elapsed() + operationRetry
	}
}

// operationStep does a step of the operation that was asked for first.
func (s *scheduler) operationStep(tx *storage.Tx) error {
	tx.Pin()
	w := tx.JobWriter()
	o, ok, err := w.System().NextOperation()
	switch {
	case ok && (errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrInvalid)):
		end(&o, tx, err)
		_, err = w.PutOperation(&o)
		return err
	case err != nil || !ok:
		return err
	case o.Action == storage.OperationRetry && s.overloaded():
		return errOverloaded("")
	}
	if err := s.workOff(tx, &o); err != nil {
		return err
	}
	_, err = w.PutOperation(&o)
	return err
}

// end has the operation fail because of err.
func end(o *storage.Operation, tx *storage.Tx, err error) {
	e := dispatch.AsError(err)
	o.Outcome, o.EndedAt = storage.OperationFailed, tx.Now()
	o.Error = &storage.JobError{Code: string(e.Code), Message: e.Message}
}

// workOff changes the next jobs of the operation.
func (s *scheduler) workOff(tx *storage.Tx, o *storage.Operation) error {
	f, until := o.Filter, s.eng.clock.elapsed()+operationTime
	f.Limit, f.Cursor = operationChunk, o.Cursor
	page, err := tx.JobWriter().System().Scan(f, func() bool { return s.eng.clock.elapsed() < until })
	if errors.Is(err, storage.ErrCorrupt) || errors.Is(err, storage.ErrInvalid) {
		end(o, tx, err)
		return nil
	}
	if err != nil {
		return err
	}
	for i := range page.Jobs {
		job := &page.Jobs[i]
		if !o.AsOf.Covers(o.Action, job) {
			continue
		}
		changed, err := s.actOn(tx, o, job)
		switch {
		case errors.Is(err, storage.ErrLimit):
			end(o, tx, err)
			return nil
		case errors.Is(err, storage.ErrCorrupt):
			o.Damaged++
		case err != nil:
			return err
		case changed:
			o.Done++
			o.Changed = true
		}
	}
	switch o.Cursor = page.Next; {
	case page.Next != "":
	case o.Action != storage.OperationRetry && o.Action != storage.OperationDrop && o.Changed:
		o.Changed = false // jobs may have moved to before the cursor: once more from the beginning
	default:
		o.Outcome, o.EndedAt = storage.OperationDone, tx.Now()
	}
	return nil
}

// actOn does what the operation does to a job.
func (s *scheduler) actOn(tx *storage.Tx, o *storage.Operation, job *storage.Job) (changed bool, err error) {
	w := tx.JobWriter()
	switch o.Action {
	case storage.OperationCancel:
		answer, err := w.CancelJob(job.ID)
		return answer.Canceled, err
	case storage.OperationDrop:
		return tx.DropDead(job.ID)
	case storage.OperationReschedule:
		return changeJob(w, job.ID, storage.Change{Due: o.Due, Priority: o.Priority, Operation: o.ID})
	case storage.OperationRun:
		now := wholeMillis(s.eng.clock.wall())
		if job.State == storage.StatePending && !job.Due.After(now) {
			return false, nil // it is due, and keeps its place among those that are
		}
		return changeJob(w, job.ID, storage.Change{Due: now, Era: w.Era(), Operation: o.ID})
	}
	changed, err = tx.RetryDeadAt(job.ID, s.eng.clock.wall())
	if errors.Is(err, storage.ErrExists) {
		return false, nil // another job has its unique key: it stays dead
	}
	return changed, err
}

// changeJob reschedules a job. One that cannot be, such as a tick that has not begun, stays as it is.
func changeJob(w storage.JobWriter, id storage.JobID, to storage.Change) (changed bool, err error) {
	answer, err := w.RescheduleJob(id, to)
	if errors.Is(err, storage.ErrInvalid) {
		return false, nil
	}
	return answer.Changed, err
}
