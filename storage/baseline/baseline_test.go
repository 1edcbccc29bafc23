package baseline_test

import (
	"path/filepath"
	"testing"

	"carillon/storage/baseline"
)

func TestUpdate(t *testing.T) {
	f, err := baseline.Open(t.TempDir(), 3, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // an old one, or a new one
		if err := f.Update(i, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Update(0, []byte("value")); err == nil {
		t.Error("a file that is closed was updated")
	}
	if _, err := baseline.Open(filepath.Join(t.TempDir(), "none"), 1, nil); err == nil {
		t.Error("a file was made in a directory that does not exist")
	}
}
