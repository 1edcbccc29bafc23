package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// mustAudit returns the actions that the filter chooses, the latest first, page by page.
func mustAudit(tb testing.TB, s *storage.Store, f storage.AuditFilter) (actions []string) {
	tb.Helper()
	for {
		page, err := s.AuditLog(f)
		if err != nil {
			tb.Fatal(err)
		}
		for _, e := range page.Entries {
			actions = append(actions, e.Action)
		}
		if f.Cursor = page.Next; f.Cursor == "" {
			return actions
		}
	}
}

// TestAuditIsOfTheCommit: a change has its entry, what changes nothing or is dropped has none, and
// the entries outlive the app, a restart and a backup; no export has them.
func TestAuditIsOfTheCommit(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, fourVolumes)
	at := testNow
	change := func(id storage.AppID, action string, do func(*storage.Tx) bool) {
		t.Helper()
		app := mustApp(t, s, id)
		at = at.Add(time.Second)
		tx := app.Begin(at)
		keep := do(tx)
		tx.Audit(storage.AuditEntry{Operator: "ann", Action: action, IDs: []string{"x"}, From: "192.0.2.1"})
		if !keep {
			tx.Rollback(nil)
			return
		}
		done := make(chan error, 1)
		if err := errors.Join(tx.Commit(func(err error) { done <- err }), <-done); err != nil {
			t.Fatal(err)
		}
	}
	insert := func(keep bool) func(*storage.Tx) bool {
		return func(tx *storage.Tx) bool {
			mustInsert(t, tx.JobWriter(), storage.Job{Function: "a:b", Args: []byte(`"secret"`), Due: testNow})
			tx.Concerns("y")
			return keep
		}
	}
	for i := range 7 {
		change(storage.AppID(fmt.Sprint("app", i%4)), fmt.Sprint("insert ", i), insert(true))
		change("app0", "dropped", insert(false))
		change("app0", "nothing", func(*storage.Tx) bool { return true })
	}
	for _, e := range []storage.AuditEntry{{Action: "backup"}, {Action: "accept"}} {
		at = at.Add(time.Second)
		if e.At = at; e.Action == "accept" {
			if err := s.SetMark(storage.EraAccepted, 0, e); err != nil {
				t.Fatal(err)
			}
		} else if err := s.Audit(e); err != nil {
			t.Fatal(err)
		}
	}
	var export bytes.Buffer
	if err := s.Export(context.Background(), "app1", &export); err != nil || strings.Contains(export.String(), "insert") {
		t.Errorf("an export has the audit log: %v", err)
	}
	by := storage.AuditEntry{At: at.Add(time.Second), Operator: "bob", Action: "import", App: "app9"}
	if err := s.Import(context.Background(), "app9", &export, by); err != nil {
		t.Fatal(err)
	}
	by = storage.AuditEntry{At: at.Add(2 * time.Second), Operator: "bob", Action: "delete", App: "app1"}
	if err := s.Delete("app1", by); err != nil {
		t.Fatal(err)
	}
	by.At = at.Add(3 * time.Second)
	if err := s.Delete("app1", by); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("deleting it again: %v", err)
	}
	for i, what := range []string{"token made", "token made", "token revoked"} {
		tokens, err := s.Tokens().By(storage.AuditEntry{At: at.Add(time.Duration(4+i) * time.Second), Operator: "bob", Action: what}), error(nil)
		if i < 2 {
			err = tokens.Add(tokenOf("a1")) // the second time it is there
		} else {
			_, err = tokens.Remove("a1")
		}
		if (err != nil) != (i == 1) {
			t.Error(err)
		}
	}
	want := []string{"token revoked", "token made", "delete", "import", "accept", "backup", "insert 6", "insert 5", "insert 4", "insert 3", "insert 2", "insert 1", "insert 0"}
	same := func(what string, s *storage.Store) {
		t.Helper()
		for limit := range 15 {
			if got := mustAudit(t, s, storage.AuditFilter{Limit: limit}); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, pages of %d: %q, want %q", what, limit, got, want)
			}
		}
		for _, tt := range []struct {
			f    storage.AuditFilter
			want []string
		}{
			{storage.AuditFilter{Apps: []storage.AppID{"app1"}, Limit: 1}, []string{"delete", "insert 5", "insert 1"}},
			{storage.AuditFilter{Apps: []storage.AppID{"app2", "app9"}}, []string{"import", "insert 6", "insert 2"}},
			{storage.AuditFilter{Apps: []storage.AppID{""}, Operator: "bob"}, []string{"token revoked", "token made"}},
			{storage.AuditFilter{Apps: []storage.AppID{}}, nil},
			{storage.AuditFilter{Operator: "bob", Limit: 2}, want[:4]},
			{storage.AuditFilter{Span: storage.TimeRange{From: testNow.Add(4 * time.Second), Before: testNow.Add(10 * time.Second)}}, []string{"insert 2", "insert 1"}},
		} {
			if got := mustAudit(t, s, tt.f); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%s, %+v: %q, want %q", what, tt.f, got, tt.want)
			}
		}
		page, err := s.AuditLog(storage.AuditFilter{Apps: []storage.AppID{"app3"}, Limit: 1})
		entry := storage.AuditEntry{At: testNow.Add(10 * time.Second), Operator: "ann", Action: "insert 3", App: "app3", IDs: []string{"x", "y"}, Count: 2, From: "192.0.2.1"}
		if err != nil || len(page.Entries) != 1 || !reflect.DeepEqual(page.Entries[0], entry) {
			t.Errorf("%s: %+v, %v, want %+v", what, page, err, entry)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	same("made", s)
	for _, f := range []storage.AuditFilter{{Limit: -1}, {Limit: 1001}, {Cursor: "x"}, {Cursor: "00"}, {Cursor: "0101010101"}, {Cursor: "ffffffffffffffffffff01010101"}} {
		if _, err := s.AuditLog(f); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	backup, _ := mustBackup(t, s, "")
	mustClose(t, s)
	s = mustOpen(t, dir, fourVolumes)
	same("reopened", s)
	mustClose(t, s)
	s = mustRestore(t, backup)
	same("restored", s)
	mustClose(t, s)
}

// TestAuditIsBounded: in bytes of each volume, the oldest going first, in time to the
// millisecond, and in the length of an entry.
func TestAuditIsBounded(t *testing.T) {
	const most = 1000
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1, NoSync: true, MaxAuditBytes: most})
	defer mustClose(t, s)
	write := func(action string, at time.Time) {
		t.Helper()
		if err := s.Audit(storage.AuditEntry{At: at, Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int { return len(mustAudit(t, s, storage.AuditFilter{})) }
	write("one", testNow)
	// Of each entry the key has 14 bytes, and the row as many as the first one's.
	row := len("\x08\x01\x10\xb0\xea\xb1\xf6\xb1\x33\x22\x03one") + 14
	n := most / row
	for i := 1; i < n; i++ {
		write("one", testNow.Add(time.Duration(i)*time.Millisecond))
	}
	if got := count(); got != n {
		t.Errorf("%d entries of %d bytes, want %d", got, row, n)
	}
	write("new", testNow.Add(time.Duration(n)*time.Millisecond))
	if got := mustAudit(t, s, storage.AuditFilter{}); len(got) != n || got[0] != "new" {
		t.Errorf("after one more: %q", got)
	}
	if err := s.PurgeAudit(testNow.Add(3 * time.Millisecond)); err != nil || count() != n-2 {
		t.Errorf("%d are left, %v, want %d", count(), err, n-2)
	}
	if err := s.PurgeAudit(testNow.Add(time.Hour)); err != nil || count() != 0 {
		t.Errorf("%d are left, %v", count(), err)
	}
	long := strings.Repeat("ü", 100)
	if err := s.Audit(storage.AuditEntry{At: testNow, Operator: long, Action: long, App: storage.AppID(long), From: long, IDs: slices.Repeat([]string{"ten bytes."}, storage.MaxAuditIDs+1)}); err != nil {
		t.Fatal(err)
	}
	page, err := s.AuditLog(storage.AuditFilter{})
	if err != nil || len(page.Entries) != 1 || page.Entries[0].Operator != long[:128] || len(page.Entries[0].IDs) != storage.MaxAuditIDs || page.Entries[0].Count != storage.MaxAuditIDs+1 {
		t.Errorf("%+v, %v", page, err)
	}
	// An entry that alone has more bytes than all may have is kept until the next one.
	write("last", testNow)
	if got := mustAudit(t, s, storage.AuditFilter{}); !reflect.DeepEqual(got, []string{"last"}) {
		t.Errorf("%q", got)
	}
}

// TestAuditIsPurgedInSteps: of thousands of entries each commit drops some hundred, and a page
// looks at some thousand of those that are not chosen.
func TestAuditIsPurgedInSteps(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 2, NoSync: true})
	defer mustClose(t, s)
	for volume, n := range []int{5000, 1} { // the one is an hour earlier, and must not be shown before
		at := testNow.Add(-time.Duration(volume) * time.Hour)
		if err := s.WriteVolume(volume, func(tx *kv.Txn) error { return s.FillAudit(tx, volume, n, at) }); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.AuditLog(storage.AuditFilter{Operator: "first"})
	if err != nil || len(page.Entries) != 0 || page.Next == "" {
		t.Fatalf("the first page: %+v, %v", page, err)
	}
	page, err = s.AuditLog(storage.AuditFilter{Operator: "first", Cursor: page.Next})
	if err != nil || len(page.Entries) != 2 || !page.Entries[0].At.Equal(testNow) || page.Next != "" {
		t.Errorf("the second page: %+v, %v", page, err)
	}
	before := s.Stats().Commits
	if err := s.PurgeAudit(testNow.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Commits - before; n != 21 {
		t.Errorf("purged with %d commits", n)
	}
	if left := mustAudit(t, s, storage.AuditFilter{}); len(left) != 0 {
		t.Errorf("%d are left", len(left))
	}
}

// TestAuditIsChecked: check tells of an entry that is damaged and of a sum that is wrong. The
// others are shown, and it goes with the next purge.
func TestAuditIsChecked(t *testing.T) {
	dir := t.TempDir()
	s, err := storage.Open(dir, storage.Options{Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, action := range []string{"one", "two"} {
		if err := s.Audit(storage.AuditEntry{At: testNow, Action: action}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.WriteVolume(0, func(tx *kv.Txn) error {
		return tx.Put(kv.Meta, []byte("audit-\x00\x00\x00\x00\x00\x00\x00\x01"), []byte("\x08\x01bad"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Check(); err == nil || !strings.Contains(err.Error(), "audit entry: ") || !strings.Contains(err.Error(), "the audit entries have") {
		t.Errorf("check says %v", err)
	}
	if got := mustAudit(t, s, storage.AuditFilter{}); !reflect.DeepEqual(got, []string{"two"}) {
		t.Errorf("%q", got)
	}
	if err := s.PurgeAudit(testNow); err != nil {
		t.Fatal(err)
	}
	if got := mustAudit(t, s, storage.AuditFilter{}); !reflect.DeepEqual(got, []string{"two"}) {
		t.Errorf("after a purge: %q", got)
	}
}
