package cmd

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the module's directory.
const root = ".."

func mustRead(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// fenced returns the page's blocks of code of the language.
func fenced(t *testing.T, page, language string) []string {
	t.Helper()
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(mustRead(t, page), -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// TestReadmeQuickStart demands that the first Go code in README is the example, which
// is compiled and run.
func TestReadmeQuickStart(t *testing.T) {
	blocks := fenced(t, "README.md", "go")
	if len(blocks) == 0 {
		t.Fatal("README has no block of Go")
	}
	example := mustRead(t, "cmd/carillon/sample/example_test.go")
	_, rest, ok := strings.Cut(example, "// README shows this file from here on; a test compares the two.\n\n")
	want, _, ok2 := strings.Cut(rest, "\n// README ends here.\n")
	if !ok || !ok2 {
		t.Fatal("the example has lost its marks")
	}
	if blocks[0] != want {
		t.Errorf("README has\n%s\nthe example has\n%s", blocks[0], want)
	}
}

// TestReadmeCommands demands that README's first two blocks are the commands to
// run and to test, and that CI tests with the long forms that it names.
func TestReadmeCommands(t *testing.T) {
	blocks := fenced(t, "README.md", "sh")
	if len(blocks) < 2 || blocks[0] != "go run ./cmd/carillon demo\n" || blocks[1] != "go test ./...\n" {
		t.Fatalf("README begins with the commands %q", blocks[:min(2, len(blocks))])
	}
	for long, ci := range map[string]string{
		"go test -race -timeout 15m ./actors ./storage ./...":   "\nCARILLON_PROOF=later go test -race -timeout 15m ./actors ./storage ./...\n",
		"CARILLON_TESTS=all go test -timeout 15m ./storage/...": "\nCARILLON_TESTS=all go test -timeout 15m -run \"^($cases)\\$\" ./storage/...\n",
	} {
		if !strings.Contains(mustRead(t, ".ci/run"), ci) {
			t.Errorf(".ci/run does not have the line %s", ci)
		}
		if !strings.Contains(mustRead(t, "README.md"), "`"+long+"`") {
			t.Errorf("README does not name %s", long)
		}
	}
}

// TestTour runs the tour as it stands in the page, but for the port.
func TestTour(t *testing.T) {
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s", tool)
		}
	}
	tour := fenced(t, "docs/http.md", "sh")[0]
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	if n := strings.Count(tour, "http://127.0.0.1:8377/"); n != 1 {
		t.Fatalf("the tour names the server %d times", n)
	}
	tour = strings.ReplaceAll(tour, "http://127.0.0.1:8377", site)
	out, err := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", tour).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{
		`"title":"Hello"`,
		`"state":"paid"`,
		`"state":"expired"`,
		`{"result":{"canceled":true}}`,
		`"text":"tea is ready"`,
		`{"result":{"count":1}}`,
		`{"result":{"count":100}}`,
		`"state":"canceled"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the tour does not show %s", want)
		}
	}
	if strings.Contains(text, `"code":`) {
		t.Error("the tour shows an error")
	}
	if t.Failed() {
		t.Logf("the tour shows\n%s", text)
	}
	s.mustStop(t)
}

// TestGuaranteesNameTheirTests demands that every guarantee of the table names tests, that
// there are such tests, and that they carry its number.
func TestGuaranteesNameTheirTests(t *testing.T) {
	known := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(data), -1) {
			known[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\| (G\d+) \| .* \| (.*) \|$`).FindAllStringSubmatch(mustRead(t, "docs/guarantees.md"), -1)
	seen := map[string]bool{}
	for _, row := range rows {
		number, names := row[1], regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row[2], -1)
		seen[number] = true
		if len(names) == 0 {
			t.Errorf("%s names no test", number)
		}
		for _, name := range names {
			if !known[name[1]] {
				t.Errorf("%s: there is no %s", number, name[1])
			}
			if !strings.Contains(name[1], number+"_") {
				t.Errorf("%s: %s has another number", number, name[1])
			}
		}
	}
	for n := 1; n <= 26; n++ {
		if number := fmt.Sprintf("G%d", n); !seen[number] {
			t.Errorf("the table has no row %s", number)
		}
	}
}
