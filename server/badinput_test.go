package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/server"
	"carillon/server/lunora"
)

// pathOf is the path of the route's pattern with the app, and one segment for all else.
func pathOf(pattern, app, segment string) string {
	segments := strings.Split(pattern, "/")
	for i, s := range segments {
		switch {
		case s == "{app}":
			segments[i] = url.PathEscape(app)
		case strings.HasPrefix(s, "{"):
			segments[i] = url.PathEscape(segment)
		}
	}
	return strings.Join(segments, "/")
}

// sender sends requests to all routes of a site, as an operator who may do everything.
type sender struct {
	h        http.Handler
	routes   []string      // methods and patterns
	patience time.Duration // with what is answered when something happens
}

func newSender(tb testing.TB, patience time.Duration) *sender {
	tb.Helper()
	opts := server.Options{Operator: operators{"": {AllApps: true, Scopes: server.Scopes()}}.hook, MaxBody: 4096}
	s := &sender{h: server.New(mustSite(tb, server.Options{}).eng, opts), patience: patience}
	s.routes = server.Routes(s.h)
	for path, body := range map[string]string{
		"/jobs": `{"function":"bad:job","afterMs":3600000,"id":"there"}`, "/crons": `{"name":"there","spec":"@yearly","function":"notes:wipe"}`,
	} {
		if w := s.ask("POST", "/v1/apps/acme"+path, "", body); w.Code != http.StatusCreated {
			tb.Fatal(path, w.Body)
		}
	}
	return s
}

// ask sends a request. One that would be answered when something happens is given up some time.
func (s *sender) ask(method, path, query, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host, r.RemoteAddr = "localhost", "127.0.0.1:1"
	r.Header.Set("Authorization", "Bearer ")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.URL.RawQuery = query
	if strings.HasSuffix(path, "/events") || strings.HasSuffix(path, "/result") {
		ctx, stop := context.WithTimeout(r.Context(), s.patience)
		defer stop()
		r = r.WithContext(ctx)
	}
	w := httptest.NewRecorder()
	s.h.ServeHTTP(w, r)
	return w
}

// isRefusal says whether it is one, in JSON: as every route has it, or as Lunora's scheduler does.
func isRefusal(w *httptest.ResponseRecorder) bool {
	var refused struct{ Code, Message string }
	var foreign lunora.Refusal
	if json.Unmarshal(w.Body.Bytes(), &foreign) == nil && foreign.Error.Code != "" {
		return w.Header().Get("Content-Type") == "application/json" && foreign.Error.Message != "" == (foreign.Error != lunora.Error{Code: lunora.CodeNotFound})
	}
	return w.Header().Get("Content-Type") == "application/json" && json.Unmarshal(w.Body.Bytes(), &refused) == nil && refused.Code != "" && refused.Message != ""
}

// state is what there is to see of the site, the log of all changes among it.
func (s *sender) state() string {
	var state strings.Builder
	for _, path := range []string{"/v1/apps", "/v1/tokens", "/v1/audit", "/v1/apps/acme/jobs", "/v1/apps/acme/crons", "/v1/apps/acme/pauses", "/v1/apps/acme/pools", "/v1/apps/acme/groups", "/v1/apps/acme/operations"} {
		state.WriteString(s.ask("GET", path, "", "").Body.String())
	}
	return state.String()
}

// TestEveryRouteRefusesBadInput: what is wrong in the method, the path, the parameters, the headers or the
// body is refused in JSON, by every route of the table, and changes nothing.
func TestEveryRouteRefusesBadInput(t *testing.T) {
	s := newSender(t, 5*time.Second) // what is refused is not waited for
	before := s.state()
	wantRefused := func(route, what string, w *httptest.ResponseRecorder, want ...int) {
		t.Helper()
		if !slices.Contains(want, w.Code) || !isRefusal(w) {
			t.Errorf("%s with %s: %d %.300s, want %d", route, what, w.Code, w.Body, want)
		}
	}
	// Bodies are of no use to these.
	bodiless := []string{
		"DELETE /v1/apps/{app}/crons/{name}", "DELETE /v1/apps/{app}/crons/{name}/backfill", "DELETE /v1/apps/{app}/pools/{pool}/limit",
		"DELETE /v1/apps/{app}/pauses", "DELETE /v1/tokens/{id}",
	}
	// These have no parameters to look at.
	parameters := map[string]string{
		"GET /v1/apps": "limit=0", "GET /v1/apps/{app}/operations": "going=1", "GET /v1/apps/{app}/crons/{name}": "slots=-1", "GET /v1/apps/{app}/jobs": "dueFrom=now",
		"GET /v1/apps/{app}/events": "limit=3", "GET /v1/apps/{app}/jobs/{id}/result": "wait=61s", "GET /v1/apps/{app}/groups": "after=x",
		"GET /v1/apps/{app}/tables/{table}/documents": "desc=1",
		"DELETE /v1/apps/{app}/pauses":                "app=1", "GET /v1/audit": "from=now", "GET /v1/crons/preview": "spec=x", "GET /v1/apps/{app}/scheduler/get": "id=", "GET /v1/apps/{app}/scheduler/list": "cursor=x", "GET /v1/apps/{app}/scheduler/dead": "cursor=id:x", "GET /v1/apps/{app}/scheduler/pool": "name=", "GET /v1/backup": "since=x", "GET /v1/apps/{app}/functions/api.d.ts": "internal=yes",
	}
	for _, route := range s.routes {
		method, pattern, _ := strings.Cut(route, " ")
		there := "there"
		if strings.HasPrefix(pattern, "/v1/apps/{app}/functions/{") {
			there = "notes:post"
		}
		path := pathOf(pattern, "acme", there)
		wrong := 405
		if strings.Contains(pattern, "/{app}/scheduler/") {
			wrong = 404 // as its clients know it
		}
		wantRefused(route, "another method", s.ask("PATCH", path, "", ""), wrong)
		if strings.Contains(pattern, "{app}") {
			for _, app := range []string{"a b", "ü", "\x00", strings.Repeat("a", 65)} {
				wantRefused(route, "the app "+app, s.ask(method, pathOf(pattern, app, there), "", `{}`), 400, 404)
			}
		}
		if strings.Contains(strings.ReplaceAll(pattern, "{app}", ""), "{") {
			for _, segment := range []string{"a b", "ü", "\x00", "..", strings.Repeat("a", 300), "%2f", ""} {
				w := s.ask(method, pathOf(pattern, "acme", segment), "", `{}`)
				if method == "DELETE" && w.Code == 200 && strings.Contains(w.Body.String(), `"changed":false`) {
					continue // there was nothing to change
				}
				wantRefused(route, "the segment "+segment, w, 400, 404)
			}
		}
		if bad, ok := parameters[route]; ok {
			for _, query := range []string{bad, "nosuch=1", bad + "&" + bad} {
				wantRefused(route, "?"+query, s.ask(method, path, query, ""), 400)
			}
		}
		if method == "GET" || slices.Contains(bodiless, route) || strings.HasSuffix(pattern, "/import") {
			continue
		}
		for _, body := range []string{`{`, `[]`, `"x"`, `{"nosuch":1}`, `{} {}`, `{"a":1,"a":1}`, "\xff", strings.Repeat("[", 1000)} {
			w := s.ask(method, path, "", body)
			wantRefused(route, "the body "+body, w, 400)
		}
		wantRefused(route, "a body that is too large", s.ask(method, path, "", padded(4097)), 413)
		if method != "DELETE" {
			wantRefused(route, "a form", s.ask(method, path, "", `{}`, "Content-Type", "application/x-www-form-urlencoded"), 415)
		}
	}
	if after := s.state(); after != before {
		t.Errorf("what was refused has changed something: from\n%s\nto\n%s", before, after)
	}
}

// FuzzRoutes demands of any request to any route that it is answered, or refused in JSON, and is never a
// fault of the server.
func FuzzRoutes(f *testing.F) {
	s := newSender(f, 20*time.Millisecond)
	for i := range s.routes {
		for _, seed := range [][3]string{
			{"there", "", `{}`},
			{"notes:post", "limit=1&cursor=AAAA&wait=1ms&since=1&state=held", `{"text":"x"}`},
			{"1", "app=true&pool=mail&poolKey=k&slots=3", `{"all":true,"action":"retry","filter":{"states":["failed"]}}`},
			{"", "%zz=1&;", `[`},
			{"\x00/..", "from=2026-11-29T16:00:00Z&from=x", `{"name":"there","spec":"* * * * *","function":"notes:wipe","limit":1,"reason":"x"}`},
		} {
			f.Add(uint(i), "acme", seed[0], seed[1], seed[2])
		}
	}
	f.Fuzz(func(t *testing.T, i uint, app, segment, query, body string) {
		route := s.routes[i%uint(len(s.routes))]
		for _, waits := range []string{"slow", "world", "bad:", "code"} {
			if strings.Contains(segment+body, waits) || strings.Contains(body, `\u`) {
				return // it would run until the end of the test, or fail as it is told to
			}
		}
		method, pattern, _ := strings.Cut(route, " ")
		w := s.ask(method, pathOf(pattern, app, segment), query, body)
		fault := w.Code >= 500 && w.Code != 503 && w.Code != 504 // which a slow machine may answer with
		if fault || w.Code >= 400 && !isRefusal(w) {
			t.Fatalf("%s with %q, %q, ?%s and %q: %d %s", route, app, segment, query, body, w.Code, w.Body)
		}
	})
}
