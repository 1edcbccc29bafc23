package storage_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
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

// TestG26_ABackupOfASharedLogHasAllShards: restored it is a store in a directory with all apps, in as many volumes as
// the log has shards, however many Open would make.
func TestG26_ABackupOfASharedLogHasAllShards(t *testing.T) {
	const shards = 7
	beside := t.TempDir()
	s, err := storage.Open(beside, nodeOptions(memlog.New(shards), "a"))
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, s)
	var apps []storage.AppID
	for i := range 4 * shards {
		apps = append(apps, storage.AppID(fmt.Sprintf("app-%02d", i)))
		mustAdd(t, s, apps[i], "in the first")
	}
	first, at := mustBackup(t, s, "")
	mustAdd(t, s, "app-00", "in the second")
	second, _ := mustBackup(t, s, at.Position)
	dir := filepath.Join(t.TempDir(), "made")
	if _, err := storage.Restore(t.Context(), dir, readers(first, second)...); err != nil {
		t.Fatal(err)
	}
	for _, volumes := range []int{1, 0, shards + 1} {
		opts := withDingbats
		opts.Volumes, opts.NoSync = volumes, true
		restored, err := storage.Open(dir, opts)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := restored.Apps(); err != nil || !slices.Equal(got, apps) || len(restored.Volumes()) != max(volumes, shards) {
			t.Errorf("opened with %d volumes it has %d, and the apps %v, %v", volumes, len(restored.Volumes()), got, err)
		}
		for _, id := range apps {
			if got, want := mustDump(t, restored, id), mustDump(t, s, id); !slices.Equal(got, want) {
				t.Errorf("app %s has %q, want %q", id, got, want)
			}
		}
		mustClose(t, restored)
	}
	mustClose(t, s)
	if _, err := storage.Restore(t.Context(), beside, readers(first)...); !errors.Is(err, storage.ErrExists) {
		t.Errorf("restored beside a node's copies: %v", err)
	}
}
