package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

func init() {
	workers["show"] = func() error { return show(os.Getenv("CARILLON_STORAGE_DIR")) }
}

// show is the process of the test below: it commits once, while two others look
// for what that commit brings, and each says so as soon as it sees it.
func show(dir string) error {
	runtime.LockOSThread() // for good, lest it become the committer's
	s, err := storage.Open(dir, storage.Options{Volumes: 1, Tables: withDingbats.Tables, Fault: storagetest.OwnThreads()})
	if err != nil {
		return err
	}
	app, err := s.App("acme")
	if err != nil {
		return err
	}
	var lookers sync.WaitGroup
	var errs [2]error
	look := func(i int, what string, sees func() (bool, error)) {
		lookers.Go(func() {
			for seen := false; !seen; runtime.Gosched() {
				if seen, errs[i] = sees(); errs[i] != nil {
					return
				}
			}
			os.Stdout.WriteString("shown: " + what + "\n")
		})
	}
	look(0, "the document", func() (bool, error) {
		snap, err := app.Snapshot(testNow)
		if err != nil {
			return false, err
		}
		defer snap.Close()
		n, err := dingbats.Query(snap.Reader()).Count()
		return n > 0, err
	})
	look(1, "the app", func() (bool, error) {
		ids, err := s.Apps()
		return len(ids) > 0, err
	})
	tx, done := app.Begin(testNow), make(chan error, 1)
	if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "bell"}); err != nil {
		return err
	}
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		return err
	}
	err = <-done
	lookers.Wait()
	return errors.Join(err, errs[0], errs[1], s.Close())
}

// tracedCall matches a line of a trace: the thread, the call, and its first
// argument if that is an open file and the call begins here.
var tracedCall = regexp.MustCompile(`^(\d+) +(?:<\.\.\. )?(\w+)(?:\(\d+<([^>]*)>)?`)

// TestG2_NothingIsShownBeforeItIsSynced: a commit can be seen in the file while it
// is being synced, and a power cut may still take it. So no reader is shown it
// until the sync has returned, which is made to take long here.
func TestG2_NothingIsShownBeforeItIsSynced(t *testing.T) {
	strace, dir := storagetest.FindStrace(t), t.TempDir()
	log := filepath.Join(dir, "log")
	options := append(storagetest.Fail("fdatasync", "delay_enter=100000", storagetest.IdleCalls+1, true),
		"-y", "-o", log, "-e", "trace=write,pwrite64,fdatasync")
	worker := strace.Command(t.Context(), options, os.Args[0])
	worker.Env = workerEnv("show", "CARILLON_STORAGE_DIR="+filepath.Join(dir, "store"))
	if out, err := worker.CombinedOutput(); storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	dirty, syncing := map[string]bool{}, map[string]string{} // files; what each thread syncs
	syncs, shown := 0, 0
	for line := range strings.Lines(string(lines)) {
		m := tracedCall.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		thread, name, file := m[1], m[2], m[3]
		switch {
		case strings.Contains(line, `"shown: `):
			shown++
			if len(dirty) > 0 {
				t.Errorf("shown before %v was synced: %s", dirty, line)
			}
		case name == "pwrite64" && filepath.Ext(file) == ".db":
			dirty[file] = true
		case name == "fdatasync" && file != "":
			syncing[thread] = file
		}
		if name == "fdatasync" && !strings.Contains(line, "<unfinished") && syncing[thread] != "" {
			syncs++
			delete(dirty, syncing[thread])
		}
	}
	if shown != 2 || syncs < 2 {
		t.Errorf("%d readers were shown the commit, want 2, and there were %d syncs", shown, syncs)
	}
}
