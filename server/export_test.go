package server

import "net/http"

// Routes are the method and the pattern of each route of a handler that New returned.
func Routes(h http.Handler) (routes []string) {
	for _, rt := range h.(*handler).routes() {
		routes = append(routes, rt.method+" "+rt.pattern)
	}
	return routes
}
