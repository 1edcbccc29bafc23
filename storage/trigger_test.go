package storage_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"carillon/storage"
)

// slotAt is a slot some seconds from testNow.
func slotAt(seconds int) time.Time { return testNow.Add(time.Duration(seconds) * time.Second) }

// putTicking stores a trigger with its tick, as the engine does.
func putTicking(tb testing.TB, w storage.JobWriter, name string, slot time.Time) storage.JobID {
	tb.Helper()
	id, err := w.InsertTick(storage.Job{Function: "f:n", Trigger: name, Slot: slot, Due: slot})
	if err != nil {
		tb.Fatal(err)
	}
	if err := w.PutTrigger(&storage.Trigger{Name: name, Spec: "s", Next: slot, NextJob: id}); err != nil {
		tb.Fatal(err)
	}
	return id
}

func TestG20_TriggerRoundTrip(t *testing.T) {
	dir := t.TempDir()
	full := storage.Trigger{
		Name: "full", Spec: "0 3 * * *", Zone: "Europe/Rome", Function: "f:n", Args: []byte(`{"a":1}`), Overlap: storage.OverlapQueue,
		CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 7, Window: time.Hour}, Jitter: time.Minute,
		Retry: &storage.Retry{Limit: 3, Linear: true, Base: time.Second, Max: time.Minute}, Declared: true, Paused: true, PauseReason: "why",
		Fault: "why not", CreatedAt: slotAt(1), Anchor: slotAt(2), Decided: slotAt(5), LastSlot: slotAt(6), LastJob: "cron:full:1", LastState: storage.StateFailed,
		LastEndedAt: slotAt(7), LastError: &storage.JobError{Code: "internal", Message: "m"}, LastSuccess: slotAt(8), LastSuccessSeq: 9, LastSuccessAt: slotAt(9),
		AtMostOnce: true, Timeout: time.Second, Claims: []byte(`{"subject":"s"}`), SuccessWithin: time.Hour,
		AtStart: true, Started: 3, Tags: []string{"a", "b"},
		Seq: 1, Marks: []storage.TriggerMark{{Era: 5, Decided: slotAt(3), LastSuccess: slotAt(2), LastSuccessSeq: 4}},
		Spent: []storage.SlotSpan{{From: slotAt(1), To: slotAt(3), Merged: true}, {From: slotAt(5), To: slotAt(5)}},
		Backfill: &storage.Backfill{
			Number: 4, From: slotAt(-9), To: slotAt(-1), Again: true, Reason: "why", AskedAt: slotAt(1), Slots: 8, Begun: 7, Next: slotAt(-2),
			Held: "cron:full:1:4", Outcome: storage.BackfillDone, EndedAt: slotAt(2),
		},
	}
	// No field is forgotten on its way to the disk: all exported ones are set, but for
	// Next and NextJob, which a paused trigger has not, and HeldJob, which is held.
	for i, v := 0, reflect.ValueOf(full); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && v.Type().Field(i).IsExported() && name != "Next" && name != "NextJob" && name != "HeldJob" {
			t.Errorf("%s is not set", name)
		}
	}
	s := mustOpen(t, dir, storage.Options{})
	mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
		mustInsert(t, w, storage.Job{ID: "older"}) // has number 1
		if err := w.PutTrigger(&full); err != nil {
			t.Fatal(err)
		}
		putTicking(t, w, "plain", slotAt(10))
	})
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	mustRead(t, mustApp(t, s, "acme"), func(r storage.Reader) {
		triggers, err := r.System().Triggers()
		if err != nil || len(triggers) != 2 || !reflect.DeepEqual(triggers[0], full) {
			t.Errorf("%+v, %v\nwant %+v", triggers, err, full)
		}
		plain, ok, err := r.System().Trigger("plain")
		if err != nil || !ok || !plain.Next.Equal(slotAt(10)) || plain.NextJob != storage.TickID("plain", slotAt(10)) || !plain.CreatedAt.IsZero() || plain.LastState != "" {
			t.Errorf("%+v, %v, %v", plain, ok, err)
		}
		if _, ok, err := r.System().Trigger("pla"); ok || err != nil {
			t.Errorf("a part of a name is found: %v", err)
		}
	})
}

func TestG20_ATriggersNameAndNumberAreBounded(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for i := range storage.MaxTriggers {
			if err := w.PutTrigger(&storage.Trigger{Name: fmt.Sprintf("t%d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.PutTrigger(&storage.Trigger{Name: "more"}); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("one more: %v", err)
		}
		if err := w.PutTrigger(&storage.Trigger{Name: "t7", Spec: "changed"}); err != nil {
			t.Errorf("a change at the limit: %v", err)
		}
		for _, name := range []string{"", "a b", "a:b", "a\x00", string(make([]byte, 65))} {
			if err := w.PutTrigger(&storage.Trigger{Name: name}); !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("name %q: %v", name, err)
			}
		}
	})
}

func TestG19_SlotLog(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	log := func(trigger string, slot storage.Slot) {
		t.Helper()
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			if err := w.LogSlot(trigger, slot); err != nil {
				t.Fatal(err)
			}
		})
	}
	for i := range 205 {
		log("a", storage.Slot{From: slotAt(i), To: slotAt(i), Count: 1, Outcome: storage.SlotFired, Job: "cron:a:1", At: slotAt(i)})
	}
	span := storage.Slot{From: slotAt(204), To: slotAt(300), Count: 97, Outcome: storage.SlotSkipped, Reason: "why", At: slotAt(301)}
	log("a", span)                                                                                        // in place of what was written of the slot before
	log("ab", storage.Slot{From: slotAt(1), To: slotAt(1), Outcome: storage.SlotCanceled, At: slotAt(1)}) // a name that begins with the other's
	mustRead(t, app, func(r storage.Reader) {
		slots, err := r.System().Slots("a", 1000)
		if err != nil || len(slots) != 200 || !reflect.DeepEqual(slots[0], span) || !slots[199].From.Equal(slotAt(5)) {
			t.Errorf("%d slots, %v: %+v … %+v", len(slots), err, slots[0], slots[len(slots)-1])
		}
		if two, err := r.System().Slots("a", 2); err != nil || len(two) != 2 || !two[1].From.Equal(slotAt(203)) {
			t.Errorf("%+v, %v", two, err)
		}
		if _, err := r.System().Slots("a", 0); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("limit 0: %v", err)
		}
	})
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for _, i := range []int{4, 5} { // what the log does not have any more, and its oldest entry
			err := w.RelogSlot("a", storage.Slot{From: slotAt(i), To: slotAt(i), Count: 1, Outcome: storage.SlotCanceled, At: slotAt(302)})
			if err != nil {
				t.Fatal(err)
			}
		}
		slots, err := w.System().Slots("a", 1000)
		if err != nil || len(slots) != 200 || !reflect.DeepEqual(slots[0], span) || slots[199].Outcome != storage.SlotCanceled || !slots[199].From.Equal(slotAt(5)) {
			t.Errorf("written down anew: %d slots, %v: %+v … %+v", len(slots), err, slots[0], slots[len(slots)-1])
		}
		if err := w.DeleteTrigger("a"); err != nil {
			t.Fatal(err)
		}
	})
	mustRead(t, app, func(r storage.Reader) {
		for name, want := range map[string]int{"a": 0, "ab": 1} {
			if slots, err := r.System().Slots(name, 10); err != nil || len(slots) != want {
				t.Errorf("%s: %+v, %v", name, slots, err)
			}
		}
	})
}

func TestG20_TicksAreInsertedOnceAndTakenBackWhole(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{MaxJobs: 1})
	app := mustApp(t, s, "acme")
	var id storage.JobID
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		if _, err := w.InsertJob(storage.Job{Function: "f:n", Due: slotAt(0)}); err != nil {
			t.Fatal(err)
		}
		id = putTicking(t, w, "x", slotAt(10)) // though the app has as many jobs as it may
		if _, err := w.InsertTick(storage.Job{Function: "f:n", Trigger: "x", Slot: slotAt(10), Due: slotAt(11)}); !errors.Is(err, storage.ErrExists) {
			t.Errorf("the same slot again: %v", err)
		}
	})
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		if ok, err := w.RemoveTick(id); !ok || err != nil {
			t.Errorf("removed %v, %v", ok, err)
		}
		if ok, err := w.RemoveTick(id); ok || err != nil {
			t.Errorf("removed again %v, %v", ok, err)
		}
		id = putTicking(t, w, "x", slotAt(10)) // the id is free again
	})

	// One that is claimed and has not started is taken back with its claim; one
	// that has started is not, nor is one that was tried before.
	for _, started := range []bool{true, false} {
		tx := app.Begin(testNow)
		jobs, _, _, err := tx.Due(storage.Place{}, 10)
		if err != nil {
			t.Fatal(err)
		}
		tick := jobs[len(jobs)-1]
		if tick.ID != id {
			t.Fatalf("due: %+v", jobs)
		}
		if started {
			if ok, err := tx.Claim(&tick); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		tx.OnCancel(func(storage.JobID) bool { return started })
		if ok, err := tx.JobWriter().RemoveTick(id); ok == started || err != nil {
			t.Errorf("started %v: removed %v, %v", started, ok, err)
		}
		if got := len(tx.CanceledClaims()); got != map[bool]int{false: 1}[started] {
			t.Errorf("started %v: %d claims were canceled", started, got)
		}
		if !started {
			if err := tx.JobWriter().DeleteTrigger("x"); err != nil {
				t.Fatal(err)
			}
		}
		mustCommit(t, tx)
	}
}

func TestG19_ATriggerRemembersHowItsLastTickEnded(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	end := func(seconds int, how storage.End) storage.Trigger {
		t.Helper()
		var got storage.Trigger
		mustUpdateJobs(t, app, func(w storage.JobWriter) { putTicking(t, w, "x", slotAt(seconds)) })
		tx := app.Begin(slotAt(seconds + 1))
		jobs, _, _, err := tx.Due(storage.Place{}, 10)
		if err != nil || len(jobs) == 0 {
			t.Fatal(jobs, err)
		}
		if _, err := tx.Claim(&jobs[0]); err != nil {
			t.Fatal(err)
		}
		// The engine advances the trigger as it claims; here it simply has no next.
		trigger, _, err := tx.Writer().System().Trigger("x")
		if err != nil {
			t.Fatal(err)
		}
		trigger.Next, trigger.NextJob = time.Time{}, ""
		if err := tx.JobWriter().PutTrigger(&trigger); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.EndAttempt(jobs[0], how); err != nil {
			t.Fatal(err)
		}
		if got, _, err = tx.Writer().System().Trigger("x"); err != nil {
			t.Fatal(err)
		}
		mustCommit(t, tx)
		return got
	}
	if got := end(10, storage.End{State: storage.StateSuccess}); got.LastState != storage.StateSuccess || !got.LastSlot.Equal(slotAt(10)) || !got.LastSuccess.Equal(slotAt(10)) || !got.LastEndedAt.Equal(slotAt(11)) {
		t.Errorf("%+v", got)
	}
	failed := end(20, storage.End{State: storage.StateFailed, Error: &storage.JobError{Code: "internal", Message: "m"}})
	if failed.LastState != storage.StateFailed || !failed.LastSlot.Equal(slotAt(20)) || failed.LastError == nil || failed.LastError.Message != "m" {
		t.Errorf("%+v", failed)
	}
}

// Check finds a trigger that is behind or ahead of its tick.
func TestG20_CheckFindsATriggerWithoutItsTick(t *testing.T) {
	for name, trigger := range map[string]storage.Trigger{
		"no such job":          {Name: "x", Next: slotAt(10), NextJob: storage.TickID("x", slotAt(10))},
		"of another slot":      {Name: "x", Next: slotAt(20), NextJob: storage.TickID("there", slotAt(10))},
		"next without a job":   {Name: "x", Next: slotAt(10)},
		"paused with a job":    {Name: "there", Paused: true, Next: slotAt(10), NextJob: storage.TickID("there", slotAt(10))},
		"a job without a slot": {Name: "there", NextJob: storage.TickID("there", slotAt(10))},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := storage.Open(t.TempDir(), storage.Options{NoSync: true, Volumes: 1})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) { putTicking(t, w, "there", slotAt(10)) })
			if err := s.Check(); err != nil {
				t.Fatal(err)
			}
			mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) {
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
