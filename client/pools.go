package client

import (
	"context"
	"net/http"
	"net/url"

	"carillon/server/api"
)

// Pools returns what each pool of the app does, its limit and its rate.
func (a *App) Pools(ctx context.Context) (pools []api.Pool, err error) {
	err = a.c.do(ctx, a.get("pools"), &pools)
	return pools, err
}

// LimitPool gives the pool a limit that wins over the declared one, until ClearPoolLimit.
func (a *App) LimitPool(ctx context.Context, pool string, limit int) error {
	r := request{method: http.MethodPut, path: a.path("pools", pool, "limit"), body: &api.PoolLimit{Limit: limit}, repeat: always}
	return a.c.do(ctx, r, nil)
}

// ClearPoolLimit has the declared limit of the pool count again. It returns whether there was another.
func (a *App) ClearPoolLimit(ctx context.Context, pool string) (changed bool, err error) {
	return a.remove(ctx, nil, "pools", pool, "limit")
}

// Pauses returns what is paused of the app.
func (a *App) Pauses(ctx context.Context) ([]api.Pause, error) {
	var list api.PauseList
	err := a.c.do(ctx, a.get("pauses"), &list)
	return list.Pauses, err
}

// AddPause pauses a function, a pool, a key of one, or the app: none of its jobs begins.
func (a *App) AddPause(ctx context.Context, pause api.PauseRequest) error {
	return a.c.do(ctx, a.post(always, &pause, "pauses"), nil)
}

// EndPause ends the pause of what AddPause was told. It returns whether there was one.
func (a *App) EndPause(ctx context.Context, pause api.PauseRequest) (changed bool, err error) {
	q := url.Values{}
	setFlag(q, "app", pause.App)
	set(q, "function", pause.Function)
	set(q, "pool", pause.Pool)
	set(q, "poolKey", pause.PoolKey)
	return a.remove(ctx, q, "pauses")
}

// remove is a DELETE that says whether it has found something.
func (a *App) remove(ctx context.Context, q url.Values, segments ...string) (changed bool, err error) {
	var answer api.Changed
	r := request{method: http.MethodDelete, path: a.path(segments...), query: q, repeat: ifNotDone}
	err = a.c.do(ctx, r, &answer)
	return answer.Changed, err
}
