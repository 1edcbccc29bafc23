package server

import (
	"encoding/json"
	"net/http"

	"carillon/dispatch"
)

// Function is a function as the operator routes show it.
type Function struct {
	Path       string        `json:"path"`
	Kind       dispatch.Kind `json:"kind"`
	Internal   bool          `json:"internal"` // to clients it does not exist
	Formerly   []string      `json:"formerly,omitempty"`
	DeadlineMs int64         `json:"deadlineMs,omitempty"` // of one run; none: the engine's own for the kind

	// Of its jobs that say nothing else; a query has none:
	Retry       *Retry   `json:"retry,omitempty"`
	Tags        []string `json:"tags,omitempty"`
	Pool        string   `json:"pool,omitempty"`
	Priority    int      `json:"priority,omitempty"`    // 1 (first) to 4
	StrictArgs  bool     `json:"strictArgs,omitempty"`  // they run only with arguments that fit exactly
	KeepsResult bool     `json:"keepsResult,omitempty"` // what they return is kept

	// JSON Schemas (2020-12) of what it takes and returns.
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"`
}

// Retry is dispatch.RetryPolicy in JSON.
type Retry = CronRetry

// listFunctions answers with all functions, by path: every app has the same.
func (h *handler) listFunctions(http.ResponseWriter, *request) (int, any, error) {
	shown := []Function{}
	reg := h.eng.Functions()
	for _, info := range reg.Functions() {
		shown = append(shown, functionOf(reg, &info))
	}
	return http.StatusOK, shown, nil
}

// functionTypes answers with the types of the functions in TypeScript. Parameter internal says
// whether internal ones are among them.
func (h *handler) functionTypes(w http.ResponseWriter, r *request) (int, any, error) {
	text := h.eng.Functions().TypeScript(r.URL.Query().Get("internal") == "true")
	head := w.Header()
	head.Set("Content-Type", "text/plain; charset=utf-8")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	setWriteDeadline(w)
	_, _ = w.Write([]byte(text)) // a client that has gone is no fault
	return 0, answered{}, nil
}

func functionOf(reg *dispatch.Registry, info *dispatch.Info) Function {
	f := Function{
		Path: info.Path, Kind: info.Kind, Internal: info.Internal, Formerly: info.Formerly, DeadlineMs: info.Deadline.Milliseconds(),
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
	fn, _ := reg.Lookup(info.Path)
	f.Args, f.Result = fn.Schemas()
	return f
}
