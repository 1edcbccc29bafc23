package server_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

func TestRoutes(t *testing.T) {
	s := mustSite(t, server.Options{})
	const function = "/v1/apps/acme/functions/text:length"
	for _, tt := range []struct {
		method, path, contentType string
		status                    int
		code                      string
	}{
		{"POST", function, "application/json", 200, ""},
		{"POST", function, "application/json; charset=utf-8", 200, ""},
		{"POST", function, "Application/JSON", 200, ""},
		{"POST", function, "", 200, ""},
		{"POST", function, "text/plain", 415, "invalid_argument"},
		{"POST", function, "application/x-www-form-urlencoded", 415, "invalid_argument"},
		{"POST", function, "application/jsonp", 415, "invalid_argument"},
		{"POST", function, ";;", 415, "invalid_argument"},
		{"GET", function, "", 405, "unimplemented"},
		{"PUT", function, "application/json", 405, "unimplemented"},
		{"DELETE", function, "", 405, "unimplemented"},
		{"OPTIONS", function, "", 405, "unimplemented"},
		{"BREW", function, "", 405, "unimplemented"},
		{"GET", "/v1/health", "", 200, ""},
		{"POST", "/v1/health", "", 405, "unimplemented"},
		{"GET", "/", "", 404, "not_found"},
		{"GET", "/v1", "", 404, "not_found"},
		{"GET", "/v2/health", "", 404, "not_found"},
		{"POST", "/v1/apps/acme", "", 404, "not_found"},
		{"POST", "/v1/apps/acme/functions", "", 404, "not_found"},
		{"POST", "/v1/apps/acme/functions/", "", 404, "not_found"},
		{"POST", "/v1/apps/acme/function/text:length", "", 404, "not_found"},
		{"POST", "/v1//apps/acme/functions/text:length", "", 404, "not_found"},
		{"POST", "/v1/apps//functions/text:length", "", 404, "not_found"},
		{"POST", "/v1/./apps/acme/functions/text:length", "", 404, "not_found"},
		{"POST", "/x/../v1/apps/acme/functions/text:length", "", 404, "not_found"},
		{"POST", function + "/", "", 404, "not_found"},
		{"GET", "/favicon.ico", "", 404, "not_found"},
	} {
		req := s.mustRequest(t, tt.method, tt.path, nil)
		req.Header.Del("Content-Type")
		if tt.contentType != "" {
			req.Header.Set("Content-Type", tt.contentType)
		}
		got := s.mustSend(t, req)
		code := ""
		if tt.code != "" {
			code = `{"code":"` + tt.code + `",`
		}
		if got.status != tt.status || !strings.HasPrefix(got.body, code) {
			t.Errorf("%s %s (%s): got %d %s", tt.method, tt.path, tt.contentType, got.status, got.body)
		}
		if allow := got.header.Get("Allow"); (allow != "") != (tt.status == 405) {
			t.Errorf("%s %s: Allow is %q", tt.method, tt.path, allow)
		}
	}
}

func TestHealth(t *testing.T) {
	s := mustSite(t, server.Options{})
	if got := s.mustSend(t, s.mustRequest(t, "GET", "/v1/health", nil)); got.body != `{"status":"ok"}`+"\n" {
		t.Errorf("got %s", got.body)
	}
	if got := s.mustSend(t, s.mustRequest(t, "HEAD", "/v1/health", nil)); got.status != 200 || got.body != "" {
		t.Errorf("HEAD: got %d %q", got.status, got.body)
	}
}

// TestHealthIsRed: an engine that does not serve all apps is not healthy.
func TestHealthIsRed(t *testing.T) {
	s := mustSite(t, server.Options{})
	if err := s.eng.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.mustSend(t, s.mustRequest(t, "GET", "/v1/health", nil)); got.status != 503 || got.body != `{"status":"failing"}`+"\n" {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// TestHealthIsDegraded: an engine that serves all apps, and has lost something, says that it
// needs a person.
func TestHealthIsDegraded(t *testing.T) {
	dir := t.TempDir()
	open := func() *actors.Engine {
		t.Helper()
		eng, err := actors.Open(dir, actors.Options{Functions: new(site).functions(), Volumes: 1})
		if err != nil {
			t.Fatal(err)
		}
		return eng
	}
	if err := open().Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	err := os.RemoveAll(filepath.Join(dir, "log"))
	if _, err2 := storage.Salvage(dir, true, time.Now()); err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	eng := open()
	got := httptest.NewRecorder()
	server.New(eng, server.Options{}).ServeHTTP(got, httptest.NewRequest("GET", "http://localhost/v1/health", nil))
	if got.Code != 200 || got.Body.String() != `{"status":"degraded"}`+"\n" {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	if err := eng.Warnings(); err == nil || !strings.Contains(err.Error(), "DATA WAS LOST: volume-000.db: ") || eng.Health() != nil {
		t.Errorf("it warns of %v, health %v", err, eng.Health())
	}
	if err := eng.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestIdentify(t *testing.T) {
	s := mustSite(t, server.Options{Identify: func(r *http.Request) (*dispatch.Identity, error) {
		switch token := r.Header.Get("Authorization"); token {
		case "":
			return nil, nil
		case "Bearer ann":
			return &dispatch.Identity{Subject: "ann"}, nil
		case "Bearer nameless":
			return &dispatch.Identity{}, nil
		case "Bearer expired":
			return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "the token has expired")
		case "Bearer panic":
			panic("the secret detail")
		default:
			return nil, errors.New("the secret detail")
		}
	}})
	for _, tt := range []struct {
		token  string
		status int
		want   string
	}{
		{"", 401, `"message":"sign in first"`},
		{"Bearer ann", 200, `{"result":"ann"}`},
		{"Bearer nameless", 400, `"message":"identity: the subject is empty"`},
		{"Bearer expired", 401, `"message":"the token has expired"`},
		{"Bearer panic", 500, `"message":"internal error","requestId":`},
		{"Bearer other", 500, `"message":"internal error","requestId":`},
	} {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/functions/who:ami", nil)
		if tt.token != "" {
			req.Header.Set("Authorization", tt.token)
		}
		got := s.mustSend(t, req)
		if got.status != tt.status || !strings.Contains(got.body, tt.want) || strings.Contains(got.body, "secret") {
			t.Errorf("%q: got %d %s", tt.token, got.status, got.body)
		}
	}
}

// TestForeignPages demands that a browser's request from another origin is
// refused, and one from the server's own or a trusted origin is not.
func TestForeignPages(t *testing.T) {
	s := mustSite(t, server.Options{Origins: []string{"https://app.example.com"}})
	for _, tt := range []struct {
		origin, site string
		status       int
	}{
		{"", "", 200},
		{s.url, "same-origin", 200},
		{"https://app.example.com", "cross-site", 200},
		{"https://evil.example.com", "cross-site", 403},
		{"https://evil.example.com", "", 403},
		{"null", "cross-site", 403},
	} {
		req := s.mustRequest(t, "POST", "/v1/apps/acme/functions/text:length", nil)
		if tt.origin != "" {
			req.Header.Set("Origin", tt.origin)
		}
		if tt.site != "" {
			req.Header.Set("Sec-Fetch-Site", tt.site)
		}
		if got := s.mustSend(t, req); got.status != tt.status {
			t.Errorf("origin %q, site %q: got %d %s", tt.origin, tt.site, got.status, got.body)
		}
	}
}
