package dispatch_test

import (
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"strings"
	"testing"
)

// TestAHandlerCannotReachWhatWritesJobs walks over every type that a handler
// can come to hold: the contexts, and from there exported fields, results of
// methods, and results of the exported functions and methods of storage and
// dispatch that it has the arguments for. None of them writes jobs or triggers.
func TestAHandlerCannotReachWhatWritesJobs(t *testing.T) {
	r := reach{from: map[string]string{}, exports: mustExports(t, "carillon/dispatch", "carillon/storage")}
	imported := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(r.exports[path])
	})
	for _, path := range []string{"carillon/dispatch", "carillon/storage"} {
		pkg, err := imported.Import(path)
		mustDo(t, err)
		r.packages = append(r.packages, pkg)
	}
	for _, name := range []string{"QueryCtx", "MutationCtx", "ActionCtx", "Caller"} {
		r.hold(types.NewPointer(r.packages[0].Scope().Lookup(name).Type()), "the function's context")
	}
	for grown := -1; grown != len(r.from); {
		grown = len(r.from)
		for _, pkg := range r.packages {
			for _, name := range pkg.Scope().Names() {
				if fn, ok := pkg.Scope().Lookup(name).(*types.Func); ok && fn.Exported() {
					r.call(fn)
				}
			}
		}
	}
	for _, want := range []string{"storage.Writer", "storage.Reader", "storage.System", "dispatch.Scheduler", "dispatch.Crons", "storage.Job", "storage.Trigger"} {
		if r.from[want] == "" {
			t.Errorf("the walk has not come to %s", want)
		}
	}
	for _, forbidden := range []string{"storage.JobWriter", "storage.Tx", "storage.App", "storage.Store", "storage.Snapshot"} {
		if from := r.from[forbidden]; from != "" {
			t.Errorf("a handler comes to hold a %s: %s", forbidden, from)
		}
		name := strings.TrimPrefix(forbidden, "storage.")
		writes := r.packages[1].Scope().Lookup(name).Type()
		for _, held := range r.held {
			if !types.IsInterface(held) && types.ConvertibleTo(held, writes) {
				t.Errorf("a handler converts a %s into a %s", held.Obj().Name(), forbidden)
			}
		}
	}
}

// reach is what a handler can come to hold.
type reach struct {
	packages []*types.Package
	exports  map[string]string
	from     map[string]string // type, without its pointers, to where it comes from
	held     []*types.Named    // the same types
}

// hold says that a handler holds a value of the type.
func (r *reach) hold(typ types.Type, from string) {
	switch t := types.Unalias(typ).(type) {
	case *types.Pointer:
		r.hold(t.Elem(), from)
	case *types.Slice:
		r.hold(t.Elem(), from)
	case *types.Array:
		r.hold(t.Elem(), from)
	case *types.Map:
		r.hold(t.Key(), from)
		r.hold(t.Elem(), from)
	case *types.Chan:
		r.hold(t.Elem(), from)
	case *types.Signature:
		r.hold(t.Results(), from)
		// What a callback is given is held; what iterators yield, too.
		for p := range t.Params().Variables() {
			if callback, ok := types.Unalias(p.Type()).Underlying().(*types.Signature); ok {
				r.hold(callback.Params(), from)
			}
		}
	case *types.Tuple:
		for v := range t.Variables() {
			r.hold(v.Type(), from)
		}
	case *types.Named:
		r.named(t, from)
	}
}

func (r *reach) named(t *types.Named, from string) {
	pkg := t.Obj().Pkg()
	if pkg == nil || !strings.HasPrefix(pkg.Path(), "carillon/") {
		return
	}
	name := pkg.Name() + "." + t.Obj().Name()
	if r.from[name] != "" {
		return
	}
	r.from[name] = from
	r.held = append(r.held, t)
	if s, ok := t.Underlying().(*types.Struct); ok {
		for f := range s.Fields() {
			if f.Exported() {
				r.hold(f.Type(), from+", field "+f.Name()+" of "+name)
			}
		}
	} else {
		r.hold(t.Underlying(), from)
	}
	for m := range types.NewMethodSet(types.NewPointer(t)).Methods() {
		if m.Obj().Exported() {
			r.hold(m.Type(), from+fmt.Sprintf(", %s.%s", name, m.Obj().Name()))
		}
	}
	if i, ok := t.Underlying().(*types.Interface); ok {
		for m := range i.Methods() {
			if m.Exported() {
				r.hold(m.Type(), from+fmt.Sprintf(", %s.%s", name, m.Name()))
			}
		}
	}
}

// call has the handler call the function if it holds what the function takes:
// all parameters of ours that are no plain data it could make up.
func (r *reach) call(fn *types.Func) {
	s := fn.Type().(*types.Signature)
	for p := range s.Params().Variables() {
		if t, ok := types.Unalias(p.Type()).(*types.Named); ok && types.IsInterface(t) && !r.has(t) {
			return
		}
		for _, engine := range []string{"storage.JobWriter", "*storage.Tx", "*storage.App", "*storage.Store"} {
			if types.TypeString(p.Type(), (*types.Package).Name) == engine {
				return
			}
		}
	}
	if fn.Name() == "Open" {
		return // a store of its own, that no engine has open
	}
	r.hold(s, "the function "+fn.Pkg().Name()+"."+fn.Name())
}

func (r *reach) has(t *types.Named) bool {
	pkg := t.Obj().Pkg()
	return pkg == nil || r.from[pkg.Name()+"."+t.Obj().Name()] != ""
}
