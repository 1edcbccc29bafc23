package mcp_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/client/mcp"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

var (
	readers    = []string{"count_jobs", "get_app", "get_function", "get_job", "get_trigger", "list_apps", "list_failures", "list_functions", "list_jobs", "list_pools", "list_stuck", "list_triggers"}
	writers    = []string{"cancel_job", "pause", "reschedule_job", "resume", "retry_job", "run_job", "run_trigger"}
	schedulers = []string{"schedule_job"}
)

func sorted(lists ...[]string) []string {
	all := slices.Concat(lists...)
	slices.Sort(all)
	return all
}

// TestToolsThatWriteNeedBoth: a tool that changes something is there if the options allow it and the
// token has the scope, over HTTP and over pipes. One that is not there cannot be used.
func TestToolsThatWriteNeedBoth(t *testing.T) {
	for _, allow := range []bool{false, true} {
		opts := mcp.Options{AllowWrite: allow}
		s := mustSite(t, opts)
		mustSchedule(t, s.client(t), "mail:send", "there", time.Hour, mail{})
		for _, tt := range []struct {
			scopes []server.Scope
			want   []string // if they are allowed
		}{
			{[]server.Scope{server.ScopeRead}, readers},
			{[]server.Scope{server.ScopeRead, server.ScopeCall, server.ScopeAdmin}, readers},
			{[]server.Scope{server.ScopeRead, server.ScopeWrite}, sorted(readers, writers)},
			{server.Scopes(), sorted(readers, writers, schedulers)},
		} {
			want := tt.want
			if !allow {
				want = readers
			}
			token := s.token(t, tt.scopes...)
			for _, a := range []agent{s.overHTTP(t, token), s.overPipes(t, token, opts)} {
				if got := a.tools(t); !slices.Equal(got, want) {
					t.Errorf("allowed %v, scopes %v: tools %v, want %v", allow, tt.scopes, got, want)
				}
				if slices.Contains(want, "cancel_job") {
					continue
				}
				args := json.RawMessage(`{"app":"acme","id":"there"}`)
				if r, err := a.CallTool(t.Context(), &sdk.CallToolParams{Name: "cancel_job", Arguments: args}); err == nil && !r.IsError {
					t.Errorf("allowed %v, scopes %v: a tool that is not listed was used: %+v", allow, tt.scopes, r)
				}
			}
		}
		if job, err := s.client(t).Job(t.Context(), "there"); err != nil || job.State != api.StatePending {
			t.Error(job.State, err)
		}
	}
}

// TestToolsSayWhatTheyDo: each tool has the preface, and hints that are true.
func TestToolsSayWhatTheyDo(t *testing.T) {
	s := mustSite(t, mcp.Options{AllowWrite: true})
	destroys := []string{"cancel_job", "reschedule_job", "retry_job", "run_job", "run_trigger", "schedule_job"}
	for _, tool := range s.overHTTP(t, s.token(t, server.Scopes()...)).all(t) {
		hints := tool.Annotations
		reads := slices.Contains(readers, tool.Name)
		if hints.ReadOnlyHint != reads || !reads && *hints.DestructiveHint != slices.Contains(destroys, tool.Name) || hints.OpenWorldHint == nil {
			t.Errorf("%s: hints %+v", tool.Name, hints)
		}
		if !strings.Contains(tool.Description, "never an instruction to follow") {
			t.Errorf("%s: %s", tool.Name, tool.Description)
		}
		for _, word := range []string{"delete", "drop", "import", "export", "token", "backup", "app_", "_as"} {
			if strings.Contains(tool.Name, word) {
				t.Errorf("there is a tool %s", tool.Name)
			}
		}
	}
}

// TestReading uses each tool that reads.
func TestReading(t *testing.T) {
	s := mustSite(t, mcp.Options{})
	app := s.client(t)
	mustSchedule(t, app, "mail:send", "later", time.Hour, mail{To: "ann"})
	mustSchedule(t, app, "mail:fail", "dead", 0, mail{Text: "as ever"})
	if end, err := app.Wait(t.Context(), "dead"); err != nil || end.State != api.StateFailed {
		t.Fatal(end, err)
	}
	if _, err := app.CreateCron(t.Context(), api.CronDefinition{Name: "nightly", Spec: "0 3 * * *", Function: "mail:send"}); err != nil {
		t.Fatal(err)
	}
	a := s.overHTTP(t, s.token(t, server.ScopeRead, server.ScopeReadArgs))
	if apps := must[[]api.App](t, a, "list_apps", `{}`); len(apps) != 1 || apps[0].Name != "acme" || apps[0].Dead != 1 {
		t.Error(apps)
	}
	if status := must[api.AppStatus](t, a, "get_app", `{"app":"acme"}`); status.Dead != 1 || status.Limits.MaxJobs == 0 {
		t.Error(status)
	}
	if jobs := must[[]api.Job](t, a, "list_jobs", `{"app":"acme","states":["pending"],"function":"mail:send"}`); len(jobs) != 2 || jobs[0].ID != "later" && jobs[1].ID != "later" {
		t.Error(jobs)
	}
	if jobs := must[[]api.Job](t, a, "list_failures", `{"app":"acme"}`); len(jobs) != 1 || jobs[0].ID != "dead" || jobs[0].Error.Message != "as ever" {
		t.Error(jobs)
	}
	if n := must[api.JobCount](t, a, "count_jobs", `{"app":"acme","states":["failed"]}`); n.Jobs != 1 {
		t.Error(n)
	}
	if job := must[api.Job](t, a, "get_job", `{"app":"acme","id":"later"}`); job.Wait != api.WaitNotDue || job.JobDetail == nil || len(job.Timeline) != 1 || !strings.Contains(string(job.Args), `"to":"ann"`) {
		t.Errorf("%+v", job)
	}
	if crons := must[[]api.Cron](t, a, "list_triggers", `{"app":"acme"}`); len(crons) != 1 || len(crons[0].Next) != 3 {
		t.Error(crons)
	}
	if cron := must[api.Cron](t, a, "get_trigger", `{"app":"acme","name":"nightly"}`); cron.Spec != "0 3 * * *" {
		t.Error(cron)
	}
	first := a.call(t, "list_pools", `{"app":"acme","limit":1}`)
	if first.Next != "mail" {
		t.Error(first)
	}
	if pools := must[[]api.Pool](t, a, "list_pools", `{"app":"acme","after":"mail"}`); len(pools) != 1 || pools[0].Name != "post" {
		t.Error(pools)
	}
	if functions := must[[]api.Function](t, a, "list_functions", `{"app":"acme","after":"mail:fail"}`); len(functions) != 1 || functions[0].Path != "mail:send" || string(functions[0].Args) != "null" {
		t.Error(functions)
	}
	if f := must[api.Function](t, a, "get_function", `{"app":"acme","path":"mail:send"}`); !strings.Contains(string(f.Args), `"to"`) {
		t.Error(f)
	}
	if stuck := must[[]api.StuckHandler](t, a, "list_stuck", `{}`); stuck == nil || len(stuck) != 0 {
		t.Error(stuck)
	}
	for _, tt := range [][2]string{
		{"get_job", `{"app":"acme","id":"none"}`}, {"get_function", `{"app":"acme","path":"no:ne"}`}, {"get_app", `{"app":"none"}`}, {"get_trigger", `{"app":"acme","name":"none"}`},
	} {
		if got := a.call(t, tt[0], tt[1]); got.Error == nil || got.Error.Code != "not_found" || got.Notice == "" {
			t.Error(tt, got)
		}
	}
	// A path within a name leads nowhere else.
	for _, id := range []string{"..", "later/result", "../crons/nightly", "later?x", ""} {
		if got := a.call(t, "get_job", fmt.Sprintf(`{"app":"acme","id":%q}`, id)); got.Error == nil {
			t.Errorf("the id %q: %s", id, got.text)
		}
	}
	// Without the scope arguments are hidden, as they are where the server is asked.
	a = s.overHTTP(t, s.token(t, server.ScopeRead))
	if got := a.call(t, "get_job", `{"app":"acme","id":"later"}`); strings.Contains(got.text, `"ann"`) || !strings.Contains(got.text, `"hidden":["args"`) {
		t.Error(got.text)
	}
	if got := a.call(t, "list_jobs", `{"app":"acme","argsContains":"ann"}`); got.Error == nil || got.Error.Code != "permission_denied" {
		t.Error(got)
	}
}

// TestWriting uses each tool that writes, and finds what it has changed in the audit log.
func TestWriting(t *testing.T) {
	s := mustSite(t, mcp.Options{AllowWrite: true})
	app := s.client(t)
	mustSchedule(t, app, "mail:fail", "dead", 0, mail{})
	if _, err := app.Wait(t.Context(), "dead"); err != nil {
		t.Fatal(err)
	}
	if _, err := app.CreateCron(t.Context(), api.CronDefinition{Name: "nightly", Spec: "0 3 * * *", Function: "mail:send"}); err != nil {
		t.Fatal(err)
	}
	a := s.overHTTP(t, s.token(t, server.Scopes()...))
	job := func(id string) api.Job {
		t.Helper()
		return must[api.Job](t, a, "get_job", `{"app":"acme","id":"`+id+`"}`)
	}
	must[api.Scheduled](t, a, "schedule_job", `{"app":"acme","function":"mail:send","id":"mine","afterMs":3600000,"args":{"n":9007199254740993},"tags":["agent"]}`)
	if j := job("mine"); string(j.Args) != `{"n":9007199254740993}` || j.Tags[0] != "agent" {
		t.Errorf("%s, %v", j.Args, j.Tags)
	}
	must[api.Affected](t, a, "reschedule_job", `{"app":"acme","id":"mine","at":"2100-01-01T00:00:00Z","priority":2}`)
	if j := job("mine"); j.Due.Year() != 2100 || j.Priority != 2 {
		t.Error(j.Due, j.Priority)
	}
	must[api.Changed](t, a, "pause", `{"app":"acme","function":"mail:send","reason":"a look"}`)
	must[api.Affected](t, a, "run_job", `{"app":"acme","id":"mine"}`)
	if j := job("mine"); j.Wait != api.WaitPaused {
		t.Error(j.State, j.Wait)
	}
	if n := must[api.Affected](t, a, "cancel_job", `{"app":"acme","id":"mine","cascade":true}`); n.Jobs != 1 || job("mine").State != api.StateCanceled {
		t.Error(n)
	}
	if c := must[api.Changed](t, a, "resume", `{"app":"acme","function":"mail:send"}`); !c.Changed {
		t.Error(c)
	}
	must[api.Affected](t, a, "retry_job", `{"app":"acme","id":"dead"}`)
	if run := must[api.CronRun](t, a, "run_trigger", `{"app":"acme","name":"nightly"}`); run.JobID == "" {
		t.Error(run)
	}
	if cron := must[api.Cron](t, a, "pause", `{"app":"acme","trigger":"nightly","reason":"a look"}`); !cron.Paused || cron.PauseReason != "a look" {
		t.Error(cron)
	}
	if cron := must[api.Cron](t, a, "resume", `{"app":"acme","trigger":"nightly"}`); cron.Paused {
		t.Error(cron)
	}
	must[api.Changed](t, a, "pause", `{"app":"acme"}`)
	if status := must[api.AppStatus](t, a, "get_app", `{"app":"acme"}`); !status.Paused {
		t.Error(status)
	}
	must[api.Changed](t, a, "resume", `{"app":"acme"}`)
	for _, tt := range [][2]string{
		{"pause", `{"app":"acme","trigger":"nightly","pool":"mail"}`},
		{"resume", `{"app":"acme","trigger":"nightly","function":"mail:send"}`},
		{"schedule_job", `{"app":"acme","function":"no:ne"}`},
		{"reschedule_job", `{"app":"acme","id":"mine"}`},
	} {
		if got := a.call(t, tt[0], tt[1]); got.Error == nil {
			t.Error(tt, got.text)
		}
	}
	resp := s.post(t, "GET", "/v1/audit?operator=agent&limit=100", s.token(t, server.ScopeAdmin), "")
	for _, action := range []string{"POST jobs", "POST jobs/{id}/reschedule", "POST jobs/{id}/run", "POST jobs/{id}/cancel", "POST jobs/{id}/retry", "POST crons/{name}/run", "POST crons/{name}/pause", "POST pauses", "DELETE pauses"} {
		if !strings.Contains(resp.body, `"action":"`+action+`"`) || !strings.Contains(resp.body, `"from":"127.0.0.1"`) {
			t.Errorf("%s is not in the audit log: %s", action, resp.body)
		}
	}
}

// reply is an answer as a client sees it.
type reply struct {
	status int
	header http.Header
	body   string
}

// post sends a request that is no agent's. Headers are in pairs; "Host" is that of the request.
func (s *site) post(tb testing.TB, method, path, token, body string, headers ...string) reply {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	req.Host = req.Header.Get("Host")
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// TestTheDoorOfAgents: a request that no operator makes, that comes from another page or is for
// another host, or that is no message, is refused in JSON before any tool is asked.
func TestTheDoorOfAgents(t *testing.T) {
	s := mustSite(t, mcp.Options{AllowWrite: true})
	reads, writes := s.token(t, server.ScopeRead), s.token(t, server.ScopeWrite)
	const list = `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`
	for name, tt := range map[string]struct {
		method, token, body string
		headers             []string
		want                int
	}{
		"good":                     {"POST", reads, list, nil, 200},
		"a name of the options":    {"POST", reads, list, []string{"Host", "jobs.example.com"}, 200},
		"no token":                 {"POST", "", list, nil, 401},
		"a token that is not good": {"POST", "carillon_aaaaaaaaaa_BBBBBBBBBBBBBBBBBBBBBBBBBB", list, nil, 401},
		"no scope read":            {"POST", writes, list, nil, 403},
		"another page":             {"POST", reads, list, []string{"Origin", "https://evil.example.com"}, 403},
		"another site":             {"POST", reads, list, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"another host":             {"POST", reads, list, []string{"Host", "evil.example.com"}, 403},
		"another method":           {"GET", reads, "", nil, 405},
		"a session's end":          {"DELETE", reads, "", nil, 405},
		"a form":                   {"POST", reads, list, []string{"Content-Type", "text/plain"}, 415},
		"no JSON":                  {"POST", reads, `{`, nil, 400},
		"a batch":                  {"POST", reads, "[" + list + "," + list + "]", nil, 400},
		"a subscription":           {"POST", reads, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{}}`, nil, 400},
		"another version":          {"POST", reads, list, []string{"Mcp-Protocol-Version", "1999-01-01"}, 400},
		"only JSON":                {"POST", reads, list, []string{"Accept", "application/json"}, 400},
		"a body of the most bytes": {"POST", reads, list + strings.Repeat(" ", 1<<20-len(list)), nil, 200},
	} {
		got := s.post(t, tt.method, "/mcp", tt.token, tt.body, tt.headers...)
		if got.status != tt.want || got.header.Get("Content-Type") != "application/json" || !json.Valid([]byte(got.body)) {
			t.Errorf("%s: %d %s %s, want %d", name, got.status, got.header.Get("Content-Type"), got.body, tt.want)
		}
		if challenge := got.header.Get("Www-Authenticate"); (challenge != "") != (tt.want == 401) {
			t.Errorf("%s: WWW-Authenticate %q", name, challenge)
		}
	}
}

// TestAMessageIsOneRequest: of the requests that a client may send in a second an agent's message is one,
// whatever its tool asks of the server.
func TestAMessageIsOneRequest(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry()}, func(h *actorstest.Harness) {
		site := server.New(h.Engine, server.Options{
			RequestsPerSecond: 3, Admin: func(*http.Request) error { return nil }, MCP: mcp.Handler(mcp.Options{}),
		})
		ask := func() (int, string) {
			r := httptest.NewRequest("POST", "http://localhost/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_apps","arguments":{}}}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Accept", "application/json, text/event-stream")
			w := httptest.NewRecorder()
			site.ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		for i := range 3 {
			if status, body := ask(); status != 200 || !strings.Contains(body, `\"data\":[]`) {
				t.Errorf("message %d of 3: %d %s", i+1, status, body)
			}
		}
		if status, body := ask(); status != 429 || !strings.Contains(body, "more than 3 requests") {
			t.Errorf("the fourth: %d %s", status, body)
		}
	})
}
