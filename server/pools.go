package server

import (
	"net/http"
	"slices"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
	"carillon/storage"
)

func hideInPool(p *api.Pool) {
	if p.Paused != nil {
		hide(&p.Hidden, "paused.reason", &p.Paused.Reason, p.Paused.Reason != "")
	}
}

func hideInPauses(l *api.PauseList) {
	for i := range l.Pauses {
		hide(&l.Hidden, "pauses.reason", &l.Pauses[i].Reason, l.Pauses[i].Reason != "")
	}
	l.Hidden = slices.Compact(l.Hidden)
}

func pauseOf(p *storage.Pause) api.Pause {
	return api.Pause{
		Function: p.Of.Function, Pool: p.Of.Pool, PoolKey: p.Of.PoolKey, By: p.By, Reason: p.Reason, Since: p.Since.UTC(),
	}
}

func poolOf(p *actors.PoolStatus) *api.Pool {
	shown := &api.Pool{
		Name: p.Name, Limit: p.Limit, Declared: p.Declared, Ordered: p.Ordered, Shared: p.Shared,
		Running: p.Running, Stuck: p.Stuck, Queued: p.Queued, Oldest: instant(p.Oldest),
	}
	if p.Paused != nil {
		pause := pauseOf(p.Paused)
		shown.Paused = &pause
	}
	if p.Span > 0 {
		shown.Rate = &api.PoolRate{Starts: p.Rate, SpanMs: p.Span.Milliseconds(), Next: instant(p.Next)}
	}
	return shown
}

func (h *handler) listPools(_ http.ResponseWriter, r *request) (int, any, error) {
	pools, err := r.app.Pools(r.Context())
	if err != nil {
		return 0, nil, err
	}
	shown := make([]*api.Pool, len(pools))
	for i := range pools {
		shown[i] = poolOf(&pools[i])
		veil(r, shown[i], hideInPool)
	}
	return http.StatusOK, shown, nil
}

func (h *handler) limitPool(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.PoolLimit
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
	return http.StatusOK, api.Changed{Changed: cleared}, nil
}

func (h *handler) listPauses(_ http.ResponseWriter, r *request) (int, any, error) {
	pauses, err := r.app.Pauses(r.Context())
	if err != nil {
		return 0, nil, err
	}
	list := &api.PauseList{Pauses: make([]api.Pause, len(pauses))}
	for i := range pauses {
		list.Pauses[i] = pauseOf(&pauses[i])
	}
	veil(r, list, hideInPauses)
	return http.StatusOK, list, nil
}

func (h *handler) pause(w http.ResponseWriter, r *request) (int, any, error) {
	var body api.PauseRequest
	if status, err := h.decodeBody(w, r, &body); err != nil {
		return status, nil, err
	}
	of := storage.Scope{App: body.App, Function: body.Function, Pool: body.Pool, PoolKey: body.PoolKey}
	r.entry.IDs = append(r.entry.IDs, of.String())
	if err := r.app.Pause(r.Context(), of, r.op.Name, body.Reason); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, api.Empty{}, nil
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
	return http.StatusOK, api.Changed{Changed: resumed}, nil
}
