package storage_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// TestG34_NotesInTheStore: a claim saves, a claim that was taken back, ended or canceled does not;
// readers see what was written of the attempt under way, and the check counts it.
func TestG34_NotesInTheStore(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	a := mustApp(t, s, "acme")
	var first storage.Job
	now := testNow.Add(time.Second)
	mustTx(t, a, now, func(tx *storage.Tx) {
		for _, id := range []storage.JobID{"a", "b"} {
			mustInsert(t, tx.JobWriter(), storage.Job{ID: id, Function: "bells:toll", Due: testNow})
		}
		first = mustClaim(t, tx, "a")
		save(t, tx, &first, `"one"`, true)
		save(t, tx, &first, `"two!"`, true)
		for done := range int64(2) {
			if ok, err := tx.SaveProgress(&first, storage.Progress{Done: done, Total: 2, Note: "north", At: now}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if ok, err := tx.SaveCheckpoint(&first, []byte(`"`+strings.Repeat("x", storage.MaxCheckpoint-1)+`"`)); ok || !errors.Is(err, storage.ErrLimit) {
			t.Errorf("a checkpoint that is a byte too long: %v, %v", ok, err)
		}
	})
	shows := func(size int, progress bool, value string) {
		t.Helper()
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		snap, err := a.Snapshot(now)
		if err != nil {
			t.Fatal(err)
		}
		defer snap.Close()
		job, _, err := snap.Reader().System().Get("a")
		if err != nil || job.CheckpointSize != size || (job.Progress != nil) != progress {
			t.Errorf("the job shows a checkpoint of %d bytes, %+v, %v", job.CheckpointSize, job.Progress, err)
		}
		if got, err := snap.Checkpoint(&job); string(got) != value || err != nil {
			t.Errorf("the checkpoint is %s, %v, want %s", got, err, value)
		}
	}
	shows(6, true, `"two!"`)
	if n := a.CheckpointBytes(); n != 6 {
		t.Errorf("%d bytes are counted", n)
	}
	mustTx(t, a, now, func(tx *storage.Tx) {
		if _, err := tx.EndAttempt(first, storage.End{State: storage.StatePending, Due: first.Due, Error: errOops, Interrupted: true}); err != nil {
			t.Fatal(err)
		}
		save(t, tx, &first, `"late"`, false)
	})
	shows(6, false, `"two!"`)
	mustTx(t, a, now, func(tx *storage.Tx) {
		second := mustClaim(t, tx, "a")
		save(t, tx, &first, `"late"`, false)
		save(t, tx, &second, `3`, true)
		if ok, err := tx.SaveProgress(&first, storage.Progress{}); ok || err != nil {
			t.Errorf("an attempt that is over: %v, %v", ok, err)
		}
	})
	shows(1, false, `3`)
	a.SetMaxCheckpointBytes(5)
	mustTx(t, a, now, func(tx *storage.Tx) {
		other := mustClaim(t, tx, "b")
		save(t, tx, &other, `"abcd"`, false)
		save(t, tx, &other, `"ab"`, true)
		if _, err := tx.JobWriter().CancelJob("b"); err != nil {
			t.Fatal(err)
		}
		save(t, tx, &other, `1`, false)
	})
	shows(1, false, `3`)
	if n := a.CheckpointBytes(); n != 1 {
		t.Errorf("%d bytes are counted", n)
	}
}

// save saves a checkpoint, or wants it refused.
func save(tb testing.TB, tx *storage.Tx, job *storage.Job, value string, want bool) {
	tb.Helper()
	if ok, err := tx.SaveCheckpoint(job, []byte(value)); ok != want || ok && err != nil {
		tb.Errorf("checkpoint %s of job %s: %v, %v, want %v", value, job.ID, ok, err, want)
	}
}
