package storage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// mustEdit changes the records of the app's kind in the volume, in which edit finds
// something to change. The check is the test's own then.
func mustEdit(t *testing.T, s *storage.Store, tag byte, edit func(value []byte) []byte) {
	t.Helper()
	err := s.WriteVolume(0, func(tx *kv.Txn) error {
		edited := 0
		c := tx.Base().Cursor(kv.Data)
		for k, v := c.First(); k != nil; k, v = c.Next() {
			if k[4] != tag {
				continue
			}
			if by := edit(bytes.Clone(v)); !bytes.Equal(by, v) {
				edited++
				if err := tx.Put(kv.Data, bytes.Clone(k), by); err != nil {
					return err
				}
			}
		}
		if edited == 0 {
			return errors.New("no such record")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// replacing is an edit for mustEdit.
func replacing(old, by string) func([]byte) []byte {
	return func(value []byte) []byte { return bytes.Replace(value, []byte(old), []byte(by), 1) }
}

// mustOpenUnchecked opens a store that may be damaged at the end of the test.
func mustOpenUnchecked(t *testing.T) *storage.Store {
	t.Helper()
	s, err := storage.Open(t.TempDir(), storage.Options{Volumes: 1, NoSync: true, Tables: withDingbats.Tables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// G37: a trigger, or an entry of a slot log, that cannot be read says so in its
// listing, and the others are there. It is not written over.
func TestG37_ARowThatCannotBeReadSpoilsNoListing(t *testing.T) {
	s := mustOpenUnchecked(t)
	app := mustApp(t, s, "acme")
	mustFillApp(t, app)
	mustUpdateJobs(t, app, func(w storage.JobWriter) {
		for _, name := range []string{"angelus", "vespers"} {
			if err := w.PutTrigger(&storage.Trigger{Name: name, Spec: "0 6 * * *", Function: "a:b", Paused: true, CreatedAt: testNow}); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.LogSlot("toll", storage.Slot{From: testNow, To: testNow, Count: 1, Outcome: storage.SlotFired, Job: "x", At: testNow}); err != nil {
			t.Fatal(err)
		}
	})
	mustEdit(t, s, 'c', func(v []byte) []byte {
		if bytes.Contains(v, []byte("bells:toll")) {
			v[1] = 2 // the version
		}
		return v
	})
	mustEdit(t, s, 'l', func(v []byte) []byte {
		if bytes.Contains(v, []byte("paused")) {
			v[1] = 2
		}
		return v
	})
	mustRead(t, app, func(r storage.Reader) {
		triggers, err := r.System().Triggers()
		if err != nil || len(triggers) != 3 {
			t.Fatalf("%d triggers, %v", len(triggers), err)
		}
		for _, tr := range triggers {
			if bad := tr.Name == "toll"; tr.Unreadable() != bad || strings.Contains(tr.Fault, "version 2") != bad || (tr.Spec == "") != bad {
				t.Errorf("trigger %s is unreadable %v, fault %q", tr.Name, tr.Unreadable(), tr.Fault)
			}
		}
		slots, err := r.System().Slots("toll", 10)
		if err != nil || len(slots) != 2 {
			t.Fatalf("%d slots, %v", len(slots), err)
		}
		bad := 0
		for _, slot := range slots {
			if slot.Outcome == "" && strings.Contains(slot.Reason, "version 2") && !slot.From.IsZero() && slot.To.Equal(slot.From) {
				bad++
			}
		}
		if bad != 1 {
			t.Errorf("slots %+v", slots)
		}
		if _, _, err := r.System().Trigger("toll"); !errors.Is(err, storage.ErrFormat) {
			t.Errorf("the trigger itself is read: %v", err)
		}
	})
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	triggers, err := tx.JobWriter().System().Triggers()
	if err != nil {
		t.Fatal(err)
	}
	for _, tr := range triggers {
		if err := tx.JobWriter().PutTrigger(&tr); tr.Unreadable() != errors.Is(err, storage.ErrCorrupt) || !tr.Unreadable() && err != nil {
			t.Errorf("trigger %s is stored: %v", tr.Name, err)
		}
	}
}

// G37: arguments that an earlier release has taken, or damage has left, are handed
// out as JSON, so that an answer with them can be encoded and read.
func TestG37_ArgumentsAreHandedOutAsJSON(t *testing.T) {
	for _, bad := range []string{"{\"n\":\xff}", "{\"\xff\":1}", `{"n":1(`, "\xed\xa0\x80 xyz", `"\ud800"`} {
		good := fmt.Sprintf(`{"n":%*d}`, len(bad)-len(`{"n":}`), 1) // as long, so that the record stays one
		s := mustOpenUnchecked(t)
		app := mustApp(t, s, "acme")
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			mustInsert(t, w, storage.Job{ID: "bad", Args: []byte(good)})
			mustInsert(t, w, storage.Job{ID: "good", Args: []byte(`{"n":2}`)})
			if err := w.PutTrigger(&storage.Trigger{Name: "toll", Spec: "0 6 * * *", Function: "a:b", Args: []byte(good), Paused: true, CreatedAt: testNow}); err != nil {
				t.Fatal(err)
			}
		})
		mustEdit(t, s, 'q', replacing(good, bad))
		mustEdit(t, s, 'c', replacing(good, bad))
		shown := func(what string, args []byte) {
			if !json.Valid(args) || !utf8.Valid(args) || bytes.Contains(args, []byte(`"\ud800"`)) {
				t.Errorf("%s shows the arguments %q as %q", what, bad, args)
			}
		}
		mustRead(t, app, func(r storage.Reader) {
			page, err := r.System().List(storage.JobFilter{})
			if err != nil || len(page.Jobs) != 2 {
				t.Fatalf("%d jobs, %v", len(page.Jobs), err)
			}
			for _, job := range page.Jobs {
				shown("the listing", job.Args)
			}
			shown("the job", mustJob(t, r, "bad").Args)
			if job := mustJob(t, r, "good"); string(job.Args) != `{"n":2}` {
				t.Errorf("good arguments are shown as %q", job.Args)
			}
			triggers, err := r.System().Triggers()
			if err != nil || len(triggers) != 1 {
				t.Fatalf("%d triggers, %v", len(triggers), err)
			}
			shown("the listing of triggers", triggers[0].Args)
			toll, _, err := r.System().Trigger("toll")
			if err != nil {
				t.Fatal(err)
			}
			shown("the trigger", toll.Args)
		})
		if err := s.Check(); !errors.Is(err, storage.ErrCorrupt) || strings.Count(err.Error(), "not JSON") != 2 {
			t.Errorf("check of %q: %v", bad, err)
		}
	}
}

// G26: a job that an earlier release has stored with a later instant than the latest
// is shown with that, and is found, moved and ended like any other.
func TestG26_JobsLaterThanTheLatestInstantAreStillOpen(t *testing.T) {
	for _, op := range []string{"cancel", "fail", "again"} {
		s := mustOpen(t, mustUnpack(t, "v1"), withDingbats)
		app := mustApp(t, s, "a.second_APP-2")
		find := func(want int) (late []storage.Job) {
			mustRead(t, app, func(r storage.Reader) {
				page, err := r.System().List(storage.JobFilter{})
				if err != nil {
					t.Fatal(err)
				}
				for _, job := range page.Jobs {
					if job.Due.After(storage.MaxInstant) || job.ScheduledFor.After(storage.MaxInstant) {
						t.Errorf("a job is shown as due at %v", job.Due)
					}
					if job.ScheduledFor.Equal(storage.MaxInstant) {
						late = append(late, job)
					}
				}
			})
			if len(late) != want {
				t.Fatalf("%d late jobs, want %d", len(late), want)
			}
			return late
		}
		job := find(1)[0]
		if ms, _, ok := storage.HomeOf(job.ID); !ok || ms <= storage.MaxInstant.UnixMilli() {
			t.Fatalf("the job %s is of %d, no later than the latest instant", job.ID, ms)
		}
		mustTx(t, app, testNow.Add(time.Hour), func(tx *storage.Tx) {
			switch op {
			case "cancel":
				if c, err := tx.JobWriter().CancelJob(job.ID); err != nil || !c.Canceled {
					t.Errorf("cancel: %+v, %v", c, err)
				}
			case "fail":
				mustEnd(t, tx, job.ID, storage.End{State: storage.StateFailed, Error: &storage.JobError{Code: "internal", Message: "oops"}})
			case "again":
				mustEnd(t, tx, job.ID, storage.End{State: storage.StatePending, Due: testNow.Add(2 * time.Hour), Error: &storage.JobError{Code: "internal", Message: "oops"}})
			}
		})
		want := map[string]storage.State{"cancel": storage.StateCanceled, "fail": storage.StateFailed, "again": storage.StatePending}[op]
		if after := find(1)[0]; after.ID != job.ID || after.State != want {
			t.Errorf("%s: job %s is %s", op, after.ID, after.State)
		}
		mustRead(t, app, func(r storage.Reader) {
			if found := mustJob(t, r, job.ID); found.State != want {
				t.Errorf("%s: found by its id it is %s", op, found.State)
			}
		})
		mustClose(t, s) // which checks
	}
}

// TestG37_AClaimThatCannotBeReadIsForeign: it hides no job from recovery: whose it is cannot be
// told, so it is taken for one that a crash has left.
func TestG37_AClaimThatCannotBeReadIsForeign(t *testing.T) {
	s := mustOpenUnchecked(t)
	app := mustApp(t, s, "acme")
	var id storage.JobID
	mustUpdateJobs(t, app, func(w storage.JobWriter) { id = mustInsert(t, w, storage.Job{Due: testNow}) })
	tx := app.Begin(testNow)
	mustClaim(t, tx, id)
	mustCommit(t, tx)
	mustEdit(t, s, 'r', func([]byte) []byte { return []byte("garbage") })
	if err := app.Reload(); err != nil {
		t.Fatal(err)
	}
	tx = app.Begin(testNow)
	jobs, err := tx.Claimed()
	if err != nil || len(jobs) != 1 || jobs[0].ID != id || app.Ours(jobs[0].ClaimID()) {
		t.Fatalf("claimed are %+v, %v", jobs, err)
	}
	if _, err := tx.EndAttempt(jobs[0], storage.End{State: storage.StatePending, Due: testNow, Interrupted: true, Crashed: true}); err != nil {
		t.Fatal(err)
	}
	mustCommit(t, tx)
	if err := s.Check(); err != nil {
		t.Errorf("after its attempt has ended: %v", err)
	}
}
