package wal_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

func mustOpen(tb testing.TB, path string, opts wal.Options) *wal.File {
	tb.Helper()
	log, err := wal.OpenFile(path, opts)
	if err != nil {
		tb.Fatal(err)
	}
	return log
}

// TestG1_ALogInADirectory: the log is in files of one size, which no other process, nor
// this one, can open a second time, and is there when it is opened anew.
func TestG1_ALogInADirectory(t *testing.T) {
	dir := t.TempDir()
	w := waltest.NewWitness()
	for range 3 {
		log := mustOpen(t, dir, small)
		if _, err := wal.OpenFile(dir, small); !errors.Is(err, wal.ErrLocked) {
			t.Errorf("opened twice: %v", err)
		}
		w.Reopened()
		w.CheckAll(t, log)
		spoil(t, log, w, 1, 1, 2, 1, 1, 2, 1)
		w.TrimBy(t, log, 1, 1)
		w.CheckAll(t, log)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) < 3 {
		t.Fatalf("%v, %v", names, err)
	}
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || info.Size() != int64(small.SegmentSize) {
			t.Errorf("%s: %v, %v", name, info.Size(), err)
		}
	}
	opts := small
	opts.ReadOnly = true
	one, two := mustOpen(t, dir, opts), mustOpen(t, dir, opts)
	w.CheckAll(t, one)
	w.CheckAll(t, two)
	if _, err := wal.OpenFile(dir, small); !errors.Is(err, wal.ErrLocked) {
		t.Errorf("opened while it is read: %v", err)
	}
	if err := errors.Join(one.Close(), two.Close()); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, dir, small).Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := wal.OpenFile(filepath.Join(dir, "none"), small); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that is not there: %v", err)
	}
}
