package boltfile

import (
	"path/filepath"
	"testing"
)

// TestG6_AFileIsClosedBesideACheck: a check holds commits up for a moment, and is no commit. The
// file of a volume that was opened anew beside one stayed locked, and the volume down until a restart.
func TestG6_AFileIsClosedBesideACheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "volume.db")
	if err := Create(path, func(*Txn) error { return nil }); err != nil {
		t.Fatal(err)
	}
	db, err := Open(path, Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	db.commit.RLock() // as CheckPages does
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	db.commit.RUnlock()
	if db, err = Open(path, Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
