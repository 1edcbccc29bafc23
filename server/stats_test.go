package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// TestStatsAddUpOnce: a twentieth of the time at most is spent on the counters of all apps, however many ask; the rest is of now.
func TestStatsAddUpOnce(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		token, _ := b.token(t, server.Operator{Name: "ann", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		is := func(apps int) {
			t.Helper()
			w := b.ask("GET", "/v1/stats", nil, "Authorization", "Bearer "+token)
			var answer struct{ Result api.Stats }
			err := json.Unmarshal(w.Body.Bytes(), &answer)
			if s := answer.Result; err != nil || w.Code != http.StatusOK || s.Apps.Total != apps || s.Begun != 1 || s.Ended.Failed != 1 || s.Jobs.Failed != 1 || s.History == nil {
				t.Errorf("%d %+v, want %d apps", w.Code, s, apps)
			}
		}
		takes := func() { time.Sleep(time.Second) }
		b.survey.Store(&takes)
		is(1)
		if err := b.h.Engine.Create(b.h.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		is(1)
		b.h.Advance(20*time.Second - time.Millisecond)
		is(1)
		b.h.Advance(time.Millisecond)
		is(2)
	})
}

// TestTheOverviewDoesNotWaitForACount: while the apps are counted, which takes a while if there are many, the page has the
// counts that there are, and says so if they are old; who asks for new ones waits for them.
func TestTheOverviewDoesNotWaitForACount(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		overview := func(counted, old bool) {
			t.Helper()
			w := b.ask("GET", "/ui/", nil)
			if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "Running, in") != counted || strings.Contains(body, "being counted again") != old {
				t.Errorf("%d, want counts: %t, old ones: %t, in %s", w.Code, counted, old, body)
			}
		}
		counting := func() (end func()) {
			done := make(chan struct{})
			wait := func() { <-done }
			b.survey.Store(&wait)
			return sync.OnceFunc(func() {
				b.survey.Store(nil)
				close(done)
				b.h.Settle()
			})
		}
		end := counting()
		overview(false, false)
		if w := b.ask("GET", "/ui/system", nil); w.Code != http.StatusOK {
			t.Errorf("the system, with nothing counted: %d", w.Code)
		}
		end()
		overview(true, false)
		b.h.Advance(time.Hour)
		end = counting()
		defer end()
		overview(true, true)
		token, _ := b.token(t, allOperator(), time.Time{})
		for query, code := range map[string]int{"?stale=x": http.StatusBadRequest, "?stale=true&stale=true": http.StatusBadRequest, "?fresh=true": http.StatusBadRequest, "?stale=true": http.StatusOK} {
			if w := b.ask("GET", "/v1/stats"+query, nil, "Authorization", "Bearer "+token); w.Code != code {
				t.Errorf("%s: %d, want %d", query, w.Code, code)
			}
		}
		ctx, enough := context.WithTimeout(b.h.Context(), time.Minute)
		defer enough()
		r := httptest.NewRequestWithContext(ctx, "GET", "/v1/stats", nil)
		r.Host = "localhost"
		r.Header.Set("Authorization", "Bearer "+token)
		began := time.Now()
		b.site.ServeHTTP(httptest.NewRecorder(), r)
		if waited := time.Since(began); waited != time.Minute {
			t.Errorf("new counts are waited for for %s, want as long as the one who asks does", waited)
		}
	})
}

// TestTheOverviewIsOfAllApps: what needs a look, is paused, has much to do or runs is found wherever it is among the names, as the
// engine has counted all apps, and what is said of it is of now; an operator of some apps is shown those alone.
func TestTheOverviewIsOfAllApps(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signedIn(t)
		do := func(app storage.AppID, path string, args any) storage.JobID {
			t.Helper()
			id, err := b.h.Scheduler(app).RunAfter(0, dispatch.Path(path).With(args))
			if err != nil {
				t.Fatal(err)
			}
			return id
		}
		dead := do("zz-fails", "bad:say", note{"x"})
		do("zz-runs", "bad:hang", nil)
		if err := b.h.Scheduler("zz-waits").Pause(dispatch.OfApp(), "ann", "why not"); err != nil {
			t.Fatal(err)
		}
		b.h.Settle()
		b.has(t, "/ui/", `<a href="/ui/apps/zz-fails">`, `<a href="/ui/apps/zz-runs">`, "why not", "!first 1")
		if _, err := b.h.Scheduler("zz-fails").DropMany(storage.JobFilter{ID: dead}); err != nil {
			t.Fatal(err)
		}
		// No survey is begun while one is under way, so that the page has that of before.
		done := make(chan struct{})
		wait := func() { <-done }
		b.survey.Store(&wait)
		b.has(t, "/ui/", `!<a href="/ui/apps/zz-fails">`, `<a href="/ui/apps/zz-runs">`)
		b.survey.Store(nil)
		close(done)
		b.h.Settle()
	})
	inBrowser(t, func(t *testing.T, b *browser) {
		if err := b.h.Engine.Create(b.h.Context(), "theirs"); err != nil {
			t.Fatal(err)
		}
		token, _ := b.token(t, server.Operator{Name: "bob", Apps: []storage.AppID{"theirs"}, Scopes: server.Scopes()}, time.Time{})
		w := b.ask("GET", "/ui/", nil, "Authorization", "Bearer "+token)
		if body := w.Body.String(); w.Code != http.StatusOK || strings.Contains(body, "acme") || !strings.Contains(body, "<dt>App</dt><dd>1</dd>") {
			t.Errorf("for an operator of another app: %d %s", w.Code, body)
		}
	})
}
