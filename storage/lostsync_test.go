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

// TestG6_WhatAFailedSyncHasLeftIsGivenUp: a commit whose sync has failed is not shown: the
// page cache may have it, and the disk not. The segment of the log is not written any more;
// before anything is read, another one says durably that the commit is no part of the log.
// A process that goes on cannot tell, so its system calls are read.
func TestG6_WhatAFailedSyncHasLeftIsGivenUp(t *testing.T) {
	strace, dir := storagetest.FindStrace(t), t.TempDir()
	log := filepath.Join(dir, "log")
	options := append(storagetest.Fail("fdatasync", "error=EIO", storagetest.IdleCalls+2, false),
		"-y", "-o", log, "-e", "trace=write,pwrite64,fdatasync")
	worker := strace.Command(t.Context(), options, os.Args[0])
	worker.Env = workerEnv("lost sync", "CARILLON_STORAGE_DIR="+filepath.Join(dir, "store"))
	out, err := worker.CombinedOutput()
	if storagetest.Refused(string(out)) {
		t.Skipf("strace may not trace: %s", out)
	}
	if err != nil || !bytes.Contains(out, []byte("shown 1\n")) {
		t.Fatalf("the worker says %q, %v, want it to be shown the first commit", out, err)
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
		case story == nil && strings.Contains(line, "(INJECTED)"):
			story = []string{"lost " + filepath.Base(m[2])}
		case strings.Contains(line, `"shown`):
			story = append(story, "shown")
		case story != nil && filepath.Ext(m[2]) == ".log":
			story = append(story, m[1]+" "+filepath.Base(m[2]))
		}
	}
	shown := slices.Index(story, "shown")
	if shown < 0 {
		t.Fatalf("the trace tells of %v, want a sync that fails and an answer", story)
	}
	story = slices.Compact(story[:shown])
	if want := []string{"lost 000001.log", "pwrite64 000002.log", "fdatasync 000002.log"}; !slices.Equal(story, want) {
		t.Errorf("before the answer: %v, want %v", story, want)
	}
}
