package server

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/internal/strictjson"
	"carillon/server/convex"
)

// anyKind is the kind of a call that does not say which.
const anyKind dispatch.Kind = ""

// convexPattern is below what clients of npm convex are given as their address.
const convexPattern = "/v1/apps/{app}/api"

// convexRoutes are those of npm convex.
func (h *handler) convexRoutes(client func(http.HandlerFunc) http.Handler) (routes []route) {
	for _, kind := range []dispatch.Kind{dispatch.KindQuery, dispatch.KindMutation, dispatch.KindAction, anyKind} {
		rt := route{method: http.MethodPost, pattern: convexPattern + "/" + cmp.Or(string(kind), "function")}
		rt.client = client(func(w http.ResponseWriter, r *http.Request) { h.convexCall(w, r, &rt, kind) })
		routes = append(routes, rt)
	}
	instant := route{method: http.MethodPost, pattern: convexPattern + "/query_ts"}
	instant.client = client(func(w http.ResponseWriter, r *http.Request) { h.convexInstant(w, r, &instant) })
	at := route{method: http.MethodPost, pattern: convexPattern + "/query_at_ts"}
	at.client = client(func(w http.ResponseWriter, r *http.Request) { h.convexCall(w, r, &at, dispatch.KindQuery) })
	sync := route{method: http.MethodGet, pattern: convexPattern + "/{version}/sync"}
	sync.client = client(func(w http.ResponseWriter, r *http.Request) { h.convexConnect(w, r, &sync) })
	return append(routes, instant, at, sync)
}

// convexCaller is who calls a function with npm convex.
type convexCaller struct {
	identity *dispatch.Identity
	origin   dispatch.Origin
	op       *request // of an operator, who calls with setAdminAuth; nil: it is a client
	key      *Operator
}

// convexKey is the credential of setAdminAuth: an operator's token, and perhaps an identity behind it.
const convexKey = "Convex"

// convexCaller asks who calls: of an operator's token Operator, and else Identify.
func (h *handler) convexCaller(w http.ResponseWriter, r *http.Request, rt *route) (who convexCaller, err error) {
	scheme, key, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, convexKey) {
		if text, _ := bearer(r); strings.HasPrefix(text, tokenPrefix) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			return who, dispatch.Errorf(dispatch.CodeUnauthenticated, "this is an operator's token: functions are for clients, setAdminAuth is for operators")
		}
		who.origin = dispatch.OriginClient
		who.identity, err = h.opts.Identify(r)
		return who, err
	}
	if h.opts.Operator == nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		return who, dispatch.Errorf(dispatch.CodeUnauthenticated, "there are no operators here: use setAuth")
	}
	// An operator's call is held to what operator routes are.
	if err := h.host.check(r, true); err != nil {
		return who, err
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return who, &dispatch.Error{Code: dispatch.CodePermissionDenied, Message: "a page of another origin may not call as an operator", Err: err}
	}
	token, as, named := strings.Cut(strings.TrimSpace(key), ":")
	asked := r.Clone(r.Context())
	asked.Header.Set("Authorization", "Bearer "+token)
	op, err := h.operator(w, asked)
	if err != nil {
		return who, err
	}
	who.op = &request{Request: asked, op: op, route: &route{method: rt.method, pattern: rt.pattern, scopes: []Scope{ScopeActAs}}}
	if err := h.admit(who.op.route, who.op); err != nil {
		return who, err
	}
	if who.origin = dispatch.OriginClient; op.may(ScopeCall) {
		who.origin = dispatch.OriginHost
	}
	if named {
		who.identity, err = convexIdentity(as)
	}
	return who, err
}

// convexIdentity is the identity that an operator acts as: a subject and claims in JSON, in base64.
func convexIdentity(as string) (*dispatch.Identity, error) {
	text, err := base64.StdEncoding.DecodeString(as)
	claims := map[string]any{}
	if err == nil {
		err = strictjson.Decode(text, &claims)
	}
	subject, _ := claims["subject"].(string)
	if err != nil || subject == "" {
		return nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "the identity to act as is no object with a subject, in JSON and base64")
	}
	delete(claims, "subject")
	return &dispatch.Identity{Subject: subject, Claims: claims}, nil
}

// convexInstant keeps the app's state for queries that are to see the same. It needs the same credentials as
// they do.
func (h *handler) convexInstant(w http.ResponseWriter, r *http.Request, rt *route) {
	app := h.called(w, r)
	if app == nil {
		return
	}
	if _, err := h.convexCaller(w, r, rt); err != nil {
		h.fail(w, r, 0, err)
		return
	}
	if status, err := h.decodeBody(w, &request{Request: r}, &struct{}{}); err != nil {
		h.fail(w, r, status, err)
		return
	}
	commit, err := app.Instant(r.Context())
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	body, err := json.Marshal(convex.Instant{TS: convex.TS(commit)})
	if err != nil {
		panic(err) // it is made of text
	}
	answer(w, http.StatusOK, body)
}

// convexCall runs a function of the kind.
func (h *handler) convexCall(w http.ResponseWriter, r *http.Request, rt *route, kind dispatch.Kind) {
	app := h.called(w, r)
	if app == nil {
		return
	}
	who, err := h.convexCaller(w, r, rt)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	if who.op != nil {
		h.audited(rt, who.op)
		defer h.recheck(w, who.op)()
		who.key = who.op.op
		r = who.op.Request
	}
	ctx, err := keyed(r, who.key)
	if err != nil {
		h.fail(w, r, 0, err)
		return
	}
	held := h.hold(r)
	defer held.release()
	body, status, err := h.readBody(w, r, &held)
	if err != nil {
		h.fail(w, r, status, err)
		return
	}
	liftReadDeadline(w)
	call, err := convex.Parse(body)
	if at := strings.HasSuffix(rt.pattern, "/query_at_ts"); err == nil && at != (call.TS != nil) {
		err = errors.New("a ts is for query_at_ts, and that needs one")
	}
	if err != nil {
		h.fail(w, r, 0, dispatch.Errorf(dispatch.CodeInvalidArgument, "%w", err))
		return
	}
	value, err := h.convexRun(r.WithContext(ctx), app, who, kind, &call)
	if who.op != nil && err != nil {
		if why := revokedOf(r.Context()); why != nil {
			h.fail(w, r, 0, why)
			return
		}
	}
	// The result, what is made of it and the answer are held until it is sent.
	if err == nil && held.grow(0, 3*int64(len(value))) != nil {
		err = dispatch.Errorf(dispatch.CodeUnknown, "the function has run, but too many large answers are under way to send its result")
	}
	h.convexAnswer(w, r, value, err)
}

// convexRun runs the function of the call.
func (h *handler) convexRun(r *http.Request, app *actors.App, who convexCaller, kind dispatch.Kind, call *convex.Call) (json.RawMessage, error) {
	fn, err := h.eng.Functions().Resolve(call.Path, who.origin, kind)
	if err != nil {
		return nil, err
	}
	takes, _ := fn.Types()
	args, err := convex.Arguments(call.Args, takes, call.Format)
	if err != nil {
		return nil, &dispatch.Error{Code: dispatch.CodeInvalidArgument, Path: fn.Path, Message: "args: " + err.Error()}
	}
	identity, err := who.identity.Normalize()
	if err != nil {
		return nil, err
	}
	if who.op != nil && fn.Kind != dispatch.KindQuery {
		who.op.entry.IDs = append(who.op.entry.IDs, fn.Path)
		if err := h.eng.Audit(r.Context(), app.ID()); err != nil {
			return nil, err
		}
	}
	if call.TS != nil {
		result, err := app.CallAt(r.Context(), uint64(*call.TS), call.Path, args, identity)
		return convexValue(fn, result, call.Format, err)
	}
	result, err := app.Invoke(r.Context(), dispatch.Invocation{Path: call.Path, Kind: kind, Args: args, Identity: identity, Origin: who.origin})
	return convexValue(fn, result, call.Format, err)
}

// convexValue is the function's result as a client takes it.
func convexValue(fn *dispatch.Function, result json.RawMessage, format convex.Format, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	_, returns := fn.Types()
	value, err := convex.Value(result, returns, format)
	if err != nil {
		return nil, &dispatch.Error{Code: dispatch.CodeFailedPrecondition, Path: fn.Path, Message: "the " + string(fn.Kind) + " has run, but a Convex client cannot hold its result: " + err.Error()}
	}
	return value, nil
}

// convexAnswer answers a call that has come to a function, or to where one would be: also an error has the
// status 200, as clients want it.
func (h *handler) convexAnswer(w http.ResponseWriter, r *http.Request, value json.RawMessage, err error) {
	shown := convex.Answer{Status: convex.Success, Value: value}
	if err != nil {
		f := h.failureOf(r, err)
		setRetryAfter(w, f.Error)
		data := convex.ErrorData{Code: string(f.Code), Path: f.Path, Message: f.Message, RequestID: f.RequestID}
		shown = convex.Answer{Status: convex.Failure, ErrorMessage: f.Message, ErrorData: &data}
	}
	body, err := json.Marshal(&shown)
	if err != nil {
		panic(err) // it is made of text and JSON
	}
	answer(w, http.StatusOK, body)
}
