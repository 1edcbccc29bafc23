package server

import (
	"bytes"
	"encoding/json"
	"net/http"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/strictjson"
	"carillon/server/api"
	"carillon/storage"
)

// request is what an operator asks.
type request struct {
	*http.Request
	route *route
	op    *Operator
	app   *actors.App         // nil if the route is not about one
	entry *storage.AuditEntry // of what it changes; more ids may be added before that
}

// operation is what an operator route does. It answers with status and result, or is
// refused with err, whose status is 0 or what HTTP has beside its code.
type operation func(w http.ResponseWriter, r *request) (status int, result any, err error)

// guarded is the handler of the operator routes of a pattern, by method. Who asks is looked at
// before anything else, so that who may not learns nothing.
func (h *handler) guarded(methods map[string]*route, allow string) http.Handler {
	return h.ownOrigin(func(w http.ResponseWriter, r *http.Request) {
		if err := h.host.check(r, true); err != nil {
			h.refuse(w, r, 0, err)
			return
		}
		op, err := h.operator(w, r)
		if err != nil {
			h.fail(w, r, 0, err)
			return
		}
		rt, ok := methods[r.Method]
		if !ok {
			wrongMethod(w, r, allow)
			return
		}
		asked := &request{Request: r, route: rt, op: op}
		if err := h.admit(rt, asked); err != nil {
			h.fail(w, r, 0, err)
			return
		}
		if (r.Method == http.MethodPost || r.Method == http.MethodPut) && !rt.stream {
			if err := checkContentType(r); err != nil {
				refuse(w, http.StatusUnsupportedMediaType, err)
				return
			}
		}
		h.audited(rt, asked)
		defer h.recheck(w, asked)()
		status, result, err := rt.do(w, asked)
		if err != nil {
			if why := revokedOf(asked.Context()); why != nil {
				status, err = 0, why
			}
			h.fail(w, r, status, err)
			return
		}
		if _, done := result.(answered); done {
			return
		}
		body, err := json.Marshal(api.Answer[any]{Result: result})
		if err != nil {
			h.fail(w, r, 0, err)
			return
		}
		answer(w, status, body)
	})
}

// admit says why the operator may not use the route. Of an app that is not one of theirs
// the answer does not tell whether it is there.
func (h *handler) admit(rt *route, r *request) (err error) {
	if rt.ofApp() {
		id := storage.AppID(r.PathValue("app"))
		if !r.op.has(id) {
			return notTheirs(id)
		}
		if r.app, err = h.eng.App(id); err != nil {
			return err
		}
	}
	if rt.whole && !r.op.AllApps {
		return dispatch.Errorf(dispatch.CodePermissionDenied, "this is about all apps, and this operator has some only")
	}
	for _, scope := range rt.scopes {
		if err := r.op.need(scope); err != nil {
			return err
		}
	}
	return nil
}

// existing wraps an operation on an app that must exist. It makes none, so a mistyped
// name is not taken for an app that has nothing.
func existing(do operation) operation {
	return func(w http.ResponseWriter, r *request) (int, any, error) {
		there, err := r.app.Exists()
		if err == nil && !there {
			err = noApp(r.app.ID())
		}
		if err != nil {
			return 0, nil, err
		}
		return do(w, r)
	}
}

func notTheirs(id storage.AppID) error {
	return dispatch.Errorf(dispatch.CodePermissionDenied, "app %.128q is not one of this operator's", string(id))
}

func noApp(id storage.AppID) error {
	return dispatch.Errorf(dispatch.CodeNotFound, "no such app %q", id)
}

// decodeBody decodes an operator's JSON object strictly; no body is {}. The status
// is what readBody says of an error.
func (h *handler) decodeBody(w http.ResponseWriter, r *request, into any) (status int, err error) {
	held := h.hold(r.Request)
	defer held.release()
	body, status, err := h.readBody(w, r.Request, &held)
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
