package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/server"
	"carillon/server/api"
)

// TestStatsAddUpOnce: the counters of all apps are read at most once in two seconds, however many ask; the rest is of now.
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
		is(1)
		if err := b.h.Engine.Create(b.h.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		is(1)
		b.h.Advance(2 * time.Second)
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
		end := server.CountingApps(b.site)
		overview(false, false)
		if w := b.ask("GET", "/ui/system", nil); w.Code != http.StatusOK {
			t.Errorf("the system, with nothing counted: %d", w.Code)
		}
		end()
		overview(true, false)
		b.h.Advance(time.Hour)
		end = server.CountingApps(b.site)
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
