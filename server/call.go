package server

import (
	"encoding/json"
	"net/http"

	"carillon/dispatch"
	"carillon/server/api"
)

// runFunction runs a function of any kind for an operator, internal ones too. The audit log has an entry of one that
// may change something, written before it begins: what it changes may be outside of the store.
func (h *handler) runFunction(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.CallRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := r.mayActAs(body.As); err != nil {
		return 0, nil, err
	}
	if err := checkService(body.As); err != nil {
		return 0, nil, err
	}
	identity, err := actsAs(body.As).Normalize()
	if err != nil {
		return 0, nil, err
	}
	fn, known := h.eng.Functions().Lookup(body.Function)
	if !known {
		return 0, nil, dispatch.Errorf(dispatch.CodeNotFound, "no function has the path %.128q", body.Function)
	}
	ctx, err := keyed(r.Request, r.op)
	if err != nil {
		return 0, nil, err
	}
	if fn.Kind != dispatch.KindQuery {
		r.entry.IDs = append(r.entry.IDs, fn.Path)
		if err := h.eng.Audit(ctx, r.app.ID()); err != nil {
			return 0, nil, err
		}
	}
	if body.Args == nil {
		body.Args = json.RawMessage("{}")
	}
	result, err := r.app.Invoke(ctx, dispatch.Invocation{Path: body.Function, Args: body.Args, Identity: identity, Origin: dispatch.OriginHost})
	if err != nil {
		return 0, nil, err
	}
	held := h.hold(r.Request)
	defer held.release()
	if held.grow(0, 2*int64(len(result))) != nil { // the answer that is made of it, besides
		return 0, nil, dispatch.Errorf(dispatch.CodeUnknown, "the function has run, but too many large answers are under way to send its result")
	}
	return http.StatusOK, api.CallResult{Result: result}, nil
}
