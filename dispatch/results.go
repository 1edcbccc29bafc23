package dispatch

import (
	"context"
	"fmt"

	"carillon/storage"
)

// KeepResultOption is what KeepResult returns: an option of a job as of a function.
type KeepResultOption bool

// KeepResult says whether what the job's function returns is kept with the job once it has
// ended as a success. The option of a function is for its jobs that are scheduled without,
// and is looked up when they end. Without either it is. A query, which is never a job, has
// none: declaring it panics.
func KeepResult(keep bool) KeepResultOption { return KeepResultOption(keep) }

func (keep KeepResultOption) changeRun(o *runOptions) { o.keepResult = (*bool)(&keep) }

func (keep KeepResultOption) changeFunction(info *Info) {
	if info.Kind == KindQuery {
		panic(fmt.Sprintf("dispatch: %s: a query is no job, whose result could be kept", info.Path))
	}
	info.NoResult = !bool(keep)
}

// KeepsResult says whether the result of a job of the function at the path is kept: what is
// stored with the job, or if that is nil what the function says.
func (r *Registry) KeepsResult(path string, stored *bool) bool {
	if stored != nil {
		return *stored
	}
	fn, ok := r.Lookup(path)
	return !ok || !fn.NoResult
}

// JobWaiter waits for the end of a job: an app, or whatever stands for one.
type JobWaiter interface {
	Wait(ctx context.Context, id storage.JobID) (storage.Job, error)
}

// Await waits until the job has ended and returns what its function returned, or the
// *Error of its end: canceled if it was canceled, deadline_exceeded if it has expired, what
// its last attempt failed with if it is dead, and failed_precondition if its result is not
// kept. Other errors are those of Wait.
func Await[R any](ctx context.Context, in JobWaiter, id storage.JobID) (R, error) {
	job, err := in.Wait(ctx, id)
	if err != nil {
		return *new(R), AsError(err)
	}
	return resultOf[R](&job)
}

// resultOf is the result of an ended job, or why there is none.
func resultOf[R any](job *storage.Job) (R, error) {
	if err := noResult(job); err != nil {
		return *new(R), err
	}
	return decodeResult[R](job.Function, job.Result, nil)
}

// Await waits for a job of the mutation and returns its result as dispatch.Await does.
func (m *MutationRef[A, R]) Await(ctx context.Context, in JobWaiter, id storage.JobID) (R, error) {
	return Await[R](ctx, in, id)
}

// Await waits for a job of the action and returns its result as dispatch.Await does.
func (a *ActionRef[A, R]) Await(ctx context.Context, in JobWaiter, id storage.JobID) (R, error) {
	return Await[R](ctx, in, id)
}

// noResult says why an ended job has no result, or nil.
func noResult(job *storage.Job) error {
	fail := func(code Code, format string, args ...any) error {
		return &Error{Code: code, Path: job.Function, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case job.State == storage.StateCanceled:
		return fail(CodeCanceled, "job %s was canceled", job.ID)
	case job.State == storage.StateExpired:
		return fail(CodeDeadlineExceeded, "job %s has expired: %s", job.ID, job.Reason)
	case job.State == storage.StateFailed && job.Error != nil:
		return fail(Code(job.Error.Code), "%s", job.Error.Message)
	case job.State != storage.StateSuccess:
		return fail(CodeFailedPrecondition, "job %s is %s, and has no result", job.ID, job.State)
	case job.NotKept != nil:
		return fail(CodeFailedPrecondition, "the result of job %s, of %d bytes, is not kept: %s", job.ID, job.NotKept.Bytes, job.NotKept.Reason)
	case job.ResultSize == 0:
		return fail(CodeFailedPrecondition, "the result of job %s is not kept: it ended under a release that kept none", job.ID)
	}
	return nil
}
