package boltfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"carillon/storage/internal/boltfile"
)

// TestG37_ALookIsNotAtWhatIsWrittenSince: whatever is committed since a Pin's moment, what
// its Looker looks at is not damaged. The meta page of that moment is, until it is written over.
func TestG37_ALookIsNotAtWhatIsWrittenSince(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file.db")
	mustCreate(t, path)
	db := mustOpen(t, path)
	for commits := range 4 {
		pin, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		for i := range commits {
			err := db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Meta, []byte("i"), []byte{byte(i)}) })
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := pin.Looker().Top(); err != nil {
			t.Errorf("%d commits later: %v", commits, err)
		}
		pin.Close()
	}
	pin, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	at := int64(pin.ID()%2) * int64(os.Getpagesize())
	spoil := func(flip byte) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteAt([]byte{data[at+40] ^ flip}, at+40)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	spoil(1)
	if err := pin.Looker().Top(); !errors.Is(err, boltfile.ErrDamaged) {
		t.Errorf("the meta page was changed: %v, want ErrDamaged", err)
	}
	spoil(1)
	if err := pin.Looker().Top(); err != nil {
		t.Errorf("the meta page is as it was: %v", err)
	}
}
