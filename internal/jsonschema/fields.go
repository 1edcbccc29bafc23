package jsonschema

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// field is a field of a struct as encoding/json sees it.
type field struct {
	name     string
	typ      reflect.Type
	tagged   bool
	quoted   bool // the option string
	optional bool // it may be left out: omitempty, omitzero, or in a struct that may be nil
	index    []int
}

// Field is a field of a struct as encoding/json writes and reads it.
type Field struct {
	Name   string
	Type   reflect.Type
	Quoted bool // its value is text
}

// Fields are the struct's.
func Fields(t reflect.Type) []Field {
	var fields []Field
	for _, f := range fieldsOf(t) {
		fields = append(fields, Field{Name: f.name, Type: f.typ, Quoted: f.quoted})
	}
	return fields
}

// IsBytes says whether the type is written as base64.
func IsBytes(t reflect.Type) bool { return isBytes(t) }

// HasItsOwn says whether the type, or a pointer to it, has a method that says how it is written or read.
func HasItsOwn(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(marshaler) || p.Implements(textMarshaler) || p.Implements(unmarshaler) || p.Implements(textUnmarshaler)
}

// fieldsOf are the fields that encoding/json writes and reads, those of embedded structs among
// them: of those with one name the least deep, of these the one with a tag, and of several none.
func fieldsOf(t reflect.Type) []field {
	var all []field
	collect(t, nil, false, map[reflect.Type]bool{}, &all)
	byName := map[string][]field{}
	for _, f := range all {
		byName[f.name] = append(byName[f.name], f)
	}
	var fields []field
	for _, same := range byName {
		if f, ok := dominant(same); ok {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return slices.Compare(a.index, b.index) })
	return fields
}

func dominant(same []field) (field, bool) {
	depth := len(slices.MinFunc(same, func(a, b field) int { return len(a.index) - len(b.index) }).index)
	same = slices.DeleteFunc(same, func(f field) bool { return len(f.index) > depth })
	if len(same) > 1 {
		same = slices.DeleteFunc(same, func(f field) bool { return !f.tagged })
	}
	if len(same) != 1 {
		return field{}, false
	}
	return same[0], true
}

// collect appends the fields of the struct, which is embedded at the index. within are the
// structs that it is embedded in.
func collect(t reflect.Type, at []int, optional bool, within map[reflect.Type]bool, into *[]field) {
	if within[t] {
		return
	}
	within[t] = true
	defer delete(within, t)
	for i := range t.NumField() {
		sf := t.Field(i)
		tag := sf.Tag.Get("json")
		if tag == "-" {
			continue
		}
		inner := sf.Type
		if inner.Name() == "" && inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if !sf.IsExported() && !(sf.Anonymous && inner.Kind() == reflect.Struct) {
			continue
		}
		name, opts, _ := strings.Cut(tag, ",")
		if !validName(name) {
			name = ""
		}
		options := strings.Split(opts, ",")
		index := append(slices.Clone(at), i)
		if sf.Anonymous && name == "" && inner.Kind() == reflect.Struct {
			collect(inner, index, optional || sf.Type.Kind() == reflect.Pointer, within, into)
			continue
		}
		f := field{name: name, typ: sf.Type, tagged: name != "", index: index}
		if name == "" {
			f.name = sf.Name
		}
		f.optional = optional || slices.Contains(options, "omitempty") || slices.Contains(options, "omitzero")
		f.quoted = slices.Contains(options, "string") && quotable(inner)
		*into = append(*into, f)
	}
}

// quotable says whether the option string has a meaning for the type.
func quotable(t reflect.Type) bool {
	_, _, isInt := bounds(t)
	switch t.Kind() {
	case reflect.Bool, reflect.String, reflect.Float32, reflect.Float64:
		return true
	}
	return isInt
}

// validName says whether a tag may give a field the name.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
}
