package storage_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/memlog"
	"carillon/storage/storagetest"
)

// TestG26_StoreIsMoved: a store that is moved into a log, and back into a directory, has all that it
// had, and what is not empty takes none.
func TestG26_StoreIsMoved(t *testing.T) {
	storagetest.NeedsFiles(t, "that are moved into a shared log")
	synctest.Test(t, func(t *testing.T) {
		from, to, log := t.TempDir(), filepath.Join(t.TempDir(), "new"), memlog.New(nodeShards)
		opts := storage.Options{Volumes: 2, Program: "notes", Tables: withDingbats.Tables}
		s := mustOpen(t, from, opts)
		for _, id := range inAll {
			mustAdd(t, s, id, "moved")
		}
		mustFillApp(t, mustApp(t, s, "full"))
		key, err := s.Tokens().SessionKey()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetDeclared("v3"); err != nil {
			t.Fatal(err)
		}
		for i := range 600 { // more than one commit moves
			if err := s.Audit(storage.AuditEntry{At: time.Now(), Operator: "o", Action: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
		want, audited := mustDumpAll(t, s), mustAudit(t, s, storage.AuditFilter{Limit: 1000})
		mustClose(t, s)

		// One that is cut off leaves what no node opens, and can be run again.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := storage.ImportStore(ctx, from, log); !errors.Is(err, context.Canceled) {
			t.Errorf("canceled: %v", err)
		}
		for _, way := range []string{"in", "out"} {
			var m storage.Moved
			if way == "in" {
				m, err = storage.ImportStore(t.Context(), from, log)
			} else {
				m, err = storage.ExportStore(t.Context(), log, to)
			}
			if err != nil || m.Apps != 7 || m.Rows < 20 || m.Entries != 600 {
				t.Fatalf("%s: %+v, %v", way, m, err)
			}
		}
		if _, err := storage.ImportStore(t.Context(), from, log); !errors.Is(err, storage.ErrExists) {
			t.Errorf("into a log with a store: %v", err)
		}
		if _, err := storage.ExportStore(t.Context(), log, to); !errors.Is(err, storage.ErrExists) {
			t.Errorf("into a directory with a store: %v", err)
		}
		a := mustJoin(t, log, "a", t.TempDir())
		for where, s := range map[string]*storage.Store{"log": a.mustOwn(t), "directory": mustOpen(t, to, opts)} {
			if got := mustDumpAll(t, s); !slices.Equal(got, want) {
				t.Errorf("%s: it shows %q, want %q", where, got, want)
			}
			if got := mustAudit(t, s, storage.AuditFilter{Limit: 1000}); !slices.Equal(got, audited) {
				t.Errorf("%s: %d audit entries, want %d", where, len(got), len(audited))
			}
			if got, err := s.Tokens().SessionKey(); !slices.Equal(got, key) || err != nil {
				t.Errorf("%s: the key of sessions is another one, %v", where, err)
			}
			if d, err := s.Declared(); d != "v3" || err != nil {
				t.Errorf("%s: declared %q, %v", where, d, err)
			}
			if name, err := s.Program(); name != "notes" || err != nil {
				t.Errorf("%s: program %q, %v", where, name, err)
			}
			mustAdd(t, s, "a", "after")
		}
	})
}

// TestG26_HalfAMoveIsRefused: a log into which a move has not ended is no store, until it is run again.
func TestG26_HalfAMoveIsRefused(t *testing.T) {
	storagetest.NeedsFiles(t, "that are moved into a shared log")
	synctest.Test(t, func(t *testing.T) {
		from, log := t.TempDir(), memlog.New(nodeShards)
		s := mustOpen(t, from, storage.Options{Volumes: 2, Tables: withDingbats.Tables})
		for _, id := range inAll[:2] {
			mustAdd(t, s, id, "moved")
		}
		if err := s.Audit(storage.AuditEntry{At: time.Now(), Operator: "o", Action: "a"}); err != nil {
			t.Fatal(err)
		}
		mustClose(t, s)
		halves := 0
		for after := 1; ; after++ {
			ctx, cancel := context.WithCancel(t.Context())
			var commits atomic.Int64
			m, err := storage.ImportStoreWith(ctx, from, storage.Options{Log: log, Fault: func(point string) error {
				if point == "committed" && commits.Add(1) == int64(after) {
					cancel()
				}
				return nil
			}})
			cancel()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) || after == 20 {
				t.Fatalf("it ends after %d commits: %v", after, err)
			}
			if m.Apps == 0 {
				continue
			}
			halves++
			a := mustJoin(t, log, "a", t.TempDir())
			if _, err := a.Own(t.Context()); !errors.Is(err, storage.ErrFormat) {
				t.Fatalf("half a move is owned: %v", err)
			}
			a.mustLeave(t)
		}
		if halves < 2 {
			t.Errorf("%d moves ended in their middle", halves)
		}
		a := mustJoin(t, log, "a", t.TempDir())
		s = a.mustOwn(t)
		if got := mustDumpAll(t, s); len(got) != 4 {
			t.Errorf("it shows %q", got)
		}
		if got := mustAudit(t, s, storage.AuditFilter{}); len(got) != 1 {
			t.Errorf("audited %q", got)
		}
	})
}
