package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// ask sends a request with the token; path is all of it.
func (s *site) ask(tb testing.TB, token, method, path, body string) reply {
	tb.Helper()
	req := s.mustRequest(tb, method, path, strings.NewReader(body))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); resp.StatusCode >= 400 && got != "application/json" {
		tb.Errorf("%s %s is refused in %q", method, path, got)
	}
	return reply{resp.StatusCode, resp.Header, string(text)}
}

// mustDecode is the result of an answer of any status.
func mustDecode[R any](tb testing.TB, r reply) R {
	tb.Helper()
	var body struct{ Result R }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		tb.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return body.Result
}

// TestAppsLife: an operator makes an app, looks at it, pauses and resumes it, exports it, makes
// another one of that, and deletes it, which takes its name a second time.
func TestAppsLife(t *testing.T) {
	s := mustAdminSite(t)
	ask := func(status int, method, path, body string) reply {
		t.Helper()
		got := s.ask(t, "s3cret", method, "/v1/apps"+path, body)
		if got.status != status {
			t.Fatalf("%s %s %s: %d %s, want %d", method, path, body, got.status, got.body, status)
		}
		return got
	}
	made := ask(201, "POST", "", `{"name":"acme"}`)
	if at := made.header.Get("Location"); at != "/v1/apps/acme" {
		t.Errorf("it is made at %q", at)
	}
	if status := mustDecode[api.AppStatus](t, made); status.Name != "acme" || status.Limits.MaxJobs != 10_000_000 {
		t.Errorf("made: %+v", status)
	}
	ask(409, "POST", "", `{"name":"acme"}`)
	mustKill(t, s, 2)
	if app := mustResult[api.AppStatus](t, ask(200, "GET", "/acme", "")); app.Dead != 2 || app.Paused {
		t.Errorf("shown: %+v", app)
	}
	paused := mustResult[api.AppStatus](t, ask(200, "POST", "/acme/pause", `{"reason":"the disk is full"}`))
	if !paused.Paused || len(paused.Pauses) != 1 || paused.Pauses[0].Reason != "the disk is full" || paused.Pauses[0].By != "host" {
		t.Errorf("paused: %+v", paused)
	}
	if page := mustResult[api.AppPage](t, ask(200, "GET", "?contains=cm", "")); len(page.Apps) != 1 || !page.Apps[0].Paused || page.Apps[0].Dead != 2 {
		t.Errorf("listed: %+v", page)
	}
	if app := mustResult[api.AppStatus](t, ask(200, "POST", "/acme/resume", "")); app.Paused || len(app.Pauses) != 0 {
		t.Errorf("resumed: %+v", app)
	}
	stream := ask(200, "GET", "/acme/export", "").body
	if app := mustDecode[api.AppStatus](t, ask(201, "POST", "/copy/import", stream)); app.Name != "copy" || app.Dead != 2 {
		t.Errorf("imported: %+v", app)
	}
	ask(409, "POST", "/copy/import", stream)
	ask(400, "DELETE", "/acme", "")
	ask(400, "DELETE", "/acme", `{"name":"copy"}`)
	ask(200, "GET", "/acme", "")
	ask(200, "DELETE", "/acme", `{"name":"acme"}`)
	for _, path := range []string{"/acme", "/acme/export"} {
		ask(404, "GET", path, "")
	}
	ask(404, "DELETE", "/acme", `{"name":"acme"}`)
	ask(404, "POST", "/acme/pause", "")
	ask(404, "POST", "/acme/resume", "")
	if page := mustResult[api.AppPage](t, ask(200, "GET", "?limit=1", "")); len(page.Apps) != 1 || page.Apps[0].Name != "copy" || page.Next != "" {
		t.Errorf("at last: %+v", page)
	}
	for _, tt := range [][3]string{
		{"GET", "?limit=0", ""},
		{"GET", "?limit=1001", ""},
		{"GET", "?limit=x", ""},
		{"GET", "?name=a", ""},
		{"GET", "?prefix=a&prefix=b", ""},
		{"GET", "?contains=" + strings.Repeat("x", 65), ""},
		{"POST", "", `{}`},
		{"POST", "", `{"name":"a/b"}`},
		{"POST", "", `{"name":"a","x":1}`},
		{"POST", "", `[]`},
		{"POST", "", `{"name":7}`},
		{"POST", "/copy/pause", `{"reason":"` + strings.Repeat("x", 1025) + `"}`},
		{"POST", "/copy/resume", `{"x":1}`},
		{"POST", "/new/import", ""},
		{"POST", "/new/import", "{}"},
		{"POST", "/new/import", stream[:len(stream)-1]},
		{"POST", "/new/import", stream + "x"},
		{"POST", "/.new/import", stream},
	} {
		ask(400, tt[0], tt[1], tt[2])
	}
	if page := mustResult[api.AppPage](t, ask(200, "GET", "", "")); len(page.Apps) != 1 {
		t.Errorf("what was refused has made apps: %+v", page)
	}
}

// TestAppsAreTheOperators: an operator lists their own apps, and makes no other.
func TestAppsAreTheOperators(t *testing.T) {
	ops := operators{
		"all": {AllApps: true, Scopes: server.Scopes()},
		"ann": {Apps: []storage.AppID{"acme", "none"}, Scopes: server.Scopes()},
		"bob": {Scopes: server.Scopes()},
	}
	s := mustSite(t, server.Options{Operator: ops.hook})
	for _, name := range []string{"acme", "acme2", "globex"} {
		if got := s.ask(t, "all", "POST", "/v1/apps", `{"name":"`+name+`"}`); got.status != 201 {
			t.Fatal(got.status, got.body)
		}
	}
	for token, want := range map[string]int{"all": 3, "ann": 1, "bob": 0} {
		page := mustResult[api.AppPage](t, s.ask(t, token, "GET", "/v1/apps", ""))
		if len(page.Apps) != want || want == 1 && page.Apps[0].Name != "acme" {
			t.Errorf("%s lists %+v", token, page)
		}
	}
	for name, want := range map[string]int{"none": 201, "acme": 409, "globex": 403, "new": 403} {
		if got := s.ask(t, "ann", "POST", "/v1/apps", `{"name":"`+name+`"}`); got.status != want {
			t.Errorf("ann makes %s: %d %s", name, got.status, got.body)
		}
	}
}

// TestImportIsBounded: an import may be larger than other bodies, has a bound of its own, and
// leaves nothing behind if it is beyond.
func TestImportIsBounded(t *testing.T) {
	size := 0
	for _, more := range []int{0, -1} {
		s := mustSite(t, server.Options{Admin: func(*http.Request) error { return nil }, MaxBody: 100, MaxImport: int64(size + more), MaxMemory: 1 << 20})
		for range 3 {
			if got := s.call(t, "acme", "notes:post", `{"text":"`+strings.Repeat("x", 80)+`"}`); got.status != 200 {
				t.Fatal(got.body)
			}
		}
		stream := s.ask(t, "", "GET", "/v1/apps/acme/export", "").body
		if size == 0 { // as large as the bound of the next one
			size = len(stream)
		}
		for _, body := range []io.Reader{strings.NewReader(stream), io.NopCloser(strings.NewReader(stream))} { // of a length that is told, and not
			req := s.mustRequest(t, "POST", "/v1/apps/copy/import", body)
			req.Header.Set("Content-Type", "application/octet-stream")
			got := s.mustSend(t, req)
			want := http.StatusCreated
			if more < 0 {
				want = http.StatusRequestEntityTooLarge
			}
			if got.status != want {
				t.Errorf("%d bytes, of at most %d: %d %s", len(stream), size+more, got.status, got.body)
			}
			if want == http.StatusCreated {
				if got := s.ask(t, "", "DELETE", "/v1/apps/copy", `{"name":"copy"}`); got.status != 200 {
					t.Error(got.body)
				}
			}
		}
		if got := s.ask(t, "", "GET", "/v1/apps/copy", ""); got.status != 404 {
			t.Errorf("something is left: %s", got.body)
		}
	}
}
