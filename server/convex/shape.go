package convex

import (
	"reflect"
	"sync"

	"carillon/internal/jsonschema"
)

// form is how a type's JSON is for a client.
type form int

const (
	byValue form = iota // as the JSON is
	bigint              // a whole number of 64 bits, by its declaration
	integer             // another one
	float
	text
	octets // base64
	other  // a boolean
)

// shape is what is declared of a value.
type shape struct {
	form   form
	null   bool              // of octets: null is a value
	elem   *shape            // of a list's elements, or a map's values; nil: by value
	fields map[string]*shape // of a struct
}

// shapes are those that were asked for, by type.
var shapes sync.Map

// shapeOf is the shape of the type; of nil it is by value.
func shapeOf(t reflect.Type) *shape {
	if t == nil {
		return nil
	}
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := makeShape(t, map[reflect.Type]*shape{})
	shapes.Store(t, s)
	return s
}

// makeShape makes the shape of a type that may be within itself: made are those that are known.
func makeShape(t reflect.Type, made map[reflect.Type]*shape) *shape {
	if s := made[t]; s != nil {
		return s
	}
	s := &shape{}
	made[t] = s
	if t.Kind() == reflect.Pointer {
		*s = *makeShape(t.Elem(), made)
		s.null = true
		return s
	}
	if jsonschema.HasItsOwn(t) {
		return s
	}
	switch t.Kind() {
	case reflect.Int64, reflect.Uint64:
		s.form = bigint
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uintptr:
		s.form = integer
	case reflect.Float32, reflect.Float64:
		s.form = float
	case reflect.Bool:
		s.form = other
	case reflect.String:
		s.form = text
		if t == numberType {
			s.form = byValue
		}
	case reflect.Slice, reflect.Array:
		if jsonschema.IsBytes(t) {
			s.form = octets
			break
		}
		s.elem = makeShape(t.Elem(), made)
	case reflect.Map:
		s.elem = makeShape(t.Elem(), made)
	case reflect.Struct:
		s.fields = map[string]*shape{}
		for _, f := range jsonschema.Fields(t) {
			if s.fields[f.Name] = makeShape(f.Type, made); f.Quoted {
				s.fields[f.Name] = &shape{form: text}
			}
		}
	}
	return s
}

// of is the form of the shape.
func (s *shape) of() form {
	if s == nil {
		return byValue
	}
	return s.form
}

// member is the shape of the value with the name.
func (s *shape) member(name string) *shape {
	switch {
	case s == nil:
		return nil
	case s.fields != nil:
		return s.fields[name]
	}
	return s.elem
}

// element is the shape of a list's elements.
func (s *shape) element() *shape {
	if s == nil {
		return nil
	}
	return s.elem
}
