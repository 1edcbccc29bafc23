package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
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
)

// probe asks the handler, and returns the status and the body.
func probe(h http.Handler, method, path string) (int, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, "http://localhost"+path, nil))
	return w.Code, strings.TrimSuffix(w.Body.String(), "\n")
}

// TestReadiness: a server is ready while it can serve anything, and says so when it needs a person; it
// is alive whatever happens.
func TestReadiness(t *testing.T) {
	dir := t.TempDir()
	eng, err := actors.Open(dir, actors.Options{Functions: dispatch.NewRegistry(), Volumes: 2, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := server.New(eng, server.Options{BasePath: "/x"})
	want := func(status int, body string) {
		t.Helper()
		if got, text := probe(h, "GET", "/x/readyz"); got != status || text != body {
			t.Errorf("it is %d %s, want %d %s", got, text, status, body)
		}
		if got, text := probe(h, "GET", "/x/livez"); got != 200 || text != `{"status":"ok"}` {
			t.Errorf("alive: %d %s", got, text)
		}
	}
	lose := func(volume string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, volume), filepath.Join(dir, volume+".away")); err != nil {
			t.Fatal(err)
		}
	}
	want(200, `{"status":"ok"}`)
	lose("volume-001.db")
	want(200, `{"status":"degraded","reasons":["1 of 2 volumes are down: their apps are not served"]}`)
	if got, _ := probe(h, "GET", "/x/v1/health"); got != 503 {
		t.Errorf("/v1/health with a volume down: %d", got)
	}
	lose("volume-000.db")
	want(503, `{"status":"failing","reasons":["all 2 volumes are down"]}`)
	_ = eng.Close(t.Context()) // it says that the volumes are lost
	want(503, `{"status":"draining","reasons":["the engine is closing"]}`)
	if got, _ := probe(h, "POST", "/x/readyz"); got != 405 {
		t.Errorf("a POST: %d", got)
	}
	if got, text := probe(h, "HEAD", "/x/livez"); got != 200 {
		t.Errorf("a HEAD: %d %s", got, text)
	}
}

// TestProbesAreAlwaysAnswered: whatever name is asked for, and however often.
func TestProbesAreAlwaysAnswered(t *testing.T) {
	h := server.New(mustOpen(t), server.Options{RequestsPerSecond: 1})
	for _, path := range []string{"/livez", "/readyz"} {
		for range 3 {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://balancer.internal"+path, nil)
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})))
			if w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
		}
	}
}

// TestStartup: before there is an engine the server is alive, and not ready.
func TestStartup(t *testing.T) {
	s := &server.Startup{BasePath: "/x"}
	for _, want := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/x/livez", 200, `{"status":"ok"}`},
		{"GET", "/x/readyz", 503, `{"status":"starting","reasons":["the engine is being opened"]}`},
		{"POST", "/x/readyz", 405, `{"code":"unimplemented","message":"method \"POST\" is not for this route, want GET, HEAD"}`},
		{"POST", "/x/v1/apps/acme/functions/a:b", 503, `{"code":"unavailable","message":"the server is starting"}`},
		{"GET", "/livez", 503, `{"code":"unavailable","message":"the server is starting"}`},
	} {
		if status, body := probe(s, want.method, want.path); status != want.status || body != want.body {
			t.Errorf("%s %s: %d %s, want %d %s", want.method, want.path, status, body, want.status, want.body)
		}
	}
	s.Serve(server.New(mustOpen(t), server.Options{BasePath: "/x"}))
	if status, body := probe(s, "GET", "/x/readyz"); status != 200 {
		t.Errorf("with an engine: %d %s", status, body)
	}
}

// TestStandBy: a node that stands by is alive and not ready, and says where the owner is, also once it was the owner.
func TestStandBy(t *testing.T) {
	s, owner := &server.Startup{BasePath: "/x"}, ""
	refused := func(want string) {
		t.Helper()
		for path, wanted := range map[string]string{
			"/x/readyz":       `{"status":"standby","reasons":["another node owns the store, or none does yet"]}`,
			"/x/v1/apps/acme": `{"code":"unavailable","message":"this node stands by: another one owns the store, or none does yet"}`,
		} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
			probes := path == "/x/readyz"
			if w.Code != 503 || strings.TrimSpace(w.Body.String()) != wanted {
				t.Errorf("%s: %d %s, want 503 %s", path, w.Code, w.Body, wanted)
			}
			if at, after := w.Header().Get(server.OwnerHeader), w.Header().Get("Retry-After"); !probes && (at != want || after != "1") {
				t.Errorf("%s: the owner is at %q, and it may be asked after %q, want %q", path, at, after, want)
			}
		}
		if status, body := probe(s, "GET", "/x/livez"); status != 200 {
			t.Errorf("/x/livez: %d %s", status, body)
		}
	}
	s.StandBy(func() string { return owner })
	refused("")
	owner = "http://10.0.0.1:8377"
	refused(owner)
	s.Serve(server.New(mustOpen(t), server.Options{BasePath: "/x"}))
	if status, body := probe(s, "GET", "/x/readyz"); status != 200 {
		t.Errorf("as the owner: %d %s", status, body)
	}
	s.StandBy(func() string { return owner })
	refused(owner)
}

// TestProbesOfTheirOwn are answered as below the base path, and metrics to this machine by name.
func TestProbesOfTheirOwn(t *testing.T) {
	s := &server.Startup{BasePath: "/x"}
	h := s.Probes(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "metrics") }), "gauge.internal")
	for _, tt := range []struct {
		method, host, path string
		status             int
		body               string
	}{
		{"GET", "evil.example", "/livez", 200, `{"status":"ok"}`},
		{"GET", "localhost", "/readyz", 503, `{"status":"starting","reasons":["the engine is being opened"]}`},
		{"GET", "localhost", "/metrics", 200, "metrics"},
		{"GET", "gauge.internal:9377", "/metrics", 200, "metrics"},
		{"GET", "evil.example", "/metrics", 403, `{"code":"permission_denied","message":"host \"evil.example\" is not this machine: use localhost or 127.0.0.1"}`},
		{"POST", "localhost", "/metrics", 405, `{"code":"unimplemented","message":"method \"POST\" is not for this route, want GET, HEAD"}`},
		{"POST", "localhost", "/readyz", 405, `{"code":"unimplemented","message":"method \"POST\" is not for this route, want GET, HEAD"}`},
		{"GET", "localhost", "/x/livez", 404, `{"code":"not_found","message":"no route \"/x/livez\": here are /livez, /readyz and /metrics"}`},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(tt.method, "http://"+tt.host+tt.path, nil)
		h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})))
		if body := strings.TrimSuffix(w.Body.String(), "\n"); w.Code != tt.status || body != tt.body {
			t.Errorf("%s %s of %s: %d %s, want %d %s", tt.method, tt.path, tt.host, w.Code, body, tt.status, tt.body)
		}
	}
	s.Serve(server.New(mustOpen(t), server.Options{BasePath: "/x"}))
	if status, body := probe(h, "GET", "/readyz"); status != 200 {
		t.Errorf("with an engine: %d %s", status, body)
	}
}

// TestDrainingComesBeforeTheEnd: first the server says that it is about to stop and ends its streams, and
// answers calls as before; then it ends.
func TestDrainingComesBeforeTheEnd(t *testing.T) {
	s := mustSite(t, server.Options{})
	draining, drain := context.WithCancel(t.Context())
	srv := httptest.NewServer(server.New(s.eng, server.Options{Admin: func(*http.Request) error { return nil }, Draining: draining}))
	defer srv.Close()
	s.url = srv.URL
	if got := s.call(t, "acme", "notes:post", `{"text":"hi"}`); got.status != 200 {
		t.Fatal(got)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	resp, err := s.client.Do(s.mustRequest(t, "GET", "/v1/apps/acme/events", nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rest := bufio.NewReader(resp.Body)
	for line := ""; line != "event: ready\n"; {
		if line, err = rest.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	drain()
	body, err := io.ReadAll(rest)
	if err != nil || !strings.HasSuffix(string(body), "event: end\ndata: {\"code\":\"unavailable\",\"message\":\"the server stops\"}\n\n") {
		t.Errorf("the stream is %s, %v", body, err)
	}
	if got := s.mustSend(t, s.mustRequest(t, "GET", "/readyz", nil)); got.status != 503 || got.body != `{"status":"draining","reasons":["the server is about to stop"]}`+"\n" {
		t.Errorf("it is %d %s", got.status, got.body)
	}
	if got := s.call(t, "acme", "notes:post", `{"text":"hi"}`); got.status != 200 {
		t.Errorf("a call while it drains: %d %s", got.status, got.body)
	}
}

// aLease is one that was not held to the end, or that is.
type aLease struct{ err error }

func (l *aLease) Held() error           { return l.err }
func (l *aLease) Lost() <-chan struct{} { return nil }
func (l *aLease) Term() context.Context { return context.Background() }

// TestNotReadyWithoutTheLease: a node whose lease is not held refuses calls, and says that it is not ready, so that a
// load balancer sees no two owners.
func TestNotReadyWithoutTheLease(t *testing.T) {
	lease := new(aLease)
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: dispatch.NewRegistry(), Volumes: 1, Logger: slog.New(slog.DiscardHandler), Testing: actors.Testing{Lease: lease}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close(context.Background()) })
	h := server.New(eng, server.Options{})
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, `200 {"status":"ok"}`},
		{errors.New("no answer"), `503 {"status":"failing","reasons":["this node's lease on the log is not held: another one may have taken over"]}`},
		{nil, `200 {"status":"ok"}`},
	} {
		lease.err = tt.err
		if status, body := probe(h, "GET", "/readyz"); fmt.Sprint(status, " ", body) != tt.want {
			t.Errorf("ready: %d %s, want %s", status, body, tt.want)
		}
	}
}

// TestNoTokenIsJudgedWithoutTheLease: a node whose lease is not held cannot say that a token is not good, nor which there
// are: the next owner may have made or revoked some.
func TestNoTokenIsJudgedWithoutTheLease(t *testing.T) {
	lease := new(aLease)
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: dispatch.NewRegistry(), Volumes: 1, Logger: slog.New(slog.DiscardHandler), Testing: actors.Testing{Lease: lease}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close(context.Background()) })
	known, _, err := server.NewToken(eng.Tokens(), server.Operator{Name: "ann", AllApps: true, Scopes: []server.Scope{server.ScopeAdmin}}, time.Now(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	h := server.New(eng, server.Options{Operator: server.Tokens(eng)})
	for _, tt := range []struct {
		err         error
		known, none int
	}{{nil, 200, 401}, {errors.New("no answer"), 503, 503}} {
		lease.err = tt.err
		for token, want := range map[string]int{known: tt.known, "carillon_aaaaaaaaaa_b": tt.none} {
			w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "http://localhost/v1/tokens", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			if h.ServeHTTP(w, r); w.Code != want {
				t.Errorf("with %s, lease %v: %d %s, want %d", token, tt.err, w.Code, w.Body, want)
			}
		}
	}
}
