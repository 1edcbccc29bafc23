package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"carillon/dispatch"
	"carillon/server/api"
)

// This file is what machines are told that ask whether the server works: every caller may ask,
// so that no error's text, path or name of an app is in it. What is wrong is in the log, and
// Engine.Health and Warnings say it.

const (
	livePath    = "/livez"
	readyPath   = "/readyz"
	metricsPath = "/metrics"
)

func answerReady(w http.ResponseWriter, rd api.Readiness) {
	body, err := json.Marshal(rd)
	if err != nil {
		panic(err) // strings have a JSON form
	}
	status := http.StatusServiceUnavailable
	if rd.Status == api.ReadyOK || rd.Status == api.ReadyDegraded {
		status = http.StatusOK
	}
	answer(w, status, body)
}

// toRead is a handler that refuses all methods but those that only read.
func toRead(do http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			wrongMethod(w, r, "GET, HEAD")
			return
		}
		do(w, r)
	})
}

// live answers that the process does.
func live(w http.ResponseWriter, _ *http.Request) {
	answerReady(w, api.Readiness{Status: api.ReadyOK})
}

// ready answers whether requests should come here.
func (h *handler) ready(w http.ResponseWriter, _ *http.Request) { answerReady(w, h.readiness()) }

func (h *handler) readiness() api.Readiness {
	if h.opts.Draining.Err() != nil {
		return api.Readiness{Status: api.ReadyDraining, Reasons: []string{"the server is about to stop"}}
	}
	if h.eng.Closing() {
		return api.Readiness{Status: api.ReadyDraining, Reasons: []string{"the engine is closing"}}
	}
	if h.eng.Held() != nil { // calls are refused, and another node may serve them
		return api.Readiness{Status: api.ReadyFailing, Reasons: []string{"this node's lease on the log is not held: another one may have taken over"}}
	}
	volumes, down := h.eng.Volumes(), 0
	for _, v := range volumes {
		if v.Err != nil {
			down++
		}
	}
	if down == len(volumes) {
		return api.Readiness{Status: api.ReadyFailing, Reasons: []string{fmt.Sprintf("all %d volumes are down", down)}}
	}
	var reasons []string
	switch {
	case down > 0:
		reasons = append(reasons, fmt.Sprintf("%d of %d volumes are down: their apps are not served", down, len(volumes)))
	case h.eng.Health() != nil:
		reasons = append(reasons, "a part of the engine has panicked: the log says which")
	}
	if h.eng.Warnings() != nil {
		reasons = append(reasons, "a volume needs a person: the log says why")
	}
	if len(reasons) > 0 {
		return api.Readiness{Status: api.ReadyDegraded, Reasons: reasons}
	}
	return api.Readiness{Status: api.ReadyOK}
}

// health answers whether the engine serves all apps, and whether it needs a person though it
// does. Unlike /readyz it is red while apps of one volume are not served.
func (h *handler) health(w http.ResponseWriter, _ *http.Request) {
	if h.eng.Health() != nil {
		answer(w, http.StatusServiceUnavailable, []byte(`{"status":"failing"}`))
		return
	}
	if h.eng.Warnings() != nil {
		answer(w, http.StatusOK, []byte(`{"status":"degraded"}`))
		return
	}
	answer(w, http.StatusOK, []byte(`{"status":"ok"}`))
}

// OwnerHeader is the header with the address of the node that owns the store, which a node that stands by
// refuses requests with.
const OwnerHeader = "Carillon-Owner"

// Startup is a handler for the time before the engine is open, which takes a while when much
// of the log must be read again: GET /livez is green and /readyz is red, and all else is
// refused (unavailable, with Retry-After). From Serve on it is the handler that it is given, until
// StandBy. The zero value is ready for use, at BasePath "".
type Startup struct {
	BasePath string // as that of Options
	now      atomic.Pointer[startupState]
}

// startupState is what a Startup does.
type startupState struct {
	handler http.Handler  // nil: there is no engine
	owner   func() string // where the owner of the store is found; nil: the engine is being opened
}

// Serve has the handler, one of New, answer from now on. It may be called while requests come.
func (s *Startup) Serve(h http.Handler) { s.now.Store(&startupState{handler: h}) }

// StandBy has no handler answer from now on, since another node owns the store: all is as before Serve, but that
// /readyz says so, and what is refused has the address that owner returns, unless that is "", in the header
// OwnerHeader. owner is called for each request and must not block.
func (s *Startup) StandBy(owner func() string) { s.now.Store(&startupState{owner: owner}) }

// ServeHTTP implements http.Handler.
func (s *Startup) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := s.now.Load()
	if now == nil {
		now = &startupState{}
	}
	if now.handler != nil {
		now.handler.ServeHTTP(w, r)
		return
	}
	ready := api.Readiness{Status: api.ReadyStarting, Reasons: []string{"the engine is being opened"}}
	why := "the server is starting"
	if now.owner != nil {
		ready = api.Readiness{Status: api.ReadyStandby, Reasons: []string{"another node owns the store, or none does yet"}}
		why = "this node stands by: another one owns the store, or none does yet"
	}
	setDeadlines(w)
	switch base := basePath(s.BasePath); r.URL.Path {
	case base + livePath:
		toRead(live).ServeHTTP(w, r)
	case base + readyPath:
		toRead(func(w http.ResponseWriter, _ *http.Request) { answerReady(w, ready) }).ServeHTTP(w, r)
	default:
		if now.owner != nil {
			if address := now.owner(); address != "" {
				w.Header().Set(OwnerHeader, address)
			}
		}
		refuse(w, 0, &dispatch.Error{Code: dispatch.CodeUnavailable, Message: why, RetryAfter: time.Second})
	}
}

// Probes returns a handler for a listener of its own, where no token is asked for: GET /livez
// and /readyz are answered as s answers them below its BasePath, and GET /metrics, which must
// not be nil, has metrics answer. On a loopback address that one is for requests to this machine only, or to one of hosts,
// as those of operators are (Options.Hosts).
func (s *Startup) Probes(metrics http.Handler, hosts ...string) http.Handler {
	base, gate := basePath(s.BasePath), hostGate{names: hosts}
	scrape := toRead(func(w http.ResponseWriter, r *http.Request) {
		if err := gate.check(r, true); err != nil {
			refuse(w, 0, err)
			return
		}
		setDiscardDeadline(w)
		setWriteDeadline(w)
		metrics.ServeHTTP(w, r)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setDeadlines(w)
		switch r.URL.Path {
		case livePath, readyPath:
			probe := r.Clone(r.Context())
			probe.URL.Path = base + r.URL.Path
			s.ServeHTTP(w, probe)
		case metricsPath:
			scrape.ServeHTTP(w, r)
		default:
			refuse(w, 0, dispatch.Errorf(dispatch.CodeNotFound, "no route %.128q: here are %s, %s and %s", r.URL.Path, livePath, readyPath, metricsPath))
		}
	})
}

// metrics has Options.Metrics answer.
func (h *handler) metrics(w http.ResponseWriter, r *request) (int, any, error) {
	setDiscardDeadline(w)
	setWriteDeadline(w)
	h.opts.Metrics.ServeHTTP(w, r.Request)
	return 0, answered{}, nil
}
