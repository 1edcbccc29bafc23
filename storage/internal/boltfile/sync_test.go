package boltfile_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carillon/storage/internal/boltfile"
)

// syncDirEnv names, to the process that this test starts, the directory to work in.
const syncDirEnv = "CARILLON_KV_SYNC"

// acknowledge says something with one system call, which a trace shows.
func acknowledge() { _, _ = os.Stdout.WriteString("acknowledged\n") }

// syncWorker is what the traced process does: it makes a file, then commits.
func syncWorker(t *testing.T, dir string) {
	path := filepath.Join(dir, "v.db")
	mustCreate(t, path)
	acknowledge()
	db := mustOpen(t, path)
	for range 3 {
		if err := db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Data, []byte("a"), []byte("1")) }); err != nil {
			t.Fatal(err)
		}
		acknowledge()
	}
}

// call matches a traced system call: its name, and its first argument if that
// is an open file.
var call = regexp.MustCompile(`^\d+\s+(\w+)\((?:\d+<([^>]*)>)?`)

// TestG1_NothingIsAcknowledgedBeforeItIsSynced: whatever was written is synced
// before Create or Update returns, and a rename with the directory it is in (K1,
// K2). A process that is killed cannot tell: what the kernel has, it keeps. So
// the system calls are read.
func TestG1_NothingIsAcknowledgedBeforeItIsSynced(t *testing.T) {
	if dir := os.Getenv(syncDirEnv); dir != "" {
		syncWorker(t, dir)
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the order of system calls is not tested")
	}
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	worker := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-y", "-o", trace,
		"-e", "trace=write,pwrite64,ftruncate,fsync,fdatasync,rename,renameat,renameat2",
		os.Args[0], "-test.run", "^"+t.Name()+"$")
	worker.Env = append(os.Environ(), syncDirEnv+"="+dir)
	if out, err := worker.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace(") || strings.Contains(string(out), "Operation not permitted") {
			t.Skipf("strace may not trace here: %s", out)
		}
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	dirty := map[string]bool{} // what was written since it was last synced
	writes, acknowledged := 0, 0
	for line := range strings.Lines(string(lines)) {
		m := call.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "fsync", m[1] == "fdatasync":
			delete(dirty, m[2])
		case strings.HasPrefix(m[1], "rename") && strings.Contains(line, dir): // not what a test with -cover writes at its end
			if len(dirty) > 0 {
				t.Errorf("renamed before %v was synced: %s", dirty, line)
			}
			dirty[dir] = true
		case m[1] != "write" && strings.HasPrefix(m[2], dir):
			writes++
			dirty[m[2]] = true
		case strings.Contains(line, `"acknowledged`):
			acknowledged++
			if len(dirty) > 0 {
				t.Errorf("acknowledged before %v was synced", dirty)
			}
			clear(dirty)
		}
	}
	if acknowledged != 4 || writes < 8 {
		t.Errorf("%d calls were acknowledged, want 4, after %d writes", acknowledged, writes)
	}
}
