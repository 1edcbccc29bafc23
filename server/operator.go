package server

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"

	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

// Scope is one kind of thing that an operator may do. None takes in another.
type Scope = api.Scope

// The scopes.
const (
	ScopeRead      = api.ScopeRead
	ScopeReadArgs  = api.ScopeReadArgs
	ScopeWrite     = api.ScopeWrite
	ScopeCall      = api.ScopeCall
	ScopeActAs     = api.ScopeActAs
	ScopeReadDocs  = api.ScopeReadDocs
	ScopeWriteDocs = api.ScopeWriteDocs
	ScopeAdmin     = api.ScopeAdmin
)

// Scopes returns all scopes.
func Scopes() []Scope {
	return []Scope{ScopeRead, ScopeReadArgs, ScopeWrite, ScopeCall, ScopeActAs, ScopeReadDocs, ScopeWriteDocs, ScopeAdmin}
}

// Operator is who asks in an operator route. The zero value may do nothing.
type Operator struct {
	Name    string          // for people: what is logged
	Apps    []storage.AppID // whose apps these are
	AllApps bool            // every app, and the store as a whole
	Scopes  []Scope
}

// may says whether the operator has the scope.
func (op *Operator) may(scope Scope) bool { return slices.Contains(op.Scopes, scope) }

// has says whether the app, which need not be there, is one of the operator's.
func (op *Operator) has(app storage.AppID) bool { return op.AllApps || slices.Contains(op.Apps, app) }

// need refuses an operator without the scope.
func (op *Operator) need(scope Scope) error {
	if op.may(scope) {
		return nil
	}
	return dispatch.Errorf(dispatch.CodePermissionDenied, "this operator does not have the scope %s", scope)
}

// hostName is the operator that Options.Admin and Options.Token let in.
const hostName = "host"

// operatorHook is Options.Operator, or what Options.Admin means; nil if there is neither.
func (o *Options) operatorHook() func(*http.Request) (*Operator, error) {
	switch {
	case o.Operator != nil && o.Admin != nil:
		panic("server: options: Operator and Admin are given: which one?")
	case o.Admin != nil:
		admin := o.Admin
		return func(r *http.Request) (*Operator, error) {
			if err := admin(r); err != nil {
				return nil, err
			}
			return hostOperator(), nil
		}
	case o.Operator == nil && o.Token != "":
		return func(*http.Request) (*Operator, error) { return nil, nil }
	}
	return o.Operator
}

// hostOperator is that of Options.Token.
func hostOperator() *Operator { return &Operator{Name: hostName, AllApps: true, Scopes: Scopes()} }

// isHost says whether the text is Options.Token.
func (h *handler) isHost(text string) bool {
	// Digests are of one length, so that the time it takes tells nothing of the token.
	given, own := sha256.Sum256([]byte(text)), sha256.Sum256([]byte(h.opts.Token))
	return h.opts.Token != "" && subtle.ConstantTimeCompare(given[:], own[:]) == 1
}

// operatorOf asks who it is.
func (h *handler) operatorOf(r *http.Request) (*Operator, error) {
	text, given := bearer(r)
	if session := sessionOf(r.Context()); !given && strings.HasPrefix(session, hostSession) && h.opts.Token != "" {
		if id, err := h.hostSessionID(); err != nil || id == session {
			return hostOperator(), err
		}
	}
	if given && h.isHost(text) {
		return hostOperator(), nil
	}
	op, err := h.opts.Operator(r)
	if err == nil && op == nil {
		err = dispatch.Errorf(dispatch.CodeUnauthenticated, "this route is for operators: say who asks")
	}
	return op, err
}

// operator is operatorOf, and tells the client how to say who asks.
func (h *handler) operator(w http.ResponseWriter, r *http.Request) (*Operator, error) {
	op, err := h.operatorOf(r)
	if err != nil && dispatch.AsError(err).Code == dispatch.CodeUnauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer") // without it a 401 breaks RFC 9110
	}
	return op, err
}
