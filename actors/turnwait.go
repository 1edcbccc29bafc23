package actors

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// This file bounds how long a caller waits until what it has asked for begins
// (Options.TurnWait). The caller itself looks at the time, so the bound holds whatever
// the app's actors are kept from. Due jobs wait without a bound.
//
//	waiting ──begin──► begun       the handler's own time counts from here
//	   └─────giveUp──► given up    certainly not applied: it never begins

// start is whether what a caller has asked for has begun.
type start struct{ state atomic.Int32 }

const (
	startWaits int32 = iota
	startBegun
	startGivenUp
)

// begin is false if the caller has given up. What has begun may begin again: a query
// that was held back is begun where it is run.
func (s *start) begin() bool {
	return s.state.CompareAndSwap(startWaits, startBegun) || s.state.Load() == startBegun
}

// giveUp is false if it has begun.
func (s *start) giveUp() bool { return s.state.CompareAndSwap(startWaits, startGivenUp) }

// errWaited is the cause of a refusal for that.
var errWaited = errors.New("the call has waited too long for its turn")

// errTurnWait tells a caller that what it has asked for has not begun in time.
func errTurnWait(app storage.AppID, path string, wait time.Duration) error {
	return &dispatch.Error{
		Code: dispatch.CodeUnavailable, Path: path, Err: errWaited,
		Message: "app " + string(app) + " is busy: the call has waited " + wait.String() + " for its turn; nothing was changed",
	}
}

// await waits for the answer to what was asked of an app: for Options.TurnWait until
// it has begun, then until it is done, ctx ends or the engine stops.
func await[R any](ctx context.Context, e *Engine, id storage.AppID, path string, s *start, done <-chan R) (r R, err error) {
	bound := time.NewTimer(e.opts.TurnWait)
	defer bound.Stop()
	for {
		select {
		case r = <-done:
			return r, nil
		case <-ctx.Done():
			select {
			case r = <-done:
				return r, nil
			default:
				return r, contextError(ctx, path)
			}
		case <-bound.C:
			if s.giveUp() {
				return r, errTurnWait(id, path, e.opts.TurnWait)
			}
		case <-e.directory.gone:
			return r, errShutdown()
		}
	}
}
