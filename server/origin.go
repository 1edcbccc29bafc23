package server

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"

	"github.com/rs/cors"

	"carillon/dispatch"
)

// clientHeaders are what a page of an allowed origin may send.
var clientHeaders = []string{"Authorization", "Content-Type", "Convex-Client", "Idempotency-Key", "Traceparent", "Tracestate"}

// preflightAge is how long a browser may remember the answer to a preflight, in
// seconds.
const preflightAge = 600

// clientOrigins makes what guards client routes: pages of the server's own origin
// and of the allowed ones may call, and are told so (CORS); all others may not.
// Cookies are never let in, since no identity of ours is in one.
func (h *handler) clientOrigins(allowed []string) func(http.HandlerFunc) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range allowed {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			panic(fmt.Sprintf("server: options: Origins: %v", err))
		}
	}
	gate := func(next http.HandlerFunc) http.Handler { return h.sameOrigin(protection, next) }
	if len(allowed) == 0 {
		return gate
	}
	whole := cors.New(cors.Options{
		AllowedOrigins: allowed, AllowedMethods: []string{http.MethodPost}, AllowedHeaders: clientHeaders,
		ExposedHeaders: []string{"Retry-After"}, MaxAge: preflightAge,
	})
	return func(next http.HandlerFunc) http.Handler { return whole.Handler(gate(next)) }
}

// sameOrigin refuses what a page of another origin sends. The protection lets such a page read,
// since without CORS it is not shown what it reads; an upgrade is more than that.
func (h *handler) sameOrigin(protection *http.CrossOriginProtection, next http.HandlerFunc) http.Handler {
	return h.originGate(protection, func(r *http.Request) bool { return r.Header.Get("Upgrade") != "" && r.Header.Get("Origin") != "" }, next)
}

// ownOrigin refuses whatever a page of another origin sends, to read as well.
func (h *handler) ownOrigin(next http.HandlerFunc) http.Handler {
	return h.originGate(http.NewCrossOriginProtection(), func(*http.Request) bool { return true }, next)
}

// originGate asks the protection, of requests that are strict as if they were a POST.
func (h *handler) originGate(protection *http.CrossOriginProtection, strict func(*http.Request) bool, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked := r
		if strict(r) {
			asked = r.WithContext(r.Context()) // a copy
			asked.Method = http.MethodPost
		}
		if err := protection.Check(asked); err != nil {
			h.refuse(w, r, 0, &dispatch.Error{
				Code: dispatch.CodePermissionDenied, Message: "a page of another origin may not call", Err: err,
			})
			return
		}
		next(w, r)
	})
}

// hostGate refuses requests for other hosts that come in on a loopback address,
// where any process of this machine is let in: a browser on this machine names the
// page's own host, whatever address that was made to resolve to (DNS rebinding).
type hostGate struct {
	open  bool // no one is asked who they are
	names []string
}

// check looks at requests of clients where no one is asked who they are, and at all of operators.
func (g hostGate) check(r *http.Request, operators bool) *dispatch.Error {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !g.open && !operators || !ok || !local.IP.IsLoopback() {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), ".")
	same := func(name string) bool { return strings.EqualFold(name, host) }
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() || same("localhost") || slices.ContainsFunc(g.names, same) {
		return nil
	}
	return dispatch.Errorf(dispatch.CodePermissionDenied, "host %.128q is not this machine: use localhost or 127.0.0.1", r.Host)
}
