package proof_test

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"carillon/actors/proof"
)

// moduleRoot is the directory of go.mod.
const moduleRoot = "../.."

// failedTest matches what a test says that has turned red.
var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// TestSeededFaults tests the tests: with each known fault planted in the engine,
// some test must turn red and say so. One that hangs or dies without a word does
// not count. The tests are green without a fault.
func TestSeededFaults(t *testing.T) {
	if os.Getenv("CARILLON_PROOF") == "" {
		t.Skip("the tests are to be built anew for this: .ci/proof short does")
	}
	tally := proof.NewTally(t, "seeded faults")
	bin := buildSeeded(t)
	byPackage := map[string][]string{}
	for _, f := range seededFaults {
		byPackage[f.pkg] = append(byPackage[f.pkg], f.tests)
	}
	for pkg, tests := range byPackage {
		out, err := runSeeded(t, bin, pkg, "", tests...)
		if err != nil || len(regexp.MustCompile(`(?m)^--- PASS`).FindAllString(out, -1)) < len(slices.Compact(slices.Sorted(slices.Values(tests)))) {
			t.Fatalf("without a fault the tests of %s are not green: %v\n%s", pkg, err, tail(out))
		}
	}
	for _, f := range seededFaults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tally.Tried(1)
			out, err := runSeeded(t, bin, f.pkg, f.name, f.tests)
			var red []string
			for _, m := range failedTest.FindAllStringSubmatch(out, -1) {
				red = append(red, m[1])
			}
			switch {
			case err == nil:
				tally.Other("%s: %s, and %s of %s stays green", f.name, f.what, f.tests, f.pkg)
			case len(red) == 0:
				tally.Other("%s: %s of %s has died without saying why: %v\n%s", f.name, f.tests, f.pkg, err, tail(out))
			default:
				t.Logf("%s: %s is red", f.what, slices.MinFunc(red, func(a, b string) int { return len(a) - len(b) }))
			}
		})
	}
}

// buildSeeded builds the tests with the faults in them, and returns where.
func buildSeeded(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	args := []string{"test", "-c", "-tags", "seeded", "-o", dir + "/"}
	for _, f := range seededFaults {
		if pkg := "./" + f.pkg; !slices.Contains(args, pkg) {
			args = append(args, pkg)
		}
	}
	build := exec.CommandContext(t.Context(), "go", args...)
	build.Dir = moduleRoot
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return dir
}

// runSeeded runs tests of the package, as go test would, with the fault planted.
func runSeeded(t *testing.T, bin, pkg, fault string, tests ...string) (out string, err error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), filepath.Join(bin, filepath.Base(pkg)+".test"),
		"-test.run", "^("+strings.Join(tests, "|")+")$", "-test.timeout", "60s", "-test.v")
	run.Dir = filepath.Join(moduleRoot, pkg)
	// The tests are those of "go test", whatever form the proof has.
	run.Env = append(os.Environ(), "CARILLON_SEEDED="+fault, "CARILLON_PROOF=", "CARILLON_PROOF_REPORT=")
	text, err := run.CombinedOutput()
	return string(text), err
}

// tail is the end of an output.
func tail(out string) string {
	const most = 3000
	return out[max(0, len(out)-most):]
}

// seededCall matches where a fault is planted.
var seededCall = regexp.MustCompile(`\bseeded\("([^"]*)"\)`)

// TestSeededFaultsAreListed demands that every fault that is planted in the
// source is in the table, that every one of the table is planted, and that
// docs/reliability.md shows the table.
func TestSeededFaultsAreListed(t *testing.T) {
	planted := map[string]bool{}
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != "..":
			return filepath.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		for _, m := range seededCall.FindAllStringSubmatch(string(source), -1) {
			planted[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range seededFaults {
		if !planted[f.name] {
			t.Errorf("%s is in the table, and planted nowhere", f.name)
		}
		delete(planted, f.name)
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", f.name, f.what, f.tests); !strings.Contains(string(page), row) {
			t.Errorf("docs/reliability.md does not have the row\n%s", row)
		}
	}
	for name := range planted {
		t.Errorf("%s is planted, and not in the table", name)
	}
}
