package storage_test

import (
	"bytes"
	"testing"
	"time"

	"carillon/storage"
)

// TestG27_ATurnIsStoredUntilItsJobIsClaimedOrEnds: a job of an ordered pool has its turn while
// it waits for another attempt, or is held; what is taken from where it was is told; and an
// export takes the turn along.
func TestG27_ATurnIsStoredUntilItsJobIsClaimedOrEnds(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	app := mustApp(t, s, "acme")
	lane := storage.Lane{Pool: "user", Key: "ada"}
	var id storage.JobID
	turn := func(tx *storage.Tx, what string, want bool) {
		t.Helper()
		job, ok, err := tx.Turn(lane)
		if err != nil || ok != want || ok && job.ID != id {
			t.Errorf("%s: job %s has the turn (%t), %v; want %t", what, job.ID, ok, err, want)
		}
		if _, other, err := tx.Turn(storage.Lane{Pool: "user", Key: "ad"}); other || err != nil {
			t.Errorf("%s: a job of another key has the turn, %v", what, err)
		}
	}
	left := func(tx *storage.Tx, want int) {
		t.Helper()
		if lanes := tx.Left(); len(lanes) != want || want > 0 && lanes[0] != lane {
			t.Errorf("lanes that are left: %v, want %d", lanes, want)
		}
	}
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		id = mustInsert(t, tx.JobWriter(), storage.Job{Function: "a:b", Due: testNow, Pool: lane.Pool, PoolKey: lane.Key, Ordered: true})
		turn(tx, "a new job", false)
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		left(tx, 0)
		mustEnd(t, tx, id, storage.End{State: storage.StatePending, Due: testNow.Add(time.Hour)})
		turn(tx, "between attempts", true)
	})
	var export bytes.Buffer
	if err := s.Export(t.Context(), "acme", &export); err != nil {
		t.Fatal(err)
	}
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		job := mustClaim(t, tx, id)
		turn(tx, "claimed", false)
		if _, err := tx.EndAttempt(job, storage.End{State: storage.StateHeld, Reason: "no function"}); err != nil {
			t.Fatal(err)
		}
		turn(tx, "held", true)
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		last, err := tx.LastHeld()
		if err != nil {
			t.Fatal(err)
		}
		if n, _, err := tx.ReleaseHeld(last, 10, nil); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		turn(tx, "released", true)
		left(tx, 1)
		mustEnd(t, tx, id, storage.End{State: storage.StatePending, Due: testNow.Add(time.Hour)})
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if answer, err := tx.JobWriter().CancelJob(id); !answer.Canceled || err != nil {
			t.Fatal(answer, err)
		}
		turn(tx, "canceled", false)
		left(tx, 1)
	})
	if err := s.Import(t.Context(), "copy", &export); err != nil {
		t.Fatal(err)
	}
	copied := mustApp(t, s, "copy")
	mustTx(t, copied, testNow, func(tx *storage.Tx) { turn(tx, "imported", true) })
	mustTx(t, copied, testNow, func(tx *storage.Tx) {
		if _, err := tx.JobWriter().InsertJob(storage.Job{Function: "a:b", Due: testNow, Ordered: true}); err == nil {
			t.Error("an ordered job without a pool is stored")
		}
	})
}
