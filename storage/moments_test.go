package storage_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// TestG23_FilesAndLogOfDifferentMoments: volume files, or one of them, and a log that come
// from copies made at different times are refused, and nothing is changed; or they show all
// that was acknowledged, as when the log has every record that an older file lacks.
func TestG23_FilesAndLogOfDifferentMoments(t *testing.T) {
	opts := withDingbats
	opts.Volumes, opts.LogSegment = 3, 16<<10
	at := t.TempDir()
	copyOf := func(dir string) string {
		t.Helper()
		to := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		return to
	}
	// live has each volume get something to keep, n times, and returns a copy of what is left.
	live := func(dir, what string, n int, clean bool) (left string) {
		t.Helper()
		lives := opts
		lives.NoSync = true
		s, err := storage.Open(dir, lives)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			for _, id := range []storage.AppID{"app0", "app1", "app2", "app3", "app4", "app5"} {
				mustUpdate(t, mustApp(t, s, id), func(w storage.Writer) {
					if _, err := dingbats.Insert(w, Dingbat{Name: what + strings.Repeat("x", 500)}); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
		end := s.Abort
		if clean {
			end = s.Close
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		return copyOf(dir)
	}
	show := func(dir string, opts storage.Options) string {
		t.Helper()
		s := mustOpen(t, dir, opts)
		defer mustClose(t, s)
		return contents(t, s)
	}
	old := live(at, "old", 1, true)
	fork := live(copyOf(old), "another life", 2, false)
	recent := live(at, "recent", 2, false)
	opts.LogKeep = 16 << 20
	keeping := copyOf(recent)
	for range 8 {
		live(keeping, "much", 2, true)
	}
	kept := live(keeping, "kept", 1, false)
	opts.LogKeep = 0 // none, since LogSegment is set
	for range 8 {    // each of them is copied, and trimmed
		live(at, "much", 2, true)
	}
	late := live(at, "late", 1, false)

	for _, tt := range []struct {
		name       string
		files, log string // of which moments
		one        bool   // only volume 1 is of that moment, the other files are of the log's
		want       string // what it shows is that of this moment; "" is refused
		keep       bool   // what was trimmed is kept
		says       string
	}{
		{name: "one moment", files: late, log: late, want: late},
		{name: "an older copy of the files, and the log has the rest", files: old, log: recent, want: recent},
		{name: "an older copy of one file, and the log has the rest", files: old, log: recent, one: true, want: recent},
		{name: "an older copy of the files, and the log has moved on", files: old, log: late, says: "volume-000.db"},
		{name: "an older copy of one file, and the log has moved on", files: old, log: late, one: true, says: "volume-001.db"},
		{name: "an older copy of the files, and the log has kept the rest", files: old, log: kept, want: kept, keep: true},
		{name: "an older copy of one file, and the log has kept the rest", files: old, log: kept, one: true, want: kept, keep: true},
		{name: "files of another life, and a log that has kept more", files: fork, log: kept, says: "volume-000.db", keep: true},
		{name: "an older log", files: late, log: old, says: "volume-000.db"},
		{name: "one file is later than the log", files: late, log: old, one: true, says: "volume-001.db"},
		{name: "files of another life", files: live(fork, "another life", 2, true), log: recent, says: "volume-000.db"},
		{name: "no log", files: late, says: "volume-000.db"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			opts := opts
			if tt.keep {
				opts.LogKeep = 16 << 20
			}
			dir := copyOf(tt.files)
			if err := os.RemoveAll(filepath.Join(dir, "log")); err != nil {
				t.Fatal(err)
			}
			if tt.log != "" {
				if err := os.CopyFS(filepath.Join(dir, "log"), os.DirFS(filepath.Join(tt.log, "log"))); err != nil {
					t.Fatal(err)
				}
			}
			for i := 0; tt.one && i < 3; i++ {
				if i != 1 {
					mustCopy(t, volume(tt.log, i), volume(dir, i))
				}
			}
			if tt.want == "" {
				for _, readOnly := range []bool{true, false} {
					opts.ReadOnly = readOnly
					mustRefuse(t, dir, opts, storage.ErrFormat, tt.says)
				}
				return
			}
			if got, want := show(dir, opts), show(copyOf(tt.want), opts); got != want {
				t.Errorf("it shows\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestG23_TheLogHasOneOwner: while a process has the store open, another one that finds
// other files in the place of the volumes, whose locks are free, is kept out by the log's.
func TestG23_TheLogHasOneOwner(t *testing.T) {
	storagetest.NeedsFiles(t, "which are exchanged")
	dir := mustStore(t, 0)
	copies := t.TempDir()
	for i := range 3 {
		mustCopy(t, volume(dir, i), volume(copies, i))
	}
	h := mustHold(t, dir, false)
	if line := h.line(t); line != "open" {
		t.Fatalf("the first process says %q", line)
	}
	for i := range 3 {
		if err := os.Rename(volume(copies, i), volume(dir, i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, readOnly := range []bool{false, true} {
		mustRefuse(t, dir, storage.Options{Volumes: 3, ReadOnly: readOnly}, storage.ErrLocked, "log: another process has it open")
	}
	if err := errors.Join(h.cmd.Process.Kill(), h.stop.Close()); err != nil {
		t.Fatal(err)
	}
	_ = h.cmd.Wait() // says that it was killed
}
