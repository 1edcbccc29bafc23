package cmd

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// names are the exported names of a package, as its package comment sorts them.
type names struct {
	exported, users, engines []string
}

// TestExportedNamesAreSorted: an exported name of storage and of dispatch stands in one
// of the two lists of its package comment: for functions and their hosts, or for engines.
// The comment of a name that is for engines ends by saying so.
func TestExportedNamesAreSorted(t *testing.T) {
	for _, pkg := range []string{"storage", "dispatch"} {
		p := parsed(t, pkg)
		n := namesOf(t, p)
		for _, name := range n.exported {
			user, engine := slices.Contains(n.users, name), slices.Contains(n.engines, name)
			if user == engine {
				t.Errorf("%s.%s: for users %v, for engines %v: want one of the two", pkg, name, user, engine)
			}
			if marked := strings.HasSuffix(strings.TrimSpace(commentOf(p, name)), "For engines."); marked != engine {
				t.Errorf("%s.%s: for engines %v, its comment ends with %q: %v", pkg, name, engine, "For engines.", marked)
			}
		}
		for _, list := range [][]string{n.users, n.engines} {
			if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Errorf("%s: the names are not in order: %q", pkg, list)
			}
			for _, name := range list {
				if !slices.Contains(n.exported, name) {
					t.Errorf("%s: the package comment has %s, which is not exported", pkg, name)
				}
			}
		}
		if len(n.users) < 20 || len(n.engines) < 10 {
			t.Errorf("%s: %d names for users and %d for engines were found", pkg, len(n.users), len(n.engines))
		}
	}
}

// TestUsersNeedNoNamesOfEngines: the sample app, the examples, the user's program and the
// pages do without what is for engines.
func TestUsersNeedNoNamesOfEngines(t *testing.T) {
	engines := map[string][]string{}
	for _, pkg := range []string{"storage", "dispatch"} {
		engines[pkg] = namesOf(t, parsed(t, pkg)).engines
	}
	read := 0
	look := func(where, text string) {
		for _, m := range regexp.MustCompile(`\b(storage|dispatch)\.([A-Z]\w*)`).FindAllStringSubmatch(text, -1) {
			if read++; slices.Contains(engines[m[1]], m[2]) {
				t.Errorf("%s: %s is for engines", where, m[0])
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, root+"/")
		if err != nil || entry.IsDir() {
			if entry != nil && (entry.Name() == ".git" || entry.Name() == "node_modules" || name == "docs/adr") {
				return fs.SkipDir
			}
			return err
		}
		sample := strings.HasPrefix(name, "cmd/carillon/sample/") && (!strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "guide_test.go"))
		switch {
		case sample, strings.HasPrefix(name, "testdata/usermodule/"), name == "README.md",
			strings.HasPrefix(name, "docs/") && strings.HasSuffix(name, ".md") && name != "docs/reliability.md":
			text, err := os.ReadFile(path)
			look(name, string(text))
			return err
		case strings.HasSuffix(name, "_test.go"):
			text, err := os.ReadFile(path)
			for example, body := range examplesOf(t, text) {
				look(name+": "+example, body)
			}
			return err
		}
		return nil
	})
	if err != nil || read < 400 {
		t.Errorf("read %d names, %v", read, err)
	}
}

// examplesOf are the texts of the examples of a file, by their names.
func examplesOf(t *testing.T, src []byte) map[string]string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	examples := map[string]string{}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Example") {
			examples[fn.Name.Name] = string(src[fset.Position(fn.Pos()).Offset:fset.Position(fn.End()).Offset])
		}
	}
	return examples
}

// parsed is the documentation of a package of the module's root.
func parsed(t *testing.T, pkg string) *doc.Package {
	t.Helper()
	fset := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(root, pkg, "*.go"))
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, failed := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err == nil {
			err = failed
		}
		files = append(files, f)
	}
	if err != nil {
		t.Fatal(err)
	}
	p, err := doc.NewFromFiles(fset, files, "carillon/"+pkg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// namesOf sorts the names of a package. Constants of a type belong to the type, and
// an error, whose name begins with Err, is for users.
func namesOf(t *testing.T, p *doc.Package) (n names) {
	t.Helper()
	values := slices.Concat(p.Consts, p.Vars)
	funcs := p.Funcs
	for _, typ := range p.Types {
		n.exported = append(n.exported, typ.Name)
		values, funcs = append(values, typ.Vars...), append(funcs, typ.Funcs...)
	}
	for _, v := range values {
		for _, name := range v.Names {
			if ast.IsExported(name) && !strings.HasPrefix(name, "Err") {
				n.exported = append(n.exported, name)
			}
		}
	}
	for _, f := range funcs {
		n.exported = append(n.exported, f.Name)
	}
	list := func(after string) []string {
		m := regexp.MustCompile(after + `: ([^.]*)\.`).FindStringSubmatch(p.Doc)
		if m == nil {
			t.Fatalf("%s: the package comment has no list %q", p.Name, after)
		}
		text, _, _ := strings.Cut(m[1], ", and")
		return regexp.MustCompile(`\w+`).FindAllString(text, -1)
	}
	n.users, n.engines = list("For functions and their hosts"), list("For engines, and they change with the engine")
	return n
}

// commentOf is what stands over the declaration of the name.
func commentOf(p *doc.Package, name string) string {
	values, funcs := slices.Concat(p.Consts, p.Vars), p.Funcs
	for _, t := range p.Types {
		if t.Name == name {
			return t.Doc
		}
		values, funcs = append(values, t.Vars...), append(funcs, t.Funcs...)
	}
	for _, v := range values {
		if slices.Contains(v.Names, name) {
			return v.Doc
		}
	}
	for _, f := range funcs {
		if f.Name == name {
			return f.Doc
		}
	}
	return ""
}
