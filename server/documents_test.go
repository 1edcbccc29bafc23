package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
	"carillon/storage"
)

// bell is a document of the tests of documents.
type bell struct {
	Name string `json:"name"`
	Kg   int    `json:"kg"`
}

// TestDocuments: operators see documents with read-docs, and change one with write-docs as well, of the version
// that they have seen: who comes second is told which one there is. The audit log has who changed which, and
// nothing of what is in it.
func TestDocuments(t *testing.T) {
	bells := storage.NewTable[bell]("bells", storage.Index("by_name", "name", "kg"))
	actorstest.Run(t, actors.Options{Functions: dispatch.NewRegistry(), Tables: []storage.Schema{bells}}, func(h *actorstest.Harness) {
		ops := operators{
			"ann":    {Name: "ann", AllApps: true, Scopes: server.Scopes()},
			"reads":  {Name: "rex", AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeReadDocs}},
			"writes": {Name: "wim", AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeWriteDocs}},
			"args":   {Name: "art", AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeReadArgs, server.ScopeWrite, server.ScopeAdmin}},
		}
		site := server.New(h.Engine, server.Options{Operator: ops.hook})
		send := func(token, method, path, body string, want int) (r reply) {
			t.Helper()
			req, rec := httptest.NewRequest(method, "/v1/apps/acme"+path, strings.NewReader(body)), httptest.NewRecorder()
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+token)
			site.ServeHTTP(rec, req)
			if rec.Code != want {
				t.Errorf("%s %s %s as %s: %d %s, want %d", method, path, body, token, rec.Code, rec.Body, want)
			}
			return reply{rec.Code, rec.Header(), rec.Body.String()}
		}
		must := func(r reply) (d api.Document) {
			t.Helper()
			var answer api.Answer[api.Document]
			if err := json.Unmarshal([]byte(r.body), &answer); err != nil || answer.Result.Version == "" {
				t.Fatalf("%s: %v", r.body, err)
			}
			return answer.Result
		}
		send("ann", "GET", "/tables", "", 404) // there is no app, and none is made
		send("ann", "POST", "/tables/bells/documents", `{"value":{}}`, 404)
		if err := h.Engine.Create(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		const all = "/tables/bells/documents"
		got := send("ann", "POST", all, `{"value":{"kg":2200,"name":"secret"}}`, 201)
		made := must(got)
		one := all + "/" + made.ID
		if at := got.header.Get("Location"); at != "/v1/apps/acme"+one || string(made.Value) != `{"name":"secret","kg":2200}` {
			t.Errorf("%s at %q", made.Value, at)
		}
		first := must(send("ann", "PUT", one, `{"version":"`+made.Version+`","value":{"name":"secret of ann"}}`, 200))
		late := send("ann", "PUT", one, `{"version":"`+made.Version+`","value":{"name":"secret of bob"}}`, 409)
		var refused api.Error
		if err := json.Unmarshal([]byte(late.body), &refused); err != nil || refused.Code != api.CodeAborted || refused.Present == nil ||
			refused.Present.Version != first.Version || string(refused.Present.Value) != `{"name":"secret of ann","kg":0}` {
			t.Errorf("the second is told %s", late.body)
		}
		send("ann", "DELETE", one, `{"version":"`+made.Version+`"}`, 409)

		for _, token := range []string{"reads", "writes", "args"} {
			send(token, "POST", all, `{"value":{"name":"x"}}`, 403)
			send(token, "PUT", one, `{"version":"`+first.Version+`","value":{"name":"x"}}`, 403)
			send(token, "DELETE", one, `{"version":"`+first.Version+`"}`, 403)
			if token != "reads" {
				send(token, "GET", all, "", 403)
				send(token, "GET", one, "", 403)
			}
			if got := send(token, "GET", "/tables", "", 200); !strings.Contains(got.body, `[{"name":"bells","type":"server_test.bell","indexes":[{"name":"by_name","fields":[{"name":"name","kind":"string"},{"name":"kg","kind":"int"}],"built":true}],"documents":1}]`) {
				t.Errorf("tables: %s", got.body)
			}
		}
		for _, query := range []string{"", "?desc=true", "?index=by_name&eq=secret+of+ann&from=0", "?index=by_name&eq=%22secret+of+ann%22&eq=0"} {
			if got := send("reads", "GET", all+query, "", 200); !strings.Contains(got.body, first.Version) {
				t.Errorf("%s: %s", query, got.body)
			}
		}
		for _, query := range []string{"?index=none", "?eq=x", "?index=by_name&from=a&after=b", "?index=by_name&eq=a&eq=b", "?cursor=x", "?limit=1001", "?desc=x", "?index=a&index=b", "?x=1"} {
			send("reads", "GET", all+query, "", 400)
		}
		for _, tt := range []struct {
			method, path, body string
			want               int
		}{
			{"GET", "/tables/_scheduled_functions/documents", "", 400},
			{"GET", "/tables/none/documents", "", 404},
			{"GET", all + "/x", "", 400},
			{"POST", all, `{}`, 400},
			{"POST", all, `{"value":null}`, 400},
			{"POST", all, `{"value":[]}`, 400},
			{"POST", all, `{"value":{"name":"x","colour":"red"}}`, 400},
			{"POST", all, `{"value":{"name":1}}`, 400},
			{"POST", all, `{"value":{"name":"` + strings.Repeat("x", 2100) + `"}}`, 429},
			{"POST", "/tables/none/documents", `{"value":{}}`, 400},
			{"PUT", one, `{"value":{"name":"x"}}`, 400},
			{"PUT", one, `{"version":"` + first.Version + `"}`, 400},
			{"DELETE", one, "", 400},
		} {
			send("ann", tt.method, tt.path, tt.body, tt.want)
		}
		if now := must(send("reads", "GET", one, "", 200)); now.Version != first.Version {
			t.Errorf("what was refused has changed it: %s", now.Value)
		}
		send("ann", "DELETE", one, `{"version":"`+first.Version+`"}`, 200)
		send("ann", "DELETE", one, `{"version":"`+first.Version+`"}`, 404)
		send("ann", "GET", one, "", 404)

		log, err := h.Engine.AuditLog(storage.AuditFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, e := range log.Entries {
			lines = append(lines, e.Operator+" "+e.Action+" "+string(e.App)+" "+strings.Join(e.IDs, " "))
		}
		if got, want := strings.Join(lines, "\n"), strings.ReplaceAll(`ann DELETE tables/{table}/documents/{id} acme bells ID
ann PUT tables/{table}/documents/{id} acme bells ID
ann POST tables/{table}/documents acme bells ID`, "ID", made.ID); got != want {
			t.Errorf("the audit log has\n%s\nwant\n%s", got, want)
		}
		if data, err := json.Marshal(log); err != nil || strings.Contains(string(data), "secret") {
			t.Errorf("what is in the documents is in the log: %s, %v", data, err)
		}
	})
}
