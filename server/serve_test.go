package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"carillon/server"
)

// serving is Serve under way.
type serving struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func mustServe(t *testing.T, h http.Handler, drain time.Duration) *serving {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s := &serving{url: "http://" + ln.Addr().String(), stop: stop, done: make(chan error, 1)}
	go func() { s.done <- server.Serve(ctx, ln, h, drain, slog.New(slog.DiscardHandler)) }()
	return s
}

// get asks in a goroutine, on a connection of its own.
func (s *serving) get(t *testing.T) <-chan string {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answered := make(chan string, 1)
	go func() {
		resp, err := client.Get(s.url)
		if err != nil {
			answered <- "cut off"
			return
		}
		defer resp.Body.Close()
		body, _ := io.ReadAll(resp.Body)
		answered <- string(body)
	}()
	return answered
}

// TestServeDrains stops a server while a request is in it: that one is served,
// and a new one is not.
func TestServeDrains(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	s := mustServe(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(inside)
		<-release
		_, _ = io.WriteString(w, "served")
	}), time.Minute)
	answered := s.get(t)
	<-inside
	s.stop()
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			break // it listens no more
		}
		conn.Close()
	}
	close(release)
	if got := <-answered; got != "served" {
		t.Errorf("the request inside was %s", got)
	}
	if err := <-s.done; err != nil {
		t.Error(err)
	}
}

// TestServeCutsOff stops a server whose request outlasts the drain.
func TestServeCutsOff(t *testing.T) {
	inside, canceled := make(chan struct{}), make(chan struct{})
	s := mustServe(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(inside)
		<-r.Context().Done()
		close(canceled)
	}), time.Millisecond)
	answered := s.get(t)
	<-inside
	s.stop()
	if err := <-s.done; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve returned %v", err)
	}
	<-canceled
	if got := <-answered; got != "cut off" {
		t.Errorf("the request inside was answered with %q", got)
	}
}

func TestServeTellsOfABadListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := server.Serve(t.Context(), ln, http.NotFoundHandler(), time.Second, nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}
