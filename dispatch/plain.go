package dispatch

import (
	"encoding"
	"encoding/json"
	"reflect"
)

// maxPlain bounds how deeply a plain type may nest, far below MaxDepth.
const maxPlain = 16

// plain says whether all that encoding/json makes of a value of the type decodes
// into the type again, strictly: so arguments that were given as one need not be
// tried. It says no of whatever encodes or decodes itself, of pointers and
// interfaces, and of structs that are embedded.
func plain(t reflect.Type) bool { return plainAt(t, maxPlain) }

func plainAt(t reflect.Type, depth int) bool {
	if depth == 0 || encodesItself(t) {
		return false
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return t != reflect.TypeFor[json.Number]()
	case reflect.Slice:
		return plainAt(t.Elem(), depth-1)
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.Anonymous || f.IsExported() && !plainAt(f.Type, depth-1) {
				return false
			}
		}
		return true
	}
	return false
}

// encodesItself says whether the type, or a pointer to it, has a say in its JSON.
func encodesItself(t reflect.Type) bool {
	for _, own := range []reflect.Type{
		reflect.TypeFor[json.Marshaler](), reflect.TypeFor[json.Unmarshaler](),
		reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](),
	} {
		if reflect.PointerTo(t).Implements(own) {
			return true
		}
	}
	return false
}
