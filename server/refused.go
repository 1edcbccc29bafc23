package server

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/server/ui"
)

// Refusals counts the requests that a handler has refused because of who asks, or how often:
// those that are answered with unauthenticated, permission_denied or resource_exhausted. The zero
// value is ready for Options.Refusals. Any goroutine may ask.
type Refusals struct {
	mu sync.Mutex
	of map[Refused]*refused
}

// The doors.
const (
	clientDoor   = "client"
	operatorDoor = "operator"
)

// Refused is one kind of refusal.
type Refused struct {
	// Door is "client" or "operator", or "" if a request was refused before its route was
	// looked for.
	Door string
	Code dispatch.Code
}

// RefusedCount is how often there was one.
type RefusedCount struct {
	Refused
	Count int64
}

type refused struct {
	count  int64
	logged time.Time
	silent int64 // since then
}

// logRefusedEvery is how often each kind of refusal has a line in the log.
const logRefusedEvery = time.Second

// Counts returns how often there was each kind of refusal, in order of door and code.
func (r *Refusals) Counts() []RefusedCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	var counts []RefusedCount
	for kind, of := range r.of {
		counts = append(counts, RefusedCount{kind, of.count})
	}
	slices.SortFunc(counts, func(a, b RefusedCount) int {
		return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(a.Code, b.Code))
	})
	return counts
}

// count counts a refusal. It says whether that has a line in the log, and how many before it had
// none.
func (r *Refusals) count(kind Refused, now time.Time) (log bool, silent int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.of == nil {
		r.of = map[Refused]*refused{}
	}
	of := r.of[kind]
	if of == nil {
		of = &refused{}
		r.of[kind] = of
	}
	of.count++
	if !of.logged.IsZero() && now.Sub(of.logged) < logRefusedEvery {
		of.silent++
		return false, 0
	}
	silent, of.logged, of.silent = of.silent, now, 0
	return true, silent
}

// noteRefused counts the refusal of a request, if it is one because of who asks.
func (h *handler) noteRefused(r *http.Request, err *dispatch.Error) {
	switch err.Code {
	case dispatch.CodeUnauthenticated, dispatch.CodePermissionDenied, dispatch.CodeResourceExhausted:
	default:
		return
	}
	kind := Refused{h.doors[r.Pattern], err.Code}
	if log, silent := h.opts.Refusals.count(kind, time.Now()); log {
		h.opts.Logger.Warn("a request was refused", "door", kind.Door, "code", err.Code, "reason", fmt.Sprintf("%.256s", err.Message),
			"client", addressOf(r, h.opts.TrustedProxies), "method", fmt.Sprintf("%.16s", r.Method), "route", r.Pattern, "app", fmt.Sprintf("%.64s", r.PathValue("app")), "more", silent) // a path may have a secret in it
	}
}

// turnAway refuses a request whose route is not looked for: with a page if it is for the dashboard, so that a person
// who has followed a link can read it.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request, err error) {
	if !h.isPage(r) {
		h.fail(w, r, 0, err)
		return
	}
	ui.SetHeaders(w.Header(), r)
	h.failPage(w, h.pageRequest(r, nil), err)
}

// refuse is refuse of a request that is counted.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, status int, err *dispatch.Error) {
	h.noteRefused(r, err)
	refuse(w, status, err)
}
