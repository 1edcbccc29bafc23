package server

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/strictjson"
	"carillon/server/api"
	"carillon/storage"
)

// outsidePattern is that of the routes by which the world ends an attempt that is pending outside.
const outsidePattern = "/v1/apps/{app}/outside/{token}"

func (h *handler) completeOutside(w http.ResponseWriter, r *http.Request) {
	var body api.OutsideResult
	h.outside(w, r, &body, func(app *actors.App, token string) (bool, error) {
		var result any
		if body.Result != nil {
			result = body.Result
		}
		return app.Complete(r.Context(), token, result)
	})
}

func (h *handler) failOutside(w http.ResponseWriter, r *http.Request) {
	var body api.OutsideFailure
	h.outside(w, r, &body, func(app *actors.App, token string) (bool, error) {
		code := cmp.Or(dispatch.Code(body.Code), dispatch.CodeUnknown)
		if !slices.Contains(dispatch.Codes(), code) {
			return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "code %.32q, want any of %q", string(code), dispatch.Codes())
		}
		if len(body.Message) > dispatch.MaxMessage {
			return false, dispatch.Errorf(dispatch.CodeInvalidArgument, "the message has %d bytes, want at most %d", len(body.Message), dispatch.MaxMessage)
		}
		var failure error = &dispatch.Error{Code: code, Message: body.Message}
		if body.Permanent {
			failure = dispatch.Permanent(failure)
		}
		return app.Fail(r.Context(), token, failure)
	})
}

// outside ends the attempt of the path's token. That is all that a client has to show.
func (h *handler) outside(w http.ResponseWriter, r *http.Request, body any, end func(*actors.App, string) (bool, error)) {
	if r.Method != http.MethodPost {
		wrongMethod(w, r, http.MethodPost)
		return
	}
	ended, status, err := h.endOutside(w, r, body, end)
	if err != nil {
		h.fail(w, r, status, err)
		return
	}
	answer(w, http.StatusOK, []byte(`{"result":{"ended":`+map[bool]string{true: "true", false: "false"}[ended]+`}}`))
}

func (h *handler) endOutside(w http.ResponseWriter, r *http.Request, body any, end func(*actors.App, string) (bool, error)) (ended bool, status int, err error) {
	if err := checkContentType(r); err != nil {
		return false, http.StatusUnsupportedMediaType, err
	}
	if text, _ := bearer(r); strings.HasPrefix(text, tokenPrefix) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return false, 0, dispatch.Errorf(dispatch.CodeUnauthenticated, "this is an operator's token: the attempt's own, in the path, is all that is asked for")
	}
	app, err := h.eng.App(storage.AppID(r.PathValue("app")))
	if err != nil {
		return false, 0, err
	}
	held := h.hold(r)
	defer held.release()
	text, status, err := h.readBody(w, r, &held)
	if err != nil {
		return false, status, err
	}
	liftReadDeadline(w)
	if text = bytes.TrimSpace(text); len(text) > 0 {
		if text[0] != '{' {
			return false, 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "the body is no JSON object")
		}
		if err := strictjson.Decode(text, body); err != nil {
			return false, 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "the body: %w", err)
		}
	}
	ended, err = end(app, r.PathValue("token"))
	return ended, 0, err
}
