package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// TestOperatorsChangesAreAudited: each change that a route makes has its entry, which says who
// did what to which and from where, and never an argument; what was refused or changed nothing
// has none; and operators see those of their apps.
func TestOperatorsChangesAreAudited(t *testing.T) {
	reg := dispatch.NewRegistry()
	dispatch.InternalMutation[note, dispatch.None]("notes:keep").Handle(reg, func(*dispatch.MutationCtx, note) (dispatch.None, error) { return dispatch.None{}, nil })
	actorstest.Run(t, actors.Options{Functions: reg, ClockCheck: time.Hour}, func(h *actorstest.Harness) {
		ops := operators{
			"ann":   {Name: "ann", AllApps: true, Scopes: server.Scopes()},
			"acme":  {Name: "bob", Apps: []storage.AppID{"acme"}, Scopes: []server.Scope{server.ScopeAdmin}},
			"none":  {Name: "eve", Scopes: []server.Scope{server.ScopeAdmin}},
			"write": {Name: "wim", AllApps: true, Scopes: []server.Scope{server.ScopeWrite}},
		}
		send := func(token, method, path, body string) reply {
			req, rec := httptest.NewRequest(method, path, strings.NewReader(body)), httptest.NewRecorder()
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			server.New(h.Engine, server.Options{Operator: ops.hook}).ServeHTTP(rec, req)
			return reply{rec.Code, rec.Header(), rec.Body.String()}
		}
		must := func(method, path, body string) (answer string) {
			t.Helper()
			got := send("ann", method, path, body)
			if got.status >= 300 {
				t.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
			}
			return got.body
		}
		log := func(token, query string) (entries []storage.AuditEntry) {
			t.Helper()
			var page struct{ Result storage.AuditPage }
			got := send(token, "GET", "/v1/audit"+query, "")
			if err := json.Unmarshal([]byte(got.body), &page); err != nil || got.status != 200 {
				t.Fatalf("%s: %d %s, %v", query, got.status, got.body, err)
			}
			if strings.Contains(got.body, "secret") {
				t.Errorf("an argument is in the log: %s", got.body)
			}
			return page.Result.Entries
		}
		app, err := h.Engine.App("acme")
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for range 3 {
			id, err := app.Scheduler(h.Context()).RunAfter(time.Hour, dispatch.Path("notes:keep").With(note{"secret"}))
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, string(id))
		}
		if n := len(log("ann", "")); n != 0 {
			t.Errorf("what the program does itself has %d entries", n)
		}
		h.Advance(time.Second)
		cron := `"spec":"0 3 * * *","function":"notes:keep","args":{"text":"secret"}`
		must("POST", "/v1/apps/acme/crons", `{"name":"nightly",`+cron+`}`)
		must("PUT", "/v1/apps/acme/crons/nightly", `{`+cron+`,"jitterMs":1000}`)
		must("POST", "/v1/apps/acme/crons/nightly/pause", `{"reason":"secret"}`)
		must("POST", "/v1/apps/acme/crons/nightly/run", "")
		must("POST", "/v1/apps/acme/jobs/"+ids[0]+"/cancel", "")
		if got := send("ann", "POST", "/v1/apps/acme/jobs/"+ids[0]+"/cancel", ""); got.status < 400 {
			t.Errorf("canceled again: %d", got.status)
		}
		must("GET", "/v1/apps/acme/jobs", "")
		must("POST", "/v1/apps/acme/operations", `{"action":"cancel","filter":{"states":["pending"]},"all":true,"dryRun":true}`)
		if got := send("write", "POST", "/v1/apps/acme/crons", `{"name":"x",`+cron+`}`); got.status != 403 {
			t.Errorf("without the scope: %d %s", got.status, got.body)
		}
		if got := send("bad", "POST", "/v1/apps/acme/operations", `{"action":"cancel","all":true}`); got.status != 401 {
			t.Errorf("a bad token: %d %s", got.status, got.body)
		}
		must("POST", "/v1/apps/acme/operations", `{"action":"cancel","filter":{"function":"notes:keep","states":["pending"]}}`)
		h.Settle()
		must("POST", "/v1/clock/accept", "")
		var made struct{ Result api.Token }
		if err := json.Unmarshal([]byte(must("POST", "/v1/tokens", `{"name":"carl","apps":["acme"],"scopes":["read"]}`)), &made); err != nil {
			t.Fatal(err)
		}
		must("DELETE", "/v1/tokens/"+made.Result.ID, "")
		must("GET", "/v1/backup", "")
		must("POST", "/v1/apps", `{"name":"globex"}`)
		must("POST", "/v1/apps/globex/pause", `{"reason":"secret"}`)
		must("GET", "/v1/apps/globex/export", "")
		must("DELETE", "/v1/apps/globex", `{"name":"globex"}`)
		h.Crash()

		entries := log("ann", "")
		var got []string
		for _, e := range slices.Backward(entries) {
			if e.Operator != "ann" || (e.From != "192.0.2.1") != strings.HasPrefix(e.Action, "operation ") || e.At.IsZero() {
				t.Errorf("who, from where, when: %+v", e)
			}
			got = append(got, e.Action+" "+string(e.App))
		}
		want := []string{
			"POST crons acme", "PUT crons/{name} acme", "POST crons/{name}/pause acme", "POST crons/{name}/run acme", "POST jobs/{id}/cancel acme",
			"POST operations acme", "operation cancel done: 2 jobs acme", "POST clock/accept ", "POST tokens ", "DELETE tokens/{id} ", "GET backup ",
			"POST apps globex", "POST pause globex", "GET export globex", "DELETE apps/{app} globex",
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the log has\n%q, want\n%q", got, want)
		}
		slices.Reverse(entries)
		for i, want := range map[int]string{0: "nightly", 1: "nightly", 3: "nightly", 4: ids[0], 8: made.Result.ID, 9: made.Result.ID} {
			if len(entries[i].IDs) == 0 || entries[i].IDs[0] != want {
				t.Errorf("%s is about %q, want %q", entries[i].Action, entries[i].IDs, want)
			}
		}
		if asked, end := entries[5], entries[6]; asked.Count != 1 || !slices.Equal(asked.IDs, end.IDs) || end.Count != 2 {
			t.Errorf("the operation: %+v, and its end: %+v", asked, end)
		}
		if got := log("acme", ""); len(got) != 7 || got[0].App != "acme" {
			t.Errorf("of one app: %+v", got)
		}
		if got := log("none", ""); len(got) != 0 {
			t.Errorf("of no app: %+v", got)
		}
		if got := log("ann", "?app=acme&operator=ann&limit=2"); len(got) != 2 {
			t.Errorf("two of them: %+v", got)
		}
		if got := log("ann", "?operator=bob"); len(got) != 0 {
			t.Errorf("of another operator: %+v", got)
		}
		for query, want := range map[string]int{
			"?app=other": 403, "?limit=0": 400, "?limit=1001": 400, "?limit=x": 400, "?from=now": 400, "?before=1": 400, "?cursor=zz": 400, "?op=x": 400, "?app=acme&app=acme": 400,
		} {
			if got := send("acme", "GET", "/v1/audit"+query, ""); got.status != want {
				t.Errorf("%s: %d %s, want %d", query, got.status, got.body, want)
			}
		}
		// It is kept for 90 days.
		h.Advance(storage.AuditFor - 2*time.Hour)
		if n := len(log("ann", "")); n != len(want) {
			t.Errorf("%d entries are left before 90 days are over", n)
		}
		h.Advance(4 * time.Hour)
		if n := len(log("ann", "")); n != 0 {
			t.Errorf("%d entries are left after 90 days", n)
		}
	})
}
