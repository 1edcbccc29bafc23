package server_test

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"carillon/dispatch"
	"carillon/server"
	"carillon/server/api"
)

// TestFunctionsAreListed: each with what it takes and returns as JSON Schemas, and internal ones
// too, which is for operators.
func TestFunctionsAreListed(t *testing.T) {
	ops := operators{"reads": eventsOperators["reads"]}
	s := mustSite(t, server.Options{Operator: ops.hook})
	req := s.mustRequest(t, "GET", "/v1/apps/acme/functions", nil)
	req.Header.Set("Authorization", "Bearer reads")
	got := s.mustSend(t, req)
	functions := map[string]api.Function{}
	for _, f := range mustResult[[]api.Function](t, got) {
		functions[f.Path] = f
		for _, schema := range []json.RawMessage{f.Args, f.Result} {
			doc, err := validate.UnmarshalJSON(strings.NewReader(string(schema)))
			if err != nil {
				t.Fatal(err)
			}
			c := validate.NewCompiler()
			if err := c.AddResource("mem:///schema", doc); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Compile("mem:///schema"); err != nil {
				t.Errorf("%s: %s: %v", f.Path, schema, err)
			}
		}
	}
	if f := functions["notes:read"]; f.Kind != api.KindQuery || f.Retry != nil || !strings.Contains(string(f.Args), `"id":{"type":["string","null"]}`) || !strings.Contains(string(f.Result), `"required":["text"]`) {
		t.Errorf("notes:read is %+v, takes %s and returns %s", f, f.Args, f.Result)
	}
	if f := functions["notes:wipe"]; !f.Internal || f.Kind != api.KindMutation || f.Retry == nil || f.Retry.MaxAttempts != 6 || !f.KeepsResult {
		t.Errorf("notes:wipe is %+v", f)
	}
	// A name that is none, and a client, get no list.
	if got := s.mustSend(t, s.mustRequest(t, "GET", "/v1/apps/acme/functions", nil)); got.status != 401 {
		t.Errorf("without a token: %d %s", got.status, got.body)
	}
	if got := s.call(t, "acme", "", `{}`); got.status != 404 && got.status != 400 {
		t.Errorf("a call of no function: %d %s", got.status, got.body)
	}
}

// TestTypesOfFunctions: the types in TypeScript, without internal functions unless they are asked for.
func TestTypesOfFunctions(t *testing.T) {
	h := server.New(mustSite(t, server.Options{}).eng, server.Options{Operator: eventsOperators.hook})
	ask := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/apps/acme/functions/api.d.ts"+query, nil)
		r.Header.Set("Authorization", "Bearer reads")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	got := ask("")
	if text := got.Body.String(); got.Code != 200 || !strings.HasPrefix(got.Header().Get("Content-Type"), "text/plain") ||
		!strings.Contains(text, "\"notes:read\": {\n    kind: \"query\";\n    args: Args_noteRef | null;\n    result: Result_note;\n") || strings.Contains(text, "notes:wipe") {
		t.Errorf("the types are %d %v %s", got.Code, got.Header(), text)
	}
	if got := ask("?internal=true").Body.String(); !strings.Contains(got, `"notes:wipe": {`) {
		t.Errorf("with internal ones: %s", got)
	}
	for _, query := range []string{"?internal=yes", "?internal=true&internal=true", "?Internal=true"} {
		if got := ask(query); got.Code != 400 {
			t.Errorf("%s: %d %s", query, got.Code, got.Body)
		}
	}
}

// elsewhere stands for another program, which returns what it is given.
type elsewhere struct{}

func (elsewhere) Call(_ context.Context, c dispatch.RemoteCall) (json.RawMessage, error) {
	return c.Args, nil
}

// TestRemoteFunctionsAreListed: by prefix, behind all others; the page of a prefix leads to that of a path under it, which can be
// run and scheduled.
func TestRemoteFunctionsAreListed(t *testing.T) {
	inBrowser(t, func(t *testing.T, b *browser) {
		b.signInAs(t, server.Scopes()...)
		const list = "/ui/apps/acme/functions"
		b.has(t, list, `/functions/ext:*"><code>ext:*</code>`, "run elsewhere")
		b.has(t, list+"?contains=ext", "ext:*", "!bad:say", "!p99")
		b.has(t, list+"/ext:*", "begin with <code>ext:</code>", `name="path" value="ext:"`, "!Schedule it", "!its jobs")
		if w := b.ask("GET", list+"/ext:*?path=ext:echo", nil); w.Code != 303 || w.Header().Get("Location") != list+"/ext:echo" {
			t.Errorf("to one of them: %d %v", w.Code, w.Header())
		}
		b.has(t, list+"/ext:echo", "<h1>ext:echo</h1>", "another program runs it", "its jobs")
		if w := b.ask("GET", list+"/other:echo", nil); w.Code != 404 {
			t.Errorf("one of no prefix: %d", w.Code)
		}
		if w := b.ask("POST", list+"/ext:echo", url.Values{"do": {"run"}, "args": {`{"a":7}`}}); w.Code != 200 || !strings.Contains(w.Body.String(), "It has run.") || !strings.Contains(w.Body.String(), "&#34;a&#34;: 7") {
			t.Errorf("run: %d %s", w.Code, w.Body)
		}
		if w := b.ask("POST", list+"/ext:echo", url.Values{"do": {"schedule"}, "args": {`{"a":7}`}}); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/ui/apps/acme/jobs/") {
			t.Errorf("scheduled: %d %s", w.Code, w.Body)
		}
		if w := b.ask("POST", list+"/ext:*", url.Values{"do": {"run"}, "args": {`{}`}}); w.Code != 400 && w.Code != 404 {
			t.Errorf("a prefix was run: %d %s", w.Code, w.Body)
		}
	})
}
