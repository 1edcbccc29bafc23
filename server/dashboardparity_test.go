package server_test

import (
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"carillon/server"
)

// visit is a request to a page of the dashboard: with a query, or with the fields of a form.
type visit struct {
	page string // method and pattern
	with url.Values
}

// The rows of the JSON API which the dashboard does not have, by why that is so: they are what programs ask, and a person
// sees the same elsewhere.
const (
	forClients  = "it is for clients of the app, which an operator calls by POST /v1/apps/{app}/calls"
	forMachines = "it is what machines ask: what it tells is shown by the overview and the page of the system"
	foreign     = "it is in another server's terms, for clients of that one: the rows of jobs are the same in ours"
	outsideCall = "it takes the secret that a handler has given away, and no operator's rights"
)

// faces says of each row of the JSON API which page of the dashboard shows, or does, the same, or why none does. The page
// asks that row: so both have the same data, and both do the same.
var faces = map[string][]visit{
	"GET /v1/apps":              {{page: "GET /ui/apps"}, {page: "GET /ui/{$}"}},
	"POST /v1/apps":             {{"POST /ui/new-app", url.Values{"name": {"parity"}}}},
	"GET /v1/apps/{app}":        {{page: "GET /ui/apps/{app}"}, {page: "GET /ui/apps"}},
	"DELETE /v1/apps/{app}":     {{page: "POST /ui/apps/{app}/delete"}},
	"POST /v1/apps/{app}/pause": {{page: "POST /ui/apps/{app}/pause"}}, "POST /v1/apps/{app}/resume": {{page: "POST /ui/apps/{app}/resume"}},
	"GET /v1/apps/{app}/export": {{page: "GET /ui/apps/{app}/export"}}, "POST /v1/apps/{app}/import": {{"POST /ui/new-app/import", url.Values{"name": {"parity"}, "file": {"no export"}}}},

	"GET /v1/apps/{app}/operations":      {{page: "GET /ui/apps/{app}/operations"}},
	"POST /v1/apps/{app}/operations":     {{"POST /ui/apps/{app}/operations", url.Values{"action": {"cancel"}, "state": {"pending"}}}, {"GET /ui/apps/{app}/operations/new", url.Values{"action": {"cancel"}, "state": {"pending"}}}},
	"GET /v1/apps/{app}/operations/{id}": {{page: "GET /ui/apps/{app}/operations/{id}"}}, "POST /v1/apps/{app}/operations/{id}/cancel": {{page: "POST /ui/apps/{app}/operations/{id}/cancel"}},

	"GET /v1/crons/preview":           {{"POST /ui/apps/{app}/new-trigger", url.Values{"do": {"preview"}}}},
	"GET /v1/apps/{app}/crons":        {{page: "GET /ui/apps/{app}/triggers"}, {page: "GET /ui/apps/{app}"}},
	"POST /v1/apps/{app}/crons":       {{page: "POST /ui/apps/{app}/new-trigger"}},
	"GET /v1/apps/{app}/crons/{name}": {{page: "GET /ui/apps/{app}/triggers/{name}"}, {page: "GET /ui/apps/{app}/triggers/{name}/edit"}},
	"PUT /v1/apps/{app}/crons/{name}": {{page: "POST /ui/apps/{app}/triggers/{name}/edit"}}, "DELETE /v1/apps/{app}/crons/{name}": {{page: "POST /ui/apps/{app}/triggers/{name}/delete"}},
	"POST /v1/apps/{app}/crons/{name}/run": {{page: "POST /ui/apps/{app}/triggers/{name}/run"}}, "POST /v1/apps/{app}/crons/{name}/backfill": {{page: "POST /ui/apps/{app}/triggers/{name}/backfill"}},
	"DELETE /v1/apps/{app}/crons/{name}/backfill": {{page: "POST /ui/apps/{app}/triggers/{name}/backfill/cancel"}},
	"POST /v1/apps/{app}/crons/{name}/pause":      {{page: "POST /ui/apps/{app}/triggers/{name}/pause"}}, "POST /v1/apps/{app}/crons/{name}/resume": {{page: "POST /ui/apps/{app}/triggers/{name}/resume"}},

	"GET /v1/apps/{app}/jobs":           {{page: "GET /ui/apps/{app}/jobs"}, {page: "GET /ui/apps/{app}"}},
	"POST /v1/apps/{app}/jobs":          {{"POST /ui/apps/{app}/functions/{function...}", url.Values{"do": {"schedule"}}}},
	"GET /v1/apps/{app}/jobs/{id}":      {{page: "GET /ui/apps/{app}/jobs/{id}"}, {page: "GET /ui/apps/{app}/jobs/{id}/args"}, {"GET /ui/jump", url.Values{"to": {"{id}"}}}},
	"POST /v1/apps/{app}/jobs/{id}/run": {{page: "POST /ui/apps/{app}/jobs/{id}/run"}}, "POST /v1/apps/{app}/jobs/{id}/reschedule": {{page: "POST /ui/apps/{app}/jobs/{id}/reschedule"}, {"POST /ui/apps/{app}/jobs/{id}/args", url.Values{"args": {"{}"}}}},
	"POST /v1/apps/{app}/jobs/{id}/retry": {{page: "POST /ui/apps/{app}/jobs/{id}/retry"}}, "POST /v1/apps/{app}/jobs/{id}/drop": {{page: "POST /ui/apps/{app}/jobs/{id}/drop"}},
	"POST /v1/apps/{app}/jobs/{id}/cancel": {{page: "POST /ui/apps/{app}/jobs/{id}/cancel"}}, "POST /v1/apps/{app}/jobs/{id}/abandon": {{page: "POST /ui/apps/{app}/jobs/{id}/abandon"}},
	"POST /v1/apps/{app}/calls":              {{page: "POST /ui/apps/{app}/functions/{function...}"}},
	"POST /v1/apps/{app}/calls/{id}/abandon": {{page: "POST /ui/apps/{app}/calls/{id}/abandon"}},

	"GET /v1/apps/{app}/groups":         {{page: "GET /ui/apps/{app}/groups"}},
	"GET /v1/apps/{app}/groups/{group}": {{page: "GET /ui/apps/{app}/groups/{group}"}}, "POST /v1/apps/{app}/groups/{group}/cancel": {{page: "POST /ui/apps/{app}/groups/{group}/cancel"}},
	"GET /v1/apps/{app}/pools":              {{page: "GET /ui/apps/{app}/pools"}, {page: "GET /ui/apps/{app}/functions/{function...}"}},
	"PUT /v1/apps/{app}/pools/{pool}/limit": {{page: "POST /ui/apps/{app}/pools/{pool}/limit"}}, "DELETE /v1/apps/{app}/pools/{pool}/limit": {{page: "POST /ui/apps/{app}/pools/{pool}/limit/clear"}},
	"GET /v1/apps/{app}/pauses": {{page: "GET /ui/apps/{app}/pauses"}}, "POST /v1/apps/{app}/pauses": {{page: "POST /ui/apps/{app}/pauses"}}, "DELETE /v1/apps/{app}/pauses": {{page: "POST /ui/apps/{app}/pauses/end"}},

	"GET /v1/apps/{app}/tables":                           {{page: "GET /ui/apps/{app}/tables"}, {page: "GET /ui/apps/{app}/tables/{table}/new"}},
	"GET /v1/apps/{app}/tables/{table}/documents":         {{page: "GET /ui/apps/{app}/tables/{table}"}},
	"POST /v1/apps/{app}/tables/{table}/documents":        {{"POST /ui/apps/{app}/tables/{table}/new", url.Values{"value": {"{}"}}}},
	"GET /v1/apps/{app}/tables/{table}/documents/{id}":    {{page: "GET /ui/apps/{app}/tables/{table}/documents/{id}"}},
	"PUT /v1/apps/{app}/tables/{table}/documents/{id}":    {{"POST /ui/apps/{app}/tables/{table}/documents/{id}", url.Values{"value": {"{}"}}}},
	"DELETE /v1/apps/{app}/tables/{table}/documents/{id}": {{page: "POST /ui/apps/{app}/tables/{table}/documents/{id}/delete"}},

	"GET /v1/apps/{app}/functions":              {{page: "GET /ui/apps/{app}/functions"}, {page: "GET /ui/apps/{app}/new-trigger"}},
	"GET /v1/apps/{app}/functions/openapi.json": {{page: "GET /ui/apps/{app}/openapi.json"}}, "GET /v1/apps/{app}/functions/api.d.ts": {{page: "GET /ui/apps/{app}/api.d.ts"}},

	"GET /v1/stuck": {{page: "GET /ui/system"}, {page: "GET /ui/{$}"}}, "GET /v1/stats": {{page: "GET /ui/system"}, {page: "GET /ui/{$}"}}, "GET /v1/system": {{page: "GET /ui/system"}},
	"GET /v1/nodes": {{page: "GET /ui/nodes"}}, "GET /v1/shards": {{page: "GET /ui/nodes"}},
	"GET /v1/operator": {{page: "GET /ui/system"}}, "GET /v1/clock": {{page: "GET /ui/system"}}, "POST /v1/clock/accept": {{page: "POST /ui/system/clock"}},
	"GET /v1/tokens": {{page: "GET /ui/tokens"}}, "POST /v1/tokens": {{page: "POST /ui/tokens"}}, "DELETE /v1/tokens/{id}": {{page: "POST /ui/tokens/{id}/revoke"}},
	"GET /v1/audit": {{page: "GET /ui/audit"}}, "GET /v1/backup": {{page: "GET /ui/backup"}},
}

// faceless says why a row of the JSON API has no page.
var faceless = map[string]string{
	"POST /v1/apps/{app}/functions/{function...}": forClients,
	"POST /v1/apps/{app}/api/query":               forClients, "POST /v1/apps/{app}/api/mutation": forClients, "POST /v1/apps/{app}/api/action": forClients, "POST /v1/apps/{app}/api/function": forClients,
	"POST /v1/apps/{app}/api/query_ts": forClients, "POST /v1/apps/{app}/api/query_at_ts": forClients, "GET /v1/apps/{app}/api/{version}/sync": forClients,
	"POST /v1/apps/{app}/outside/{token}/complete": outsideCall, "POST /v1/apps/{app}/outside/{token}/fail": outsideCall,

	"POST /v1/apps/{app}/scheduler/schedule": foreign, "POST /v1/apps/{app}/scheduler/cancel": foreign, "GET /v1/apps/{app}/scheduler/get": foreign, "GET /v1/apps/{app}/scheduler/list": foreign,
	"GET /v1/apps/{app}/scheduler/dead": foreign, "POST /v1/apps/{app}/scheduler/dead/retry": foreign, "POST /v1/apps/{app}/scheduler/dead/cancel": foreign,
	"POST /v1/apps/{app}/scheduler/complete": foreign, "GET /v1/apps/{app}/scheduler/pool": foreign, "GET /v1/apps/{app}/scheduler/status": foreign, "GET /v1/apps/{app}/scheduler/ws": foreign,

	"GET /v1/health": forMachines, "GET /livez": forMachines, "GET /readyz": forMachines, "GET /metrics": forMachines, "GET /v1/openapi.json": forMachines,
	"POST /mcp":                           "agents ask it for what the other rows do",
	"GET /v1/apps/{app}/events":           "it is a stream for programs: pages are told of changes by GET /ui/live",
	"GET /v1/apps/{app}/jobs/{id}/result": "it waits for the end of a job: its page is live, and has the result",
}

// pagesOfTheirOwn says why a page asks no row of the JSON API.
var pagesOfTheirOwn = map[string]string{
	"GET /ui/style.css": "looks", "GET /ui/static/{hash}/{file}": "looks", "GET /ui/live": "tells a page that it is stale",
	"POST /ui/login": "begins a session", "POST /ui/logout": "ends it", "GET /ui/{rest...}": "says that there is no such page",
	"GET /ui/new-app": "has forms alone",
}

// TestPagesAndTheJSONAPIAreAlike: nothing is visible or possible in the dashboard and not in the JSON API, nor the other way
// round. Each row has a page that asks it, or a reason why it needs none, and each page asks a row.
func TestPagesAndTheJSONAPIAreAlike(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.site = server.New(b.h.Engine, server.Options{Operator: server.Tokens(b.h.Engine), Metrics: http.NotFoundHandler(), MCP: noAgents, Logger: slog.New(slog.DiscardHandler)})
		b.signInAs(t, server.Scopes()...)
		b.mustGo(t, "/ui/apps/acme/new-trigger", "/ui/apps/acme/triggers/none", url.Values{"name": {"none"}, "spec": {"@yearly"}, "function": {"bad:say"}})
		var asked []string
		server.Tell(b.site, func(row string) { asked = append(asked, row) })
		see := func(v visit) {
			asked = nil
			method, pattern, _ := strings.Cut(v.page, " ")
			path := b.pathOfPage(pattern, "acme")
			switch {
			case method == http.MethodGet && len(v.with) > 0:
				b.ask(method, strings.ReplaceAll(path+"?"+v.with.Encode(), url.QueryEscape("{id}"), b.job), nil)
			case v.with.Has("file"):
				b.sendFile(path, v.with.Get("name"), []byte(v.with.Get("file")))
			default:
				b.ask(method, path, v.with)
			}
		}
		rows, pages := server.Routes(b.site), server.Pages(b.site)
		seen := map[string]bool{}
		for _, row := range rows {
			why, visits := faceless[row], faces[row]
			if (why == "") == (len(visits) == 0) {
				t.Errorf("%s: which page is the same for a person? Give it one, and this test a row that says so, or the reason why it has none", row)
			}
			for _, v := range visits {
				if !slices.Contains(pages, v.page) {
					t.Errorf("%s: there is no page %s", row, v.page)
					continue
				}
				see(v)
				if seen[v.page] = true; !slices.Contains(asked, row) {
					t.Errorf("%s: the page %s with %v asks %q, and not this row", row, v.page, v.with, asked)
				}
			}
		}
		for _, row := range slices.Concat(slices.Collect(maps.Keys(faces)), slices.Collect(maps.Keys(faceless))) {
			if !slices.Contains(rows, row) {
				t.Errorf("%s is no row of the JSON API any more", row)
			}
		}
		for _, page := range pages {
			switch why := pagesOfTheirOwn[page]; {
			case seen[page] && why != "", !seen[page] && why == "":
				t.Errorf("%s: which row of the JSON API is the same for a program? This test has %q", page, why)
			case why != "":
				if see(visit{page: page}); len(asked) > 0 {
					t.Errorf("%s asks %q: it is the face of these", page, asked)
				}
			}
		}
	})
}
