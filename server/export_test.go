package server

import (
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"strings"
	"time"
)

// ClientOf is whom a request is counted for.
func ClientOf(r *http.Request, trusted []netip.Prefix) string {
	return networkOf(addressOf(r, trusted))
}

// Rated is how many clients the handler remembers after n more have asked.
func Rated(h http.Handler, n int) int {
	r := &h.(*handler).rates
	for i := range n {
		r.take(fmt.Sprint(i), time.Now())
	}
	if len(r.byClient) != r.recent.Len() {
		return -1
	}
	return r.recent.Len()
}

// UnderWay is how many clients have something under way.
func UnderWay(h http.Handler) int { return len(h.(*handler).clients.by) }

// HostOf is the host that a connection from the address is counted for.
func HostOf(remote string) string { return hostOf(remote) }

// Routes are the method and the pattern of each route of a handler that New returned, but for those of the
// dashboard.
func Routes(h http.Handler) (routes []string) { return routesOf(h, false) }

// FilterKeys are the parameters of a listing of jobs.
func FilterKeys() []string { return filterKeys }

// Pages are those of the dashboard.
func Pages(h http.Handler) (routes []string) { return routesOf(h, true) }

// LiveCost is what live pages have taken lately.
func LiveCost(h http.Handler) time.Duration { return time.Duration(h.(*handler).live.cost.Load()) }

// LiveApart is how far apart changes of an app are told to so many open pages of which each in turn took so long, many times over.
func LiveApart(open int, took ...time.Duration) time.Duration {
	var l livePages
	l.open.Store(int64(open))
	for i := range 10_000 {
		l.paid(took[i%len(took)])
	}
	return l.apart(true)
}

func routesOf(h http.Handler, pages bool) (routes []string) {
	for _, rt := range h.(*handler).routes() {
		if pages == strings.HasPrefix(rt.pattern, dashboardPattern) {
			routes = append(routes, rt.method+" "+rt.pattern)
		}
	}
	return routes
}

// Tell has the handler tell which rows of the JSON API are asked, by requests and by pages.
func Tell(h http.Handler, asked func(route string)) {
	for name, rt := range h.(*handler).rows {
		if do := rt.do; do != nil {
			rt.do = func(w http.ResponseWriter, r *request) (int, any, error) {
				asked(name)
				return do(w, r)
			}
		}
	}
}

// InputOf are the parameters and the type of the body that the row takes; nil if it takes none.
func InputOf(row string) (parameters []string, body reflect.Type) {
	d := descriptions[row]
	for _, p := range d.query {
		parameters = append(parameters, p.name)
	}
	return parameters, d.body
}

// AnswersOf are the types of what the row answers with.
func AnswersOf(row string) (types []reflect.Type) {
	for _, a := range descriptions[row].answers {
		if a.of != nil {
			types = append(types, a.of)
		}
	}
	return types
}
