package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// TestCommitDropsAnOpenNestedTransaction: a handler that was given up on may have
// left a nested transaction open. The outer one ends without what it wrote, and
// whoever still holds the inner one is told that it is over (S3).
func TestCommitDropsAnOpenNestedTransaction(t *testing.T) {
	for _, end := range []string{"commit", "rollback"} {
		app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
		tx := app.Begin(testNow)
		outer := mustInsert(t, tx.JobWriter(), storage.Job{})
		var inner storage.JobID
		err := tx.JobWriter().Nested(func(w storage.JobWriter) error {
			inner = mustInsert(t, w, storage.Job{})
			if end == "commit" {
				mustCommit(t, tx)
			} else {
				tx.Rollback(nil)
			}
			if _, err := w.InsertJob(storage.Job{Function: "a:b", Due: testNow}); !errors.Is(err, storage.ErrTxDone) {
				t.Errorf("insert after the %s: %v, want ErrTxDone", end, err)
			}
			return nil
		})
		if err != nil {
			t.Errorf("nested: %v", err)
		}
		want := 0
		if end == "commit" {
			want = 1
		}
		if app.Pending() != want {
			t.Errorf("after the %s %d jobs are pending, want %d", end, app.Pending(), want)
		}
		if _, ok, err := storedJob(t, app, outer); ok != (want == 1) || err != nil {
			t.Errorf("after the %s the outer job is there: %v, %v", end, ok, err)
		}
		if _, ok, err := storedJob(t, app, inner); ok || err != nil {
			t.Errorf("after the %s the inner job is there: %v, %v", end, ok, err)
		}
		// Its number is not assigned again (S7).
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			if id := mustInsert(t, w, storage.Job{}); id == inner || id == outer {
				t.Errorf("after the %s id %s was minted again", end, id)
			}
		})
	}
}

// TestG6_ReloadEndsAnOpenTransaction: whoever broke down with the turn left it
// open; the app goes on without it.
func TestG6_ReloadEndsAnOpenTransaction(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{ID: "job"}) })
	left := app.Begin(testNow)
	mustInsert(t, left.JobWriter(), storage.Job{ID: "lost"})
	if err := app.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := left.Commit(nil); !errors.Is(err, storage.ErrTxDone) {
		t.Errorf("commit of the transaction left open: %v, want ErrTxDone", err)
	}
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		mustClaim(t, tx, "job")
		if _, ok, err := tx.Writer().System().Get("lost"); ok || err != nil {
			t.Errorf("what it wrote is there: %v, %v", ok, err)
		}
	})
}

// TestBeginWithATransactionOpenPanics: that turn was not given back (S3).
func TestBeginWithATransactionOpenPanics(t *testing.T) {
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	tx := app.Begin(testNow)
	defer tx.Rollback(nil)
	defer func() {
		if r := fmt.Sprint(recover()); !strings.Contains(r, "S3") || !strings.Contains(r, "acme") {
			t.Errorf("panic %q, want one that cites S3 and the app", r)
		}
	}()
	app.Begin(testNow)
}

// TestStatsCountWhatIsWritten: a change is one commit of as many bytes as it has, or fewer, if
// they say little; what writes nothing is none.
func TestStatsCountWhatIsWritten(t *testing.T) {
	storagetest.NeedsFiles(t, "whose log counts its bytes")
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1})
	app := mustApp(t, s, "acme")
	var after storage.Stats
	for _, tt := range []struct {
		args        string
		least, most int64
	}{{noise(100_000), 100_000, 200_000}, {strings.Repeat("x", 100_000), 1, 10_000}} {
		before := s.Stats()
		mustUpdateJobs(t, app, func(w storage.JobWriter) {
			mustInsert(t, w, storage.Job{Args: []byte(`"` + tt.args + `"`)})
		})
		after = s.Stats()
		if n := after.Commits - before.Commits; n != 1 {
			t.Errorf("a change is %d commits", n)
		}
		if n := after.Written - before.Written; n < tt.least || n > tt.most {
			t.Errorf("100,000 bytes are %d written, want %d to %d", n, tt.least, tt.most)
		}
	}
	mustUpdateJobs(t, app, func(storage.JobWriter) {})
	// The histograms of batches follow their answers.
	if again := s.Stats(); again.Commits != after.Commits || again.Written != after.Written {
		t.Errorf("nothing was written, yet %+v became %+v", after, again)
	}
}
