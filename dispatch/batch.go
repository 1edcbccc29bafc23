package dispatch

import (
	"fmt"
	"time"

	"carillon/internal/brief"
	"carillon/storage"
)

// MaxBatch bounds the calls of one RunMany.
const MaxBatch = 10_000

// Scheduled is a call of RunMany with its instant: what After and At return.
type Scheduled struct {
	call     Call
	opts     []RunOption
	delay    time.Duration
	at       time.Time
	absolute bool // at counts, and not delay
}

// After is the call d from now, by the rules of Scheduler.RunAfter. All calls of one
// RunMany count from the same instant.
func After(d time.Duration, call Call, opts ...RunOption) Scheduled {
	return Scheduled{call: call, opts: opts, delay: d}
}

// At is the call at t, by the rules of Scheduler.RunAt.
func At(t time.Time, call Call, opts ...RunOption) Scheduled {
	return Scheduled{call: call, opts: opts, at: t, absolute: true}
}

// Many plans the calls of a RunMany, counting from one instant. The error is an *Error
// that names the first call at fault by its index.
func (p Planner) Many(calls []Scheduled) ([]storage.Job, error) {
	if len(calls) > MaxBatch {
		return nil, Errorf(CodeInvalidArgument, "%d calls, want %d at most", len(calls), MaxBatch)
	}
	now, era := p.now()
	p.Clock = func() (time.Time, storage.EraID) { return now, era }
	jobs := make([]storage.Job, len(calls))
	for i := range calls {
		c := &calls[i]
		var err error
		if c.absolute {
			jobs[i], err = p.At(c.at, c.call, c.opts...)
		} else {
			jobs[i], err = p.After(c.delay, c.call, c.opts...)
		}
		if err != nil {
			return nil, ofCall(i, err)
		}
	}
	return jobs, nil
}

// InsertMany inserts the jobs, in their order. The error is an *Error that names the
// first job at fault by its index; those before it are inserted then, and left to the
// caller to undo. For engines.
func InsertMany(w storage.JobWriter, jobs []storage.Job) ([]storage.Told, error) {
	told := make([]storage.Told, len(jobs))
	for i := range jobs {
		var err error
		if told[i], err = w.Schedule(jobs[i]); err != nil {
			return nil, ofCall(i, err)
		}
	}
	return told, nil
}

// TellMany is TellScheduled for the calls of a RunMany. It returns the ids. For engines.
func TellMany(calls []Scheduled, told []storage.Told) []storage.JobID {
	ids := make([]storage.JobID, len(told))
	for i := range told {
		TellScheduled(calls[i].opts, told[i])
		ids[i] = told[i].ID
	}
	return ids
}

// ofCall is the error of one call of a RunMany.
func ofCall(i int, err error) *Error {
	e := AsError(err)
	return &Error{
		Code: e.Code, Path: e.Path, Err: err, RetryAfter: e.RetryAfter,
		Message: brief.Cut(fmt.Sprintf("call %d of the batch: %s", i, e.Message), MaxMessage),
	}
}

func (s *txScheduler) RunMany(calls []Scheduled) ([]storage.JobID, error) {
	jobs, err := s.planner.Many(calls)
	if err != nil {
		return nil, err
	}
	var told []storage.Told
	err = s.w.Nested(func(w storage.JobWriter) (err error) {
		told, err = InsertMany(w, jobs)
		return err
	})
	if err != nil {
		return nil, AsError(err)
	}
	return TellMany(calls, told), nil
}
