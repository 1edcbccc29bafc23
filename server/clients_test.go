package server_test

import (
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
)

// TestG24_RequestsOfAClientAreBounded: behind a proxy, where connections do not tell clients apart,
// one has so many requests under way, and others are served meanwhile.
func TestG24_RequestsOfAClientAreBounded(t *testing.T) {
	s := mustSite(t, server.Options{})
	h := server.New(s.eng, server.Options{
		Logger: slog.New(slog.DiscardHandler), MaxClientRequests: 3, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	})
	ask := func(hop, function string) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("POST", "/v1/apps/acme/functions/"+function, strings.NewReader("{}")), httptest.NewRecorder()
		r.RemoteAddr = "10.0.0.1:80"
		r.Header.Set("X-Forwarded-For", hop)
		h.ServeHTTP(w, r)
		return w
	}
	const one, same, other = "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"
	for range 2 {
		var slow sync.WaitGroup
		for i := range 3 {
			slow.Go(func() {
				if w := ask([]string{one, same}[i%2], "slow:wait"); w.Code != 200 {
					t.Errorf("request %d of three: %d %s", i+1, w.Code, w.Body)
				}
			})
			<-s.started
		}
		const want = `{"code":"resource_exhausted","message":"3 requests of this client are under way, as many as there may be (MaxClientRequests): nothing was done"}` + "\n"
		if w := ask(one, "notes/all:count"); w.Code != 429 || w.Body.String() != want || w.Header().Get("Retry-After") != "1" {
			t.Errorf("the fourth: %d %s", w.Code, w.Body)
		}
		if w := ask(other, "notes/all:count"); w.Code != 200 {
			t.Errorf("another client: %d %s", w.Code, w.Body)
		}
		for range 3 {
			s.release <- struct{}{}
		}
		slow.Wait()
		if n := server.UnderWay(h); n != 0 {
			t.Errorf("%d clients are remembered that have nothing under way", n)
		}
	}
}

// TestG24_BytesOfAClientAreBounded: what its bodies take together is bounded to the byte, other
// clients have theirs, and small calls are served.
func TestG24_BytesOfAClientAreBounded(t *testing.T) {
	const free, each = 16 << 10, 100_000
	s := mustSite(t, server.Options{})
	h := server.New(s.eng, server.Options{Logger: slog.New(slog.DiscardHandler), MaxClientMemory: 2 * (each + 1 - free)})
	ask := func(remote, function string, bytes int) *httptest.ResponseRecorder {
		r, w := httptest.NewRequest("POST", "/v1/apps/acme/functions/"+function, strings.NewReader(padded(bytes))), httptest.NewRecorder()
		r.RemoteAddr = remote
		h.ServeHTTP(w, r)
		return w
	}
	const one, other = "192.0.2.1:1", "192.0.2.2:1"
	for _, tt := range []struct {
		second, status int // how large it is beside the first, and what it is answered with
	}{{each, 200}, {each + 1, 429}, {each, 200}} {
		var slow sync.WaitGroup
		large := func(bytes int) {
			slow.Go(func() {
				if w := ask(one, "slow:wait", bytes); w.Code != 200 {
					t.Errorf("%d bytes: %d %s", bytes, w.Code, w.Body)
				}
			})
			<-s.started
		}
		large(each)
		begun := 1
		if tt.status == 200 {
			large(tt.second)
			begun++
			tt.second = free // a byte beyond what is free
		}
		const want = `{"code":"resource_exhausted","message":"too many large requests of this client are under way, whose limit is 167234 bytes (MaxClientMemory): nothing was done"}` + "\n"
		if w := ask(one, "notes/all:count", tt.second); w.Code != 429 || w.Body.String() != want || w.Header().Get("Retry-After") != "1" {
			t.Errorf("%d bytes more: %d %s", tt.second, w.Code, w.Body)
		}
		if w := ask(one, "notes/all:count", free-1); w.Code != 200 {
			t.Errorf("a small call: %d %s", w.Code, w.Body)
		}
		if w := ask(other, "notes/all:count", each); w.Code != 200 {
			t.Errorf("another client: %d %s", w.Code, w.Body)
		}
		for range begun {
			s.release <- struct{}{}
		}
		slow.Wait()
	}
}

// TestLongPollsAreBounded: they count with the streams, and only while they wait.
func TestLongPollsAreBounded(t *testing.T) {
	actorstest.Run(t, eventsEngine(), func(h *actorstest.Harness) {
		handler := server.New(h.Engine, server.Options{Operator: eventsOperators.hook, MaxStreams: 4, Logger: slog.New(slog.DiscardHandler)})
		id, err := h.Scheduler("acme").RunAfter(time.Hour, dispatch.Path("work:do").With(1))
		if err != nil {
			t.Fatal(err)
		}
		ask := func(wait string) *httptest.ResponseRecorder {
			r, w := httptest.NewRequest("GET", "/v1/apps/acme/jobs/"+string(id)+"/result?wait="+wait, nil), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer all")
			handler.ServeHTTP(w, r)
			return w
		}
		for range 2 {
			var polls sync.WaitGroup
			for range 3 {
				polls.Go(func() {
					if w := ask("10s"); w.Code != 200 {
						t.Errorf("one of three: %d %s", w.Code, w.Body)
					}
				})
			}
			h.Settle()
			if w := ask("10s"); w.Code != 429 || !strings.Contains(w.Body.String(), "has 3 streams of events and long polls, as many as one may have") {
				t.Errorf("the fourth: %d %s", w.Code, w.Body)
			}
			if w := ask("0s"); w.Code != 200 {
				t.Errorf("one that does not wait: %d %s", w.Code, w.Body)
			}
			h.Advance(10 * time.Second)
			polls.Wait()
		}
	})
}
