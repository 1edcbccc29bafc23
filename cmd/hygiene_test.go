package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// exports are the packages whose API is the library's.
var exports = []string{"storage", "storage/postgres", "dispatch", "cron", "actors", "actors/actorstest", "server", "server/api", "server/webhook", "client", "cmd", "cmd/oidc"}

// TestExportedAPIsShowNoForeignTypes demands that what a user sees is made of the
// standard library's types and of ours: a third party can then be replaced, and
// nobody has to import one. Of ours proto is not for users, and internal packages
// cannot be.
func TestExportedAPIsShowNoForeignTypes(t *testing.T) {
	load := mustLoader(t)
	for _, name := range exports {
		for _, fault := range foreign(load(t, "carillon/"+name)) {
			if !strings.Contains(fault, "OpenShared shows ") { // so that packages of ours alone implement it
				t.Errorf("%s: %s", name, fault)
			}
		}
	}
}

// TestForeignTypesAreFound shows that the test above can fail: the package of the
// messages shows protobuf.
func TestForeignTypesAreFound(t *testing.T) {
	load := mustLoader(t)
	for name, want := range map[string]string{"carillon/proto": "google.golang.org/protobuf"} {
		if faults := foreign(load(t, name)); !slices.ContainsFunc(faults, func(s string) bool { return strings.Contains(s, want) }) {
			t.Errorf("%s shows %q, want %s among them", name, faults, want)
		}
	}
}

// TestEveryPackageLooksForLeaks demands goleak of every package that has tests.
func TestEveryPackageLooksForLeaks(t *testing.T) {
	for _, p := range mustList(t) {
		if len(p.TestImports)+len(p.XTestImports) == 0 {
			continue
		}
		dir := filepath.Join(root, strings.TrimPrefix(p.ImportPath, "carillon/"))
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(files, func(file string) bool {
			data, err := os.ReadFile(file)
			return err == nil && bytes.Contains(data, []byte("\nfunc TestMain(")) && bytes.Contains(data, []byte("goleak.VerifyTestMain(m"))
		}) {
			t.Errorf("%s has tests and no TestMain with goleak.VerifyTestMain", p.ImportPath)
		}
	}
}

// mustLoader returns what loads a package's types as the compiler wrote them down.
func mustLoader(t *testing.T) func(*testing.T, string) *types.Package {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-json=ImportPath,Export", "carillon/client", "carillon/client/mcp", "carillon/cmd/oidc", "carillon/cmd", "carillon/storage/postgres", "carillon/server/webhook", "carillon/server", "carillon/actors/actorstest")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	files := map[string]string{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct{ ImportPath, Export string }
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		files[p.ImportPath] = p.Export
	}
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
	return func(t *testing.T, path string) *types.Package {
		t.Helper()
		p, err := imports.Import(path)
		if err != nil {
			t.Fatalf("import %s: %v", path, err)
		}
		return p
	}
}

// foreign says where the package's exported API shows a type that is neither the
// standard library's nor one of ours for users.
func foreign(p *types.Package) []string {
	s := &showing{of: p, seen: map[types.Type]bool{}}
	for _, name := range p.Scope().Names() {
		if obj := p.Scope().Lookup(name); obj.Exported() {
			s.object(name, obj)
		}
	}
	return s.faults
}

// showing walks over all that an exported API shows.
type showing struct {
	of     *types.Package
	seen   map[types.Type]bool
	faults []string
}

func (s *showing) object(where string, obj types.Object) {
	if name, ok := obj.(*types.TypeName); ok {
		if alias, ok := name.Type().(*types.Alias); ok {
			s.look(where, alias.Rhs())
			return
		}
	}
	s.look(where, obj.Type())
}

// look goes into a type. Of a type with a name, of this package, it sees what is
// exported: fields and methods.
func (s *showing) look(where string, t types.Type) {
	t = types.Unalias(t)
	if s.seen[t] {
		return
	}
	s.seen[t] = true
	switch t := t.(type) {
	case *types.Named:
		for arg := range t.TypeArgs().Types() {
			s.look(where, arg)
		}
		pkg := t.Obj().Pkg()
		switch {
		case pkg == nil: // error, or comparable
		case hidden(pkg.Path()):
			s.faults = append(s.faults, fmt.Sprintf("%s shows %s", where, t))
		case pkg == s.of:
			for param := range t.TypeParams().TypeParams() {
				s.look(where, param.Constraint())
			}
			s.look(where, t.Underlying())
			for m := range t.Methods() {
				if m.Exported() {
					s.look(where+"."+m.Name(), m.Type())
				}
			}
		}
	case *types.Struct:
		for field := range t.Fields() {
			if field.Exported() || field.Embedded() {
				s.look(where+"."+field.Name(), field.Type())
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				s.look(where+"."+m.Name(), m.Type())
			}
		}
	case *types.Signature:
		for param := range t.TypeParams().TypeParams() {
			s.look(where, param.Constraint())
		}
		s.look(where, t.Params())
		s.look(where, t.Results())
	case *types.Tuple:
		for v := range t.Variables() {
			s.look(where, v.Type())
		}
	case *types.Map:
		s.look(where, t.Key())
		s.look(where, t.Elem())
	case *types.Union:
		for term := range t.Terms() {
			s.look(where, term.Type())
		}
	case interface{ Elem() types.Type }: // pointer, slice, array, channel
		s.look(where, t.Elem())
	}
}

// hidden says whether users are not to see the package's types: a third party's,
// whose path begins with a host, those of the records, and internal ones.
func hidden(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return strings.Contains(first, ".") || path == "carillon/proto" || strings.Contains(path, "/internal/")
}
