package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server"
)

// H5: a page of an allowed origin can call, as a browser goes about it: it asks
// first, and is told. No other page is told anything.
func TestCORS(t *testing.T) {
	const friend = "https://app.example.com"
	h := server.New(mustOpen(t), server.Options{Origins: []string{friend}, Admin: func(*http.Request) error { return nil }})
	ask := func(method, url string, header ...string) *http.Response {
		r := httptest.NewRequest(method, url, strings.NewReader(`{}`))
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Result()
	}
	const function, crons = "http://api.example.com/v1/apps/acme/functions/a:b", "http://api.example.com/v1/apps/acme/crons"
	preflight := func(origin, headers string) *http.Response {
		return ask("OPTIONS", function, "Origin", origin, "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", headers)
	}
	for _, headers := range []string{"authorization", "content-type", "convex-client", "idempotency-key", "authorization,content-type,convex-client,idempotency-key"} {
		resp := preflight(friend, headers)
		if resp.StatusCode != http.StatusNoContent || resp.Header.Get("Access-Control-Allow-Origin") != friend ||
			resp.Header.Get("Access-Control-Allow-Methods") != "POST" || resp.Header.Get("Access-Control-Allow-Headers") != headers {
			t.Errorf("the preflight of %s is answered with %d %v", headers, resp.StatusCode, resp.Header)
		}
	}
	call := ask("POST", function, "Origin", friend, "Sec-Fetch-Site", "cross-site", "Content-Type", "application/json")
	if call.StatusCode != http.StatusNotFound || call.Header.Get("Access-Control-Allow-Origin") != friend {
		t.Errorf("the call is answered with %d %v", call.StatusCode, call.Header)
	}
	for name, resp := range map[string]*http.Response{
		"preflight of another origin":         preflight("https://evil.example.com", "content-type"),
		"preflight of the origin without TLS": preflight("http://app.example.com", "content-type"),
		"preflight of null":                   preflight("null", "content-type"),
		"preflight of another header":         preflight(friend, "x-secret"),
		"preflight of another method":         ask("OPTIONS", function, "Origin", friend, "Access-Control-Request-Method", "DELETE"),
		"call of another origin":              ask("POST", function, "Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site"),
		"preflight of an admin route":         ask("OPTIONS", crons, "Origin", friend, "Access-Control-Request-Method", "POST"),
		"call of an admin route":              ask("POST", crons, "Origin", friend, "Sec-Fetch-Site", "cross-site", "Content-Type", "application/json"),
	} {
		if got := resp.Header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("%s: allowed for %q", name, got)
		}
		if got := resp.Header.Get("Access-Control-Allow-Credentials"); got != "" {
			t.Errorf("%s: credentials are let in", name)
		}
	}
	for _, method := range []string{"POST", "GET", "HEAD"} {
		if got := ask(method, crons, "Origin", friend, "Sec-Fetch-Site", "cross-site", "Content-Type", "application/json").StatusCode; got != http.StatusForbidden {
			t.Errorf("a page of an allowed origin calls an operator route with %s: %d", method, got)
		}
	}
	for header, want := range map[string]int{"Sec-Fetch-Site: same-origin": 404, "Origin: http://api.example.com": 404, "Origin: https://evil.example.com": 403, "Sec-Fetch-Site: cross-site": 403, "Sec-Fetch-Site: same-site": 403} {
		name, value, _ := strings.Cut(header, ": ")
		if got := ask("GET", crons, name, value).StatusCode; got != want {
			t.Errorf("an operator route with %s: %d, want %d", header, got, want)
		}
	}
	// An upgrade that names an origin needs it to be its own, or allowed.
	for origin, want := range map[string]int{"": 405, friend: 405, "http://api.example.com": 405, "https://evil.example.com": 403, "null": 403} {
		header := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
		if origin != "" {
			header = append(header, "Origin", origin)
		}
		if got := ask("GET", function, header...).StatusCode; got != want {
			t.Errorf("an upgrade with the origin %q: %d, want %d", origin, got, want)
		}
	}
}

// H8: on a loopback address a request must be for this machine, if no one is asked
// who they are, on each route.
func TestLoopbackChecksHost(t *testing.T) {
	nobody := func(*http.Request) (*dispatch.Identity, error) { return nil, nil }
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8377}
	for _, tt := range []struct {
		name, host string
		opts       server.Options
		addr       net.Addr
		want       bool
	}{
		{"localhost", "localhost:8377", server.Options{}, loopback, true},
		{"trailing dot, upper case", "LOCALHOST.", server.Options{}, loopback, true},
		{"address", "127.0.0.1:8377", server.Options{}, loopback, true},
		{"another loopback address", "127.8.8.8", server.Options{}, loopback, true},
		{"IPv6", "[::1]:8377", server.Options{}, loopback, true},
		{"a page's name", "evil.example.com", server.Options{}, loopback, false},
		{"a page's name with the port", "evil.example.com:8377", server.Options{}, loopback, false},
		{"a name that begins like it", "localhost.example.com", server.Options{}, loopback, false},
		{"an address that is not loopback", "10.0.0.1", server.Options{}, loopback, false},
		{"a name that begins like an address", "127.0.0.1.example.com", server.Options{}, loopback, false},
		{"every address", "0.0.0.0:8377", server.Options{}, loopback, false},
		{"none", "", server.Options{}, loopback, false},
		{"a name that is listed", "carillon.test", server.Options{Hosts: []string{"carillon.test"}}, loopback, true},
		{"a name that is listed in another case", "carillon.TEST:80", server.Options{Hosts: []string{"Carillon.test"}}, loopback, true},
		{"with Identify", "api.example.com", server.Options{Identify: nobody}, loopback, true},
		{"on another address", "api.example.com", server.Options{}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, true},
	} {
		tt.opts.Admin = func(*http.Request) error { return nil }
		h := server.New(mustOpen(t), tt.opts)
		for _, url := range []string{"/v1/health", "/v1/apps/acme/functions/a:b", "/v1/apps/acme/crons", "/nowhere"} {
			r := httptest.NewRequest(http.MethodGet, url, nil)
			r.Host = tt.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.addr)))
			want := tt.want && (tt.opts.Identify == nil || !strings.HasSuffix(url, "crons")) // of operators it is checked all the same
			if got := w.Code != http.StatusForbidden; got != want {
				t.Errorf("%s: %s is answered with %d", tt.name, url, w.Code)
			}
		}
	}
}

// H9: an IPv6 network of 64 bits is one remote host.
func TestHostsAreCountedByNetwork(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:80":            "192.0.2.1",
		"192.0.2.2:81":            "192.0.2.2",
		"[::ffff:192.0.2.1]:80":   "192.0.2.1",
		"[2001:db8:1:2::1]:80":    "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:9": "2001:db8:1:2::/64",
		"[2001:db8:1:3::1]:80":    "2001:db8:1:3::/64",
		"[fe80::1%eth0]:80":       "fe80::/64",
		"@":                       "",
		"":                        "",
	} {
		if got := server.HostOf(remote); got != want {
			t.Errorf("%s is counted for %q, want %q", remote, got, want)
		}
	}
}

// H2: the refusals of net/http itself are JSON as well.
func TestRefusalsOfTheServerAreJSON(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln, server.New(mustOpen(t), server.Options{}), time.Second, nil) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, tt := range []struct {
		name, request string
		status        int
		code          dispatch.Code
	}{
		{"no request", "hello\r\n\r\n", 400, dispatch.CodeInvalidArgument},
		{"no host", "GET / HTTP/1.1\r\n\r\n", 400, dispatch.CodeInvalidArgument},
		{"two lengths", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, dispatch.CodeInvalidArgument},
		{"a header without end", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 80<<10), 431, dispatch.CodeResourceExhausted},
		{"another version", "GET / HTTP/3.0\r\nHost: localhost\r\n\r\n", 505, dispatch.CodeUnimplemented},
		{"an encoding", "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: zip\r\n\r\n", 501, dispatch.CodeUnimplemented},
		{"an expectation", "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nExpect: mercy\r\n\r\n", 417, dispatch.CodeInvalidArgument},
		{"options of all", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", 404, dispatch.CodeNotFound},
		{"functions without one", "POST /v1/apps/acme/functions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404, dispatch.CodeNotFound},
		{"two slashes", "POST //v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 404, dispatch.CodeNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprint(conn, tt.request); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var refusal struct {
				Code    dispatch.Code
				Message string
			}
			if err := json.Unmarshal(body, &refusal); err != nil || resp.StatusCode != tt.status || refusal.Code != tt.code || refusal.Message == "" {
				t.Errorf("answered with %d %s (%v), want %d %s", resp.StatusCode, body, err, tt.status, tt.code)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/json" {
				t.Errorf("the type is %q", got)
			}
		})
	}
}

// H2: to one who accepts HTML, as a browser does that goes to a page, the refusals of net/http itself are pages, which
// load nothing; what it has accepted in a request before does not count.
func TestRefusalsOfTheServerAreForBrowsersPages(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, ln, server.New(mustOpen(t), server.Options{}), time.Minute, nil) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	const get, accept = "GET / HTTP/1.1\r\nHost: localhost\r\n", "aCCept: application/xhtml+xml, text/html;q=0.9\r\n"
	for _, tt := range []struct {
		name   string
		pieces []string // each sent when the one before was answered
		status int
		page   bool
		text   string
	}{
		{"headers that are too long", []string{get + accept + "Cookie: " + strings.Repeat("x", 80<<10)}, 431, true, "<p>Request Header Fields Too Large</p>"},
		{"no host", []string{"GET / HTTP/1.1\r\n" + accept + "\r\n"}, 400, true, "<p>missing required Host header</p>"},
		{"JSON", []string{"GET / HTTP/1.1\r\nAccept: application/json\r\n\r\n"}, 400, false, "missing required Host header"},
		{"the second of a connection", []string{get + "\r\n", "GET / HTTP/1.1\r\n" + accept + "\r\n"}, 400, true, "<p>missing"},
		{"JSON behind a page", []string{get + accept + "\r\n", "GET / HTTP/1.1\r\n\r\n"}, 400, false, "missing"},
		{"what is said too late", []string{"GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 5<<10) + "\r\n" + accept + "\r\n"}, 400, false, "missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			var resp *http.Response
			var body []byte
			for answers, i := bufio.NewReader(conn), 0; i < len(tt.pieces); i++ {
				if _, err := io.WriteString(conn, tt.pieces[i]); err != nil {
					t.Fatal(err)
				}
				if resp, err = http.ReadResponse(answers, nil); err != nil {
					t.Fatal(err)
				}
				if body, err = io.ReadAll(resp.Body); err != nil {
					t.Fatal(err)
				}
			}
			page := resp.Header.Get("Content-Type") == "text/html; charset=utf-8" && strings.HasPrefix(resp.Header.Get("Content-Security-Policy"), "default-src 'none';") && bytes.HasPrefix(body, []byte("<!doctype html>"))
			if resp.StatusCode != tt.status || page != tt.page || !page && !json.Valid(body) || !bytes.Contains(body, []byte(tt.text)) {
				t.Errorf("answered with %d %v %s", resp.StatusCode, resp.Header, body)
			}
		})
	}
}

// H2: a client that sends more than is taken still gets its answer: the server ends
// its side of the connection, and waits before it resets the client's.
func TestAnAnswerReachesAClientThatStillSends(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	halves := &halfCounter{Listener: ln}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, halves, server.New(mustOpen(t), server.Options{}), time.Second, nil) }()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nX: "+strings.Repeat("x", 80<<10)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	if n := halves.n.Load(); n != 1 {
		t.Errorf("the server has ended its side %d times before it closed", n)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// halfCounter counts the ends of a server's sides of connections.
type halfCounter struct {
	net.Listener
	n atomic.Int32
}

func (l *halfCounter) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &halfConn{conn.(*net.TCPConn), &l.n}, nil
}

type halfConn struct {
	*net.TCPConn
	n *atomic.Int32
}

func (c *halfConn) CloseWrite() error {
	c.n.Add(1)
	return c.TCPConn.CloseWrite()
}

// mustOpen opens an engine without functions.
func mustOpen(t *testing.T) *actors.Engine {
	t.Helper()
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: dispatch.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return eng
}
