package storage_test

import (
	"errors"
	"strings"
	"testing"

	"carillon/storage"
)

// TestG27_NamesAndKeysHaveBounds: a pool's name, a key and a priority out of bounds are
// refused, and nothing is changed.
func TestG27_NamesAndKeysHaveBounds(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, strings.Repeat("a", 64): true, "A-z_0.9": true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "é": false, "a\x00": false,
	} {
		if err := storage.CheckPoolName(name); (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for key, ok := range map[string]bool{
		"": true, strings.Repeat("k", 256): true, "ключ": true,
		strings.Repeat("k", 257): false, "a\x00b": false, "\xff": false,
	} {
		if err := storage.CheckPoolKey(key); (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("key %.20q: %v", key, err)
		}
	}
	s := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	app := mustApp(t, s, "acme")
	tx := app.Begin(testNow)
	for name, job := range map[string]storage.Job{
		"priority 5": {Priority: 5}, "priority -1": {Priority: -1},
		"key without a pool": {PoolKey: "k"}, "name": {Pool: "a b"}, "key": {Pool: "a", PoolKey: "\x00"},
	} {
		job.Function, job.Due = "a:b", testNow
		if _, err := tx.JobWriter().InsertJob(job); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if !tx.Unchanged() {
		t.Error("a job that was refused has changed something")
	}
	tx.Rollback(nil)
}
