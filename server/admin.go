package server

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/strictjson"
	"carillon/storage"
)

// operation is one method of an admin route. It answers with status and result,
// or is refused with err, whose status is 0 or what HTTP has beside its code.
type operation func(w http.ResponseWriter, r *http.Request, app *actors.App) (status int, result any, err error)

// admin is guarded for the operations of an app.
func (h *handler) admin(methods map[string]operation) http.Handler {
	guarded := map[string]plainOperation{}
	for method, do := range methods {
		guarded[method] = func(w http.ResponseWriter, r *http.Request) (int, any, error) {
			app, err := h.eng.App(storage.AppID(r.PathValue("app")))
			if err != nil {
				return 0, nil, err
			}
			return do(w, r, app)
		}
	}
	return h.guarded(guarded)
}

// plainOperation is an operation of no app.
type plainOperation func(w http.ResponseWriter, r *http.Request) (status int, result any, err error)

// guarded is the handler of a route that Options.Admin guards. It is asked before
// anything else is looked at, so that who may not learns nothing.
func (h *handler) guarded(methods map[string]plainOperation) http.Handler {
	allow := strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return sameOrigin(http.NewCrossOriginProtection(), func(w http.ResponseWriter, r *http.Request) {
		if err := h.opts.Admin(r); err != nil {
			if dispatch.AsError(err).Code == dispatch.CodeUnauthenticated {
				w.Header().Set("WWW-Authenticate", "Bearer") // without it a 401 breaks RFC 9110
			}
			h.fail(w, r, 0, err)
			return
		}
		do, ok := methods[r.Method]
		if !ok {
			wrongMethod(w, r, allow)
			return
		}
		if r.Method == http.MethodPost || r.Method == http.MethodPut {
			if err := checkContentType(r); err != nil {
				refuse(w, http.StatusUnsupportedMediaType, err)
				return
			}
		}
		status, result, err := do(w, r)
		if err != nil {
			h.fail(w, r, status, err)
			return
		}
		if _, done := result.(answered); done {
			return
		}
		body, err := json.Marshal(struct {
			Result any `json:"result"`
		}{result})
		if err != nil {
			h.fail(w, r, 0, err)
			return
		}
		answer(w, status, body)
	})
}

// existing wraps an operation on an app that must exist. It makes none, so a mistyped
// name is not taken for an app that has nothing.
func existing(do operation) operation {
	return func(w http.ResponseWriter, r *http.Request, app *actors.App) (int, any, error) {
		there, err := app.Exists()
		if err == nil && !there {
			err = dispatch.Errorf(dispatch.CodeNotFound, "no such app %q", app.ID())
		}
		if err != nil {
			return 0, nil, err
		}
		return do(w, r, app)
	}
}

// decodeBody decodes an admin's JSON object strictly; no body is {}. The status
// is what readBody says of an error.
func (h *handler) decodeBody(w http.ResponseWriter, r *http.Request, into any) (status int, err error) {
	held := holding{memory: &h.memory}
	defer held.release()
	body, status, err := h.readBody(w, r, &held)
	if err != nil {
		return status, err
	}
	liftReadDeadline(w)
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return 0, nil
	}
	if body[0] != '{' {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "the body is no JSON object")
	}
	if err := strictjson.Decode(body, into); err != nil {
		return 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "the body: %w", err)
	}
	return 0, nil
}
