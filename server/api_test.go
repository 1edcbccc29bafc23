package server_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"carillon/server/api"
)

// TestTheAPIHasTheEnginesWords: package api, which imports nothing of the engine, has the values of
// its types of strings, and no others.
func TestTheAPIHasTheEnginesWords(t *testing.T) {
	for _, tt := range []struct {
		dir, name string
		of        interface{ Enum() []string }
		also      []string // that only the API has
	}{
		{"../dispatch", "Code", api.Code(""), nil},
		{"../dispatch", "Kind", api.Kind(""), nil},
		{"../storage", "State", api.State(""), nil},
		{"../storage", "Wait", api.Wait(""), nil},
		{"../storage", "Region", api.Region(""), []string{""}},
		{"../storage", "Overlap", api.Overlap(""), nil},
		{"../storage", "CatchUpMode", api.CatchUpMode(""), nil},
		{"../storage", "SlotOutcome", api.SlotOutcome(""), nil},
		{"../storage", "BackfillOutcome", api.BackfillOutcome(""), []string{""}},
		{"../storage", "OperationAction", api.OperationAction(""), nil},
		{"../storage", "OperationOutcome", api.OperationOutcome(""), []string{""}},
		{"../storage", "UniquePolicy", api.UniquePolicy(""), nil},
		{"../actors", "EventKind", api.EventKind(""), []string{"lagged", "end"}},
		// And Enum has all that the package itself declares.
		{"api", "HealthStatus", api.HealthStatus(""), nil},
		{"api", "Scope", api.Scope(""), nil},
		{"api", "Backoff", api.Backoff(""), nil},
		{"api", "MomentKind", api.MomentKind(""), nil},
	} {
		got, want := tt.of.Enum(), append(wordsOf(t, tt.dir, tt.name), tt.also...)
		slices.Sort(got)
		if slices.Sort(want); !slices.Equal(got, want) || len(want) == 0 {
			t.Errorf("%s: %q, the engine has %q", tt.name, got, want)
		}
		declared := wordsOf(t, "api", tt.name)
		if slices.Sort(declared); !slices.Equal(declared, got) {
			t.Errorf("%s: %q, its constants are %q", tt.name, got, declared)
		}
	}
}

// wordsOf are the constants of the type in the package's source.
func wordsOf(t *testing.T, dir, name string) (words []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != name || len(spec.Values) != 1 {
				return false
			}
			if text, ok := spec.Values[0].(*ast.BasicLit); ok {
				word, err := strconv.Unquote(text.Value)
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, word)
			}
			return false
		})
	}
	return words
}
