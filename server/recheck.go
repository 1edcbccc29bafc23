package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"carillon/dispatch"
)

// Times of what is not an operator's any more: it ends within a second.
const (
	// recheckEvery is how often the operator of a request under way is asked for again.
	recheckEvery = 750 * time.Millisecond
	// cutAfter is how long a client that does not read, or send, has then.
	cutAfter = 250 * time.Millisecond
)

// revoked is why a request's context ends that its operator may not make any more.
type revoked struct{ err error }

func (r *revoked) Error() string { return r.err.Error() }

// revokedOf is why the request is not its operator's any more, or nil.
func revokedOf(ctx context.Context) error {
	if r, ok := errors.AsType[*revoked](context.Cause(ctx)); ok {
		return r.err
	}
	return nil
}

// recheck ends the request's context once its operator may not make it any more, whatever it
// waits for, and its connection, that of w, unless w is nil. stop is called when it has been served.
func (h *handler) recheck(w http.ResponseWriter, r *request) (stop func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r.Request = r.WithContext(ctx)
	asked := *r
	var mu sync.Mutex // held while the operator is asked for, so that stop waits for that
	var timer *time.Timer
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(recheckEvery, func() {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		err := h.stillMay(&asked)
		if err == nil || ctx.Err() != nil {
			timer.Reset(recheckEvery)
			return
		}
		cancel(&revoked{err})
		if w == nil {
			return
		}
		conn := http.NewResponseController(w)
		_ = conn.SetReadDeadline(time.Now().Add(cutAfter))
		_ = conn.SetWriteDeadline(time.Now().Add(cutAfter))
	})
	return func() {
		cancel(nil)
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
}

// stillMay says why what the operator was let do is not for them any more, or nil.
func (h *handler) stillMay(r *request) error {
	op, err := h.operatorOf(r.Request)
	if err != nil {
		return err
	}
	if err := h.admit(r.route, &request{Request: r.Request, route: r.route, op: op}); err != nil {
		return err
	}
	if op.may(ScopeReadArgs) != r.op.may(ScopeReadArgs) {
		return dispatch.Errorf(dispatch.CodePermissionDenied, "the operator's scopes are others now: begin again")
	}
	return nil
}
