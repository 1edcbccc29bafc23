package server

import "net/http"

// HostOf is the host that a connection from the address is counted for.
func HostOf(remote string) string { return hostOf(remote) }

// Routes are the method and the pattern of each route of a handler that New returned.
func Routes(h http.Handler) (routes []string) {
	for _, rt := range h.(*handler).routes() {
		routes = append(routes, rt.method+" "+rt.pattern)
	}
	return routes
}
