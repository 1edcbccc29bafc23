package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

func init() {
	workers["restore"] = func() error {
		runtime.LockOSThread() // so that calls are counted in one thread
		file, err := os.Open(os.Getenv("CARILLON_STORAGE_BACKUP"))
		if err != nil {
			return err
		}
		defer file.Close()
		more, err := os.Open(os.Getenv("CARILLON_STORAGE_BACKUP") + ".more")
		if err != nil {
			return err
		}
		defer more.Close()
		ctx := context.Background()
		_, err = storage.Restore(ctx, os.Getenv("CARILLON_STORAGE_DIR"), file, more)
		return err
	}
}

// TestG26_ARestoreThatIsKilledLeavesNoStore: a restore that is killed at any of its calls that
// change the disk leaves a directory that does not open, for reading or else, and in which it
// can be run again; or the whole store.
func TestG26_ARestoreThatIsKilledLeavesNoStore(t *testing.T) {
	strace := storagetest.FindStrace(t)
	s := mustOpen(t, t.TempDir(), fourVolumes)
	mustFillVolumes(t, s)
	all, at := mustBackup(t, s, "")
	mustAdd(t, s, "app-1", "later")
	more, _ := mustBackup(t, s, at.Position)
	want := s.Rows()
	backup := filepath.Join(t.TempDir(), "backup")
	if err := errors.Join(os.WriteFile(backup, all, 0o600), os.WriteFile(backup+".more", more, 0o600)); err != nil {
		t.Fatal(err)
	}
	run := func(dir string, options []string) error {
		cmd := strace.Command(t.Context(), options, os.Args[0])
		cmd.Env = workerEnv("restore", "CARILLON_STORAGE_DIR="+dir, "CARILLON_STORAGE_BACKUP="+backup)
		var said bytes.Buffer
		cmd.Stderr = &said
		err := cmd.Run()
		if err != nil && storagetest.Refused(said.String()) {
			t.Skip("strace may not trace here")
		}
		if err != nil && !storagetest.Killed(err) {
			t.Fatalf("restore: %v: %s", err, said.String())
		}
		return err
	}
	calls := []string{"renameat", "mkdirat", "pwrite64", "fdatasync", "fsync", "ftruncate", "unlinkat"}
	log := filepath.Join(t.TempDir(), "calls")
	if err := run(filepath.Join(t.TempDir(), "made"), []string{"-e", "trace=" + strings.Join(calls, ","), "-o", log}); err != nil {
		t.Fatal(err)
	}
	lines, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^(?:\d+ +)?(\w+)\(`).FindAllStringSubmatch(string(lines), -1) {
		counts[m[1]]++
	}
	killed, whole := 0, 0
	for _, call := range calls {
		var points []int
		for n := range counts[call] {
			points = append(points, n+1)
		}
		if call != "renameat" && call != "mkdirat" {
			points = storagetest.Some(4, points)
		}
		for _, n := range points {
			what := fmt.Sprintf("killed at call %d of %s", n, call)
			dir := filepath.Join(t.TempDir(), "made")
			if run(dir, storagetest.Kill(call, n)) == nil {
				continue // it was one of another thread
			}
			killed++
			r, err := storage.Open(dir, storage.Options{ReadOnly: true})
			if err == nil {
				whole++
				wantRows(t, r, want)
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if !errors.Is(err, storage.ErrFormat) && !errors.Is(err, storage.ErrNotFound) && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
			if _, err := os.Stat(filepath.Join(dir, "restoring")); err == nil {
				if _, err := storage.Open(dir, fourVolumes); !errors.Is(err, storage.ErrFormat) {
					t.Errorf("%s: it opens: %v", what, err)
				}
			}
			if err := run(dir, []string{"-e", "trace=none"}); err != nil {
				t.Errorf("%s: again: %v", what, err)
			}
			wantRows(t, mustOpen(t, dir, fourVolumes), want)
		}
	}
	t.Logf("killed %d times, of which the store was whole %d times; calls: %v", killed, whole, counts)
	if killed < 20 || counts["renameat"] < 4 {
		t.Errorf("killed %d times, calls: %v", killed, counts)
	}
}
