package seeded_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"carillon/internal/proof"
)

// moduleRoot is the directory of go.mod.
const moduleRoot = "../../.."

// seededFault is a known fault of the engine, and the tests that must find it.
type seededFault struct {
	name  string
	what  string
	pkg   string // of the tests
	tests string // regular expression
	edits []edit
}

// edit plants a fault: in the file, replace (which occurs there exactly once) gives
// way to by, where FAULT stands for the condition that this fault is chosen. The
// edits of one file do not overlap, so that one build has all faults.
type edit struct{ file, replace, by string }

// seededFaults are all of them. docs/reliability.md shows this table.
var seededFaults = slices.Concat(storageFaults, engineFaults, cronFaults, boundsFaults, heldFaults, uniqueFaults, rateFaults, resultFaults, watchFaults, eventsFaults, schemaFaults, openapiFaults, outsideFaults, idempotencyFaults, traceFaults, chainFaults, groupFaults, noteFaults, pauseFaults, backfillFaults, operationFaults, limitsFaults, expireFaults, orderFaults, sharedFaults, doorFaults, jobDoorFaults, wholeFaults, clockFaults, kvFaults, walFaults, overlayFaults, sealFaults, backupFaults, middlewareFaults, lifeFaults, followFaults, healthFaults, clientFaults, stillFaults, convexFaults, liveFaults, agentFaults, dashboardFaults, documentFaults, dashboardJobsFaults, systemPageFaults, formsFaults, nodeFaults, findFaults, dashLiveFaults, remoteFaults, planFaults, pgFaults, memberFaults, leaseFaults, standbyFaults)

// seededSwitch is the file that each package with faults is given besides.
const seededSwitch = `package %s

import "os"

var planted = os.Getenv("CARILLON_SEEDED")

func seeded(fault string) bool { return fault == planted }
`

// TestSeededFaultsFit demands that every fault can be planted in the sources as
// they are, and that docs/reliability.md shows the table.
func TestSeededFaultsFit(t *testing.T) {
	if _, err := seededSources(); err != nil {
		t.Error(err)
	}
	page, err := os.ReadFile(filepath.Join(moduleRoot, "docs", "reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, f := range seededFaults {
		if names[f.name] || len(f.edits) == 0 {
			t.Errorf("%s stands twice, or has no edits", f.name)
		}
		names[f.name] = true
		if !declaresTest(t, f.pkg, f.tests) {
			t.Errorf("%s: package %s has no %s", f.name, f.pkg, f.tests)
		}
		if row := fmt.Sprintf("| `%s` | %s | %s |\n", f.name, f.what, f.tests); !strings.Contains(string(page), row) {
			t.Errorf("docs/reliability.md does not have the row\n%s", row)
		}
	}
}

// declaresTest says whether a file of the package declares all of the tests.
func declaresTest(t *testing.T, pkg, tests string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(moduleRoot, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for test := range strings.SplitSeq(tests, "|") {
		name, _, _ := strings.Cut(test, "/")
		if !strings.Contains(source.String(), "\nfunc "+name+"(") {
			return false
		}
	}
	return true
}

// TestSeededFaults tests the tests: with each known fault planted in the engine,
// some test must turn red and say so. One that hangs or dies without a word does
// not count. The tests are green without a fault.
func TestSeededFaults(t *testing.T) {
	if os.Getenv("CARILLON_PROOF") == "" {
		t.Skip("the tests are built anew for this: .ci/proof short does")
	}
	tally := proof.NewTally(t, "seeded faults")
	bin := buildSeeded(t)
	byPackage := map[string][]string{}
	for _, f := range seededFaults {
		byPackage[f.pkg] = append(byPackage[f.pkg], f.tests)
	}
	// Only for packages with a fault that -run chooses, which differ in the faults that come first: those
	// of one package would wait for the same run.
	green := map[string]func() error{}
	for pkg, tests := range byPackage {
		green[pkg] = sync.OnceValue(func() error {
			out, err := runSeeded(t, bin, pkg, "", tests...)
			if err != nil || len(regexp.MustCompile(`(?m)^--- PASS`).FindAllString(out, -1)) < len(slices.Compact(slices.Sorted(slices.Values(tests)))) {
				return fmt.Errorf("without a fault the tests of %s are not green: %v\n%s", pkg, err, tail(out))
			}
			return nil
		})
	}
	for _, f := range inTurn(seededFaults) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			if err := green[f.pkg](); err != nil {
				t.Fatal(err)
			}
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

// inTurn has the first fault of each package before the second of any.
func inTurn(faults []seededFault) []seededFault {
	turns, of := map[string]int{}, map[string]int{}
	for _, f := range faults {
		of[f.name] = turns[f.pkg]
		turns[f.pkg]++
	}
	return slices.SortedStableFunc(slices.Values(faults), func(a, b seededFault) int { return of[a.name] - of[b.name] })
}

// failedTest matches what a test says that has turned red.
var failedTest = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// seededSources are the files of the module with all faults planted in them, and
// the switches, by their path in the module.
func seededSources() (map[string]string, error) {
	edits := map[string][]edit{}
	for _, f := range seededFaults {
		for _, e := range f.edits {
			e.by = strings.ReplaceAll(e.by, "FAULT", fmt.Sprintf("seeded(%q)", f.name))
			edits[e.file] = append(edits[e.file], e)
		}
	}
	sources := map[string]string{}
	for file, planted := range edits {
		text, err := os.ReadFile(filepath.Join(moduleRoot, file))
		if err != nil {
			return nil, err
		}
		source := string(text)
		for _, e := range planted {
			if n := strings.Count(source, e.replace); n != 1 {
				return nil, fmt.Errorf("%s has %d times, not once:\n%s", file, n, e.replace)
			}
		}
		slices.SortFunc(planted, func(a, b edit) int {
			return strings.Index(source, b.replace) - strings.Index(source, a.replace)
		})
		end := len(source)
		for _, e := range planted { // from the last to the first
			at := strings.Index(string(text), e.replace)
			if at+len(e.replace) > end {
				return nil, fmt.Errorf("%s: two edits overlap at:\n%s", file, e.replace)
			}
			source, end = source[:at]+e.by+source[at+len(e.replace):], at
		}
		sources[file] = source
		dir := path.Dir(file)
		sources[dir+"/seededswitch.go"] = fmt.Sprintf(seededSwitch, path.Base(dir))
	}
	return sources, nil
}

// buildSeeded builds the tests with the faults in them, and returns where.
func buildSeeded(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	sources, err := seededSources()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs(moduleRoot)
	if err != nil {
		t.Fatal(err)
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = map[string]string{}
	for file, source := range sources {
		planted := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		overlay.Replace[filepath.Join(root, file)] = planted
		if err := os.WriteFile(planted, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlayFile, list, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"test", "-c", "-ldflags=-s -w", "-overlay", overlayFile, "-o", dir + "/"} // links without what a debugger wants
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
	args := []string{"-test.run", "^(" + strings.Join(tests, "|") + ")$", "-test.v"}
	if fault == "" {
		args = append(args, "-test.timeout", "6m") // all of them, one after the other
	} else {
		args = append(args, "-test.timeout", "60s", "-test.failfast") // the first that is red has found it
	}
	run := exec.CommandContext(t.Context(), filepath.Join(bin, filepath.Base(pkg)+".test"), args...)
	run.Dir = filepath.Join(moduleRoot, pkg)
	// The tests are those of "go test", whatever form the proof has, and draw the same each time: a fault
	// that they find they find always. What made one red is not made smaller.
	run.Env = append(os.Environ(), "CARILLON_SEEDED="+fault, "CARILLON_PROOF=", "CARILLON_PROOF_REPORT=",
		"RAPID_SEED=7", "RAPID_NOFAILFILE=1", "RAPID_SHRINKTIME=1ms")
	text, err := run.CombinedOutput()
	return string(text), err
}

// tail is the end of an output.
func tail(out string) string {
	const most = 3000
	return out[max(0, len(out)-most):]
}
