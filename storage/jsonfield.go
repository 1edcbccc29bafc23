package storage

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// A projection is a struct type made for the indexes of a table: it has the
// indexed fields of the document's type and nothing else, so that decoding a
// stored document into it yields exactly what the document's own type would
// see, at a fraction of the cost, and also when a field that no index has no
// longer fits its type.

// jsonField is one field of a struct as encoding/json sees it.
type jsonField struct {
	name   string
	tagged bool // the name comes from a tag
	quoted bool // the tag has ",string"
	typ    reflect.Type
	index  []int // path to the Go field, through embedded structs
}

// ownJSON says whether values of t are encoded or decoded by a method of
// theirs, so that t's fields say nothing about their JSON.
func ownJSON(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Marshaler]()) || p.Implements(reflect.TypeFor[json.Unmarshaler]()) ||
		p.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// jsonFields lists the fields of struct type t by the rules of encoding/json,
// in its order: those of embedded structs are promoted; of several with one
// name the least deep wins, then the one with a tag; if that leaves several,
// none is there.
func jsonFields(t reflect.Type) []jsonField {
	type level struct {
		typ   reflect.Type
		index []int
	}
	var found []jsonField
	visited := map[reflect.Type]bool{}
	times := map[reflect.Type]int{t: 1} // how often a type is embedded at this depth
	for levels := []level{{typ: t}}; len(levels) > 0; {
		var next []level
		nextTimes := map[reflect.Type]int{}
		for _, l := range levels {
			if visited[l.typ] {
				continue
			}
			visited[l.typ] = true
			for i := range l.typ.NumField() {
				sf := l.typ.Field(i)
				typ := sf.Type
				if typ.Name() == "" && typ.Kind() == reflect.Pointer {
					typ = typ.Elem()
				}
				tag := sf.Tag.Get("json")
				if tag == "-" || !sf.IsExported() && (!sf.Anonymous || typ.Kind() != reflect.Struct) {
					continue
				}
				name, opts, _ := strings.Cut(tag, ",")
				if !jsonNameOK(name) {
					name = ""
				}
				index := append(slices.Clone(l.index), i)
				if name == "" && sf.Anonymous && typ.Kind() == reflect.Struct {
					if nextTimes[typ]++; nextTimes[typ] == 1 {
						next = append(next, level{typ, index})
					}
					continue
				}
				f := jsonField{name: cmp.Or(name, sf.Name), tagged: name != "", typ: sf.Type, index: index}
				f.quoted = slices.Contains(strings.Split(opts, ","), "string")
				// A type embedded twice at one depth hides its own fields.
				found = append(found, slices.Repeat([]jsonField{f}, min(times[l.typ], 2))...)
			}
		}
		levels, times = next, nextTimes
	}
	var fields []jsonField
	for _, f := range found {
		if f.dominates(found) {
			fields = append(fields, f)
		}
	}
	slices.SortFunc(fields, func(a, b jsonField) int { return slices.Compare(a.index, b.index) })
	return fields
}

// dominates says whether f is the one field of its name.
func (f jsonField) dominates(all []jsonField) bool {
	same := 0
	for _, g := range all {
		if g.name != f.name {
			continue
		}
		if len(g.index) < len(f.index) || len(g.index) == len(f.index) && g.tagged && !f.tagged {
			return false
		}
		if len(g.index) == len(f.index) && g.tagged == f.tagged {
			same++
		}
	}
	return same == 1
}

// jsonNameOK says whether encoding/json takes the name from a tag.
func jsonNameOK(s string) bool {
	for _, c := range s {
		if !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c) && !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			return false
		}
	}
	return s != ""
}

// projected is where a field lies in a projection, and its type in the document.
type projected struct {
	index []int
	typ   reflect.Type
}

// widest is the type that a field has in a projection: of an integer the widest of
// its kind, so that another width in another release leaves the entries as they are.
func widest(t reflect.Type) reflect.Type {
	switch {
	case t.Kind() == reflect.Pointer:
		return reflect.PointerTo(widest(t.Elem()))
	case ownJSON(t):
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Int64:
		return reflect.TypeFor[int64]()
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		return reflect.TypeFor[uint64]()
	}
	return t
}

// project makes the projection of struct type t that has the fields at the
// paths, which are dotted JSON names. at tells of each where it lies in it.
func project(t reflect.Type, paths []string) (projection reflect.Type, at map[string]projected, err error) {
	if ownJSON(t) {
		return nil, nil, fmt.Errorf("%v encodes itself, so its JSON fields are not known", t)
	}
	nested := map[string][]string{} // by first name: the rests of the paths
	for _, path := range paths {
		name, rest, _ := strings.Cut(path, ".")
		nested[name] = append(nested[name], rest)
	}
	at = map[string]projected{}
	var made []reflect.StructField
	var names []string
	for _, f := range jsonFields(t) {
		names = append(names, f.name)
		rests, wanted := nested[f.name]
		var typ reflect.Type
		opts := ""
		switch {
		case wanted && slices.Equal(rests, []string{""}):
			at[f.name] = projected{[]int{len(made)}, f.typ}
			typ = widest(f.typ)
			if f.quoted {
				opts = "string"
			}
		case wanted:
			if f.typ.Kind() != reflect.Struct || slices.Contains(rests, "") {
				return nil, nil, fmt.Errorf("field %q: a %v is not a struct whose fields can be indexed", f.name, f.typ)
			}
			inner, innerAt, err := project(f.typ, rests)
			if err != nil {
				return nil, nil, fmt.Errorf("field %q: %w", f.name, err)
			}
			typ = inner
			for rest, in := range innerAt {
				at[f.name+"."+rest] = projected{append([]int{len(made)}, in.index...), in.typ}
			}
		case slices.ContainsFunc(paths, func(path string) bool {
			name, _, _ := strings.Cut(path, ".")
			return strings.EqualFold(name, f.name)
		}):
			// Without this field its JSON would be taken for that of the indexed
			// one: encoding/json falls back to a match that ignores case.
			typ = reflect.TypeFor[json.RawMessage]()
		default:
			continue
		}
		delete(nested, f.name)
		made = append(made, reflect.StructField{
			Name: "F" + strconv.Itoa(len(made)),
			Type: typ,
			Tag:  reflect.StructTag("json:" + strconv.Quote(f.name+","+opts)),
		})
	}
	for _, path := range paths {
		if name, _, _ := strings.Cut(path, "."); nested[name] != nil {
			return nil, nil, fmt.Errorf("%v has no JSON field %q; it has %s", t, name, strings.Join(names, ", "))
		}
	}
	return reflect.StructOf(made), at, nil
}
