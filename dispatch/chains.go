package dispatch

import (
	"errors"
	"fmt"
	"time"

	"carillon/storage"
)

// MaxChain is how many follow-ups a job may have, each one's follow-up counted.
const MaxChain = 16

// OnDone has the call be scheduled, as a job of its own, in the very commit that ends the job:
// whether that is a success, dead, canceled or expired. It is due at once, is told by
// ctx.Job.Outcome how the job has ended (ResultOf), and its Parent is the job. A dead job that is
// retried ends again, and has another follow-up then, of the next Ordinal. A job that is retried,
// held or rescheduled has not ended; of one that is dropped while it is held there is no end.
//
// The options are the follow-up's own, OnDone among them; an ID, Unique and Once are not for
// it, since an end must not fail for them. No quota of the app holds it up, but its arguments
// count for Options.MaxArgBytes while the job is pending, and those of a job with all of its
// follow-ups are bounded as those of one call. The call is checked like any other when the job
// is scheduled; a follow-up that the program cannot run any more is held.
func OnDone(call Call, opts ...RunOption) RunOption {
	return runOption(func(o *runOptions) { o.onDone = &Scheduled{call: call, opts: opts} })
}

// follow plans the follow-up of the job.
func (p Planner) follow(job *storage.Job, now time.Time, onDone *Scheduled) error {
	if p.chain++; p.chain > MaxChain {
		return fmt.Errorf("OnDone: more than %d follow-ups, one after the other", MaxChain)
	}
	then, err := p.plan(now, now, onDone.call, onDone.opts)
	switch {
	case err != nil:
		return fmt.Errorf("OnDone: %w", err)
	case then.ID != "" || then.Unique != nil || then.Once != "":
		return errors.New("OnDone: a follow-up has no ID, no Unique and no Once: they could keep the job from ending")
	case then.Group != 0 && then.Group != job.Group:
		return errors.New("OnDone: a follow-up is InGroup of the job's own group, or of none")
	}
	job.Then = &then
	if n, most := job.ArgLen(), p.Limits.WithDefaults().Args; n > most {
		return fmt.Errorf("OnDone: the arguments of the job and its follow-ups have %d bytes, the limit is %d", n, most)
	}
	return nil
}

// ResultOf returns the result of the job that a follow-up is told of, or the *Error that
// Await would return for it.
func ResultOf[R any](o *storage.Outcome) (R, error) {
	if o == nil {
		return *new(R), Errorf(CodeFailedPrecondition, "the job follows none")
	}
	ended := storage.Job{
		ID: o.Job, Function: o.Function, State: o.State, Result: o.Result, ResultSize: len(o.Result),
		NotKept: o.NotKept, Error: o.Error, Reason: o.Reason,
	}
	return resultOf[R](&ended)
}

// CancelOption changes what a cancel takes along.
type CancelOption func(*cancelOptions)

type cancelOptions struct{ cascade bool }

// Cascade has a cancel take along what has come of the job and has not ended: what its
// handler and its follow-ups have scheduled, and so on, as far as their records are kept. The
// job itself may have ended. Follow-ups of what is canceled (OnDone) are scheduled all the same.
// In a mutation it is part of the transaction, or refused with resource_exhausted if
// that has no room for it; from elsewhere it goes in steps of some hundred, the job first.
func Cascade() CancelOption { return func(o *cancelOptions) { o.cascade = true } }

// Cascades says whether the options have Cascade among them. For engines.
func Cascades(opts []CancelOption) bool {
	var o cancelOptions
	for _, opt := range opts {
		opt(&o)
	}
	return o.cascade
}

// cascadeChunk is how many descendants are looked at in one read.
const cascadeChunk = 256

func (s *txScheduler) cascade(id storage.JobID) (answer storage.Cancellation, err error) {
	err = s.w.Nested(func(w storage.JobWriter) (err error) {
		of := w.DescendantsOf(id)
		if answer, err = w.CancelJob(id); err != nil {
			return err
		}
		for more := true; more; {
			var n int
			if n, more, err = w.CancelDescendants(of, cascadeChunk); err != nil {
				return err
			}
			answer.Along += n
		}
		return nil
	})
	if err != nil {
		return storage.Cancellation{}, AsError(err)
	}
	return answer, nil
}
