package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"carillon/server/api"
)

// Call runs a public query or mutation of the app, as a client, with the arguments, nil being none,
// and returns its result. What a mutation has changed is durable then. It has an idempotency
// key: that of WithIdempotencyKey, or one that is drawn, and is repeated until it is
// answered, or Options.Attempts are over. Of an action it is refused, with invalid_argument: see
// Action.
//
// The error has the code of the function, and its path. After unknown, and after the context has
// ended, a mutation may have been applied: to call again with the same key finds that out. What a
// server answers to a repeat whose result it has not kept is already_exists.
func Call[R any](ctx context.Context, app *App, function string, args any) (R, error) {
	var result R
	err := app.c.do(ctx, app.c.keyed(ctx, app.call(function, args)), &result)
	return result, err
}

// Action runs a public function of the app, as a client, with the arguments, nil being none, and
// returns its result. It is sent once, whatever becomes of it: what an action asks of the world is
// no transaction. A key of WithIdempotencyKey is refused by the server. To have one done that must not be lost, schedule it, or have a mutation do so.
func Action[R any](ctx context.Context, app *App, function string, args any) (R, error) {
	var result R
	r := app.call(function, args)
	r.repeat = never
	if key, given := ctx.Value(keyKey{}).(string); given {
		r.key = &key // the server refuses it, rather than that it is ignored here
	}
	err := app.c.do(ctx, r, &result)
	return result, err
}

func (a *App) call(function string, args any) request {
	return request{method: http.MethodPost, path: a.path(append([]string{"functions"}, strings.Split(function, "/")...)...), body: args}
}

// RunFunction runs a function of any kind as an operator, internal ones too, and returns its result. It waits until the function
// has ended. It is repeated only if the function has not begun; WithIdempotencyKey makes one of a mutation.
func (a *App) RunFunction(ctx context.Context, call api.CallRequest) (json.RawMessage, error) {
	r := a.post(ifNotDone, &call, "calls")
	if key, given := ctx.Value(keyKey{}).(string); given {
		r.key = &key
	}
	var ran api.CallResult
	err := a.c.do(ctx, r, &ran)
	return ran.Result, err
}

// Functions returns what functions there are, by path, with JSON Schemas of what they take and return.
// Every app has the same.
func (a *App) Functions(ctx context.Context) (functions []api.Function, err error) {
	err = a.c.do(ctx, a.get("functions"), &functions)
	return functions, err
}

// TypeScript returns the types of the functions in TypeScript, as a file api.d.ts. internal says whether
// internal functions are among them.
func (a *App) TypeScript(ctx context.Context, internal bool) (string, error) {
	r := a.get("functions", "api.d.ts")
	if internal {
		r.query = url.Values{"internal": {"true"}}
	}
	text, err := a.c.answer(ctx, r, "text/plain")
	return string(text), err
}

// FunctionsOpenAPI returns the OpenAPI 3.1 document of the app's public functions, each as a path.
func (a *App) FunctionsOpenAPI(ctx context.Context) (json.RawMessage, error) {
	return a.c.answer(ctx, a.get("functions", "openapi.json"), jsonType)
}

// get is a request that reads of the app.
func (a *App) get(segments ...string) request {
	return request{method: http.MethodGet, path: a.path(segments...), repeat: always}
}

// post is a change of the app.
func (a *App) post(how repeat, body any, segments ...string) request {
	return request{method: http.MethodPost, path: a.path(segments...), body: body, repeat: how}
}
