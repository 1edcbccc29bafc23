package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/server"
)

// padded is the arguments {} in so many bytes.
func padded(n int) string { return "{" + strings.Repeat(" ", n-2) + "}" }

// TestG24_BodiesUnderWayAreBounded: while large bodies are under way, one more is
// refused and told when to come again, and small calls are served.
func TestG24_BodiesUnderWayAreBounded(t *testing.T) {
	const free, each = 16 << 10, 100_000
	s := mustSite(t, server.Options{MaxMemory: 2*(each+1-free) + 50_000})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			if got := s.call(t, "acme", "slow:wait", padded(each)); got.status != 200 {
				t.Errorf("a large call: %d %s", got.status, got.body)
			}
		})
		<-s.started
	}
	got := s.call(t, "acme", "notes/all:count", padded(each))
	if want := `{"code":"unavailable","message":"too many large requests are under way: nothing was done"}` + "\n"; got.status != 503 || got.body != want || got.header.Get("Retry-After") != "1" {
		t.Errorf("one more: %d %s, Retry-After %q", got.status, got.body, got.header.Get("Retry-After"))
	}
	for _, n := range []int{2, free - 1} {
		if got := s.call(t, "acme", "notes/all:count", padded(n)); got.status != 200 {
			t.Errorf("a call of %d bytes: %d %s", n, got.status, got.body)
		}
	}
	// One of unknown length takes as it grows.
	req := s.mustRequest(t, "POST", "/v1/apps/acme/functions/notes/all:count", nil)
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(padded(each))), -1
	if got := s.mustSend(t, req); got.status != 503 {
		t.Errorf("one of unknown length: %d %s", got.status, got.body)
	}
	s.release <- struct{}{}
	s.release <- struct{}{}
	wg.Wait()
	for range 5 { // each gives back what it took, the refused ones too
		if got := s.call(t, "acme", "notes/all:count", padded(each)); got.status != 200 {
			t.Errorf("afterwards: %d %s", got.status, got.body)
		}
	}
}

// TestG24_AnswersUnderWayAreBounded: a result for which there is no room is not sent,
// and its caller is not told that nothing was done.
func TestG24_AnswersUnderWayAreBounded(t *testing.T) {
	s := mustSite(t, server.Options{MaxMemory: 100_000})
	text := strings.Repeat("x", 70_000)
	got := s.call(t, "acme", "notes:post", `{"text":"`+text+`"}`)
	if got.status != 200 {
		t.Fatalf("posting: %d %s", got.status, got.body)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(got.body, `{"result":"`), "\"}\n")
	if got := s.call(t, "acme", "notes:read", `{"id":"`+id+`"}`); got.status != 500 || !strings.Contains(got.body, `"code":"unknown"`) {
		t.Errorf("reading: %d %.200s", got.status, got.body)
	}
	if got := s.call(t, "acme", "notes/all:count", "{}"); got.status != 200 {
		t.Errorf("a small call: %d %s", got.status, got.body)
	}
}

// TestG24_SlowBodiesTakeWhatHasCome: what a client announces and does not send takes
// no memory.
func TestG24_SlowBodiesTakeWhatHasCome(t *testing.T) {
	s := mustSite(t, server.Options{})
	const clients = 200
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range clients {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := "POST /v1/apps/acme/functions/notes:post HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n"
		if _, err := io.WriteString(conn, head); err != nil {
			t.Fatal(err)
		}
		// The server reads the body by the time it asks for it.
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 100") {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if took := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / clients; took > 100_000 {
		t.Errorf("each takes %d bytes", took)
	}
}

// TestG24_AHostHasAShareOfTheConnections: three quarters of the connections are served
// for one host, and its next one is closed; another host is served meanwhile.
func TestG24_AHostHasAShareOfTheConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inside <- struct{}{}
		<-release
	})
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		done <- server.Serve(ctx, server.LimitConns(ln, 8), h, time.Second, slog.New(slog.DiscardHandler))
	}()
	ask := func(from byte) net.Conn {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, from)}}
		conn, err := dialer.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") // it may be closed already
		return conn
	}
	refused := func(what string) {
		t.Helper()
		if n, err := ask(2).Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s is served", what)
		}
	}
	var conns []net.Conn
	for range 6 {
		conns = append(conns, ask(2))
		mustGet(t, inside)
	}
	refused("a seventh of eight for one host")
	for range 2 {
		conns = append(conns, ask(3))
		mustGet(t, inside)
	}
	refused("one more")
	for range conns {
		release <- struct{}{}
	}
	for _, conn := range conns {
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	// Its idle ones make room for its next ones.
	for range 10 {
		conn := ask(2)
		mustGet(t, inside)
		release <- struct{}{}
		if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != 200 {
			t.Errorf("got %v, %v", resp, err)
		}
	}
	stop()
	if err := mustGet(t, done); err != nil {
		t.Error(err)
	}
}

// TestG24_ConnectionsAreBounded: one more than there may be waits until one is
// closed, and one that is idle is closed for it at once.
func TestG24_ConnectionsAreBounded(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	inside, release := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			inside <- struct{}{}
			<-release
		}
		_, _ = io.WriteString(w, "served")
	})
	done := make(chan error, 1)
	go func() {
		done <- server.Serve(t.Context(), server.LimitConns(ln, 2), h, time.Millisecond, slog.New(slog.DiscardHandler))
	}()
	ask := func(path string) net.Conn {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	served := func(conn net.Conn) <-chan string {
		got := make(chan string, 1)
		go func() {
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				got <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			got <- string(body)
		}()
		return got
	}
	first := ask("/wait")
	mustGet(t, inside)
	second := ask("/wait")
	mustGet(t, inside)
	third := ask("/wait")
	select {
	case <-inside:
		t.Error("a third connection is served beside two")
	case <-time.After(50 * time.Millisecond):
	}
	release <- struct{}{} // one of the two is idle now, and is closed
	mustGet(t, inside)
	release <- struct{}{}
	release <- struct{}{}
	for _, conn := range []net.Conn{first, second, third} {
		if got := mustGet(t, served(conn)); got != "served" {
			t.Errorf("got %s", got)
		}
	}
	// Idle ones make room at once.
	for range 5 {
		if got := mustGet(t, served(ask("/"))); got != "served" {
			t.Errorf("got %s", got)
		}
	}
}

// mustGet receives what must come before long.
func mustGet[T any](tb testing.TB, ch <-chan T) (v T) {
	tb.Helper()
	select {
	case v = <-ch:
	case <-time.After(10 * time.Second):
		tb.Fatal("nothing comes")
	}
	return v
}
