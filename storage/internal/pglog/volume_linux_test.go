package pglog_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/pglog"
)

// mustVolume opens a copy of a node, in a new directory, on the log, and takes the volume over.
func mustVolume(t *testing.T, log *pglog.Log) *kv.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "volume.db")
	if err := kv.Create(path, func(*kv.Fresh) error { return nil }); err != nil {
		t.Fatal(err)
	}
	db, err := kv.Open(path, kv.Options{NoSync: true})
	if err == nil {
		t.Cleanup(func() { _ = db.Abandon() })
		err = db.Join(t.Context(), log, 1)
	}
	if err == nil {
		err = db.Claim(t.Context(), 64<<10)
	}
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestG1_VolumeMovesToAnotherNode: what a volume has acknowledged on one node is on the next,
// which has the log alone, and the first one writes no more.
func TestG1_VolumeMovesToAnotherNode(t *testing.T) {
	p := mustPlace(t)
	a := mustVolume(t, p.open(t, pglog.Options{}))
	write := func(db *kv.DB, key string) error {
		return db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, []byte(key), []byte("value of "+key)) })
	}
	for i := range 40 {
		if err := write(a, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, a.Checkpoint(), nil) // its own copy: nothing is folded, so the log keeps all
	b := mustVolume(t, p.open(t, pglog.Options{}))
	if err := write(a, "late"); !errors.Is(err, kv.ErrRefused) {
		t.Errorf("the first node writes: %v", err)
	}
	if err := write(b, "40"); err != nil {
		t.Fatal(err)
	}
	pin, err := b.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	err = pin.Read(func(snap *kv.Snapshot) error {
		for i := range 41 {
			if key := fmt.Sprint(i); string(snap.Get(kv.Data, []byte(key))) != "value of "+key {
				t.Errorf("key %s has %q", key, snap.Get(kv.Data, []byte(key)))
			}
		}
		if snap.Get(kv.Data, []byte("late")) != nil {
			t.Error("what was refused is there")
		}
		return nil
	})
	wants(t, err, nil)
}
