package server

import (
	"encoding/json"
	"net/http"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/api"
)

// listFunctions answers with all functions, by path, and then with the prefixes of those that other programs run: every
// app has the same. How often they run in all
// apps is not for operators of some.
func (h *handler) listFunctions(_ http.ResponseWriter, r *request) (int, any, error) {
	shown := []api.Function{}
	reg := h.eng.Functions()
	stats := map[string]actors.FunctionStats{}
	if r.op.AllApps {
		stats = h.eng.FunctionStats()
	}
	for _, info := range reg.Functions() {
		f := functionOf(reg, &info)
		if s, ok := stats[info.Path]; ok {
			f.Stats = functionStatsOf(&s)
		}
		shown = append(shown, f)
	}
	for _, info := range reg.Remotes() {
		f := functionOf(reg, &info)
		f.Remote = true
		shown = append(shown, f)
	}
	return http.StatusOK, shown, nil
}

func functionStatsOf(s *actors.FunctionStats) *api.FunctionStats {
	took := latencyOf(s.Time.Latency())
	return &api.FunctionStats{
		Runs: s.Runs, Errors: s.Errors, RunsPerSecond: s.RunsPerSecond, ErrorsPerSecond: s.ErrorsPerSecond,
		P50Ms: took.P50Ms, P99Ms: took.P99Ms,
	}
}

// functionTypes answers with the types of the functions in TypeScript. Parameter internal says
// whether internal ones are among them.
func (h *handler) functionTypes(w http.ResponseWriter, r *request) (int, any, error) {
	query := r.URL.Query()
	if err := onlyOnce(query, []string{"internal"}); err != nil {
		return 0, nil, err
	}
	internal, err := flagOf(query, "internal")
	if err != nil {
		return 0, nil, err
	}
	text := h.eng.Functions().TypeScript(internal)
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	setWriteDeadline(w)
	_, _ = w.Write([]byte(text)) // a client that has gone is no fault
	return 0, answered{}, nil
}

// functionsDocument answers with the OpenAPI document of the app's public functions.
func (h *handler) functionsDocument(w http.ResponseWriter, r *request) (int, any, error) {
	url := h.opts.BasePath + "/v1/apps/" + string(r.app.ID()) + "/functions"
	answer(w, http.StatusOK, h.eng.Functions().OpenAPI(url))
	return 0, answered{}, nil
}

func functionOf(reg *dispatch.Registry, info *dispatch.Info) api.Function {
	f := api.Function{
		Path: info.Path, Kind: api.Kind(info.Kind), Internal: info.Internal, Formerly: info.Formerly, DeadlineMs: info.Deadline.Milliseconds(),
		Tags: info.Tags, Priority: info.Priority, StrictArgs: info.StrictArgs,
	}
	if info.Pool != nil {
		f.Pool = info.Pool.Name()
	}
	if info.Kind != dispatch.KindQuery {
		policy := dispatch.DefaultRetry()
		if info.Retry != nil {
			policy = *info.Retry
		}
		retry := retryOf(policy)
		f.Retry, f.KeepsResult = &retry, !info.NoResult
	}
	f.Args, f.Result = json.RawMessage(`{}`), json.RawMessage(`{}`)
	if fn, ok := reg.Lookup(info.Path); ok { // else the path is a prefix, and what is taken and returned is for the other program to say
		f.Args, f.Result = fn.Schemas()
	}
	return f
}
