package boltfile_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
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

// traced runs the test again, as a worker in the directory, and returns the system calls
// that it made.
func traced(t *testing.T, dir string) string {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the order of system calls is not tested")
	}
	trace := filepath.Join(t.TempDir(), "trace")
	worker := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-y", "-s", "16", "-o", trace,
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
	return string(lines)
}

// TestG1_NothingIsAcknowledgedBeforeItIsSynced: whatever was written is synced
// before Create or Update returns, and a rename with the directory it is in (K1,
// K2). A process that is killed cannot tell: what the kernel has, it keeps. So
// the system calls are read.
func TestG1_NothingIsAcknowledgedBeforeItIsSynced(t *testing.T) {
	if dir := os.Getenv(syncDirEnv); dir != "" {
		syncWorker(t, dir)
		return
	}
	dir := t.TempDir()
	dirty := map[string]bool{} // what was written since it was last synced
	writes, acknowledged := 0, 0
	for line := range strings.Lines(traced(t, dir)) {
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

// TestG6_WhatAFileShowsIsMadeDurableWhenItIsOpened: the process before may have died between
// the write of a meta page and its sync, or seen the sync fail, so that the file shows a
// commit which no later sync makes durable, and whose predecessor's pages bbolt takes for
// free (K5). A kernel that has it all cannot tell. So the system calls are read: both meta
// pages are written again, and synced, before anything else is written.
func TestG6_WhatAFileShowsIsMadeDurableWhenItIsOpened(t *testing.T) {
	if dir := os.Getenv(syncDirEnv); dir != "" {
		db := mustOpen(t, filepath.Join(dir, "v.db"))
		acknowledge()
		if err := db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Data, []byte("a"), []byte("1")) }); err != nil {
			t.Fatal(err)
		}
		return
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "v.db")
	mustCreate(t, path)
	var calls []string
	for line := range strings.Lines(traced(t, dir)) {
		if strings.Contains(line, `"acknowledged`) {
			break
		}
		m := call.FindStringSubmatch(line)
		if m == nil || m[2] != path {
			continue
		}
		if m[1] == "pwrite64" && !strings.Contains(line, fmt.Sprintf(`..., %d, 0)`, 2*os.Getpagesize())) {
			t.Errorf("it is written to before that: %s", line)
		}
		calls = append(calls, m[1])
	}
	if want := []string{"pwrite64", "fdatasync"}; !slices.Equal(calls, want) {
		t.Errorf("opening makes the calls %q, want %q", calls, want)
	}
}
