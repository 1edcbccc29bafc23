package storage_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/storage"
)

// deadOf are the ids of the dead jobs that a reader sees at the instant.
func deadOf(t *testing.T, app *storage.App, now time.Time) (ids []string) {
	t.Helper()
	snap, err := app.Snapshot(now)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	for job, err := range snap.Reader().System().All(storage.JobFilter{States: []storage.State{storage.StateFailed}, Limit: 2}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(job.ID))
	}
	for i := range 5 {
		id := fmt.Sprint("dead", i)
		if _, ok, err := snap.Reader().System().Get(storage.JobID(id)); err != nil || ok != slices.Contains(ids, id) {
			t.Errorf("get %s: %v, %v, while the list has %v", id, ok, err, ids)
		}
	}
	return ids
}

// mustDie leaves dead0 to dead4 in the app, a millisecond apart from testNow on.
func mustDie(t *testing.T, app *storage.App) {
	t.Helper()
	for i := range 5 {
		mustTx(t, app, testNow.Add(time.Duration(i)*time.Millisecond), func(tx *storage.Tx) {
			id := mustInsert(t, tx.JobWriter(), storage.Job{ID: storage.JobID(fmt.Sprint("dead", i))})
			mustEnd(t, tx, id, storage.End{State: storage.StateFailed})
		})
	}
}

func mustPurgeDead(t *testing.T, app *storage.App, now, before time.Time, keep, limit, want int) {
	t.Helper()
	mustTx(t, app, now, func(tx *storage.Tx) {
		if n, _, err := tx.PurgeDead(before, keep, limit); err != nil || n != want {
			t.Errorf("purged %d, %v, want %d", n, err, want)
		}
	})
}

// TestG26_DeadRetentionIsExact: a dead job is there up to the last millisecond of its
// retention and no longer, whether its row is deleted or not: it is not shown, not
// retried or dropped, and its id is free. Purging deletes exactly those, and the
// oldest above the count; negative keeps all.
func TestG26_DeadRetentionIsExact(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	const keep = time.Hour
	app.SetDeadRetention(keep)
	mustDie(t, app)
	for n := range 7 {
		now := testNow.Add(keep + time.Duration(n-1)*time.Millisecond)
		var want []string
		for i := n; i < 5; i++ {
			want = append(want, fmt.Sprint("dead", i))
		}
		if got := deadOf(t, app, now); !slices.Equal(got, want) {
			t.Errorf("%v after the first death: %v, want %v", now.Sub(testNow), got, want)
		}
	}
	mustTx(t, app, testNow.Add(keep), func(tx *storage.Tx) { // dead0 is over, dead1 is not
		for id, want := range map[storage.JobID]bool{"dead0": false, "dead1": true} {
			if ok, err := tx.RetryDead(id); ok != want || err != nil {
				t.Errorf("retry %s: %v, %v", id, ok, err)
			}
		}
		if ok, err := tx.DropDead("dead0"); ok || err != nil {
			t.Errorf("drop dead0: %v, %v", ok, err)
		}
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "dead0", Function: "a:again"})
		if _, err := tx.JobWriter().InsertJob(storage.Job{ID: "dead2", Function: "a:b", Due: testNow}); err == nil {
			t.Error("the id of a dead job is free a millisecond before its retention is over")
		}
		if job := mustJob(t, tx.Writer(), "dead0"); job.State != storage.StatePending || job.Function != "a:again" {
			t.Errorf("the id leads to %+v", job)
		}
	})
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}

	app = mustApp(t, s, "other")
	mustDie(t, app)
	later := testNow.Add(time.Hour)
	mustPurgeDead(t, app, later, testNow, 5, 100, 0)
	mustPurgeDead(t, app, later, testNow.Add(time.Millisecond), 5, 100, 1)
	mustPurgeDead(t, app, later, testNow, 4, 100, 0)
	mustPurgeDead(t, app, later, testNow, 3, 100, 1)
	mustPurgeDead(t, app, later, time.Time{}, -1, 100, 0) // neither by age nor by number
	mustPurgeDead(t, app, later, time.Time{}, 1, 1, 1)
	mustPurgeDead(t, app, later, later, -1, 100, 2)
	if app.Dead() != 0 {
		t.Errorf("%d dead jobs are counted", app.Dead())
	}
}

// TestG26_DeadJobsOfAnOlderReleaseAgeFromTheUpgrade: the release before this one kept
// dead jobs for ever, and did not say since when they may be purged.
func TestG26_DeadJobsOfAnOlderReleaseAgeFromTheUpgrade(t *testing.T) {
	s := mustOpen(t, t.TempDir(), withDingbats)
	if err := s.Import(t.Context(), "acme", bytes.NewReader(mustReadFixture(t, "v1", "acme.export"))); err != nil {
		t.Fatal(err)
	}
	app := mustApp(t, s, "acme")
	app.SetDeadRetention(time.Hour)
	upgrade := testNow.Add(1000 * time.Hour)
	at := func(d time.Duration) []string { return deadOf(t, app, upgrade.Add(d)) }
	want := at(0)
	if len(want) == 0 {
		t.Fatal("the fixture has no dead job")
	}
	mustPurgeDead(t, app, upgrade, upgrade.Add(-time.Hour), 100, 100, 0)
	app = mustApp(t, s, "acme") // it is known durably
	app.SetDeadRetention(time.Hour)
	mustPurgeDead(t, app, upgrade.Add(time.Minute), upgrade, 100, 100, 0)
	if got := at(time.Hour - time.Millisecond); !slices.Equal(got, want) {
		t.Errorf("a millisecond before: %v, want %v", got, want)
	}
	if got := at(time.Hour); len(got) > 0 {
		t.Errorf("an hour after the upgrade: %v", got)
	}
	mustPurgeDead(t, app, upgrade.Add(time.Hour), upgrade.Add(time.Millisecond), 100, 100, len(want))

	// A clock that was far ahead at the upgrade does not keep them for as long.
	if err := s.Import(t.Context(), "copy", bytes.NewReader(mustReadFixture(t, "v1", "acme.export"))); err != nil {
		t.Fatal(err)
	}
	app = mustApp(t, s, "copy")
	mustPurgeDead(t, app, upgrade.Add(1e6*time.Hour), upgrade, 100, 100, 0)
	mustPurgeDead(t, app, upgrade, upgrade.Add(-time.Hour), 100, 100, 0)
	mustPurgeDead(t, app, upgrade.Add(2*time.Hour), upgrade.Add(time.Hour), 100, 100, len(want))
}
