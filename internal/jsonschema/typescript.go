package jsonschema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// identifier is a name that needs no quotes in TypeScript.
var identifier = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// TypeScript is the type, in TypeScript, of the values that the schema of a Maker takes.
// Definitions are types whose names begin with prefix. What a number or a text must look like
// is lost.
func TypeScript(s Schema, prefix string) string {
	if ref, ok := s.Get("$ref").(string); ok {
		return prefix + ref[strings.LastIndexByte(ref, '/')+1:]
	}
	if choice, ok := s.Get("anyOf").([]Schema); ok {
		var types []string
		for _, one := range choice {
			types = append(types, TypeScript(one, prefix))
		}
		return strings.Join(types, " | ")
	}
	if values, ok := s.Get("enum").([]any); ok {
		var types []string
		for _, v := range values {
			types = append(types, quote(v))
		}
		return strings.Join(types, " | ")
	}
	kinds, _ := s.Get("type").([]string)
	if kind, ok := s.Get("type").(string); ok {
		kinds = []string{kind}
	}
	var types []string
	for _, kind := range kinds {
		switch kind {
		case "integer":
			kind = "number"
		case "array":
			items, _ := s.Get("items").(Schema)
			kind = "Array<" + TypeScript(items, prefix) + ">"
		case "object":
			kind = objectType(s, prefix)
		}
		types = append(types, kind)
	}
	switch {
	case len(types) > 0:
		return strings.Join(types, " | ")
	case len(s) > 0:
		return "never"
	}
	return "unknown"
}

// objectType is the type of an object. A field that is not required has a question mark.
func objectType(s Schema, prefix string) string {
	if of, ok := s.Get("additionalProperties").(Schema); ok {
		return "{ [key: string]: " + TypeScript(of, prefix) + " }"
	}
	properties, _ := s.Get("properties").(Schema)
	if len(properties) == 0 {
		return "Record<string, never>"
	}
	required, _ := s.Get("required").([]string)
	var out strings.Builder
	out.WriteString("{ ")
	for _, p := range properties {
		name, mark := p.Name, "?"
		if !identifier.MatchString(name) {
			name = quote(name)
		}
		for _, r := range required {
			if r == p.Name {
				mark = ""
			}
		}
		of, _ := p.Value.(Schema)
		fmt.Fprintf(&out, "%s%s: %s; ", name, mark, TypeScript(of, prefix))
	}
	return out.String() + "}"
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // it is text or nil
	}
	return string(text)
}
