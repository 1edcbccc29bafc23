package proof_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// moduleRoot is the directory of go.mod.
const moduleRoot = "../.."

// TestReliabilityPage demands that docs/reliability.md has a row for every
// guarantee and for every method there is, and that the tests it names exist.
func TestReliabilityPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	tests := map[string]bool{}
	method := regexp.MustCompile(`NewTally\(\w+, "([^"]+)"\)`)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			tests[m[1]] = true
		}
		for _, m := range method.FindAllStringSubmatch(string(source), -1) {
			if !strings.Contains(page, "\n| "+m[1]+" | ") {
				t.Errorf("the method %q of %s has no row", m[1], filepath.Base(path))
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\bTest\w+_\w+`).FindAllString(page, -1) {
		if !tests[name] {
			t.Errorf("there is no %s", name)
		}
	}
	for n := 1; n <= 26; n++ {
		if !strings.Contains(page, fmt.Sprintf("\n| G%d | ", n)) {
			t.Errorf("G%d has no row", n)
		}
	}
}
