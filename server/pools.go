package server

import (
	"net/http"
	"slices"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// Pool is actors.PoolStatus in JSON.
type Pool struct {
	Name     string     `json:"name"`
	Limit    int        `json:"limit"`    // attempts at once, of the app, or of each key
	Declared int        `json:"declared"` // the limit that the program gives it
	Ordered  bool       `json:"ordered,omitempty"`
	Shared   bool       `json:"shared,omitempty"` // of all apps; the rest is the app's
	Running  int        `json:"running"`
	Stuck    int        `json:"stuck"`
	Queued   int        `json:"queued"` // jobs that are due and hold no permit
	Oldest   *time.Time `json:"oldest"` // when the first of those was due
	Paused   *AppPause  `json:"paused,omitempty"`
	Rate     *PoolRate  `json:"rate,omitempty"`
	Hidden   []string   `json:"hidden,omitempty"`
}

// PoolRate is the rate of a pool.
type PoolRate struct {
	Starts int        `json:"starts"` // at most so many attempts begin
	SpanMs int64      `json:"spanMs"` // in any span of that length
	Next   *time.Time `json:"next"`   // when the next one may; null: no rate keeps it waiting
}

// PoolLimit is a limit that wins over the declared one.
type PoolLimit struct {
	Limit int `json:"limit"`
}

// PauseRequest says what is paused: the app, a function, a pool or a key of one.
type PauseRequest struct {
	App      bool   `json:"app"`
	Function string `json:"function"`
	Pool     string `json:"pool"`
	PoolKey  string `json:"poolKey"`
	Reason   string `json:"reason"`
}

// PauseList is what is paused of an app.
type PauseList struct {
	Pauses []AppPause `json:"pauses"`
	Hidden []string   `json:"hidden,omitempty"`
}

// Changed says whether a change has found something to change.
type Changed struct {
	Changed bool `json:"changed"`
}

func (p *Pool) hideArgs() {
	if p.Paused != nil {
		hide(&p.Hidden, "paused.reason", &p.Paused.Reason, p.Paused.Reason != "")
	}
}

func (l *PauseList) hideArgs() {
	for i := range l.Pauses {
		hide(&l.Hidden, "pauses.reason", &l.Pauses[i].Reason, l.Pauses[i].Reason != "")
	}
	l.Hidden = slices.Compact(l.Hidden)
}

func pauseOf(p *storage.Pause) AppPause {
	return AppPause{p.Of.Function, p.Of.Pool, p.Of.PoolKey, p.By, p.Reason, p.Since.UTC()}
}

func poolOf(p *actors.PoolStatus) *Pool {
	shown := &Pool{
		Name: p.Name, Limit: p.Limit, Declared: p.Declared, Ordered: p.Ordered, Shared: p.Shared,
		Running: p.Running, Stuck: p.Stuck, Queued: p.Queued, Oldest: instant(p.Oldest),
	}
	if p.Paused != nil {
		pause := pauseOf(p.Paused)
		shown.Paused = &pause
	}
	if p.Span > 0 {
		shown.Rate = &PoolRate{p.Rate, p.Span.Milliseconds(), instant(p.Next)}
	}
	return shown
}

func (h *handler) listPools(_ http.ResponseWriter, r *request) (int, any, error) {
	pools, err := r.app.Pools(r.Context())
	if err != nil {
		return 0, nil, err
	}
	shown := make([]*Pool, len(pools))
	for i := range pools {
		shown[i] = poolOf(&pools[i])
		r.veil(shown[i])
	}
	return http.StatusOK, shown, nil
}

func (h *handler) limitPool(w http.ResponseWriter, r *request) (int, any, error) {
	var body PoolLimit
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	if err := r.app.LimitPool(r.Context(), r.PathValue("pool"), body.Limit); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, body, nil
}

func (h *handler) clearPoolLimit(_ http.ResponseWriter, r *request) (int, any, error) {
	cleared, err := r.app.ClearPoolLimit(r.Context(), r.PathValue("pool"))
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Changed{cleared}, nil
}

func (h *handler) listPauses(_ http.ResponseWriter, r *request) (int, any, error) {
	pauses, err := r.app.Pauses(r.Context())
	if err != nil {
		return 0, nil, err
	}
	list := &PauseList{Pauses: make([]AppPause, len(pauses))}
	for i := range pauses {
		list.Pauses[i] = pauseOf(&pauses[i])
	}
	r.veil(list)
	return http.StatusOK, list, nil
}

func (h *handler) pause(w http.ResponseWriter, r *request) (int, any, error) {
	var body PauseRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	of := storage.Scope{App: body.App, Function: body.Function, Pool: body.Pool, PoolKey: body.PoolKey}
	r.entry.IDs = append(r.entry.IDs, of.String())
	if err := r.app.Pause(r.Context(), of, r.op.Name, body.Reason); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, struct{}{}, nil
}

// resume ends the pause of what the URL's parameters say.
func (h *handler) resume(_ http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"app", "function", "pool", "poolKey"}); err != nil {
		return 0, nil, err
	}
	of := storage.Scope{Function: query.Get("function"), Pool: query.Get("pool"), PoolKey: query.Get("poolKey")}
	switch text := query.Get("app"); text {
	case "", "false":
	case "true":
		of.App = true
	default:
		return 0, nil, dispatch.Errorf(dispatch.CodeInvalidArgument, "app is %.32q, want true or false", text)
	}
	r.entry.IDs = append(r.entry.IDs, of.String())
	resumed, err := r.app.Resume(r.Context(), of)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Changed{resumed}, nil
}
