package wal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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

// TestG23_ALogWhoseFilesVanish: when the file that is written to was removed, replaced or
// cut off under a log that is open, the batch is refused, and every one after it, though
// the file comes back. A segment that is in its place and longer is no reason.
func TestG23_ALogWhoseFilesVanish(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("it keeps files that are open")
	}
	move := func(t *testing.T, from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		what     string
		replaced bool
		vanish   func(t *testing.T, dir, file string)
	}{
		{"nothing", false, func(*testing.T, string, string) {}},
		{"longer", false, func(t *testing.T, _, file string) {
			if err := os.Truncate(file, int64(small.SegmentSize)+1); err != nil {
				t.Fatal(err)
			}
		}},
		{"cut off", true, func(t *testing.T, _, file string) {
			if err := os.Truncate(file, int64(small.SegmentSize)-1); err != nil {
				t.Fatal(err)
			}
		}},
		{"moved", true, func(t *testing.T, _, file string) { move(t, file, file+".moved") }},
		{"replaced", true, func(t *testing.T, _, file string) {
			data, err := os.ReadFile(file)
			if err == nil {
				err = os.Rename(file, file+".moved")
			}
			if err == nil {
				err = os.WriteFile(file, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"directory moved", true, func(t *testing.T, dir, _ string) { move(t, dir, dir+".moved") }},
		{"directory removed", true, func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for _, size := range []int{100, 40_000} { // into the segment, and into one of its own
			t.Run(fmt.Sprint(tt.what, size), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "log")
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
				log, w := mustOpen(t, dir, small), waltest.NewWitness()
				spoil(t, log, w, 0, 0)
				file := filepath.Join(dir, "000001.log")
				tt.vanish(t, dir, file)
				for round := range 3 {
					err := w.Append(t, log, w.Next(0, size))[0]
					if tt.replaced != errors.Is(err, wal.ErrReplaced) || tt.replaced != errors.Is(err, wal.ErrRefused) {
						t.Errorf("append %d: %v", round, err)
					}
					if tt.what == "moved" && round == 1 {
						move(t, file+".moved", file)
					}
				}
				if _, err := log.Claim(t.Context(), 1); tt.replaced != errors.Is(err, wal.ErrReplaced) {
					t.Errorf("claim: %v", err)
				}
				err := log.Close()
				if tt.what != "moved" && tt.replaced != errors.Is(err, wal.ErrReplaced) || !tt.replaced && err != nil {
					t.Errorf("close: %v", err)
				}
				if !tt.replaced || tt.what == "moved" {
					w.CheckAll(t, mustOpen(t, dir, small))
				}
			})
		}
	}
}
