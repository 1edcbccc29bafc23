package storage_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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
