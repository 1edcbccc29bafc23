// Package jsonschema makes JSON Schemas (2020-12) of Go types: of what strictjson.Decode takes
// for a value of the type, and of what encoding/json makes of one.
//
// Of what is decoded, every field may be left out or null, which means the zero value, and there
// is no other field. These things are decoded that the schema does not have, because no client
// should send them: bytes as an array of numbers, or as base64 with line breaks, and more
// elements than an array has room for. Floats in strings are decoded in all of Go's notation. Three are in the schema that are not decoded: integers
// written with a fraction or an exponent, numbers in strings or in names that are out of range,
// and text that a method of the type refuses.
package jsonschema

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Dialect is the address of the dialect.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Schema is a JSON object with its members in order. The empty one takes every value.
type Schema []Member

// Member is one member of a Schema.
type Member struct {
	Name  string
	Value any
}

// MarshalJSON implements json.Marshaler.
func (s Schema) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range s {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := json.Marshal(m.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.Value)
		if err != nil {
			return nil, err
		}
		out.Write(append(append(name, ':'), value...))
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// Get is the value of the member, or nil.
func (s Schema) Get(name string) any {
	for _, m := range s {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// never takes no value.
func never() Schema { return Schema{{"not", Schema{}}} }

// Maker makes schemas that share their definitions.
type Maker struct {
	Refs    string // where definitions are: "#/$defs/", say
	Encoded bool   // the schemas are of what is encoded, and else of what is decoded
	Defs    Schema // by name, of the types that have one, in the order they were met

	// Special has the last word on a type, unless its ok is false; nil: it has none.
	Special func(t reflect.Type, encoded bool) (s Schema, ok bool)
	// Name is the name of a type's definition; nil: its own.
	Name func(reflect.Type) string

	names map[reflect.Type]string
	taken map[string]bool
}

// Of is the schema of a value of the type.
func (m *Maker) Of(t reflect.Type) Schema { return m.value(t, !m.Encoded) }

// Exactly is Of, but null is only taken if it is a value of the type.
func (m *Maker) Exactly(t reflect.Type) Schema { return m.value(t, false) }

// Document is the schema with the definitions that it needs in it.
func (m *Maker) Document(s Schema) Schema {
	doc := append(Schema{{"$schema", Dialect}}, s...)
	if len(m.Defs) > 0 {
		doc = append(doc, Member{"$defs", m.Defs})
	}
	return doc
}

var (
	marshaler       = reflect.TypeFor[json.Marshaler]()
	unmarshaler     = reflect.TypeFor[json.Unmarshaler]()
	textMarshaler   = reflect.TypeFor[encoding.TextMarshaler]()
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// Patterns of text.
const (
	timePattern   = `^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
	base64Pattern = `^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$`
	intPattern    = `^(0|-?[1-9][0-9]*)$`
	uintPattern   = `^(0|[1-9][0-9]*)$`
	numberPattern = `^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`
	// What is decoded may also be in Go's notation.
	anyIntPattern    = `^([+-]?[0-9]+|null)$`
	anyUintPattern   = `^([0-9]+|null)$`
	anyNumberPattern = `^([+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?|null)$`

	stringPattern    = `^"([^"\\\x00-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"$`
	anyStringPattern = `^("([^"\\\x00-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|null)$`
)

// value is the schema of a value that may be null, too, if null is set.
func (m *Maker) value(t reflect.Type, null bool) Schema {
	if s, ok := m.special(t); ok {
		return nullable(s, null)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.value(t.Elem(), true)
	case reflect.Interface:
		if m.Encoded || t.NumMethod() == 0 {
			return Schema{}
		}
		return Schema{{"type", "null"}}
	case reflect.Slice, reflect.Map:
		null = true // nil
	}
	if name, ok := m.define(t); ok {
		return nullable(Schema{{"$ref", m.Refs + name}}, null)
	}
	return nullable(m.shape(t), null)
}

// nullable is the schema that takes null, too, if null is set.
func nullable(s Schema, null bool) Schema {
	if !null || len(s) == 0 {
		return s
	}
	if name, ok := s.Get("type").(string); ok {
		out := slices.Clone(s)
		out[slices.IndexFunc(out, func(m Member) bool { return m.Name == "type" })].Value = []string{name, "null"}
		if of, ok := s.Get("enum").([]any); ok {
			out[slices.IndexFunc(out, func(m Member) bool { return m.Name == "enum" })].Value = append(slices.Clone(of), nil)
		}
		return out
	}
	return Schema{{"anyOf", []Schema{s, {{"type", "null"}}}}}
}

// special is the schema of a type that has a say in its JSON.
func (m *Maker) special(t reflect.Type) (s Schema, ok bool) {
	if m.Special != nil {
		if s, ok := m.Special(t, m.Encoded); ok {
			return s, true
		}
	}
	switch t {
	case reflect.TypeFor[time.Time]():
		return Schema{{"type", "string"}, {"format", "date-time"}, {"pattern", timePattern}}, true
	case reflect.TypeFor[json.RawMessage]():
		return Schema{}, true
	case reflect.TypeFor[json.Number]():
		if m.Encoded {
			return Schema{{"type", "number"}}, true
		}
		return Schema{{"anyOf", []Schema{{{"type", "number"}}, {{"type", "string"}, {"pattern", numberPattern}}}}}, true
	}
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return nil, false
	}
	p := reflect.PointerTo(t)
	own, text := unmarshaler, textUnmarshaler
	if m.Encoded {
		own, text = marshaler, textMarshaler
	}
	switch {
	case p.Implements(own):
		return Schema{}, true
	case !p.Implements(text):
		return nil, false
	case m.Encoded && !t.Implements(text): // it depends on where the value is
		return Schema{}, true
	}
	return Schema{{"type", "string"}}, true
}

// define gives a type with a name of its own a definition, so that it may be within itself.
func (m *Maker) define(t reflect.Type) (name string, ok bool) {
	switch t.Kind() {
	case reflect.Struct, reflect.Slice, reflect.Map, reflect.Array:
	default:
		return "", false
	}
	if t.Name() == "" || t.Kind() == reflect.Struct && t.NumField() == 0 || isBytes(t) {
		return "", false
	}
	if name, ok := m.names[t]; ok {
		return name, true
	}
	if m.names == nil {
		m.names, m.taken = map[reflect.Type]string{}, map[string]bool{}
	}
	base := NameOf(t)
	if m.Name != nil {
		base = m.Name(t)
	}
	name = base
	for n := 2; m.taken[name]; n++ {
		name = base + strconv.Itoa(n)
	}
	m.names[t], m.taken[name] = name, true
	at := len(m.Defs)
	m.Defs = append(m.Defs, Member{name, nil})
	m.Defs[at].Value = m.shape(t)
	return name, true
}

// paths are the packages in the name of a type with parameters.
var (
	paths = regexp.MustCompile(`[\w./-]*[./]`)
	marks = regexp.MustCompile(`\W+`)
)

// NameOf is the type's name, without packages.
func NameOf(t reflect.Type) string {
	return strings.Trim(marks.ReplaceAllString(paths.ReplaceAllString(t.Name(), ""), "_"), "_")
}

// isBytes says whether the type is written as base64.
func isBytes(t reflect.Type) bool {
	if t.Kind() != reflect.Slice || t.Elem().Kind() != reflect.Uint8 {
		return false
	}
	p := reflect.PointerTo(t.Elem())
	return !p.Implements(marshaler) && !p.Implements(textMarshaler) && !p.Implements(unmarshaler) && !p.Implements(textUnmarshaler)
}

// shape is the schema of a type that is not null, by its kind.
func (m *Maker) shape(t reflect.Type) Schema {
	switch t.Kind() {
	case reflect.Bool:
		return Schema{{"type", "boolean"}}
	case reflect.String:
		return Schema{{"type", "string"}}
	case reflect.Float32:
		return Schema{{"type", "number"}, {"minimum", -math.MaxFloat32}, {"maximum", math.MaxFloat32}}
	case reflect.Float64:
		return Schema{{"type", "number"}}
	case reflect.Slice:
		if isBytes(t) {
			return Schema{{"type", "string"}, {"contentEncoding", "base64"}, {"pattern", base64Pattern}}
		}
		return Schema{{"type", "array"}, {"items", m.Of(t.Elem())}}
	case reflect.Array:
		return Schema{{"type", "array"}, {"items", m.Of(t.Elem())}, {"maxItems", t.Len()}, {"minItems", t.Len()}}
	case reflect.Map:
		return m.mapping(t)
	case reflect.Struct:
		return m.object(t)
	}
	if low, high, ok := bounds(t); ok {
		return Schema{{"type", "integer"}, {"minimum", low}, {"maximum", high}}
	}
	return never() // a function, a channel, a complex number
}

// bounds are those of an integer type.
func bounds(t reflect.Type) (low, high json.Number, ok bool) {
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		most := int64(math.MaxInt64) >> (64 - t.Bits())
		return json.Number(fmt.Sprint(-most - 1)), json.Number(fmt.Sprint(most)), true
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return "0", json.Number(fmt.Sprint(uint64(math.MaxUint64) >> (64 - t.Bits()))), true
	}
	return "", "", false
}

func (m *Maker) mapping(t reflect.Type) Schema {
	s := Schema{{"type", "object"}}
	text := textUnmarshaler
	if m.Encoded {
		text = textMarshaler
	}
	if key := t.Key(); key.Kind() != reflect.String && !reflect.PointerTo(key).Implements(text) {
		if _, _, ok := bounds(key); !ok {
			return never()
		}
		s = append(s, Member{"propertyNames", Schema{{"pattern", m.pattern(key)}}})
	}
	return append(s, Member{"additionalProperties", m.Of(t.Elem())})
}

func (m *Maker) object(t reflect.Type) Schema {
	properties, required := Schema{}, []string{}
	for _, f := range fieldsOf(t) {
		property := m.Of(f.typ)
		if f.quoted {
			property = m.quoted(f.typ)
		}
		properties = append(properties, Member{f.name, property})
		if !f.optional {
			required = append(required, f.name)
		}
	}
	s := Schema{{"type", "object"}, {"properties", properties}}
	if !m.Encoded {
		return append(s, Member{"additionalProperties", false})
	}
	if len(required) > 0 {
		s = append(s, Member{"required", required})
	}
	return s
}

// quoted is the schema of a field with the option string.
func (m *Maker) quoted(t reflect.Type) Schema {
	null := !m.Encoded
	if t.Kind() == reflect.Pointer {
		t, null = t.Elem(), true
	}
	if t.Kind() == reflect.Bool {
		values := []any{"true", "false"}
		if !m.Encoded {
			values = append(values, "null")
		}
		return nullable(Schema{{"type", "string"}, {"enum", values}}, null)
	}
	return nullable(Schema{{"type", "string"}, {"pattern", m.pattern(t)}}, null)
}

// pattern is that of the value of a number or string that is text in JSON.
func (m *Maker) pattern(t reflect.Type) string {
	encoded, decoded := numberPattern, anyNumberPattern
	switch low, _, isInt := bounds(t); {
	case isInt && low == "0":
		encoded, decoded = uintPattern, anyUintPattern
	case isInt:
		encoded, decoded = intPattern, anyIntPattern
	case t.Kind() == reflect.String:
		encoded, decoded = stringPattern, anyStringPattern
	}
	if m.Encoded {
		return encoded
	}
	return decoded
}
