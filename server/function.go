package server

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// called is the app that a client's request calls, or nil if the request is answered: it does not
// call one.
func (h *handler) called(w http.ResponseWriter, r *http.Request) *actors.App {
	if r.Method != http.MethodPost {
		wrongMethod(w, r, http.MethodPost)
		return nil
	}
	if err := checkContentType(r); err != nil {
		refuse(w, http.StatusUnsupportedMediaType, err)
		return nil
	}
	app, err := h.eng.App(storage.AppID(r.PathValue("app")))
	if err != nil {
		h.fail(w, r, 0, err)
		return nil
	}
	return app
}

// function runs a public function for a client.
func (h *handler) function(w http.ResponseWriter, r *http.Request) {
	app := h.called(w, r)
	if app == nil {
		return
	}
	if text, _ := bearer(r); strings.HasPrefix(text, tokenPrefix) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.refuse(w, r, 0, dispatch.Errorf(dispatch.CodeUnauthenticated, "this is an operator's token: functions are for clients"))
		return
	}
	identity, err := h.opts.Identify(r)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	ctx, err := keyed(r, nil)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	held := h.hold(r)
	defer held.release()
	args, status, err := h.readBody(w, r, &held)
	if err != nil {
		h.fail(w, r, status, err)
		return
	}
	liftReadDeadline(w)
	result, err := app.Call(ctx, r.PathValue("function"), args, identity)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	// The result and the answer that is made of it are held until it is sent.
	if held.grow(0, 2*int64(len(result))) != nil {
		h.fail(w, r, 0, dispatch.Errorf(dispatch.CodeUnknown, "the function has run, but too many large answers are under way to send its result"))
		return
	}
	body := make([]byte, 0, len(result)+len(`{"result":}`)+1)
	body = append(body, `{"result":`...)
	body = append(body, result...)
	answer(w, http.StatusOK, append(body, '}'))
}

// checkContentType accepts JSON, and a request that does not say. A form's
// types are refused because a browser sends them without asking the server.
func checkContentType(r *http.Request) *dispatch.Error {
	given := r.Header.Get("Content-Type")
	if given == "" {
		return nil
	}
	if kind, _, err := mime.ParseMediaType(given); err == nil && kind == "application/json" {
		return nil
	}
	return dispatch.Errorf(dispatch.CodeInvalidArgument, "content type %.128q, want application/json", given)
}

// readBody reads the arguments. If it cannot it says why, and with which status
// if that is not the code's.
func (h *handler) readBody(w http.ResponseWriter, r *http.Request, held *holding) (body []byte, status int, err error) {
	if r.ContentLength > h.opts.MaxBody {
		w.Header().Set("Connection", "close") // rather than read on
		return nil, http.StatusRequestEntityTooLarge, h.tooLarge()
	}
	body, err = held.read(http.MaxBytesReader(w, r.Body, h.opts.MaxBody), r.ContentLength)
	var exceeded *http.MaxBytesError
	switch {
	case isRefusal(err):
		w.Header().Set("Connection", "close") // rather than read on
		return nil, 0, err
	case errors.As(err, &exceeded):
		return nil, http.StatusRequestEntityTooLarge, h.tooLarge()
	case err != nil:
		w.Header().Set("Connection", "close") // its rest comes late, or not at all
		return nil, 0, &dispatch.Error{Code: dispatch.CodeInvalidArgument, Message: "the body could not be read to its end", Err: err}
	}
	return body, 0, nil
}

// isRefusal says whether there was no room for a body.
func isRefusal(err error) bool {
	_, ok := errors.AsType[*dispatch.Error](err)
	return ok
}

func (h *handler) tooLarge() error {
	return dispatch.Errorf(dispatch.CodeResourceExhausted, "the body has more than %d bytes, which is the limit", h.opts.MaxBody)
}
