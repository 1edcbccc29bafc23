package server_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
)

// TestG24_ClientsAskSoManyTimesASecond: each client, and as many at once; the next is refused until
// the instant that it is told.
func TestG24_ClientsAskSoManyTimesASecond(t *testing.T) {
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry()}, func(h *actorstest.Harness) {
		site := server.New(h.Engine, server.Options{RequestsPerSecond: 4})
		ask := func(remote string) (int, string) {
			r, w := httptest.NewRequest("GET", "/v1/health", nil), httptest.NewRecorder()
			r.RemoteAddr = remote
			site.ServeHTTP(w, r)
			return w.Code, w.Header().Get("Retry-After") + w.Body.String()
		}
		const one, same, other = "[2001:db8::1]:1", "[2001:db8::2]:2", "192.0.2.1:1"
		for range 10 {
			for i := range 4 {
				if status, _ := ask([]string{one, same}[i%2]); status != 200 {
					t.Errorf("request %d of 4 is answered with %d", i+1, status)
				}
			}
			if status, body := ask(one); status != 429 || body != `1{"code":"resource_exhausted","message":"more than 4 requests in a second: nothing was done"}`+"\n" {
				t.Errorf("the fifth: %d %s", status, body)
			}
			h.Advance(time.Second/4 - 1)
			if status, _ := ask(same); status != 429 {
				t.Errorf("a nanosecond early: %d", status)
			}
			h.Advance(1)
			if status, _ := ask(same); status != 200 {
				t.Errorf("in time: %d", status)
			}
			h.Advance(time.Second)
		}
		if status, _ := ask(other); status != 200 {
			t.Errorf("another client: %d", status)
		}
		if n := server.Rated(site, 20_000); n != 16384 {
			t.Errorf("%d clients are remembered", n)
		}
	})
}

// TestClientsBehindProxies: of the hops a request has made the last counts that is no trusted proxy.
func TestClientsBehindProxies(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:a::/48")}
	for _, tt := range []struct{ remote, hops, want string }{
		{"192.0.2.1:80", "", "192.0.2.1"},
		{"192.0.2.1:80", "198.51.100.1", "192.0.2.1"}, // which any client can write
		{"10.0.0.1:80", "", "10.0.0.1"},
		{"10.0.0.1:80", "198.51.100.1", "198.51.100.1"},
		{"[::ffff:10.0.0.1]:80", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:80", "203.0.113.9, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:80", "203.0.113.9, 198.51.100.1 ,10.1.1.1", "198.51.100.1"},
		{"10.0.0.1:80", "198.51.100.1|10.1.1.1", "198.51.100.1"}, // in two headers
		{"10.0.0.1:80", "10.2.2.2, 10.1.1.1", "10.2.2.2"},
		{"10.0.0.1:80", "198.51.100.1, nonsense", "10.0.0.1"},
		{"[2001:db8:a::1]:80", "2001:db8:b::1:2", "2001:db8:b::/64"},
		{"[2001:db8:a::1]:80", "[2001:db8:b::1:2]", "2001:db8:b::/64"},
		{"@", "198.51.100.1", ""},
	} {
		r := httptest.NewRequest("GET", "/v1/health", nil)
		r.RemoteAddr = tt.remote
		for hops := range strings.SplitSeq(tt.hops, "|") {
			r.Header.Add("X-Forwarded-For", hops)
		}
		if got := server.ClientOf(r, trusted); got != tt.want {
			t.Errorf("%s by %q: %q, want %q", tt.remote, tt.hops, got, tt.want)
		}
	}
}
