package server

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// failure is a refusal, and the id of its line in the log.
type failure struct {
	*dispatch.Error
	RequestID string
}

func (f *failure) shown() api.Error {
	e := api.Error{Code: api.Code(f.Code), Path: f.Path, Message: f.Message, RequestID: f.RequestID}
	if conflict, ok := errors.AsType[*storage.ConflictError](f.Error); ok {
		present := documentOf(&conflict.Present)
		e.Present = &present
	}
	return e
}

// each is what of makes of each element; of nil it is nil.
func each[A, B any](list []A, of func(A) B) []B {
	if list == nil {
		return nil
	}
	out := make([]B, len(list))
	for i, a := range list {
		out[i] = of(a)
	}
	return out
}

// answer writes a JSON body. A client that has gone is no fault.
func answer(w http.ResponseWriter, status int, body []byte) {
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	setDiscardDeadline(w)
	setWriteDeadline(w)
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// refuse answers with an error whose whole text the caller may see. Status 0 is
// that of the code.
func refuse(w http.ResponseWriter, status int, err *dispatch.Error) {
	write(w, status, failure{Error: err})
}

func write(w http.ResponseWriter, status int, f failure) {
	if status == 0 {
		status = f.Code.HTTPStatus()
	}
	var shown any = f.shown()
	if foreign, ok := w.(*lunoraWriter); ok {
		status, shown = foreign.refuse(status, f)
	}
	body, err := json.Marshal(shown)
	if err != nil {
		panic(err) // strings have a JSON form
	}
	setRetryAfter(w, f.Error)
	answer(w, status, body)
}

// setRetryAfter says when it may be asked again, if the error does.
func setRetryAfter(w http.ResponseWriter, err *dispatch.Error) {
	if err.RetryAfter > 0 {
		seconds := (err.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}

// fail answers with an error of a hook, the body or the engine. Status 0 is that
// of the code.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	write(w, status, h.failureOf(r, err))
}

// failureOf is what the caller is told of an error. A fault is logged.
func (h *handler) failureOf(r *http.Request, err error) failure {
	e := dispatch.AsError(err)
	h.noteRefused(r, e)
	f := failure{Error: e}
	if isFault(e) {
		f.RequestID = rand.Text()
		url := r.URL.Path
		if r.PathValue("token") != "" {
			url = r.Pattern // the token of an attempt is a secret
		}
		h.opts.Logger.Error("request failed", "request", f.RequestID, "method", r.Method, "url", url, "err", e)
	}
	return f
}

// isFault says whether the error belongs in the log, with the cause that the caller does
// not see.
func isFault(e *dispatch.Error) bool {
	switch e.Code {
	case dispatch.CodeInternal, dispatch.CodeUnknown, dispatch.CodeDataLoss:
		return true
	}
	return false
}

// recover answers for a handler that panicked, unless with http.ErrAbortHandler. A handler
// writes its answer in one piece at its end, so no answer has begun.
func (h *handler) recover(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	h.turnAway(w, r, &dispatch.PanicError{Value: v, Stack: debug.Stack()})
}
