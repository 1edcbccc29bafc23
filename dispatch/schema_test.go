package dispatch_test

import (
	"context"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	validate "github.com/santhosh-tekuri/jsonschema/v6"

	"carillon/dispatch"
)

// TestSchemasOfArguments: whether arguments fit the schema of a function is whether it takes
// them, as a whole, too: null is {} or nil for some types, and nothing for others.
func TestSchemasOfArguments(t *testing.T) {
	type point struct{ X, Y int }
	reg := dispatch.NewRegistry()
	bind[string](reg, "a:string")
	bind[int](reg, "a:int")
	bind[*int](reg, "a:pointer")
	bind[[]int](reg, "a:list")
	bind[[2]int](reg, "a:array")
	bind[map[string]int](reg, "a:map")
	bind[point](reg, "a:struct")
	bind[*point](reg, "a:struct_pointer")
	bind[**point](reg, "a:struct_pointer_pointer")
	bind[time.Time](reg, "a:time")
	bind[*time.Time](reg, "a:time_pointer")
	bind[netip.Addr](reg, "a:text")
	bind[json.RawMessage](reg, "a:raw")
	bind[json.Number](reg, "a:number")
	bind[any](reg, "a:any")
	bind[dispatch.None](reg, "a:none")
	for _, info := range reg.Functions() {
		fn, _ := reg.Lookup(info.Path)
		args, result := fn.Schemas()
		schema, returned := mustCompile(t, args), mustCompile(t, result)
		for _, text := range []string{
			`null`, ` null `, `{}`, `{"X":1}`, `{"X":null}`, `{"x":1}`, `[]`, `[1,null]`, `["a"]`, `"a"`, `"192.0.2.1"`, `"2026-01-02T03:04:05Z"`, `1`, `-1`, `1.5`, `true`,
		} {
			raw, err := fn.RunQuery(dispatch.Env{Context: context.Background(), Registry: reg}, nil, json.RawMessage(text))
			if err != nil && dispatch.AsError(err).Code != dispatch.CodeInvalidArgument {
				t.Fatalf("%s of %s: %v", info.Path, text, err)
			}
			if err != nil && strings.Contains(err.Error(), "ParseAddr") {
				continue // of the type's own method
			}
			if fits := schema.Validate(mustParse(t, text)); (fits == nil) != (err == nil) {
				t.Errorf("%s takes %s: %v; its schema: %v", info.Path, text, err, fits)
			}
			if err == nil {
				if fits := returned.Validate(mustParse(t, string(raw))); fits != nil {
					t.Errorf("%s returns %s: %v", info.Path, raw, fits)
				}
			}
		}
	}
}

// bind binds a query that returns what it is given.
func bind[T any](reg *dispatch.Registry, path string) {
	dispatch.Query[T, T](path).Handle(reg, func(_ *dispatch.QueryCtx, v T) (T, error) { return v, nil })
}

func mustParse(tb testing.TB, text string) any {
	tb.Helper()
	v, err := validate.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func mustCompile(tb testing.TB, schema json.RawMessage) *validate.Schema {
	tb.Helper()
	c := validate.NewCompiler()
	if err := c.AddResource("mem:///schema", mustParse(tb, string(schema))); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Compile("mem:///schema")
	if err != nil {
		tb.Fatalf("%s: %v", schema, err)
	}
	return s
}
