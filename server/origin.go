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
var clientHeaders = []string{"Authorization", "Content-Type", "Convex-Client", "Idempotency-Key"}

// preflightAge is how long a browser may remember the answer to a preflight, in
// seconds.
const preflightAge = 600

// clientOrigins makes what guards client routes: pages of the server's own origin
// and of the allowed ones may call, and are told so (CORS); all others may not.
// Cookies are never let in, since no identity of ours is in one.
func clientOrigins(allowed []string) func(http.HandlerFunc) http.Handler {
	protection := http.NewCrossOriginProtection()
	for _, origin := range allowed {
		if err := protection.AddTrustedOrigin(origin); err != nil {
			panic(fmt.Sprintf("server: options: Origins: %v", err))
		}
	}
	gate := func(next http.HandlerFunc) http.Handler { return sameOrigin(protection, next) }
	if len(allowed) == 0 {
		return gate
	}
	whole := cors.New(cors.Options{
		AllowedOrigins: allowed, AllowedMethods: []string{http.MethodPost}, AllowedHeaders: clientHeaders,
		ExposedHeaders: []string{"Retry-After"}, MaxAge: preflightAge,
	})
	return func(next http.HandlerFunc) http.Handler { return whole.Handler(gate(next)) }
}

// sameOrigin refuses what a page of another origin sends.
func sameOrigin(protection *http.CrossOriginProtection, next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := protection.Check(r); err != nil {
			refuse(w, 0, &dispatch.Error{
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

func (g hostGate) check(r *http.Request) *dispatch.Error {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !g.open || !ok || !local.IP.IsLoopback() {
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
