package storage_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// What a store of format 2 has come to have since the fixture work: pauses and limits set at
// run time, jobs with a last instant, turns of ordered pools, and start logs.

// makePausedFixture makes the store whose files are kept.
func makePausedFixture(tb testing.TB, dir string) {
	tb.Helper()
	s := mustOpen(tb, dir, withDingbats)
	lane := storage.Lane{Pool: "stairs", Key: "north \U0001f514"}
	mustTx(tb, mustApp(tb, s, "acme"), testNow, func(tx *storage.Tx) {
		w := tx.JobWriter()
		insert := func(id storage.JobID, job storage.Job) {
			job.ID, job.Function, job.Due, job.EnqueuedAt = id, "bells:ring", testNow, testNow
			mustInsert(tb, w, job)
		}
		for _, of := range []storage.Scope{{App: true}, {Function: "bells:ring"}, {Pool: "tower"}, {Pool: "stairs", PoolKey: lane.Key}} {
			must(tb, w.PutPause(storage.Pause{Of: of, By: "ann", Reason: "Große Glocke: " + of.String(), Since: testNow}))
		}
		must(tb, w.SetPoolLimit("tower", 7))
		insert("soon", storage.Job{NotAfter: testNow.Add(time.Minute)})
		insert("late", storage.Job{NotAfter: testNow.Add(time.Second)})
		insert("held", storage.Job{NotAfter: testNow.Add(time.Minute), Pool: lane.Pool, PoolKey: "south", Ordered: true})
		if ok, err := w.HoldJob("held", "no such tower"); !ok || err != nil {
			tb.Fatal(ok, err)
		}
		for _, id := range []storage.JobID{"tried", "behind"} {
			insert(id, storage.Job{Pool: lane.Pool, PoolKey: lane.Key, Ordered: true})
		}
		mustEnd(tb, tx, "tried", storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), StartedAt: testNow, Error: errOops})
		must(tb, tx.LogStart(lane, storage.Start{Wall: testNow, Era: 7, Elapsed: time.Second}))
		must(tb, tx.LogStart(storage.Lane{Pool: "tower"}, storage.Start{Wall: testNow, Era: 7, Wait: time.Hour}))
	})
	mustTx(tb, mustApp(tb, s, "acme"), testNow.Add(2*time.Second), func(tx *storage.Tx) {
		if n, _, _, err := tx.ExpireLate(testNow.Add(2*time.Second), storage.LateCursor{}, 10, func(*storage.Job) string { return "too late" }); n != 1 || err != nil {
			tb.Fatal(n, err)
		}
	})
	mustClose(tb, s)
	s = mustOpen(tb, dir, withDingbats)
	mustUpdateJobs(tb, mustApp(tb, s, "acme"), func(w storage.JobWriter) {
		must(tb, w.PutPause(storage.Pause{Of: storage.Scope{Function: "bells:tune"}, By: "bob", Since: testNow}))
	})
	if err := s.Abort(); err != nil {
		tb.Fatal(err)
	}
}

// pausedContents is contents, with what of these features that does not tell.
func pausedContents(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	b.WriteString(contents(tb, s))
	app, err := s.App("acme")
	if err != nil {
		tb.Fatal(err)
	}
	mustRead(tb, app, func(r storage.Reader) {
		pauses, err := r.System().Pauses()
		must(tb, err)
		for _, p := range pauses {
			fmt.Fprintf(&b, "%s, since %d\n", p, p.Since.UnixMilli())
		}
		limits, err := r.System().PoolLimits()
		must(tb, err)
		for _, pool := range slices.Sorted(maps.Keys(limits)) {
			fmt.Fprintf(&b, "limit of %s: %d\n", pool, limits[pool])
		}
		for job, err := range r.System().All(storage.JobFilter{}) {
			must(tb, err)
			fmt.Fprintf(&b, "%s: %s %q pool %q %q ordered %t", job.ID, job.State, job.Reason, job.Pool, job.PoolKey, job.Ordered)
			if !job.NotAfter.IsZero() {
				fmt.Fprintf(&b, " not after %d", job.NotAfter.UnixMilli())
			}
			b.WriteByte('\n')
		}
	})
	return b.String()
}

// TestG26_FormatV2WithPauses: what a store has of pauses, limits, last instants, turns and
// starts is read, from its files, its log and its export, and goes on counting.
func TestG26_FormatV2WithPauses(t *testing.T) {
	for _, s := range mustFixture(t, "paused", makePausedFixture, pausedContents) {
		app := mustApp(t, s, "acme")
		if c := app.Controls(); c == nil || len(c.Pauses) != 5 || c.Limits["tower"] != 7 {
			t.Errorf("the controls are %+v", c)
		}
		late := testNow.Add(time.Hour)
		mustTx(t, app, late, func(tx *storage.Tx) {
			lane := storage.Lane{Pool: "stairs", Key: "north \U0001f514"}
			for at, id := range map[storage.Lane]storage.JobID{lane: "tried", {Pool: "stairs", Key: "south"}: "held"} {
				if job, ok, err := tx.Turn(at); err != nil || !ok || job.ID != id {
					t.Errorf("the turn in %v is that of job %q, %t, %v, want %s", at, job.ID, ok, err, id)
				}
			}
			starts, err := tx.Starts(lane)
			if err != nil || len(starts) != 1 || !starts[0].Wall.Equal(testNow) || starts[0].Elapsed != time.Second || app.Ours(starts[0].Claim) {
				t.Errorf("starts %+v, %v", starts, err)
			}
			starts, err = tx.Starts(storage.Lane{Pool: "tower"})
			if err != nil || len(starts) != 1 || starts[0].Wait != time.Hour {
				t.Errorf("waits %+v, %v", starts, err)
			}
			n, _, _, err := tx.ExpireLate(late, storage.LateCursor{}, 10, func(*storage.Job) string { return "too late" })
			if n != 2 || err != nil {
				t.Errorf("%d have expired, %v, want 2", n, err)
			}
			if ok, err := tx.JobWriter().DropPause(storage.Scope{App: true}); !ok || err != nil {
				t.Errorf("the pause of the app: %t, %v", ok, err)
			}
		})
		must(t, s.Check())
	}
}
