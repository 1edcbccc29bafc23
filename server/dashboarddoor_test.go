package server_test

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"carillon/server"
)

// TestRefusalsBeforeAPageArePages: what is refused before its route is looked for is a page for the dashboard, with its
// policy, and JSON elsewhere.
func TestRefusalsBeforeAPageArePages(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		mount := func(opts server.Options) {
			opts.Admin, opts.Logger = func(*http.Request) error { return nil }, slog.New(slog.DiscardHandler)
			b.site = server.New(b.h.Engine, opts)
		}
		is := func(path string, code int, texts ...string) {
			t.Helper()
			w := b.ask("GET", path, nil)
			page := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") && strings.Contains(w.Header().Get("Content-Security-Policy"), "default-src 'none'")
			if w.Code != code || page != strings.Contains(path, "ui/") {
				t.Errorf("%s: %d %v %s", path, w.Code, w.Header(), w.Body)
			}
			for _, text := range texts {
				if !strings.Contains(w.Body.String(), text) {
					t.Errorf("%s: %q is not in %s", path, text, w.Body)
				}
			}
			if harm := harmIn(w.Body.String()); page && harm != "" {
				t.Errorf("%s has %q", path, harm)
			}
		}
		mount(server.Options{})
		for _, path := range []string{"/ui//apps", "/ui/apps/../system", "//ui/", "/ui/./"} {
			is(path, 404, "<h1>There is nothing here</h1>")
		}
		is("/v1//apps", 404, `"code":"not_found"`)
		mount(server.Options{RequestsPerSecond: 1})
		is("/ui/", 200, "<h1>Overview</h1>")
		is("/ui/", 429, "<h1>Too many requests</h1>", "more than 1 requests in a second")
		if w := b.ask("GET", "/ui/", nil); w.Header().Get("Retry-After") != "1" {
			t.Errorf("it does not say when to come again: %v", w.Header())
		}
		is("/v1/apps", 429, `"code":"resource_exhausted"`)
		b.site = server.New(b.h.Engine, server.Options{RequestsPerSecond: 1}) // without operators there is no dashboard
		b.ask("GET", "/v1/health", nil)
		if w := b.ask("GET", "/ui/", nil); w.Code != 429 || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("without a dashboard: %d %v", w.Code, w.Header())
		}
	})
}

// TestTheHostsTokenLetsIn: Options.Token does all that an operator may do, by the header and by a session, which ends when the
// host has another one; with it others are let in as before.
func TestTheHostsTokenLetsIn(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		mount := func(own string) {
			b.site = server.New(b.h.Engine, server.Options{Token: own, Logger: slog.New(slog.DiscardHandler), Operator: func(r *http.Request) (*server.Operator, error) {
				if r.Header.Get("Authorization") == "Bearer good" {
					return &server.Operator{Name: "ann", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, nil
				}
				return server.Tokens(b.h.Engine)(r)
			}})
		}
		for _, tt := range []struct{ own, value, want string }{
			{"", "", ""},
			{"", "Bearer ", ""},
			{"s3cret", "", ""},
			{"s3cret", "bearer  s3cret", "host"},
			{"s3cret", "Bearer good", "ann"},
			{"s3cret", "s3cret", ""},
			{"s3cret", "Basic s3cret", ""},
			{"s3cret", "Bearer s3cre", ""},
			{"s3cret", "Bearer s3cret2", ""},
		} {
			mount(tt.own)
			w := b.ask("GET", "/v1/operator", nil, "Authorization", tt.value)
			if in := strings.Contains(w.Body.String(), `"name":"`+tt.want+`"`); in != (tt.want != "") || (w.Code == 200) != in {
				t.Errorf("%+v: %d %s", tt, w.Code, w.Body)
			}
		}
		mount("s3cret")
		cookie := b.signIn(t, " s3cret\n")
		if strings.Contains(cookie.Value, "s3cret") {
			t.Errorf("the cookie has the token: %s", cookie.Value)
		}
		b.has(t, "/ui/", "<span>host</span>", "Sign out")
		b.mustGo(t, "/ui/apps/acme/pause", "/ui/apps/acme", nil)
		b.h.Crash()
		for own, want := range map[string]int{"s3cret": 200, "another": 401, "": 401} {
			mount(own)
			if w := b.ask("GET", "/ui/apps", nil); w.Code != want {
				t.Errorf("after a restart with the token %q: %d, want %d", own, w.Code, want)
			}
		}
		mount("")
		if w := b.ask("POST", "/ui/login", url.Values{"token": {""}}); w.Code != 401 {
			t.Errorf("signed in with no token where there is none: %d", w.Code)
		}
		b.site = server.New(b.h.Engine, server.Options{Token: "s3cret"})
		for value, want := range map[string]int{"Bearer s3cret": 200, "": 401, "Bearer x": 401} {
			if w := b.ask("GET", "/v1/apps", nil, "Authorization", value); w.Code != want {
				t.Errorf("with the host's token alone, as %q: %d, want %d", value, w.Code, want)
			}
		}
	})
}
