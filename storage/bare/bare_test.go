package bare_test

import (
	"path/filepath"
	"testing"

	"carillon/storage/bare"
)

func TestUpdate(t *testing.T) {
	f, err := bare.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := f.Update([]byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Update([]byte("value")); err == nil {
		t.Error("a file that is closed was updated")
	}
	if _, err := bare.Open(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a file was made in a directory that does not exist")
	}
}
