package server_test

import (
	"encoding/json"
	"net/http"
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
