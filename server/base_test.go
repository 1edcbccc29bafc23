package server_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/server"
)

// TestBasePath mounts everything under /x/y/ in a server of one's own.
func TestBasePath(t *testing.T) {
	eng := mustSite(t, server.Options{}).eng
	opts := server.Options{Admin: func(*http.Request) error { return nil }}
	atRoot := server.New(eng, opts)
	opts.BasePath = "/x/y/"
	mux := http.NewServeMux()
	mux.Handle("/x/y/", server.New(eng, opts))
	ask := func(h http.Handler, method, url, body string) (int, http.Header, string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, url, strings.NewReader(body)))
		return w.Code, w.Header(), w.Body.String()
	}
	made := `{"name":"late","spec":"@daily","function":"notes:wipe","paused":true}`
	if status, header, body := ask(mux, "POST", "/x/y/v1/apps/acme/crons", made); status != 201 || header.Get("Location") != "/x/y/v1/apps/acme/crons/late" {
		t.Errorf("a trigger is made: %d %s at %q", status, body, header.Get("Location"))
	}
	for _, route := range []struct{ method, path string }{
		{"GET", "/v1/health"},
		{"POST", "/v1/apps/acme/functions/notes/all:count"},
		{"GET", "/v1/apps/acme/crons"},
		{"GET", "/v1/apps/acme/crons/late"},
		{"POST", "/v1/apps/acme/crons/late/pause"},
		{"GET", "/v1/apps/acme/jobs"},
		{"GET", "/v1/apps/acme/jobs/1"},
		{"POST", "/v1/apps/acme/jobs/1/retry"},
		{"POST", "/v1/apps/acme/calls/1/abandon"},
		{"POST", "/v1/apps/acme/operations/1/cancel"},
		{"GET", "/v1/stuck"},
		{"PUT", "/v1/clock/accept"},
	} {
		want, _, body := ask(atRoot, route.method, route.path, "")
		if got, _, there := ask(mux, route.method, "/x/y"+route.path, ""); got != want || there != body || strings.Contains(there, "no route") {
			t.Errorf("%s %s below the base path: %d %s, without one %d %s", route.method, route.path, got, there, want, body)
		}
		if status, _, body := ask(server.New(eng, opts), route.method, route.path, ""); status != 404 || !strings.Contains(body, "no route") {
			t.Errorf("%s %s beside the base path: %d %s", route.method, route.path, status, body)
		}
	}
	for _, path := range []string{"/x/y/", "/x/y", "/x/y/nowhere", "/x/yy/v1/health", "/x/y//v1/health"} {
		if status, _, body := ask(server.New(eng, opts), "GET", path, ""); status != 404 || !strings.Contains(body, "functions are at /x/y/v1/apps/") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, bad := range []string{"x", "//", "/x//y", "/x/../y", "/{x}", "/x y", "/x?y", "x/y/"} {
		func() {
			defer func() {
				if v := recover(); v == nil || !strings.Contains(v.(string), "BasePath") {
					t.Errorf("the base path %q: %v", bad, v)
				}
			}()
			server.New(eng, server.Options{BasePath: bad})
		}()
	}
}
