package baseline_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"carillon/storage/baseline"
)

func TestKeys(t *testing.T) {
	k, err := baseline.OpenKeys(t.TempDir(), 3, []byte("old"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 { // an old one, or a new one
		if err := k.Update(i, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	if err := k.Update(0, []byte("value")); err == nil {
		t.Error("a file that is closed was updated")
	}
	if _, err := baseline.OpenKeys(filepath.Join(t.TempDir(), "none"), 1, nil); err == nil {
		t.Error("a file was made in a directory that does not exist")
	}
}

// TestZeros: an append begins a block of its own, and the file keeps its length
// when the appends have come to its end.
func TestZeros(t *testing.T) {
	const blocks = 4
	dir := t.TempDir()
	z, err := baseline.OpenZerosOf(dir, blocks*4096)
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, blocks*4096)
	put := func(block, size int, mark byte) {
		data := bytes.Repeat([]byte{mark}, size)
		if err := z.Append(data); err != nil {
			t.Fatal(err)
		}
		copy(want[block*4096:], append(data, make([]byte, (4096-size%4096)%4096)...))
		got, err := os.ReadFile(filepath.Join(dir, "zeros"))
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("after append %c the file is not as it should be, %v", mark, err)
		}
	}
	put(0, 64, 'a')
	put(1, 4096, 'b')
	put(2, 4097, 'c') // two blocks, up to the end
	put(0, 10, 'd')
	put(1, 8192, 'e')
	put(0, 8192, 'f') // one block was left
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Append(nil); err == nil {
		t.Error("a file that is closed took an append")
	}
	if _, err := baseline.OpenZeros(dir); err == nil {
		t.Error("a file was made that exists")
	}
}
