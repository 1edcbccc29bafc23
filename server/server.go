package server

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"strings"

	"carillon/actors"
	"carillon/dispatch"
)

// DefaultMaxBody is the default of Options.MaxBody: as much as the arguments of
// a call may have by default.
const DefaultMaxBody = dispatch.DefaultLimit

// Options of New. The zero value is ready for use.
type Options struct {
	// Identify tells who calls, nil being anonymous. It is asked for every call, in
	// the call's goroutine, before the body is read. An *Error refuses the call
	// with its code; any other error is internal, and its text is for the log
	// only. A WebSocket's client is asked for before each message to it and each call, and at the
	// identity's ExpiresAt. Default: every caller is anonymous.
	Identify func(*http.Request) (*dispatch.Identity, error)
	// Operator tells who asks in an operator route, which looks after jobs, triggers or
	// the store: which apps are theirs, and what they may do there. It is asked before
	// anything else is looked at, and each second while a stream of events goes on. An error refuses the request as one of Identify does,
	// unauthenticated for one that does not say who asks, and so does nil. While a request
	// lasts it is asked again about it each second, in another goroutine, and must not read
	// the body: when it refuses, or the operator has other rights, the request ends. Default:
	// these routes do not exist, unless there is Admin.
	Operator func(*http.Request) (*Operator, error)
	// Admin, in the place of Operator, lets a request use all operator routes for all
	// apps, under the name "host", if it returns nil. New panics if both are given.
	Admin func(*http.Request) error
	// Token, if it is not "", is a secret of the host's own that lets an operator in besides those whom Operator or
	// Admin lets in: with all apps and all scopes, under the name "host". It signs in to the dashboard, whose
	// sessions end when the host has another. Default: there is none.
	Token string
	// BasePath is the prefix below which all routes are, such as "/carillon", when the
	// handler is mounted there: "/carillon/v1/health". The host hands requests on with
	// the path that they came with. New panics if it is malformed. Default "", none.
	BasePath string
	// MaxBody bounds the body of a call, in bytes. Default 1 MiB.
	MaxBody int64
	// MaxImport bounds the body of an import of an app, in bytes. It is not held in memory.
	// Default 4 GiB.
	MaxImport int64
	// MaxMemory bounds the bodies of requests and answers that are held at one time,
	// in bytes, of each what is beyond its first 16 KiB. A request that is too much is
	// refused (unavailable, with Retry-After). Default 128 MiB.
	MaxMemory int64
	// RequestsPerSecond bounds what one client asks, each second and at once: a remote
	// host, or network of 64 bits if it is IPv6. Those beyond are refused
	// (resource_exhausted, with Retry-After). Default 0, no bound.
	RequestsPerSecond int
	// MaxClientRequests bounds the requests of one client that are under way at once, streams and
	// long polls among them, by whatever connections they come: of those behind a proxy that is
	// one host. More are refused (resource_exhausted, with Retry-After). Default 2,048.
	MaxClientRequests int
	// MaxClientMemory bounds what one client takes of MaxMemory, in bytes. A request that is too
	// much is refused (resource_exhausted, with Retry-After). Default 64 MiB.
	MaxClientMemory int64
	// TrustedProxies are the networks of proxies in front: of a request that comes from
	// one, the client is the last hop in X-Forwarded-For that is in none. Default none.
	TrustedProxies []netip.Prefix
	// MaxStreams bounds the streams of events, and the requests that wait for a job's end (long
	// polls), that are open at once; one client, and one operator, has three quarters of them at
	// most. More are refused (resource_exhausted).
	// Default 1,024.
	MaxStreams int
	// Origins are the origins, such as "https://app.example.com", whose pages may
	// call functions from a browser besides the server's own: never with cookies, and
	// never an operator route. New panics if one is malformed. Default none.
	Origins []string
	// Hosts are names that requests may be for, besides localhost and loopback
	// addresses, when a connection comes in on a loopback address, and the route is an
	// operator's or there is no Identify: otherwise a page whose name was made to resolve
	// to this machine could call. Default none.
	Hosts []string
	// Draining ends when the server is about to stop: GET /readyz is red from then on, and
	// streams of events and waits for results end, while all else is answered as before. So
	// a load balancer can look elsewhere before Serve takes no more connections. Default: never.
	Draining context.Context
	// Connections is how the host says that Identify would answer otherwise now, for connections
	// of clients that last. Default: of the handler's own.
	Connections *Connections
	// Refusals counts the requests that are refused because of who asks, or how often.
	// Default: a counter of the handler's own, for its log.
	Refusals *Refusals
	// Metrics, if there is Operator or Admin, answers GET /metrics, which is for operators of all
	// apps with ScopeRead: package server/metrics has one. Default: there is no such route.
	Metrics http.Handler
	// MCP, if there is Operator or Admin, returns what answers POST /mcp, which is for operators with
	// ScopeRead: package client/mcp has one. New gives it the routes of the handler, which it
	// asks in the name of the one who asks it: with their request's headers and address.
	// Default: there is no such route.
	MCP func(routes http.Handler) http.Handler
	// Version is what GET /v1/system says that the program is. Default: the version of its main module, or
	// "devel".
	Version string
	// Logger is told the faults whose request ids callers are given, and of what Refusals counts
	// a line a second of each kind. Default slog.Default().
	Logger *slog.Logger
}

func (o Options) withDefaults() Options {
	if o.Identify == nil {
		o.Identify = func(*http.Request) (*dispatch.Identity, error) { return nil, nil }
	}
	o.MaxBody = cmp.Or(o.MaxBody, DefaultMaxBody)
	o.MaxImport = cmp.Or(o.MaxImport, DefaultMaxImport)
	o.MaxMemory = cmp.Or(o.MaxMemory, DefaultMaxMemory)
	o.MaxClientRequests = cmp.Or(o.MaxClientRequests, DefaultMaxClientRequests)
	o.MaxClientMemory = cmp.Or(o.MaxClientMemory, DefaultMaxClientMemory)
	o.MaxStreams = cmp.Or(o.MaxStreams, DefaultMaxStreams)
	o.Operator = o.operatorHook()
	o.BasePath = basePath(o.BasePath)
	o.Version = cmp.Or(o.Version, version())
	o.Logger = cmp.Or(o.Logger, slog.Default())
	o.Draining = cmp.Or(o.Draining, context.Background())
	o.Connections = cmp.Or(o.Connections, new(Connections))
	o.Refusals = cmp.Or(o.Refusals, new(Refusals))
	return o
}

// handler is what New returns.
type handler struct {
	eng  *actors.Engine
	opts Options
	mux  *http.ServeMux
	host hostGate

	agents http.Handler // of Options.MCP; nil: there is none

	doors  map[string]string // by the mux's pattern: whose route it is
	rows   map[string]*route // by method and pattern: those of the table
	probes map[string]bool   // paths that are answered to every caller, and however often

	memory  memory  // of Options.MaxMemory
	rates   rates   // of Options.RequestsPerSecond
	clients clients // of Options.MaxClientRequests and MaxClientMemory
	streams streams // of Options.MaxStreams
	live    livePages
	pages   sharedPages
}

// New returns the handler of the engine's routes. It does not close the engine.
func New(eng *actors.Engine, opts Options) http.Handler {
	h := &handler{eng: eng, mux: http.NewServeMux(), doors: map[string]string{}, rows: map[string]*route{}, probes: map[string]bool{}}
	h.host = hostGate{open: opts.Identify == nil, names: opts.Hosts}
	h.opts = opts.withDefaults()
	h.memory.left.Store(h.opts.MaxMemory)
	h.rates.init(h.opts.RequestsPerSecond)
	h.clients.init(h.opts.MaxClientRequests, h.opts.MaxClientMemory)
	h.streams.init(h.opts.MaxStreams, h.opts.Draining)
	if h.opts.MCP != nil {
		h.agents = h.opts.MCP(http.HandlerFunc(h.admitted))
	}
	h.routeAll(h.routes())
	return h
}

// basePath is the prefix of patterns that Options.BasePath means.
func basePath(given string) string {
	if given == "" || given == "/" {
		return ""
	}
	base := strings.TrimSuffix(given, "/")
	if base == "/" || !canonical(base) || strings.ContainsAny(base, "{}%?# ") {
		panic(fmt.Sprintf("server: options: BasePath is %q, want a path such as /carillon", given))
	}
	return base
}

// ServeHTTP implements http.Handler.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w = h.forLunora(w, r)
	defer h.recover(w, r)
	setDeadlines(w)
	if h.probes[r.URL.Path] {
		h.mux.ServeHTTP(w, r)
		return
	}
	client := clientOf(r, h.opts.TrustedProxies)
	if err := h.rated(client); err != nil {
		h.turnAway(w, r, err)
		return
	}
	if err := h.clients.enter(client); err != nil {
		h.turnAway(w, r, err)
		return
	}
	defer h.clients.leave(client)
	if err := h.host.check(r, false); err != nil {
		h.turnAway(w, r, err)
		return
	}
	if !canonical(r.URL.Path) {
		h.noRoute(w, r) // the mux would redirect it
		return
	}
	h.mux.ServeHTTP(w, r)
}

// canonical says whether the mux takes the path as it is.
func canonical(p string) bool {
	return strings.HasPrefix(p, "/") && (path.Clean(p) == p || path.Clean(p)+"/" == p)
}

func (h *handler) noRoute(w http.ResponseWriter, r *http.Request) {
	if _, foreign := w.(*lunoraWriter); foreign {
		wrongMethod(w, r, "") // which its clients are told in the same way
		return
	}
	if h.isPage(r) {
		h.turnAway(w, r, dispatch.Errorf(dispatch.CodeNotFound, "no page has this address"))
		return
	}
	if address, route, ok := strings.Cut(r.URL.Path, "//api/"); ok {
		refuse(w, 0, dispatch.Errorf(dispatch.CodeNotFound,
			"the client's address ends with a slash, so that it asks for //api/%.64s: give it %.128q", route, address))
		return
	}
	refuse(w, 0, dispatch.Errorf(dispatch.CodeNotFound,
		"no route %.128q: functions are at %s/v1/apps/{app}/functions/{namespace:function}", r.URL.Path, h.opts.BasePath))
}

func wrongMethod(w http.ResponseWriter, r *http.Request, allow string) {
	w.Header().Set("Allow", allow)
	refuse(w, http.StatusMethodNotAllowed, dispatch.Errorf(dispatch.CodeUnimplemented,
		"method %.32q is not for this route, want %s", r.Method, allow))
}
