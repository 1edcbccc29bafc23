package storagetest_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// dirEnv names, to the process that this test starts, the directory to work in.
const dirEnv = "CARILLON_STORAGETEST_DIR"

// TestWorker is not a test but that process: it makes a store and commits a few times.
func TestWorker(t *testing.T) {
	dir := os.Getenv(dirEnv)
	if dir == "" {
		t.Skip("it is run by the test that breaks it")
	}
	runtime.LockOSThread()
	s, err := storage.Open(dir, storage.Options{Volumes: 1, Fault: storagetest.OwnThreads()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	app, err := s.App("acme")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		tx, done := app.Begin(time.Now()), make(chan error, 1)
		if _, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:b", Due: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(func(err error) { done <- err }); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// TestDiskCallsBreak demands that what strace is asked to do happens, in opening
// as well as in the committer, and that nothing happens otherwise: tests of broken
// disks that break none would be green.
func TestDiskCallsBreak(t *testing.T) {
	strace := storagetest.FindStrace(t)
	run := func(options []string) (out string, err error) {
		t.Helper()
		worker := strace.Command(t.Context(), options, os.Args[0], "-test.run", "^TestWorker$")
		worker.Env = append(os.Environ(), dirEnv+"="+filepath.Join(t.TempDir(), "data"), "GORACE=atexit_sleep_ms=0")
		text, err := worker.CombinedOutput()
		if storagetest.Refused(string(text)) {
			t.Skipf("strace may not trace: %s", text)
		}
		return string(text), err
	}
	log := filepath.Join(t.TempDir(), "log")
	if out, err := run(storagetest.Count(log)); err != nil {
		t.Fatalf("unharmed: %v\n%s", err, out)
	}
	counts, err := storagetest.ReadCounts(log, storagetest.Whole)
	if err != nil || counts.Committing["fdatasync"] < 3 {
		t.Fatalf("the disk calls are %+v, %v, want three commits", counts, err)
	}
	all := counts.Points("fdatasync")
	for _, n := range []int{all[0], all[len(all)-1]} {
		if out, err := run(storagetest.Kill("fdatasync", n)); !storagetest.Killed(err) {
			t.Errorf("to be killed at fdatasync %d: %v\n%s", n, err, out)
		}
		if out, err := run(storagetest.Fail("fdatasync", "error=EIO", n, false)); err == nil || !strings.Contains(out, "input/output error") {
			t.Errorf("with an error of fdatasync %d: %v\n%s", n, err, out)
		}
	}
	if out, err := run(storagetest.Kill("fdatasync", all[len(all)-1]+1)); err != nil {
		t.Errorf("to be killed behind the last one: %v\n%s", err, out)
	}
}
