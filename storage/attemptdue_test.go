package storage_test

import (
	"slices"
	"testing"
	"time"

	"carillon/storage"
)

// TestEachAttemptKeepsWhenItWasDue: that of a retry is when the retry was due, that of one whose end came from
// outside is not when it had taken too long, and they are read again from the files. An attempt that an earlier release
// has written has none.
func TestEachAttemptKeepsWhenItWasDue(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	app := mustApp(t, s, "acme")
	at := func(s int) time.Time { return testNow.Add(time.Duration(s) * time.Second) }
	again := func(begun, due int) storage.End {
		return storage.End{State: storage.StatePending, StartedAt: at(begun), Due: at(due), Error: errOops}
	}
	mustTx(t, app, at(2), func(tx *storage.Tx) {
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "tried", Function: "a:b", Due: at(1)})
		mustEnd(t, tx, "tried", again(2, 10))
	})
	mustTx(t, app, at(15), func(tx *storage.Tx) {
		outside := storage.End{State: storage.StatePending, Outside: true, StartedAt: at(14), Due: at(3600), Token: hashNo(1)}
		if job := mustEnd(t, tx, "tried", outside); !job.AttemptDue().Equal(at(10)) || !job.Due.Equal(at(3600)) {
			t.Errorf("outside the attempt was due at %v, and is over at %v", job.AttemptDue(), job.Due)
		}
		job, _, _, err := tx.Unended("tried")
		must(t, err)
		_, err = tx.EndAttempt(job, storage.End{State: storage.StateFailed, Error: errOops, Token: hashNo(1)})
		must(t, err)
	})
	must(t, s.Close())
	app = mustApp(t, mustOpen(t, dir, storage.Options{}), "acme")
	mustRead(t, app, func(r storage.Reader) {
		job, _, err := r.System().Get("tried")
		var due []time.Time
		for _, a := range job.History {
			due = append(due, a.Due)
		}
		if want := []time.Time{at(1), at(10)}; err != nil || !slices.EqualFunc(due, want, time.Time.Equal) || !job.AttemptDue().Equal(at(10)) {
			t.Errorf("the attempts were due at %v, the last at %v, %v; want %v", due, job.AttemptDue(), err, want)
		}
	})
	for _, s := range mustFixture(t, "work", makeWorkFixture, workContents) {
		mustRead(t, mustApp(t, s, "acme"), func(r storage.Reader) {
			job, _, err := r.System().Get("dead")
			if err != nil || len(job.History) != 1 || !job.History[0].Due.IsZero() || !job.History[0].StartedAt.Equal(testNow) {
				t.Errorf("an attempt of an earlier release: %+v, %v", job.History, err)
			}
		})
	}
}
