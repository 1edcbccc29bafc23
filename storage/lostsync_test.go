package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

func init() {
	workers["lost sync"] = func() error { return loseSync(os.Getenv("CARILLON_STORAGE_DIR")) }
}

// loseSync is the process of the test below: of its commits one is synced in vain.
// Then it looks at what is there, in a turn that changes nothing, and says so.
func loseSync(dir string) error {
	runtime.LockOSThread() // for good, lest it become the committer's
	s, err := storage.Open(dir, storage.Options{Volumes: 1, Tables: withDingbats.Tables, Fault: storagetest.OwnThreads()})
	if err != nil {
		return err
	}
	app, err := s.App("acme")
	if err != nil {
		return err
	}
	for err == nil {
		tx, done := app.Begin(testNow), make(chan error, 1)
		if _, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "bell"}); err != nil {
			return err
		}
		if err := tx.Commit(func(err error) { done <- err }); err != nil {
			return err
		}
		err = <-done
	}
	if !errors.Is(err, storage.ErrUnknownOutcome) {
		return err
	}
	if err := app.Reload(); err != nil {
		return err
	}
	tx, done := app.Begin(testNow), make(chan error, 1)
	n, err := dingbats.Query(tx.Writer()).Count()
	if err != nil {
		return err
	}
	tx.Rollback(func(err error) { done <- err })
	if err := <-done; err != nil {
		return err
	}
	os.Stdout.WriteString(fmt.Sprintf("shown %d\n", n))
	return s.Close()
}

// TestG6_WhatAFailedSyncHasLeftIsMadeDurable: a commit whose last sync has failed
// shows after the volume was reopened, because the page cache has it. The disk may
// not, and no later sync writes it: so it is written again (K5), and committed on
// top of before anybody is answered from it. A process that goes on cannot tell, so its system calls are read.
func TestG6_WhatAFailedSyncHasLeftIsMadeDurable(t *testing.T) {
	strace, dir := storagetest.FindStrace(t), t.TempDir()
	log := filepath.Join(dir, "log")
	// Two syncs a commit, that of its pages and that of the page that makes them count.
	options := append(storagetest.Fail("fdatasync", "error=EIO", storagetest.IdleCalls+4, false),
		"-y", "-o", log, "-e", "trace=write,pwrite64,fdatasync")
	worker := strace.Command(t.Context(), options, os.Args[0])
	worker.Env = workerEnv("lost sync", "CARILLON_STORAGE_DIR="+filepath.Join(dir, "store"))
	out, err := worker.CombinedOutput()
	if storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace: %s", out)
	}
	if err != nil || !bytes.Contains(out, []byte("shown 2\n")) {
		t.Fatalf("the worker says %q, %v, want it to be shown both commits", out, err)
	}
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var story []string // since the sync that failed
	call := regexp.MustCompile(`^\d+ +(\w+)\(\d+<([^>]*)>`)
	for line := range strings.Lines(string(lines)) {
		m := call.FindStringSubmatch(line)
		switch {
		case m == nil:
		case strings.Contains(line, "(INJECTED)"):
			story = []string{"lost"}
		case strings.Contains(line, `"shown`):
			story = append(story, "shown")
		case story != nil && filepath.Ext(m[2]) == ".db":
			story = append(story, m[1])
		}
	}
	shown := slices.Index(story, "shown")
	if shown < 0 {
		t.Fatalf("the trace tells of %v, want a sync that fails and an answer", story)
	}
	story = slices.Compact(story[:shown])
	if !slices.Equal(story, []string{"lost", "pwrite64", "fdatasync", "pwrite64", "fdatasync", "pwrite64", "fdatasync"}) {
		t.Errorf("before the answer: %v, want what was lost again, and another commit", story)
	}
}
