package dispatch

import (
	"encoding"
	"encoding/json"
	"reflect"

	"carillon/internal/jsonschema"
)

// Schemas are JSON Schemas (2020-12) of what the function takes and returns, made of its Go
// types: each a document of its own, with its definitions under "$defs". In the arguments every
// field may be left out or null, and there is no other; of the result all fields are there but those with
// omitempty or omitzero. A type that encodes or decodes itself may be anything, or any text.
func (f *Function) Schemas() (args, result json.RawMessage) {
	of := func(m jsonschema.Maker, schema func(*jsonschema.Maker) jsonschema.Schema) json.RawMessage {
		m.Refs = "#/$defs/"
		s := schema(&m)
		text, err := json.Marshal(m.Document(s))
		if err != nil {
			panic(err) // it is of text, numbers and lists
		}
		return text
	}
	args = of(jsonschema.Maker{}, func(m *jsonschema.Maker) jsonschema.Schema { return argsSchema(m, f.args.typ()) })
	result = of(jsonschema.Maker{Encoded: true}, func(m *jsonschema.Maker) jsonschema.Schema { return resultSchema(m, f.returns) })
	return args, result
}

// Types are the Go types of the arguments and of the result. For engines.
func (f *Function) Types() (args, result reflect.Type) { return f.args.typ(), f.returns }

// resultSchema is the schema of a result, which is null if there is none.
func resultSchema(m *jsonschema.Maker, t reflect.Type) jsonschema.Schema {
	if t == reflect.TypeFor[None]() {
		return jsonschema.Schema{{Name: "type", Value: "null"}}
	}
	return m.Of(t)
}

// argsSchema is the schema of arguments, of which null stands for {} or nil, or for nothing.
func argsSchema(m *jsonschema.Maker, t reflect.Type) jsonschema.Schema {
	switch shapeOf(t) {
	case shapeScalar:
		return m.Exactly(t)
	case shapeObject:
		base := t
		for base.Kind() == reflect.Pointer {
			base = base.Elem()
		}
		if reflect.PointerTo(base).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
			return m.Exactly(base) // {} is no text
		}
	}
	return m.Of(t)
}
