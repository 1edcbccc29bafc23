package cmd

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestLogKeysAreDocumented: each key of a line of the log is in the table of docs/operating.md,
// with one meaning, and the table has no other.
func TestLogKeysAreDocumented(t *testing.T) {
	used := map[string]string{}
	for _, pkg := range []string{"actors", "cmd", "dispatch", "server", "storage"} {
		err := filepath.WalkDir(filepath.Join(root, pkg), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			for _, lit := range logKeys(file) {
				key, err := strconv.Unquote(lit.Value)
				if err != nil {
					return err
				}
				used[key] = fset.Position(lit.Pos()).String()
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, section, _ := strings.Cut(mustRead(t, "docs/operating.md"), "\n## The log\n")
	section, _, _ = strings.Cut(section, "\n## ")
	told := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section, -1) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			told[m[1]] = true
		}
	}
	for key, where := range used {
		if !told[key] {
			t.Errorf("%s: docs/operating.md does not have the key %q", where, key)
		}
	}
	for key := range told {
		if used[key] == "" && !slices.Contains([]string{"time", "level", "msg"}, key) {
			t.Errorf("docs/operating.md has the key %q, which no line has: they are %q", key, slices.Sorted(maps.Keys(used)))
		}
	}
	if len(used) < 30 {
		t.Errorf("only %d keys were found", len(used))
	}
}

// logKeys are the literals that are keys: of calls of a logger, of lists that are passed to
// one, and of slog's attributes.
func logKeys(file *ast.File) (keys []*ast.BasicLit) {
	every := func(args []ast.Expr, from, step int) {
		for i := from; i < len(args); i += step {
			if lit, ok := args[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				keys = append(keys, lit)
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CompositeLit:
			if list, ok := n.Type.(*ast.ArrayType); ok && isNamed(list.Elt, "any") && len(n.Elts)%2 == 0 {
				every(n.Elts, 0, 2)
			}
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			if !ok {
				if isNamed(n.Fun, "append") && len(n.Args)%2 == 1 {
					if lit, ok := n.Args[1].(*ast.BasicLit); ok && lit.Kind == token.STRING && !strings.HasPrefix(lit.Value, `"-`) {
						every(n.Args, 1, 2)
					}
				}
				return true
			}
			of := sel.X
			if field, ok := of.(*ast.SelectorExpr); ok {
				of = field.Sel
			}
			logs := isNamed(of, "Logger") || isNamed(of, "logger") || isNamed(of, "log") || isNamed(of, "slog")
			switch name := sel.Sel.Name; {
			case logs && slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, name):
				every(n.Args, 1, 2)
			case logs && name == "Log":
				every(n.Args, 3, 2)
			case name == "attrsOf":
				every(n.Args, 1, 2)
			case logs && name == "With":
				every(n.Args, 0, 2)
			case isNamed(of, "slog") && slices.Contains([]string{"String", "Int", "Any"}, name):
				every(n.Args, 0, 2)
			}
		}
		return true
	})
	return keys
}

func isNamed(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}
