package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// open marks a route for every caller.
const open = "open"

// rights is what each route needs, written down a second time: a route that is not here makes
// TestEveryRouteHasItsDoor red. "whole" is of an operator who has all apps.
var rights = map[string]string{
	"POST /v1/apps/{app}/functions/{function...}": open,
	"POST /v1/apps/{app}/api/query":               open,
	"POST /v1/apps/{app}/api/mutation":            open,
	"POST /v1/apps/{app}/api/action":              open,
	"POST /v1/apps/{app}/api/function":            open,
	"POST /v1/apps/{app}/api/query_ts":            open,
	"POST /v1/apps/{app}/api/query_at_ts":         open,
	"GET /v1/apps/{app}/api/{version}/sync":       open,
	"POST /v1/apps/{app}/scheduler/schedule":      "write call",
	"POST /v1/apps/{app}/scheduler/cancel":        "write",
	"GET /v1/apps/{app}/scheduler/get":            "read",
	"GET /v1/apps/{app}/scheduler/list":           "read",
	"GET /v1/apps/{app}/scheduler/dead":           "read",
	"POST /v1/apps/{app}/scheduler/dead/retry":    "write",
	"POST /v1/apps/{app}/scheduler/dead/cancel":   "write",
	"POST /v1/apps/{app}/scheduler/complete":      "write",
	"GET /v1/apps/{app}/scheduler/pool":           "read",
	"GET /v1/apps/{app}/scheduler/status":         "read",
	"GET /v1/apps/{app}/scheduler/ws":             "read",
	"GET /v1/health":                              open,
	"GET /v1/openapi.json":                        open,
	"GET /livez":                                  open,
	"GET /readyz":                                 open,
	"GET /metrics":                                "whole read",
	"POST /mcp":                                   "read",

	"GET /v1/apps/{app}/operations":              "read",
	"POST /v1/apps/{app}/operations":             "write",
	"GET /v1/apps/{app}/operations/{id}":         "read",
	"POST /v1/apps/{app}/operations/{id}/cancel": "write",

	"GET /v1/apps":                                "read",
	"POST /v1/apps":                               "admin",
	"GET /v1/apps/{app}":                          "read",
	"DELETE /v1/apps/{app}":                       "admin",
	"POST /v1/apps/{app}/pause":                   "write",
	"POST /v1/apps/{app}/resume":                  "write",
	"GET /v1/apps/{app}/export":                   "admin",
	"POST /v1/apps/{app}/import":                  "admin",
	"GET /v1/crons/preview":                       "read",
	"GET /v1/apps/{app}/crons":                    "read",
	"POST /v1/apps/{app}/crons":                   "write call",
	"GET /v1/apps/{app}/crons/{name}":             "read",
	"PUT /v1/apps/{app}/crons/{name}":             "write call",
	"DELETE /v1/apps/{app}/crons/{name}":          "write",
	"POST /v1/apps/{app}/crons/{name}/run":        "write",
	"POST /v1/apps/{app}/crons/{name}/backfill":   "write",
	"DELETE /v1/apps/{app}/crons/{name}/backfill": "write",
	"POST /v1/apps/{app}/crons/{name}/pause":      "write",
	"POST /v1/apps/{app}/crons/{name}/resume":     "write",
	"GET /v1/apps/{app}/jobs":                     "read",
	"GET /v1/apps/{app}/functions":                "read",
	"GET /v1/apps/{app}/functions/openapi.json":   "read",
	"GET /v1/apps/{app}/functions/api.d.ts":       "read",
	"GET /v1/apps/{app}/events":                   "read",
	"GET /v1/apps/{app}/jobs/{id}":                "read",
	"POST /v1/apps/{app}/jobs/{id}/retry":         "write",
	"POST /v1/apps/{app}/jobs/{id}/drop":          "write",
	"POST /v1/apps/{app}/jobs/{id}/cancel":        "write",
	"POST /v1/apps/{app}/jobs/{id}/abandon":       "write",
	"POST /v1/apps/{app}/calls":                   "write call read-args",
	"POST /v1/apps/{app}/calls/{id}/abandon":      "write",
	"GET /v1/stuck":                               "read",
	"GET /v1/stats":                               "whole read",
	"GET /v1/system":                              "whole admin",
	"GET /v1/nodes":                               "whole read",
	"GET /v1/shards":                              "whole read",
	"GET /v1/operator":                            "read",
	"GET /v1/clock":                               "read",
	"POST /v1/clock/accept":                       "whole admin",
	"GET /v1/tokens":                              "whole admin",
	"POST /v1/tokens":                             "whole admin",
	"DELETE /v1/tokens/{id}":                      "whole admin",
	"GET /v1/audit":                               "admin",
	"GET /v1/backup":                              "whole admin",

	"POST /v1/apps/{app}/jobs":                 "write call",
	"POST /v1/apps/{app}/jobs/{id}/run":        "write",
	"POST /v1/apps/{app}/jobs/{id}/reschedule": "write",

	"POST /v1/apps/{app}/outside/{token}/complete": open,
	"POST /v1/apps/{app}/outside/{token}/fail":     open,

	"GET /v1/apps/{app}/jobs/{id}/result":       "read",
	"GET /v1/apps/{app}/groups":                 "read",
	"GET /v1/apps/{app}/groups/{group}":         "read",
	"POST /v1/apps/{app}/groups/{group}/cancel": "write",
	"GET /v1/apps/{app}/pools":                  "read",
	"PUT /v1/apps/{app}/pools/{pool}/limit":     "write",
	"DELETE /v1/apps/{app}/pools/{pool}/limit":  "write",
	"GET /v1/apps/{app}/pauses":                 "read",
	"POST /v1/apps/{app}/pauses":                "write",
	"DELETE /v1/apps/{app}/pauses":              "write",

	"GET /v1/apps/{app}/tables":                           "read",
	"GET /v1/apps/{app}/tables/{table}/documents":         "read-docs",
	"POST /v1/apps/{app}/tables/{table}/documents":        "read-docs write-docs",
	"GET /v1/apps/{app}/tables/{table}/documents/{id}":    "read-docs",
	"PUT /v1/apps/{app}/tables/{table}/documents/{id}":    "read-docs write-docs",
	"DELETE /v1/apps/{app}/tables/{table}/documents/{id}": "read-docs write-docs",
}

// operators is an Options.Operator that knows who asks by the token.
type operators map[string]*server.Operator

func (ops operators) hook(r *http.Request) (*server.Operator, error) {
	token, given := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !given {
		return nil, nil
	}
	op, ok := ops[token]
	if !ok {
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good")
	}
	return op, nil
}

// TestEveryRouteHasItsDoor walks every route as every kind of caller: none, with no token, one
// that is expired, revoked, a client's or made up, of another app, with each scope alone and
// with all but one, and with what the route needs for the app alone.
func TestEveryRouteHasItsDoor(t *testing.T) {
	eng := mustSite(t, server.Options{}).eng
	app, err := eng.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.Call(t.Context(), "notes:post", json.RawMessage(`{"text":"hi"}`), nil); err != nil {
		t.Fatal(err)
	}
	all := server.Scopes()
	ops := operators{
		"all":   {AllApps: true, Scopes: all},
		"other": {Apps: []storage.AppID{"other", "acm", "acme2"}, Scopes: all},
	}
	for _, scope := range all {
		ops["only "+string(scope)] = &server.Operator{AllApps: true, Scopes: []server.Scope{scope}}
		ops["not "+string(scope)] = &server.Operator{AllApps: true, Scopes: slices.DeleteFunc(server.Scopes(), func(s server.Scope) bool { return s == scope })}
	}
	for _, need := range rights {
		var scopes []server.Scope
		for _, scope := range strings.Fields(need) {
			scopes = append(scopes, server.Scope(scope))
		}
		scopes = slices.DeleteFunc(scopes, func(s server.Scope) bool { return !slices.Contains(all, s) })
		if len(scopes) > 0 {
			ops["acme "+need] = &server.Operator{Apps: []storage.AppID{"acme"}, Scopes: scopes}
		}
	}
	texts := map[string]string{"bad": "carillon_aaaaaaaaaa_BBBBBBBBBBBBBBBBBBBBBBBBBB", "client": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "odd": "carillon_", "": ""}
	now := time.Now()
	for name, op := range ops {
		op.Name = name
		texts[name], _ = mustToken(t, eng, *op, now, time.Time{})
	}
	texts["expired"], _ = mustToken(t, eng, *ops["all"], now.Add(-time.Hour), now.Add(-time.Millisecond))
	revoked, id := mustToken(t, eng, *ops["all"], now, time.Time{})
	if known, err := eng.Tokens().Remove(id); !known || err != nil {
		t.Fatal(known, err)
	}
	texts["revoked"] = revoked
	texts["another secret"] = texts["all"][:len(texts["all"])-1] + "0"
	texts["without its prefix"] = strings.TrimPrefix(texts["all"], "carillon_")
	h := server.New(eng, server.Options{Operator: server.Tokens(eng), Metrics: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), MCP: noAgents})
	ask := func(route, app, token string) (int, string) {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{app}", app, "{name}", "none", "{id}", "none", "{token}", "none", "{pool}", "none", "{table}", "none", "{group}", "7", "{function...}", "notes/all:count").Replace(path)
		r := httptest.NewRequest(method, path, strings.NewReader(`{}`))
		r.Header.Set("Content-Type", "application/json")
		if texts[token] != "" {
			r.Header.Set("Authorization", "Bearer "+texts[token])
		}
		if strings.HasSuffix(route, "/events") { // which has no end
			ctx, stop := context.WithCancel(r.Context())
			stop()
			r = r.WithContext(ctx)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 400 && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s as %q: the refusal %q is no JSON", route, token, w.Body)
		}
		return w.Code, w.Body.String()
	}
	for _, route := range server.Routes(h) {
		need, known := rights[route]
		if !known {
			t.Errorf("%s: which rights does it need? This test has no row of it", route)
			continue
		}
		scopes := strings.Fields(need)
		whole := slices.Contains(scopes, "whole")
		if need == open {
			continue
		}
		refusals := map[string]bool{}
		for token := range texts {
			op, want := ops[token], 0
			switch {
			case op == nil:
				want = http.StatusUnauthorized
			case whole && !op.AllApps, strings.Contains(route, "{app}") && !op.AllApps && !slices.Contains(op.Apps, "acme"):
				want = http.StatusForbidden
			case slices.ContainsFunc(scopes, func(scope string) bool { return scope != "whole" && !slices.Contains(op.Scopes, server.Scope(scope)) }):
				want = http.StatusForbidden
			}
			status, body := ask(route, "acme", token)
			if let := status != http.StatusUnauthorized && status != http.StatusForbidden; let != (want == 0) || !let && status != want {
				t.Errorf("%s as %q: %d %.200q, want %d", route, token, status, body, want)
			}
			if op == nil && token != "" {
				refusals[body] = true
			}
			if strings.Contains(route, "{app}") && token == "other" { // it does not tell which apps there are
				if there, other := ask(route, "none", token); there != status || strings.ReplaceAll(other, "none", "acme") != body {
					t.Errorf("%s as %q: %q of an app that is there, %q of one that is not", route, token, body, other)
				}
			}
		}
		if len(refusals) != 1 {
			t.Errorf("%s: tokens that are not good are told apart: %q", route, slices.Collect(maps.Keys(refusals)))
		}
	}
	// The door of clients takes no operator's token, whatever may be wrong with it.
	for token := range texts {
		status, body := ask("POST /v1/apps/{app}/functions/{function...}", "acme", token)
		if want := strings.HasPrefix(texts[token], "carillon_"); want != (status == http.StatusUnauthorized) || !want && status != http.StatusOK {
			t.Errorf("a call with %q: %d %s", token, status, body)
		}
	}
	if missing := len(rights) - len(server.Routes(h)); missing != 0 {
		t.Errorf("%d rows are of no route", missing)
	}
}

// mustToken makes a token of the operator.
func mustToken(tb testing.TB, eng *actors.Engine, op server.Operator, now, expiresAt time.Time) (text, id string) {
	tb.Helper()
	text, token, err := server.NewToken(eng.Tokens(), op, now, expiresAt)
	if err != nil {
		tb.Fatal(err)
	}
	return text, token.ID
}

// TestRoutesAreMadeOfTheTable demands that the mux has no route but those of the table, and that
// the package comment lists each.
func TestRoutesAreMadeOfTheTable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(f, "_test.go") && f != "routes.go" && strings.Contains(string(data), "mux.Handle") {
			t.Errorf("%s has a route of its own", f)
		}
	}
	listed, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for route := range rights {
		method, pattern, _ := strings.Cut(route, " ")
		pattern = strings.Replace(pattern, "{function...}", "{ns:fn}", 1)
		if !regexp.MustCompile(`//\t` + method + ` +` + regexp.QuoteMeta(pattern) + `[ ?\n]`).Match(listed) {
			t.Errorf("the package comment does not list %s", route)
		}
	}
}

// TestArgumentsAreHidden: what a job was given, and what came of it, is for operators
// with read-args; for others it is left out and named.
func TestArgumentsAreHidden(t *testing.T) {
	ops := operators{"s3cret": {AllApps: true, Scopes: server.Scopes()}, "reads": {AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWrite}}}
	s := mustSite(t, server.Options{Operator: ops.hook})
	ids := mustKill(t, s, 1)
	mustCron(t, 201, s.admin(t, "POST", "", `{"name":"nightly","spec":"@daily","function":"notes:post","args":{"text":"as ever"}}`))
	mustCron(t, 200, s.admin(t, "POST", "/nightly/pause", `{"reason":"as ever"}`))
	for path, hidden := range map[string]string{
		"/jobs":                    `"hidden":["args","error.message"]`,
		"/jobs/" + string(ids[0]):  `"hidden":["args","error.message","history.error.message"]`,
		"/crons":                   `"hidden":["args","pauseReason"]`,
		"/crons/nightly?slots=200": `"hidden":["args","pauseReason"`,
	} {
		ask := func(token string) reply {
			req := s.mustRequest(t, "GET", "/v1/apps/acme"+path, nil)
			req.Header.Set("Authorization", "Bearer "+token)
			return s.mustSend(t, req)
		}
		if got := ask("s3cret"); got.status != 200 || !strings.Contains(got.body, "as ever") || !strings.Contains(got.body, `"args":{`) || strings.Contains(got.body, "hidden") {
			t.Errorf("%s: with the scope: %d %s", path, got.status, got.body)
		}
		got := ask("reads")
		if got.status != 200 || strings.Contains(got.body, "as ever") || strings.Contains(got.body, `"args":`) || !strings.Contains(got.body, hidden) {
			t.Errorf("%s: without: %d %s", path, got.status, got.body)
		}
		if strings.Contains(path, "jobs") && !strings.Contains(got.body, `"error":{"code":"unavailable","message":""}`) {
			t.Errorf("%s: the code is hidden too: %s", path, got.body)
		}
	}
	// Nor does a filter tell what is in them.
	for _, ask := range []struct{ method, path, body string }{
		{"GET", "/jobs?argsContains=u", ""}, {"POST", "/operations", `{"action":"drop","filter":{"argsContains":"u"},"dryRun":true}`},
	} {
		for token, want := range map[string]int{"s3cret": 200, "reads": 403} {
			req := s.mustRequest(t, ask.method, "/v1/apps/acme"+ask.path, strings.NewReader(ask.body))
			req.Header.Set("Authorization", "Bearer "+token)
			if got := s.mustSend(t, req); got.status != want {
				t.Errorf("%s %s as %s: %d %s", ask.method, ask.path, token, got.status, got.body)
			}
		}
	}
	// The answer to a change shows no more.
	req := s.mustRequest(t, "POST", "/v1/apps/acme/crons/nightly/resume", nil)
	req.Header.Set("Authorization", "Bearer reads")
	if got := s.mustSend(t, req); got.status != 200 || strings.Contains(got.body, "as ever") {
		t.Errorf("resumed: %d %s", got.status, got.body)
	}
}

// TestOnlyActAsChoosesAnIdentity: a trigger that runs as a service needs more than one that
// does not.
func TestOnlyActAsChoosesAnIdentity(t *testing.T) {
	ops := operators{"calls": {AllApps: true, Scopes: []server.Scope{server.ScopeWrite, server.ScopeCall}}, "acts": {AllApps: true, Scopes: []server.Scope{server.ScopeWrite, server.ScopeCall, server.ScopeActAs}}}
	s := mustSite(t, server.Options{Operator: ops.hook})
	put := func(token, as string) int {
		req := s.mustRequest(t, "PUT", "/v1/apps/acme/crons/nightly", strings.NewReader(`{"spec":"@daily","function":"notes:wipe"`+as+`}`))
		req.Header.Set("Authorization", "Bearer "+token)
		return s.mustSend(t, req).status
	}
	const as = `,"as":{"subject":"service:cleaner"}`
	if got := []int{put("calls", as), put("calls", ""), put("acts", as)}; !slices.Equal(got, []int{403, 201, 200}) {
		t.Errorf("the answers are %d", got)
	}
}

// TestAdminIsTheHost: Options.Admin is every scope, and not together with Operator.
func TestAdminIsTheHost(t *testing.T) {
	defer func() {
		if v := fmt.Sprint(recover()); !strings.Contains(v, "Operator and Admin") {
			t.Errorf("both: %s", v)
		}
	}()
	server.New(mustOpen(t), server.Options{Admin: func(*http.Request) error { return nil }, Operator: operators{}.hook})
}
