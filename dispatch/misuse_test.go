package dispatch_test

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestMisuseDoesNotCompile type-checks every snippet of testdata/misuse and
// demands exactly the compiler's messages that its want comments say, each on
// its own line. A snippet without one is a control and must compile.
func TestMisuseDoesNotCompile(t *testing.T) {
	files, err := filepath.Glob(filepath.FromSlash("../testdata/misuse/*.go"))
	mustDo(t, err)
	if len(files) < 8 {
		t.Fatalf("found only %d snippets", len(files))
	}
	exports := mustExports(t, "carillon/dispatch", "carillon/storage")
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".go"), func(t *testing.T) {
			got, want := mustTypeCheck(t, exports, file)
			for _, msg := range want {
				if !slices.Contains(got, msg) {
					t.Errorf("the compiler does not say\n\t%s", msg)
				}
			}
			for _, msg := range got {
				if !slices.Contains(want, msg) {
					t.Errorf("the compiler says\n\t%s", msg)
				}
			}
			if control := filepath.Base(file) == "control.go"; control != (len(want) == 0) {
				t.Errorf("%d wanted messages", len(want))
			}
		})
	}
}

// mustExports has the go command compile the packages, and what they import,
// into its cache, and returns where each one's export data lies.
func mustExports(tb testing.TB, packages ...string) map[string]string {
	tb.Helper()
	args := append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}, packages...)
	var stderr bytes.Buffer
	cmd := exec.Command("go", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("go list: %v\n%s", err, &stderr)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	return exports
}

// mustTypeCheck returns what the type checker says about the file and what the
// file's want comments say, both as "line: message".
func mustTypeCheck(tb testing.TB, exports map[string]string, path string) (got, want []string) {
	tb.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
	mustDo(tb, err)
	for _, group := range file.Comments {
		for _, comment := range group.List {
			quoted, ok := strings.CutPrefix(comment.Text, "// want ")
			if !ok {
				continue
			}
			msg, err := strconv.Unquote(quoted)
			mustDo(tb, err)
			want = append(want, fmt.Sprintf("%d: %s", fset.Position(comment.Pos()).Line, msg))
		}
	}
	config := types.Config{
		Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
			file, ok := exports[path]
			if !ok || file == "" {
				return nil, fmt.Errorf("no export data of %s", path)
			}
			return os.Open(file)
		}),
		Error: func(err error) {
			var e types.Error
			if !errors.As(err, &e) {
				tb.Errorf("%s: %v", path, err)
				return
			}
			got = append(got, fmt.Sprintf("%d: %s", fset.Position(e.Pos).Line, e.Msg))
		},
	}
	_, _ = config.Check("misuse", fset, []*ast.File{file}, nil) // Error has had them all
	return got, want
}
