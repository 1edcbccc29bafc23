package storage_test

import (
	"bytes"
	"sync"
	"testing"

	"carillon/storage"
)

// TestTheKeyOfSessionsStays: all who ask at once have one key, of 32 bytes, which is that after a restart and in a
// backup, and another one in another store.
func TestTheKeyOfSessionsStays(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	keys := make([][]byte, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { keys[i], _ = s.Tokens().SessionKey() })
	}
	all.Wait()
	for _, key := range keys {
		if len(key) != 32 || !bytes.Equal(key, keys[0]) || bytes.Equal(key, make([]byte, 32)) {
			t.Fatalf("the keys are %x", keys)
		}
	}
	is := func(what string, s *storage.Store, same bool) {
		t.Helper()
		if key, err := s.Tokens().SessionKey(); err != nil || bytes.Equal(key, keys[0]) != same {
			t.Errorf("%s: %x, %v", what, key, err)
		}
	}
	is("asked again", s, true)
	backup, _ := mustBackup(t, s, "")
	mustClose(t, s)
	s = mustOpen(t, dir, fourVolumes)
	is("after a restart", s, true)
	mustClose(t, s)
	s = mustRestore(t, backup)
	is("restored", s, true)
	mustClose(t, s)
	s = mustOpen(t, t.TempDir(), fourVolumes)
	is("another store", s, false)
	mustClose(t, s)
}
