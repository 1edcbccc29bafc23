package server

import (
	"bytes"
	"io"
	"net/http"

	"carillon/server/api"
	"carillon/storage"
)

// mcpPath is where agents ask.
const mcpPath = "/mcp"

// mcp has Options.MCP answer. The body is read here, so that it has the bounds of every other.
func (h *handler) mcp(w http.ResponseWriter, r *request) (int, any, error) {
	held := h.hold(r.Request)
	defer held.release()
	body, status, err := h.readBody(w, r.Request, &held)
	if err != nil {
		return status, nil, err
	}
	liftReadDeadline(w)
	setWriteDeadline(w)
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.agents.ServeHTTP(w, r.Request)
	return 0, answered{}, nil
}

// admitted serves requests of a client who has been let in: those that Options.MCP makes of one.
// The bounds on clients have been applied to that one, and each request has its operator asked
// for, its scopes, and its entry in the audit log as if it had come by itself.
func (h *handler) admitted(w http.ResponseWriter, r *http.Request) {
	defer h.recover(w, r)
	if !canonical(r.URL.Path) {
		h.noRoute(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// showOperator tells operators who they are, and so what they may do.
func (h *handler) showOperator(_ http.ResponseWriter, r *request) (int, any, error) {
	return http.StatusOK, api.Operator{
		Name: r.op.Name, Apps: each(r.op.Apps, func(app storage.AppID) string { return string(app) }), AllApps: r.op.AllApps,
		Scopes: append([]api.Scope{}, r.op.Scopes...),
	}, nil
}
