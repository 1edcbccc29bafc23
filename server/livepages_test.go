package server_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/server"
	"carillon/storage"
)

// follower is the answer to a page that follows its stream.
type follower struct {
	*httptest.ResponseRecorder
	mu    sync.Mutex
	told  []time.Time // when it was told of a change
	ended time.Time
	leave context.CancelFunc
}

func (f *follower) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.Contains(string(p), "event: changed\n") {
		f.told = append(f.told, time.Now())
	}
	return f.ResponseRecorder.Write(p)
}

// changes is how often it was told of one since then.
func (f *follower) changes(since time.Time) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range f.told {
		if !at.Before(since) {
			n++
		}
	}
	return n
}

// follow has a page with the browser's cookie follow its stream, until the test has ended.
func (b *browser) follow(query string) *follower {
	ctx, leave := context.WithCancel(b.h.Context())
	f := &follower{ResponseRecorder: httptest.NewRecorder(), leave: leave}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/ui/live"+query, nil)
	r.Host = "localhost"
	r.Header.Set("Cookie", b.cookie)
	go func() {
		b.site.ServeHTTP(f, r)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = time.Now()
	}()
	b.h.Settle()
	return f
}

// change has something change in the app.
func (b *browser) change(t *testing.T, app string) {
	t.Helper()
	if err := b.h.App(storage.AppID(app)).Pause(b.h.Context(), storage.Scope{App: true}, "ann", time.Now().String()); err != nil {
		t.Fatal(err)
	}
}

// TestPagesAreToldOfChanges: the page of an app is told, at once, that something in it has changed, at most four times a second
// and once more behind the last change; so are those of all of the operator's apps, more rarely. What changes
// elsewhere tells it nothing.
func TestPagesAreToldOfChanges(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		all, _ := b.token(t, allOperator(), time.Time{})
		other, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"other"}, Scopes: server.Scopes()}, time.Time{})
		b.signIn(t, all)
		acme, every := b.follow("?app=acme"), b.follow("")
		b.signIn(t, other)
		others := b.follow("")
		defer func() {
			for _, f := range []*follower{acme, every, others} {
				f.leave()
			}
			b.h.Settle()
		}()
		began := time.Now()
		var last time.Time
		for range 40 {
			b.change(t, "acme")
			last = time.Now()
			b.h.Advance(49 * time.Millisecond)
		}
		b.h.Advance(time.Second)
		if n := acme.changes(began); n < 8 || n > 9 || acme.told[0].Sub(began) > 10*time.Millisecond {
			t.Errorf("in two seconds the page of the app was told %d times", n)
		}
		for i := 1; i < len(acme.told); i++ {
			if apart := acme.told[i].Sub(acme.told[i-1]); apart < 250*time.Millisecond {
				t.Errorf("it was told %v after it was told", apart)
			}
		}
		if acme.changes(last) == 0 {
			t.Error("it was not told of the last change")
		}
		if n := every.changes(began); n != 2 {
			t.Errorf("the page of all apps was told %d times", n)
		}
		if n := others.changes(began); n != 0 {
			t.Errorf("a page of other apps was told %d times", n)
		}
		quiet := time.Now()
		b.change(t, "other")
		b.h.Advance(3 * time.Second)
		if n := acme.changes(quiet); n != 0 {
			t.Errorf("of another app it was told %d times", n)
		}
		if every.changes(quiet) != 1 || others.changes(quiet) != 1 {
			t.Errorf("those who have the other app were told %d and %d times", every.changes(quiet), others.changes(quiet))
		}
		quiet = time.Now()
		b.h.Advance(20 * time.Second)
		if n := every.changes(quiet); n != 2 || acme.changes(quiet) != 0 {
			t.Errorf("in 20 quiet seconds the page of all apps was told %d times, that of an app %d times", n, acme.changes(quiet))
		}
		if body := acme.Body.String(); !strings.HasPrefix(body, "retry: 1000\n\n") || strings.Contains(body, "acme") || acme.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("the stream is %v %q", acme.Header(), body)
		}
		b.signIn(t, all)
		b.h.Advance(time.Hour)
		if acme.ended.Sub(began) > time.Hour+time.Second || acme.ended.IsZero() {
			t.Errorf("it has lasted %v", acme.ended.Sub(began))
		}
	})
}

// TestManyPagesAreToldMoreRarely: pages that follow one app are told ten times a second, all together, and at the same
// instants behind the first change, whenever they were opened.
func TestManyPagesAreToldMoreRarely(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		var pages []*follower
		for i := range 50 {
			if pages = append(pages, b.follow("?app=acme")); i%10 == 0 {
				b.change(t, "acme")
				b.h.Advance(70 * time.Millisecond)
			}
		}
		change := func(times int) {
			for range times {
				b.change(t, "acme")
				b.h.Advance(100 * time.Millisecond)
			}
		}
		change(90) // until each was told twice
		began := time.Now()
		change(200)
		first := pages[0].told[len(pages[0].told)-pages[0].changes(began):]
		for i, f := range pages {
			told := f.told[len(f.told)-f.changes(began):]
			f.leave()
			if len(told) != 4 || !slices.EqualFunc(told, first, func(a, b time.Time) bool { return a.Sub(b).Abs() < 10*time.Millisecond }) {
				t.Errorf("in 20 seconds page %d was told at %v, and the first at %v", i, told, first)
			}
		}
		b.h.Settle()
	})
}

// TestPagesThatCostMoreAreToldMoreRarely: those of all streams together take 4 % of a processor at most, up to the time that
// a person may be kept waiting.
func TestPagesThatCostMoreAreToldMoreRarely(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		open int
		took []time.Duration
		want time.Duration
	}{
		{1, []time.Duration{10 * ms}, 250 * ms},
		{1, []time.Duration{12 * ms}, 500 * ms},
		{50, []time.Duration{3 * ms}, 5 * time.Second},
		{50, []time.Duration{5 * ms}, 10 * time.Second},
		{50, []time.Duration{5 * ms, 0, 0, 0, 0}, 5 * time.Second}, // five share each
		{50, []time.Duration{time.Second}, 20 * time.Second},
		{1000, []time.Duration{time.Second}, 100 * time.Second},
	} {
		if got := server.LiveApart(tt.open, tt.took...); got != tt.want {
			t.Errorf("%d pages of %v are told each %v, want %v", tt.open, tt.took, got, tt.want)
		}
	}
}

// TestLivePagesArePaidFor: what it takes to make a page for those who were told of a change is counted, and that for a person
// who goes there is not.
func TestLivePagesArePaidFor(t *testing.T) {
	site := server.New(mustOpen(t), server.Options{Admin: func(*http.Request) error { return nil }})
	for _, live := range []string{"", "1"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ui/", nil)
		r.Host = "localhost"
		r.Header.Set("Carillon-Live", live)
		if site.ServeHTTP(w, r); w.Code != http.StatusOK || server.LiveCost(site) > 0 != (live != "") {
			t.Errorf("a live page (%q): %d, and %v were counted", live, w.Code, server.LiveCost(site))
		}
	}
}

// TestStreamsOfPagesEnd: within a second of the end of its token, and there are as many as MaxStreams says.
func TestStreamsOfPagesEnd(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.site = server.New(b.h.Engine, server.Options{Operator: server.Tokens(b.h.Engine), MaxStreams: 1, Logger: slog.New(slog.DiscardHandler)})
		text, id := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		page := b.follow("?app=acme")
		if more := b.follow("?app=acme"); more.Code != http.StatusTooManyRequests {
			t.Errorf("one more: %d %s", more.Code, more.Body)
		}
		if known, err := b.h.Engine.Tokens().Remove(id); !known || err != nil {
			t.Fatal(known, err)
		}
		revoked := time.Now()
		b.h.Advance(time.Second)
		if page.ended.IsZero() || page.ended.Sub(revoked) > time.Second || !strings.Contains(page.Body.String(), "event: end\n") {
			t.Errorf("it ended after %v: %s", page.ended.Sub(revoked), page.Body)
		}
		b.change(t, "acme")
		if n := page.changes(revoked); n != 0 {
			t.Errorf("it was told %d times", n)
		}
		if next := b.follow("?app=acme"); next.Code != http.StatusUnauthorized {
			t.Errorf("once more: %d", next.Code)
		}
		page.leave()
	})
}

// TestScriptsMayBeKept: each page loads its scripts from where their content is named, to be kept, and htmx is as it was published.
func TestScriptsMayBeKept(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		b.signIn(t, text)
		body := b.ask("GET", "/ui/apps/acme", nil).Body.String()
		if !strings.Contains(body, `<body data-live="/ui/live?app=acme">`) {
			t.Errorf("the page follows no stream: %s", body)
		}
		b.cookie = ""
		loaded := regexp.MustCompile(`<script src="([^"]*)" defer></script>`).FindAllStringSubmatch(body, -1)
		if len(loaded) < 2 {
			t.Fatalf("the page loads %q", loaded)
		}
		for _, script := range loaded {
			w := b.ask("GET", script[1], nil)
			if w.Code != 200 || w.Body.Len() == 0 || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/javascript") || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d %v", script[1], w.Code, w.Header())
			}
			sum := sha256.Sum256(w.Body.Bytes())
			if hash := hex.EncodeToString(sum[:]); !strings.Contains(script[1], hash[:16]) {
				t.Errorf("%s has the hash %s", script[1], hash)
			} else if strings.HasSuffix(script[1], "/htmx.min.js") && hash != "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130" {
				t.Errorf("htmx is not as npm has its version 4.0.1: %s", hash)
			}
			other := strings.Replace(script[1], "/static/", "/static/0", 1)
			if w := b.ask("GET", other, nil); w.Code != 404 || strings.Contains(w.Header().Get("Cache-Control"), "immutable") {
				t.Errorf("%s: %d %v", other, w.Code, w.Header())
			}
		}
		if _, err := os.Stat("ui/static/htmx.LICENSE"); err != nil {
			t.Error(err)
		}
		if w := b.ask("GET", "/ui/apps/acme", nil); w.Code != 401 || strings.Contains(w.Body.String(), "<script") || strings.Contains(w.Body.String(), "data-live") {
			t.Errorf("the form to sign in: %d %s", w.Code, w.Body)
		}
	})
}

// TestProfilesTellTheDashboardApart: what serves a page has the label, and what serves the JSON API has not.
func TestProfilesTellTheDashboardApart(t *testing.T) {
	var labeled bool
	site := server.New(mustOpen(t), server.Options{Operator: func(*http.Request) (*server.Operator, error) {
		var all strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			return nil, err
		}
		for at := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(at, "TestProfilesTellTheDashboardApart.func") {
				labeled = strings.Contains(at, `"carillon":"dashboard"`)
			}
		}
		op := allOperator()
		op.Name = "ann"
		return &op, nil
	}})
	for path, want := range map[string]bool{"/ui/": true, "/v1/apps": false} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
		r.Host = "localhost"
		if site.ServeHTTP(w, r); w.Code != http.StatusOK || labeled != want {
			t.Errorf("%s: %d, labeled %t, want %t", path, w.Code, labeled, want)
		}
	}
}
