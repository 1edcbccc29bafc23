package server_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// TestStuck: an admin sees the handlers that were given up and have not returned, why
// their job waits, and has it wait no more; the log says who that was.
func TestStuck(t *testing.T) {
	var free chan struct{}
	reg, log := dispatch.NewRegistry(), new(logBuffer)
	hang := dispatch.InternalAction[dispatch.None, dispatch.None]("bad:hang", dispatch.Deadline(time.Second))
	hang.Handle(reg, func(ctx *dispatch.ActionCtx, _ dispatch.None) (none dispatch.None, err error) {
		if ctx.Job.Attempt <= 1 {
			<-free
		}
		return none, nil
	})
	opts := actors.Options{Functions: reg, Logger: slog.New(slog.NewTextHandler(log, nil))}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		free = make(chan struct{})
		defer close(free)
		site := server.New(h.Engine, server.Options{Admin: func(r *http.Request) error {
			if r.Header.Get("Authorization") != "Bearer s3cret" {
				return dispatch.Errorf(dispatch.CodeUnauthenticated, "sign in first")
			}
			return nil
		}})
		send := func(method, path, token, body string) reply {
			req := httptest.NewRequestWithContext(h.Context(), method, path, strings.NewReader(body))
			req.Header.Set("Content-Type", "application/json")
			if token != "" {
				req.Header.Set("Authorization", "Bearer "+token)
			}
			rec := httptest.NewRecorder()
			site.ServeHTTP(rec, req)
			return reply{rec.Code, rec.Header(), rec.Body.String()}
		}
		stuck := func() []api.StuckHandler {
			t.Helper()
			return mustResult[[]api.StuckHandler](t, send("GET", "/v1/stuck", "s3cret", ""))
		}
		if got := send("GET", "/v1/stuck", "s3cret", ""); got.body != `{"result":[]}`+"\n" {
			t.Errorf("none is stuck: got %s", got.body)
		}
		id, err := h.Scheduler("acme").RunAfter(0, hang.With(dispatch.None{}))
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = hang.Run(h.Caller("acme"), dispatch.None{}) }() // its end is the deadline's
		h.Settle()
		job := "/v1/apps/acme/jobs/" + string(id)
		if got := send("POST", job+"/abandon", "s3cret", ""); got.status != 400 || !strings.Contains(got.body, "has no stuck handler") {
			t.Errorf("abandon of one that runs: got %d %s", got.status, got.body)
		}
		h.Advance(time.Hour)
		calls, jobs, call := 0, 0, ""
		for _, s := range stuck() {
			switch {
			case s.App != "acme" || s.Function != "bad:hang" || s.Since.IsZero():
				t.Errorf("stuck: %+v", s)
			case s.Job == string(id) && s.Attempt == 1 && s.Call == "":
				jobs++
			case s.Job == "" && s.Attempt == 0 && s.Call != "":
				call = "/v1/apps/acme/calls/" + string(s.Call)
				calls++
			}
		}
		if calls != 1 || jobs != 1 {
			t.Errorf("stuck are %+v", stuck())
		}
		for _, path := range []string{job, "/v1/apps/acme/jobs?state=pending"} {
			if got := send("GET", path, "s3cret", ""); !strings.Contains(got.body, `"reason":"waits for the handler of the attempt before`) {
				t.Errorf("%s: got %s", path, got.body)
			}
		}
		for _, tt := range []struct {
			method, path, token, body, want string
			status                          int
		}{
			{"GET", "/v1/stuck", "", "", "sign in first", 401},
			{"POST", job + "/abandon", "", "", "sign in first", 401},
			{"POST", "/v1/stuck", "s3cret", "", "want GET", 405},
			{"GET", job + "/abandon", "s3cret", "", "want POST", 405},
			{"POST", "/v1/apps/acme/jobs/nobody/abandon", "s3cret", "", "has no stuck handler", 400},
			{"POST", "/v1/apps/none/jobs/nobody/abandon", "s3cret", "", "has no stuck handler", 400},
			{"POST", job + "/abandon", "s3cret", `{"who":"ada"}`, "who", 400},
			{"POST", call + "/abandon", "", "", "sign in first", 401},
			{"GET", call + "/abandon", "s3cret", "", "want POST", 405},
			{"POST", "/v1/apps/acme/calls/nobody/abandon", "s3cret", "", "has no stuck handler", 400},
			{"POST", "/v1/apps/none/calls/nobody/abandon", "s3cret", "", "has no stuck handler", 400},
			{"POST", "/v1/apps/acme/calls/" + string(id) + "/abandon", "s3cret", "", "has no stuck handler", 400},
			{"POST", call + "/abandon", "s3cret", `{"who":"ada"}`, "who", 400},
			{"POST", call + "/abandon", "s3cret", fmt.Sprintf(`{"by":"%0300d"}`, 0), "want at most 256", 400},
			{"POST", job + "/abandon", "s3cret", fmt.Sprintf(`{"by":"%0300d"}`, 0), "want at most 256", 400},
		} {
			got := send(tt.method, tt.path, tt.token, tt.body)
			if got.status != tt.status || !strings.Contains(got.body, tt.want) {
				t.Errorf("%s %s %.40s: got %d %s, want %d and %s", tt.method, tt.path, tt.body, got.status, got.body, tt.status, tt.want)
			}
		}
		for app, want := range map[storage.AppID]int{"acme": 2, "other": 0} { // the list is of the operator's apps
			ops := operators{"t": {Apps: []storage.AppID{app}, Scopes: []server.Scope{server.ScopeRead}}}
			req, rec := httptest.NewRequest("GET", "/v1/stuck", nil), httptest.NewRecorder()
			req.Header.Set("Authorization", "Bearer t")
			server.New(h.Engine, server.Options{Operator: ops.hook}).ServeHTTP(rec, req)
			if got := mustResult[[]api.StuckHandler](t, reply{rec.Code, rec.Header(), rec.Body.String()}); len(got) != want {
				t.Errorf("the operator of %s is shown %+v", app, got)
			}
		}
		if len(stuck()) != 2 || strings.Contains(log.String(), "abandoned") {
			t.Error("a refusal has abandoned a handler")
		}
		if n := mustResult[api.Affected](t, send("POST", job+"/abandon", "s3cret", `{"by":"ada"}`)).Jobs; n != 1 {
			t.Errorf("abandoned those of %d jobs", n)
		}
		h.Settle()
		shown := mustResult[api.Job](t, send("GET", job, "s3cret", ""))
		if shown.State != api.StateSuccess || shown.Reason != "" || len(stuck()) != 1 {
			t.Errorf("afterwards: %+v, stuck %+v", shown, stuck())
		}
		if !strings.Contains(log.String(), `operator="ada from `) {
			t.Errorf("the log does not say who: %s", log)
		}
		if n := mustResult[api.Affected](t, send("POST", call+"/abandon", "s3cret", `{"by":"bob"}`)); n.Jobs != 0 {
			t.Errorf("abandoned those of %d jobs", n.Jobs)
		}
		if got := stuck(); len(got) != 0 || !strings.Contains(log.String(), `operator="bob from `) {
			t.Errorf("afterwards: stuck %+v, and the log says %s", got, log)
		}
	})
}
