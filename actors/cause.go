package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file is how the end of a handler is judged: by what the engine knows of the
// cause. The error alone says nothing reliable, since a client library may make of
// a canceled context any text it likes.

// interruption is the cause of what the engine has ended itself. It is neither a
// failure nor a crash, and spends no attempt of a job's policy.
type interruption struct {
	why     string
	lasts   bool // its cause may last: the job waits before it is tried again
	unbegun bool // the handler has not been called
}

// Error implements error.
func (i *interruption) Error() string { return "interrupted: " + i.why }

var (
	cutByStop   = &interruption{why: "the engine stopped before the attempt had ended"}
	cutByClose  = &interruption{why: "the engine was closed before the attempt had ended"}
	cutByHold   = &interruption{why: "the app was held before the attempt had ended"}
	cutByStuck  = &interruption{why: "too many handlers of the function are stuck"}
	cutByPause  = &interruption{why: "it was paused before the attempt had begun", unbegun: true}
	cutByPutOff = &interruption{why: "its pool waits, since a job of it was answered so"}
	cutByVolume = &interruption{why: "the volume failed during the attempt", lasts: true}
	cutByTime   = &interruption{why: "it was not begun in time", unbegun: true}
	cutByLoad   = &interruption{why: "a call of the attempt was refused, since its volume was overloaded", lasts: true}
	cutByWait   = &interruption{why: "a call of the attempt was refused, since it had waited too long for its turn", lasts: true}
)

// errJobCanceled is why the handler of a canceled job is told to stop.
var errJobCanceled = &dispatch.Error{Code: dispatch.CodeCanceled, Message: "the job was canceled"}

// interrupted returns the interruption that err is because of, or nil.
func interrupted(err error) *interruption {
	var cut *interruption
	errors.As(err, &cut)
	return cut
}

// blame returns how a run ended whose handler returned err, or was given up with it.
// cause is why its context is over, after timeout if for nothing else; nil if it is not. What stands whatever the
// cause: success, dispatch.Permanent, dispatch.RetryAfter, and a panic.
func blame(path string, timeout time.Duration, err, cause error) error {
	var panicked *dispatch.PanicError
	if err == nil || cause == nil || dispatch.IsPermanent(err) || postponement(err) != nil || errors.As(err, &panicked) {
		return err
	}
	switch cut := interrupted(cause); {
	case cut != nil:
		return &dispatch.Error{Code: dispatch.CodeUnavailable, Path: path, Message: cut.Error(), Err: errors.Join(cut, err)}
	case errors.Is(cause, context.DeadlineExceeded):
		return overran(path, timeout, err)
	}
	return err
}

// overran is the end of a run that took longer than it may; err is what its handler
// said, or nil.
func overran(path string, timeout time.Duration, err error) error {
	message := fmt.Sprintf("the handler took longer than %v", timeout)
	if e := dispatch.AsError(err); err != nil {
		switch e.Code {
		case dispatch.CodeInternal, dispatch.CodeDeadlineExceeded, dispatch.CodeCanceled:
		default:
			message += ": " + e.Message
		}
	}
	return &dispatch.Error{Code: dispatch.CodeDeadlineExceeded, Path: path, Message: message, Err: err}
}

// overran is the end of an action's run that was given up.
func (r *run) overran() error {
	return blame(r.job.Function, r.timeout, overran(r.job.Function, r.timeout, nil), context.Cause(r.ctx))
}

// volumeFailed says whether err is because a volume failed, and not because of what
// was asked for.
func volumeFailed(err error) bool {
	return errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrNotApplied) || errors.Is(err, storage.ErrUnknownOutcome)
}
