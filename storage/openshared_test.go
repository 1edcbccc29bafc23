package storage_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/internal/wal"
	"carillon/storage/memlog"
)

// TestG43_OpenOwns: Open with a log is a node that owns the store until it is closed, and leaves then.
// One that is alive is not waited for longer than LockTimeout, one that has crashed until its TTL is over.
func TestG43_OpenOwns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ttl = 10 * time.Second
		log, dir := memlog.New(nodeShards), t.TempDir()
		opts := func(name string) storage.Options {
			o := nodeOptions(log, name)
			o.Node.TTL, o.LockTimeout = ttl, 3*time.Second
			return o
		}
		open := func(dir, name string) (*storage.Store, time.Duration) {
			t.Helper()
			began := time.Now()
			s, err := storage.Open(dir, opts(name))
			if err != nil {
				t.Fatal(err)
			}
			return s, time.Since(began)
		}
		s, took := open(dir, "a")
		if took > 0 {
			t.Errorf("a store that is free is owned after %v", took)
		}
		mustAdd(t, s, "acme", "of a")
		if _, err := storage.Open(dir, opts("a")); !errors.Is(err, storage.ErrLocked) {
			t.Errorf("opened twice in a directory: %v", err)
		}
		time.Sleep(time.Minute)
		other, began := t.TempDir(), time.Now()
		_, err := storage.Open(other, opts("b"))
		if took := time.Since(began); !errors.Is(err, storage.ErrLocked) || !strings.Contains(err.Error(), "node a") || took < 3*time.Second || took > 6*time.Second {
			t.Errorf("while a is alive, b is told after %v: %v", took, err)
		}
		for range 2 {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}

		s, took = open(other, "b")
		if took > 0 {
			t.Errorf("b owns it %v after a was closed", took)
		}
		mustAdd(t, s, "acme", "of b")
		if err := s.Abort(); err != nil {
			t.Error(err)
		}
		s, took = open(dir, "a")
		if took < ttl-time.Second || took > ttl+time.Second {
			t.Errorf("a owns it %v after b has crashed", took)
		}
		mustRead(t, mustApp(t, s, "acme"), func(r storage.Reader) {
			if n, err := dingbats.Query(r).Count(); err != nil || n != 2 {
				t.Errorf("a finds %d dingbats, %v", n, err)
			}
		})
		if err := s.Abort(); err != nil {
			t.Error(err)
		}

		log.Cut("b")
		if _, err := storage.Open(other, opts("b")); !errors.Is(err, wal.ErrRefused) {
			t.Errorf("while the log is away: %v", err)
		}
		log.Heal()
		log.Pass(ttl)
		s, _ = open(other, "b") // the directory is free again
		mustClose(t, s)
	})
}
