package ui

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// TestArgumentsAreOfTheSchema: each member of a schema is a field of the form, of a kind that fits, or else all are one
// text; and what is sent is what was typed.
func TestArgumentsAreOfTheSchema(t *testing.T) {
	wide := func(n int) string {
		members := make([]string, n)
		for i := range members {
			members[i] = fmt.Sprintf(`"f%d":{"type":"string"}`, i)
		}
		return `{"type":"object","properties":{` + strings.Join(members, ",") + `}}`
	}
	chain := func(n int) string {
		defs := make([]string, n)
		for i := range defs {
			defs[i] = fmt.Sprintf(`"d%d":{"$ref":"#/$defs/d%d"}`, i, i+1)
		}
		return fmt.Sprintf(`{"properties":{"x":{"$ref":"#/$defs/d0"}},"$defs":{%s,"d%d":{"type":"boolean"}}}`, strings.Join(defs, ","), n)
	}
	kinds := func(list []argument) string {
		if list == nil {
			return "one text"
		}
		var out []string
		for _, a := range list {
			out = append(out, a.Name+" "+a.Kind)
		}
		return strings.Join(out, ", ")
	}
	for _, tt := range []struct{ schema, want string }{
		{`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":["integer","null"]},"c":{"type":"boolean"}}}`, "b text, a number, c flag"},
		{`{"anyOf":[{"$ref":"#/$defs/T"},{"type":"null"}],"$defs":{"T":{"properties":{"e":{"$ref":"#/$defs/E"},"o":{"$ref":"#/$defs/T"}}},"E":{"enum":["x","y",1]}}}`, "e choice, o json"},
		{`{"properties":{"any":{},"many":{"type":["string","integer"]},"list":{"type":"array"},"some":{"anyOf":[{"type":"string"},{"type":"integer"}]},"lost":{"$ref":"#/$defs/none"},"far":{"$ref":"https://example.com/x"}}}`, "any json, many json, list json, some json, lost json, far json"},
		{`{"type":"object","properties":{}}`, ""},
		{`{"type":"object","additionalProperties":{"type":"integer"}}`, "one text"},
		{`{}`, "one text"},
		{`true`, "one text"},
		{``, "one text"},
		{`{"properties":[]}`, "one text"},
		{`{"$ref":"#/$defs/T","$defs":{"T":{"$ref":"#/$defs/T"}}}`, "one text"},
		{chain(maxReferences - 2), "x flag"},
		{chain(maxReferences - 1), "x json"},
		{wide(maxArguments + 1), "one text"},
	} {
		if got := kinds(argumentsOf(json.RawMessage(tt.schema), nil)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.schema, got, tt.want)
		}
	}
	if n := len(argumentsOf(json.RawMessage(wide(maxArguments)), nil)); n != maxArguments {
		t.Errorf("%d fields, want %d", n, maxArguments)
	}

	list := []argument{{Name: "t", Kind: "text"}, {Name: "n", Kind: "number"}, {Name: "f", Kind: "flag"}, {Name: `"q`, Kind: "json"}, {Name: "c", Kind: "choice"}}
	for _, tt := range []struct {
		form url.Values
		want string
	}{
		{url.Values{}, `{}`},
		{url.Values{"arg.t": {" "}, "arg.n": {" -1e3 "}, "arg.f": {"true"}, `arg."q`: {`{"a":null}`}, "arg.c": {`"x"`}}, `{"t":" ","n":-1e3,"f":true,"\"q":{"a":null},"c":"x"}`},
		{url.Values{"arg.t": {`","admin":true,"x":"`}}, `{"t":"\",\"admin\":true,\"x\":\""}`},
		{url.Values{"arg.n": {`1,"admin":true`}}, "n is"},
		{url.Values{"arg.n": {"true"}}, "no number"},
		{url.Values{"arg.n": {"[1]"}}, "no number"},
		{url.Values{`arg."q`: {`1,"admin":true`}}, "no JSON"},
		{url.Values{"arg.c": {`x`}}, "no JSON"},
		{url.Values{"arg.f": {`true,"admin":true`}}, "no JSON"},
	} {
		got, err := argsIn(list, tt.form)
		if err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && (string(got) != tt.want || !json.Valid(got)) {
			t.Errorf("%v: %s, %v, want %s", tt.form, got, err, tt.want)
		}
	}
}
