package storage_test

import (
	"slices"
	"testing"
	"time"

	"carillon/storage"
)

// G15: ended jobs are listed, and purged by number, in the order they ended,
// though the clock was set back between any two of them, and the store was opened
// anew.
func TestG15_EndedJobsStandInTheOrderTheyEnded(t *testing.T) {
	for _, state := range []storage.State{storage.StateSuccess, storage.StateFailed} {
		t.Run(string(state), func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, dir, storage.Options{})
			order := []storage.JobID{"later", "first", "second", "third", "fourth"}
			at := []time.Duration{0, 87600 * time.Hour, time.Hour, time.Hour, -time.Hour}
			// The first is made last, so that no sequence number of a job has the order.
			mustTx(t, mustApp(t, s, "acme"), testNow, func(tx *storage.Tx) {
				for _, id := range slices.Backward(order) {
					mustInsert(t, tx.JobWriter(), storage.Job{ID: id})
				}
			})
			for i, id := range order {
				mustTx(t, mustApp(t, s, "acme"), testNow.Add(at[i]), func(tx *storage.Tx) {
					mustEnd(t, tx, id, storage.End{State: state, Error: &storage.JobError{Code: "internal"}})
				})
				if i == 2 {
					mustClose(t, s)
					s = mustOpen(t, dir, storage.Options{})
				}
			}
			app := mustApp(t, s, "acme")
			list := func() (ids []storage.JobID) {
				mustRead(t, app, func(r storage.Reader) {
					page, err := r.System().List(storage.JobFilter{})
					if err != nil {
						t.Fatal(err)
					}
					for _, job := range page.Jobs {
						ids = append(ids, job.ID)
						if want := testNow.Add(at[slices.Index(order, job.ID)]); !job.CompletedAt.Equal(want) {
							t.Errorf("%s completed at %v, want %v", job.ID, job.CompletedAt, want)
						}
					}
				})
				return ids
			}
			if got := list(); !slices.Equal(got, order) {
				t.Errorf("listed as %v, ended as %v", got, order)
			}
			if state == storage.StateFailed {
				return
			}
			mustTx(t, app, testNow, func(tx *storage.Tx) {
				if n, _, err := tx.PurgeHistory(time.Time{}, 2, 10); n != 3 || err != nil {
					t.Errorf("%d were purged, %v", n, err)
				}
			})
			if got := list(); !slices.Equal(got, order[3:]) {
				t.Errorf("of %v these are kept: %v", order, got)
			}
		})
	}
}

// G15: a slot log has its entries in the order they were decided, and keeps those
// that were decided last, though the clock was ten years ahead in between.
func TestG15_SlotsStandInTheOrderTheyWereDecided(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	var order []time.Time
	log := func(slot time.Time) {
		t.Helper()
		order = append(order, slot)
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			if err := w.LogSlot("a", storage.Slot{From: slot, To: slot, Count: 1, Outcome: storage.SlotFired}); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i := range 3 {
		log(slotAt(i))
	}
	for i := range 150 {
		log(slotAt(i).AddDate(10, 0, 0))
	}
	for i := range 100 {
		log(slotAt(3 + i))
	}
	mustRead(t, app, func(r storage.Reader) {
		slots, err := r.System().Slots("a", 1000)
		if err != nil || len(slots) != 200 {
			t.Fatalf("%d slots, %v", len(slots), err)
		}
		for i, s := range slots {
			if want := order[len(order)-1-i]; !s.From.Equal(want) {
				t.Fatalf("entry %d from the end is of %v, want %v", i, s.From, want)
			}
		}
	})
}
