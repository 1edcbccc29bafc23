package server_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
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

// mustJSON is the value as JSON.
func mustJSON(tb testing.TB, v any) []byte {
	tb.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

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

// TestDocumentPages: operators look at documents by index, and change them in forms. Of two at once the second sees both
// versions and loses nothing of what they have typed; what is hostile is text.
func TestDocumentPages(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		text, _ := b.token(t, allOperator(), time.Time{})
		reads, _ := b.token(t, server.Operator{Name: "bob", AllApps: true, Scopes: []server.Scope{server.ScopeRead, server.ScopeReadDocs}}, time.Time{})
		lists, _ := b.token(t, server.Operator{Name: "liz", AllApps: true, Scopes: []server.Scope{server.ScopeRead}}, time.Time{})
		app := b.h.App("acme")
		page, err := app.Documents(b.h.Context(), storage.DocumentQuery{Table: "signs"})
		if err != nil || len(page.Documents) != 1 {
			t.Fatal(page, err)
		}
		seen := page.Documents[0]
		const table = "/ui/apps/acme/tables/signs"
		one := table + "/documents/" + seen.ID
		want := func(w *httptest.ResponseRecorder, status int, has, not []string) {
			t.Helper()
			body := w.Body.String()
			if bad := harmIn(body); bad != "" {
				t.Errorf("the page has %q", bad)
			}
			if w.Code != status {
				t.Errorf("%d, want %d: %s", w.Code, status, body)
			}
			for _, text := range has {
				if !strings.Contains(body, text) {
					t.Errorf("the page does not have %q: %s", text, body)
				}
			}
			for _, text := range not {
				if strings.Contains(body, text) {
					t.Errorf("the page has %q: %s", text, body)
				}
			}
		}
		forms := []string{`action="` + one + `"`, `action="` + one + `/delete"`, `value="` + seen.Version + `"`}
		b.signIn(t, lists)
		want(b.ask("GET", "/ui/apps/acme/tables", nil), 200, []string{"signs", "server_test.note", "by_text"}, []string{table})
		want(b.ask("GET", table, nil), 403, nil, []string{"onerror"})
		b.signIn(t, reads)
		want(b.ask("GET", "/ui/apps/acme/tables", nil), 200, []string{table}, nil)
		want(b.ask("GET", table, nil), 200, []string{one, "&lt;script&gt;"}, []string{table + "/new"})
		want(b.ask("GET", table+"?index=by_text&eq=none&desc=true", nil), 200, []string{"No document is as the filter says.", "text is (string)"}, []string{one})
		want(b.ask("GET", table+"?index=none", nil), 400, nil, nil)
		want(b.ask("GET", one, nil), 200, []string{"&lt;script&gt;", seen.Version}, forms)
		want(b.ask("POST", one, url.Values{"version": {seen.Version}, "value": {`{"text":"x"}`}}), 403, nil, nil)

		b.signIn(t, text)
		want(b.ask("GET", table, nil), 200, []string{one, table + "/new"}, nil)
		want(b.ask("GET", one, nil), 200, append(forms, "&lt;script&gt;"), nil)
		if w := b.ask("POST", one, url.Values{"version": {seen.Version}, "value": {"{\r\n\"text\": \"by ann\"}"}}); w.Code != 303 || w.Header().Get("Location") != one {
			t.Errorf("saved: %d %v %s", w.Code, w.Header(), w.Body)
		}
		now, err := app.Document(b.h.Context(), "signs", seen.ID)
		if err != nil || string(now.JSON) != `{"text":"by ann"}` {
			t.Fatal(now, err)
		}
		both := []string{`<del>  &#34;text&#34;: &#34;by ann&#34;</del>`, `<ins>  &#34;text&#34;: &#34;by bob`, `value="` + now.Version + `"`, "Save mine over it"}
		want(b.ask("POST", one, url.Values{"version": {seen.Version}, "value": {`{"text":"by bob` + "<script>alert(2)</script>" + `"}`}}), 409, both, []string{`value="` + seen.Version + `"`})
		want(b.ask("POST", one+"/delete", url.Values{"version": {seen.Version}}), 409, []string{"is not deleted", `value="` + now.Version + `"`}, nil)
		want(b.ask("POST", one, url.Values{"version": {now.Version}, "value": {`{"text":`}}), 400, []string{"no JSON", `{&#34;text&#34;:</textarea>`, `value="` + now.Version + `"`}, nil)
		want(b.ask("POST", one, url.Values{"version": {now.Version}, "value": {`{"colour":"red"}`}}), 400, []string{"colour"}, nil)
		want(b.ask("POST", one, url.Values{"value": {`{}`}}), 400, nil, nil)
		if again, err := app.Document(b.h.Context(), "signs", seen.ID); err != nil || again.Version != now.Version {
			t.Errorf("what was refused has changed it: %s, %v", again.JSON, err)
		}
		if w := b.ask("POST", one+"/delete", url.Values{"version": {now.Version}}); w.Code != 303 || w.Header().Get("Location") != table {
			t.Errorf("deleted: %d %v %s", w.Code, w.Header(), w.Body)
		}
		want(b.ask("POST", one, url.Values{"version": {now.Version}, "value": {`{"text":"too late"}`}}), 404, []string{"was deleted", "too late", `action="` + table + `/new"`}, nil)

		want(b.ask("GET", table+"/new", nil), 200, []string{`action="` + table + `/new"`}, nil)
		want(b.ask("POST", table+"/new", url.Values{"value": {`{"colour":"red"}`}}), 400, []string{"colour", "red"}, nil)
		w := b.ask("POST", table+"/new", url.Values{"value": {`{"text":"` + strings.Repeat("x", 2000) + `"}`}})
		if w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), table+"/documents/") {
			t.Fatalf("made: %d %v %s", w.Code, w.Header(), w.Body)
		}
		want(b.ask("GET", w.Header().Get("Location"), nil), 200, []string{strings.Repeat("x", 2000)}, nil)
		want(b.ask("GET", table+"?index=by_text&from=x", nil), 200, []string{"xxx…", "text from"}, []string{strings.Repeat("x", 200)})
	})
}
