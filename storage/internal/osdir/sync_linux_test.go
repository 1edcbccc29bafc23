package osdir_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carillon/storage/internal/osdir"
	"carillon/storage/storagetest"
)

// makeEnv names, to the process that the test below starts, the directory to make.
const makeEnv = "CARILLON_OSDIR_MAKE"

// A call during which another thread makes one has its end in another line.
var (
	made   = regexp.MustCompile(`mkdir(?:at)?\(.*"([^"]+)", \d+(?:\) += 0| <unfinished)`)
	synced = regexp.MustCompile(`fsync\(\d+<([^>]*)>(?:\) += 0| <unfinished)`)
)

// TestG1_MadeDirectoriesAreDurable: the name of each directory that was made is synced
// before Make returns.
func TestG1_MadeDirectoriesAreDurable(t *testing.T) {
	if dir := os.Getenv(makeEnv); dir != "" {
		if err := osdir.Make(dir); err != nil {
			t.Fatal(err)
		}
		return
	}
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	strace, trace := storagetest.FindStrace(t), filepath.Join(t.TempDir(), "trace")
	worker := strace.Command(t.Context(), []string{
		"-y", "-o", trace, "-e", "trace=mkdir,mkdirat,fsync",
	}, os.Args[0], "-test.run", "^"+t.Name()+"$")
	worker.Env = append(os.Environ(), makeEnv+"="+filepath.Join(root, "a", "b", "c"))
	if out, err := worker.CombinedOutput(); storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	dirty, n := map[string]bool{}, 0
	for line := range strings.Lines(string(lines)) {
		if m := made.FindStringSubmatch(line); m != nil && strings.HasPrefix(m[1], root) {
			dirty[filepath.Dir(m[1])] = true
			n++
		}
		if m := synced.FindStringSubmatch(line); m != nil {
			delete(dirty, m[1])
		}
	}
	if n != 3 || len(dirty) > 0 {
		t.Errorf("%d directories were made, want 3, and %v are not synced", n, dirty)
	}
}
