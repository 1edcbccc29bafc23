package storage_test

import (
	"errors"
	"testing"
	"time"

	"carillon/storage"
)

// putBackfill stores a trigger whose backfill has the tick of a slot.
func putBackfill(tb testing.TB, w storage.JobWriter, slot time.Time) storage.JobID {
	tb.Helper()
	t := storage.Trigger{Name: "x", Spec: "s", Function: "f:n", Backfill: &storage.Backfill{From: slot, To: slotAt(0), Next: slot, Slots: 2}}
	if err := w.PutTrigger(&t); err != nil {
		tb.Fatal(err)
	}
	id, err := w.InsertTick(storage.Job{
		ID: storage.BackfillID("x", slot, t.Backfill.Number), Function: "f:n", Trigger: "x", Slot: slot, Due: slotAt(0), CaughtUp: true, Backfill: t.Backfill.Number,
	})
	if err != nil {
		tb.Fatal(err)
	}
	t.Backfill.Job = id
	if err := w.PutTrigger(&t); err != nil {
		tb.Fatal(err)
	}
	return id
}

// A trigger knows the ticks of its backfills that have not ended, over a restart, whether
// they have begun or not, and no others.
func TestG20_TheTicksOfABackfillAreKnown(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	var id storage.JobID
	mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
		putTicking(t, w, "y", slotAt(10))
		id = putBackfill(t, w, slotAt(-9))
	})
	known := func(want int) {
		t.Helper()
		mustRead(t, mustApp(t, s, "acme"), func(r storage.Reader) {
			list, err := r.System().Backfilling("x", 10)
			if err != nil || len(list) != want || want > 0 && (list[0].ID != id || list[0].Backfill == 0) {
				t.Errorf("%+v, %v", list, err)
			}
			for _, other := range []func(string, int) ([]storage.Job, error){r.System().Begun, r.System().Late} {
				if list, err := other("x", 10); err != nil || len(list) > 0 {
					t.Errorf("%+v, %v", list, err)
				}
			}
		})
	}
	known(1)
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	known(1)
	mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
		trigger, _, err := w.System().Trigger("x")
		if err != nil {
			t.Fatal(err)
		}
		trigger.Backfill.Job = ""
		if err := w.PutTrigger(&trigger); err != nil {
			t.Fatal(err)
		}
		if ok, err := w.RemoveTick(id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	known(0)
}

// A backfill goes on after a tick that was held for too long.
func TestG38_AHeldTickThatExpiresLetsItsBackfillGoOn(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		id := putBackfill(t, w, slotAt(-9))
		if ok, err := w.HoldJob(id, "why"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	of := func() (b *storage.Backfill) {
		mustRead(t, app, func(r storage.Reader) {
			trigger, _, err := r.System().Trigger("x")
			if b = trigger.Backfill; err != nil || b == nil || trigger.HeldJob != "" {
				t.Fatalf("%+v, %v", trigger, err)
			}
		})
		return b
	}
	if b := of(); b.Held == "" || b.Held != b.Job {
		t.Errorf("held: %+v", b)
	}
	tx := app.Begin(testNow)
	if n, _, err := tx.ExpireHeld(testNow.Add(time.Minute), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	mustCommit(t, tx)
	if b := of(); b.Held != "" || b.Job != "" || !b.Next.Equal(slotAt(-9).Add(time.Millisecond)) || !b.Active() {
		t.Errorf("expired: %+v", b)
	}
}

// Check finds a backfill whose tick is not there.
func TestG20_CheckFindsABackfillWithoutItsTick(t *testing.T) {
	for name, change := range map[string]func(*storage.Backfill){
		"no such job":       func(b *storage.Backfill) { b.Job = "cron:x:1" },
		"a tick at its end": func(b *storage.Backfill) { b.Outcome = storage.BackfillDone },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := storage.Open(t.TempDir(), storage.Options{NoSync: true, Volumes: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
				putBackfill(t, w, slotAt(-9))
				trigger, _, err := w.System().Trigger("x")
				if err != nil {
					t.Fatal(err)
				}
				change(trigger.Backfill)
				if err := w.PutTrigger(&trigger); err != nil {
					t.Fatal(err)
				}
			})
			if err := s.Check(); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("check: %v", err)
			}
		})
	}
}
