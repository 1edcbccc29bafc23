package dispatch

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
)

// Fingerprint names what jobs the registry can run: of two that differ in the paths
// and kinds of their functions, or in the types of arguments, or that are of two
// builds of a program under version control, it differs too.
func (r *Registry) Fingerprint() string {
	h := sha256.New()
	fmt.Fprintln(h, revision())
	for _, path := range slices.Sorted(maps.Keys(r.functions)) {
		fn := r.functions[path]
		fmt.Fprintf(h, "%q %s %t ", path, fn.Kind, fn.StrictArgs)
		describe(h, fn.args.typ(), map[reflect.Type]bool{})
		fmt.Fprintln(h)
	}
	for _, of := range r.remotes {
		fmt.Fprintf(h, "%q remote\n", of.info.Path)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// revision is what version control says of the program: a type that decodes itself may
// do so otherwise without a trace in its shape.
func revision() (text string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" || s.Key == "vcs.modified" {
			text += s.Value + " "
		}
	}
	return text
}

// describe writes what of the type matters to decoding. above are the types that it is
// part of.
func describe(w io.Writer, t reflect.Type, above map[reflect.Type]bool) {
	if above[t] {
		fmt.Fprintf(w, "%s ", t)
		return
	}
	above[t] = true
	defer delete(above, t)
	pointer := reflect.PointerTo(t)
	if pointer.Implements(reflect.TypeFor[json.Unmarshaler]()) || pointer.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		fmt.Fprintf(w, "%s.%s ", t.PkgPath(), t)
		return
	}
	fmt.Fprintf(w, "%s ", t.Kind())
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() || f.Anonymous {
				fmt.Fprintf(w, "%s %q ", f.Name, f.Tag.Get("json"))
				describe(w, f.Type, above)
			}
		}
		fmt.Fprint(w, "end ")
	case reflect.Map:
		describe(w, t.Key(), above)
		describe(w, t.Elem(), above)
	case reflect.Array:
		fmt.Fprintf(w, "%d ", t.Len())
		describe(w, t.Elem(), above)
	case reflect.Pointer, reflect.Slice:
		describe(w, t.Elem(), above)
	}
}
