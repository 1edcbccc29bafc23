package cmd

import (
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"carillon/actors"
	goclient "carillon/client"
	"carillon/server"
)

// goBlock matches a block of Go in a page.
var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// TestDocsShowCodeThatCompiles demands that each block of Go in the pages for users
// stands, line by line, in a source file that is compiled, whatever its indentation.
func TestDocsShowCodeThatCompiles(t *testing.T) {
	flat := func(code string) string {
		lines := strings.Split(strings.TrimSpace(code), "\n")
		for i, line := range lines {
			lines[i] = strings.TrimSpace(line)
		}
		return strings.Join(lines, "\n") + "\n"
	}
	var sources strings.Builder
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bench"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".go"):
			data, err := os.ReadFile(path)
			sources.WriteString(flat(string(data)))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) < 6 {
		t.Fatalf("the pages are %v, %v", pages, err)
	}
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range goBlock.FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(sources.String(), flat(m[1])) {
				t.Errorf("%s shows code that no source file has:\n%s", filepath.Base(page), m[1])
			}
		}
	}
}

// TestEveryBoundIsOnThePageOfLimits demands a row for each option that is a number, a
// time or a set of limits.
func TestEveryBoundIsOnThePageOfLimits(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "limits.md"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for prefix, options := range map[string]any{"": actors.Options{}, "server.Options.": server.Options{}, "client.Options.": goclient.Options{}} {
		for f := range reflect.TypeOf(options).Fields() {
			kind := f.Type.Kind()
			if kind != reflect.Int && kind != reflect.Int64 && !strings.HasSuffix(f.Type.Name(), "Limits") {
				continue
			}
			found++
			if !strings.Contains(string(page), "`"+prefix+f.Name+"`") {
				t.Errorf("docs/limits.md does not have %s%s", prefix, f.Name)
			}
		}
	}
	if found < 20 {
		t.Errorf("only %d options are bounds", found)
	}
}

// fence matches a block of code, in which a bracket is no link.
var fence = regexp.MustCompile("(?ms)^```.*?^```$")

// link matches a link to a file.
var link = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)

// TestDocsLinksLead demands that each link of a page to a file leads to one.
func TestDocsLinksLead(t *testing.T) {
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join(root, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, more...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(string(text), ""), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", filepath.Base(page), m[1])
			}
		}
	}
}

// sourceFile matches a file or folder that a page names in backquotes.
var sourceFile = regexp.MustCompile("`((?:actors|cron|dispatch|proto|server|client|storage|cmd|testdata|docs)/[A-Za-z0-9_/.]*)`")

// TestArchitectureNamesWhatIsThere demands that each file and folder that the map
// names is there.
func TestArchitectureNamesWhatIsThere(t *testing.T) {
	named := sourceFile.FindAllStringSubmatch(mustRead(t, "ARCHITECTURE.md"), -1)
	if len(named) < 40 {
		t.Fatalf("only %d files are named", len(named))
	}
	for _, m := range named {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("ARCHITECTURE.md names %s, which is not there", m[1])
		}
	}
}
