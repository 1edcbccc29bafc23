package server_test

import (
	"encoding/json"
	"strings"
	"testing"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"carillon/dispatch"
	"carillon/server"
)

// TestFunctionsAreListed: each with what it takes and returns as JSON Schemas, and internal ones
// too, which is for operators.
func TestFunctionsAreListed(t *testing.T) {
	ops := operators{"reads": eventsOperators["reads"]}
	s := mustSite(t, server.Options{Operator: ops.hook})
	req := s.mustRequest(t, "GET", "/v1/apps/acme/functions", nil)
	req.Header.Set("Authorization", "Bearer reads")
	got := s.mustSend(t, req)
	functions := map[string]server.Function{}
	for _, f := range mustResult[[]server.Function](t, got) {
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
	if f := functions["notes:read"]; f.Kind != dispatch.KindQuery || f.Retry != nil || !strings.Contains(string(f.Args), `"id":{"type":["string","null"]}`) || !strings.Contains(string(f.Result), `"required":["text"]`) {
		t.Errorf("notes:read is %+v, takes %s and returns %s", f, f.Args, f.Result)
	}
	if f := functions["notes:wipe"]; !f.Internal || f.Kind != dispatch.KindMutation || f.Retry == nil || f.Retry.MaxAttempts != 6 || !f.KeepsResult {
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
