package storage_test

import (
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// TestG24_ReadsAreBoundedInBytes: what goes through jobs by the hundred takes a page of
// some megabytes of them at most, and says that there are more.
func TestG24_ReadsAreBoundedInBytes(t *testing.T) {
	const jobs, size = 7, 600_000
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{NoSync: true}), "acme")
	args := []byte(`"` + strings.Repeat("x", size) + `"`)
	var ids []storage.JobID
	fill := func(end *storage.End) {
		t.Helper()
		ids = nil
		for range jobs {
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				id := mustInsert(t, tx.JobWriter(), storage.Job{Args: args})
				ids = append(ids, id)
				if end != nil {
					mustEnd(t, tx, id, *end)
				}
			})
		}
	}
	// pages calls next until it says that there is no more, and demands the sizes.
	pages := func(what string, want []int, next func(tx *storage.Tx) (int, bool, error)) {
		t.Helper()
		for i, n := range want {
			mustTx(t, app, testNow.Add(time.Hour), func(tx *storage.Tx) {
				got, more, err := next(tx)
				if err != nil || got != n || more != (i < len(want)-1) {
					t.Errorf("%s: page %d has %d, more: %v, %v; want %d", what, i, got, more, err, n)
				}
			})
		}
	}
	fill(nil)
	var from storage.Place
	pages("due", []int{2, 2, 2, 1}, func(tx *storage.Tx) (n int, more bool, err error) {
		var list []storage.Job
		list, from, more, err = tx.Due(from, 100)
		return len(list), more, err
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		for _, id := range ids {
			if ok, err := tx.JobWriter().HoldJob(id, "so"); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	})
	pages("released", []int{2, 2, 2, 1}, func(tx *storage.Tx) (int, bool, error) {
		last, err := tx.LastHeld()
		if err != nil {
			return 0, false, err
		}
		return tx.ReleaseHeld(last, 100, nil)
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		for _, id := range ids {
			if ok, err := tx.JobWriter().HoldJob(id, "so"); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	})
	pages("expired", []int{2, 2, 2, 1}, func(tx *storage.Tx) (int, bool, error) {
		return tx.ExpireHeld(testNow.Add(time.Minute), 100)
	})
	pages("dead", []int{2, 2, 2, 1}, func(tx *storage.Tx) (int, bool, error) { return tx.PurgeDead(time.Time{}, 0, 100) })
	fill(&storage.End{State: storage.StateSuccess})
	pages("finished", []int{2, 1, 1, 2, 1}, func(tx *storage.Tx) (n int, more bool, err error) {
		limit := 100
		if app.History() == 5 || app.History() == 4 {
			limit = 1
		}
		return tx.PurgeHistory(time.Time{}, 0, limit)
	})
	fill(nil)
	fill(nil)
	var cursor string
	pages("listed", []int{7, 7}, func(tx *storage.Tx) (int, bool, error) {
		page, err := tx.JobWriter().System().List(storage.JobFilter{Cursor: cursor})
		cursor = page.Next
		return len(page.Jobs), cursor != "", err
	})
}
