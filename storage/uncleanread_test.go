package storage_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"carillon/storage"
)

// everything is what the directory holds: names, modes, instants and contents.
func everything(tb testing.TB, dir string) (all string) {
	tb.Helper()
	must(tb, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		all += fmt.Sprintln(path, info.Mode(), info.ModTime(), info.Size())
		if !e.IsDir() {
			all += digest(tb, path) + "\n"
		}
		return nil
	}))
	return all
}

// TestG24_ReadingAnUncleanStoreChangesNothing: a store whose process was killed is checked,
// listed and exported with all that was acknowledged, and no byte of its directory changes,
// which may be one that cannot be written.
func TestG24_ReadingAnUncleanStoreChangesNothing(t *testing.T) {
	u := mustUnclean(t, 5)
	must(t, filepath.WalkDir(u.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o400)
		if e.IsDir() {
			mode = 0o500
		}
		return os.Chmod(path, mode)
	}))
	t.Cleanup(func() {
		_ = filepath.WalkDir(u.dir, func(path string, e fs.DirEntry, err error) error { return os.Chmod(path, 0o700) })
	})
	before := everything(t, u.dir)
	for range 2 {
		s, err := storage.Open(u.dir, storage.Options{ReadOnly: true})
		must(t, err)
		if n := s.Uncopied(); n < 15 {
			t.Errorf("%d records are said not to be in the files, want 15 or more", n)
		}
		for i, id := range u.apps {
			if n := u.found(t, s, i); n != u.jobs {
				t.Errorf("volume %d shows %d jobs of %d", i, n, u.jobs)
			}
			if len(mustExport(t, s, id)) == 0 {
				t.Errorf("nothing was exported of %s", id)
			}
		}
		must(t, s.Check())
		must(t, s.Close())
		if after := everything(t, u.dir); after != before {
			t.Errorf("it was\n%s\nand is\n%s", before, after)
		}
	}
	found, err := storage.Salvage(u.dir, false, testNow)
	if err != nil || lostIn(found) != "" || everything(t, u.dir) != before {
		t.Errorf("a salvage that accepts nothing: %+v, %v", found, err)
	}
}

// TestAnOpeningTellsOfALongLog: how many records of the log are read, of how many, is told to
// Progress, or to the Logger if there is none; of a short log nothing is.
func TestAnOpeningTellsOfALongLog(t *testing.T) {
	u := mustUnclean(t, 5)
	var told []string
	var log logs
	opts := storage.Options{ReadOnly: true, Logger: log.logger(), Progress: func(volume string, done, total int) {
		told = append(told, fmt.Sprint(volume, " ", done, " of ", total))
	}}
	open := func() {
		t.Helper()
		s, err := storage.Open(u.dir, opts)
		must(t, err)
		must(t, s.Close())
	}
	open()
	if len(told) > 0 {
		t.Errorf("of a short log it is told %q", told)
	}
	storage.TellAllReplay(t)
	open()
	var want []string
	for v := range 3 {
		for n := range 5 {
			want = append(want, fmt.Sprintf("volume-00%d.db %d of 5", v, n+1))
		}
	}
	if !slices.Equal(told, want) {
		t.Errorf("it is told %q, want %q", told, want)
	}
	if lines := log.lines(); len(lines) > 0 {
		t.Errorf("and the log says %q", lines)
	}
	opts.Progress = nil
	open()
	if lines := log.lines(); len(lines) != 15 || !strings.Contains(lines[0], "volume=volume-000.db records=1 total=5") {
		t.Errorf("the log says %q", lines)
	}
}
