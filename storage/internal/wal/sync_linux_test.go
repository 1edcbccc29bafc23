package wal_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
	"carillon/storage/storagetest"
)

// syncEnv names, to the process that the test below starts, the directory to work in.
const syncEnv = "CARILLON_WAL_SYNC"

// call matches a traced system call: its name, and the name of its file.
var call = regexp.MustCompile(`^\d+\s+(\w+)\((?:\d+<([^>]*)>)?`)

// TestG1_TheLogAcknowledgesWhatIsSynced: all that was written is synced before a claim or
// an append returns, in a directory of the system's, and a record costs one write and one
// fdatasync.
func TestG1_TheLogAcknowledgesWhatIsSynced(t *testing.T) {
	if dir := os.Getenv(syncEnv); dir != "" {
		w, log := waltest.NewWitness(), mustOpen(t, dir, small)
		for range 10 {
			spoil(t, log, w, 1)
			_, _ = os.Stdout.WriteString("acknowledged\n")
		}
		return
	}
	strace, dir := storagetest.FindStrace(t), t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	worker := strace.Command(t.Context(), []string{
		"-y", "-o", trace, "-e", "trace=write,pwrite64,fsync,fdatasync,rename,renameat,renameat2",
	}, os.Args[0], "-test.run", "^"+t.Name()+"$")
	worker.Env = append(os.Environ(), syncEnv+"="+dir)
	if out, err := worker.CombinedOutput(); storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	dirty := map[string]bool{}
	acknowledged, datasyncs := 0, 0
	for line := range strings.Lines(string(lines)) {
		m := call.FindStringSubmatch(line)
		switch {
		case m == nil:
		case m[1] == "fsync", m[1] == "fdatasync":
			delete(dirty, m[2])
			if m[1] == "fdatasync" {
				datasyncs++
			}
		case strings.HasPrefix(m[1], "rename") && strings.Contains(line, dir):
			delete(dirty, filepath.Join(dir, "new"))
			dirty[dir] = true
		case m[1] != "write" && strings.HasPrefix(m[2], dir):
			dirty[m[2]] = true
		case strings.Contains(line, `"acknowledged`):
			acknowledged++
			if len(dirty) > 0 {
				t.Errorf("acknowledged before %v was synced", dirty)
			}
			clear(dirty)
		}
	}
	if acknowledged != 10 || datasyncs != 10 {
		t.Errorf("%d records were acknowledged after %d calls of fdatasync, want 10 of each", acknowledged, datasyncs)
	}
}

// TestANewLogIsSmall: a log with its first record takes little of the disk, and its
// segment has its size nevertheless.
func TestANewLogIsSmall(t *testing.T) {
	dir, w := t.TempDir(), waltest.NewWitness()
	log := mustOpen(t, dir, wal.Options{})
	spoil(t, log, w, 0, 0)
	if n := log.Stats().Bytes; n > 512<<10 {
		t.Errorf("it has written %d bytes", n)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) != 1 {
		t.Fatalf("%v, %v", names, err)
	}
	var info syscall.Stat_t
	if err := syscall.Stat(names[0], &info); err != nil || info.Size != 8<<20 || info.Blocks*512 > 512<<10 {
		t.Errorf("a segment of %d bytes takes %d of the disk, %v", info.Size, info.Blocks*512, err)
	}
	if err := log.Close(); err != nil {
		t.Error(err)
	}
}
