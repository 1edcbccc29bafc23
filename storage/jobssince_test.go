package storage_test

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
	"carillon/storage/memlog"
	"carillon/storage/storagetest"
)

// mustMark is where the app stands in the log.
func mustMark(t *testing.T, app *storage.App) storage.CommitMark {
	t.Helper()
	snap, _, err := app.SnapshotAt(testNow)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Close()
	mark, err := snap.Mark()
	if err != nil {
		t.Fatal(err)
	}
	return mark
}

// mustSchedule has the app have a job more, with so many bytes of arguments.
func mustSchedule(t *testing.T, app *storage.App, bytesOfArgs int) (id storage.JobID) {
	t.Helper()
	args := append(append([]byte(`"`), bytes.Repeat([]byte("x"), bytesOfArgs-2)...), '"')
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		id = mustInsert(t, tx.JobWriter(), storage.Job{Function: "bells:ring", Args: args, Due: testNow.Add(time.Hour)})
	})
	return id
}

// mustMove has the job be due so much later.
func mustMove(t *testing.T, app *storage.App, id storage.JobID, later time.Duration) {
	t.Helper()
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if moved, err := tx.JobWriter().RescheduleJob(id, storage.Change{Due: testNow.Add(time.Hour + later)}); err != nil || !moved.Changed {
			t.Fatal(moved, err)
		}
	})
}

// TestG36_ATrimmedLogTellsNothing: what has become of jobs since a commit is told for a minute at
// least, by the owner and by the one that takes over, and not at all when the log has not all of it
// any more. A mark of a store that shares no log is none.
func TestG36_ATrimmedLogTellsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a, b := mustJoin(t, log, "a", t.TempDir()), mustJoin(t, log, "b", t.TempDir())
		s := a.mustOwn(t)
		app := mustApp(t, s, "acme")
		mustSchedule(t, app, 2)
		mark := mustMark(t, app)
		if changes, _, err := app.JobsSince(t.Context(), mark); err != nil || len(changes) != 0 {
			t.Errorf("since now there are %d changes, %v", len(changes), err)
		}
		began, told := time.Now(), 0
		for ; ; time.Sleep(10 * time.Second) {
			mustSchedule(t, app, 2)
			if err := s.Checkpoint(); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the log's checkpoint comes behind the copy's
			changes, to, err := app.JobsSince(t.Context(), mark)
			if err != nil {
				if len(changes) != 0 {
					t.Errorf("of a log that was trimmed it tells %d changes", len(changes))
				}
				break
			}
			if told++; len(changes) != told || to != mustMark(t, app) {
				t.Fatalf("after %d jobs there are %d changes, up to %+v", told, len(changes), to)
			}
			if time.Since(began) > 10*time.Minute {
				t.Fatal("the log is not trimmed")
			}
		}
		if kept := time.Since(began); kept < time.Minute {
			t.Errorf("it is told for %v", kept)
		}
		latest := mustMark(t, app)
		mustSchedule(t, app, 2)
		s.Leave(t.Context())
		a.mustGiveUp(t)

		app = mustApp(t, b.mustOwn(t), "acme")
		if changes, _, err := app.JobsSince(t.Context(), mark); err == nil {
			t.Errorf("another node tells %d changes of a log that was trimmed", len(changes))
		}
		if changes, _, err := app.JobsSince(t.Context(), latest); err != nil || len(changes) != 1 {
			t.Errorf("since the latest mark another node tells %d changes, %v", len(changes), err)
		}
		if _, _, err := app.JobsSince(t.Context(), storage.CommitMark{}); !errors.Is(err, storage.ErrSinceGone) {
			t.Errorf("since no mark: %v", err)
		}
	})
}

// TestG36_ALogOfFilesTellsNothing: it has no marks, and from one of another store nothing goes on.
func TestG36_ALogOfFilesTellsNothing(t *testing.T) {
	storagetest.NeedsFiles(t, "it has marks")
	app := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{NoSync: true}), "acme")
	if mark := mustMark(t, app); mark != (storage.CommitMark{}) {
		t.Errorf("where no log is shared there is the mark %+v", mark)
	}
	if _, _, err := app.JobsSince(t.Context(), storage.CommitMark{Commit: 1}); !errors.Is(err, storage.ErrSinceGone) {
		t.Errorf("where no log is shared: %v", err)
	}
}

// TestG36_WhatIsReadOfALogIsBounded: in bytes of the records, of whatever app, and in bytes of memory
// that the app's jobs take, with those that were moved more than once.
func TestG36_WhatIsReadOfALogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New(1)
		a := mustJoin(t, log, "a", t.TempDir())
		s := a.mustOwn(t)
		app, other := mustApp(t, s, "acme"), mustApp(t, s, "other")
		moved, again := mustSchedule(t, app, 2), mustSchedule(t, app, 2)
		at, before := mustMark(t, app), 0
		for _, tt := range []struct {
			name string
			more int // bytes of memory that it takes, and
			room int // bytes of memory beside those of its arguments, at most
			do   func()
			jobs int
		}{
			{"a job", 300, 300, func() { mustSchedule(t, app, 300) }, 1},
			{"two more", 4000, 600, func() { mustSchedule(t, app, 1000); mustSchedule(t, app, 3000) }, 3},
			{"what is of another app", 0, 0, func() { mustSchedule(t, other, 5000) }, 3},
			{"one that is moved", 0, 600, func() { mustMove(t, app, moved, time.Hour) }, 4},
			{"another one that is moved twice", 1024, 1000, func() { mustMove(t, app, again, time.Hour); mustMove(t, app, again, 2*time.Hour) }, 5},
		} {
			tt.do()
			read, takes, err := app.SinceTakes(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			if grown := takes - before; grown < tt.more || grown > tt.more+tt.room {
				t.Errorf("%s: it takes %d bytes more, want %d and at most %d beside", tt.name, grown, tt.more, tt.room)
			}
			before = takes
			for _, bound := range []struct {
				read, bytes int
				known       bool
			}{
				{read, math.MaxInt, true},
				{read - 1, math.MaxInt, false},
				{math.MaxInt, takes, true},
				{math.MaxInt, takes - 1, false},
			} {
				storage.SetMaxSince(t, bound.read, bound.bytes)
				changes, _, err := app.JobsSince(t.Context(), at)
				if bound.known && (err != nil || len(changes) != tt.jobs) {
					t.Errorf("%s: %d and %d bytes within %d and %d: %d changes, %v", tt.name, read, takes, bound.read, bound.bytes, len(changes), err)
				}
				if !bound.known && (!errors.Is(err, storage.ErrSinceGone) || len(changes) != 0) {
					t.Errorf("%s: %d and %d bytes, one more than %d and %d: %d changes, %v", tt.name, read, takes, bound.read, bound.bytes, len(changes), err)
				}
			}
			storage.SetMaxSince(t, math.MaxInt, math.MaxInt)
		}
	})
}

// TestG36_FourMiBOfJobsAreTold: and no more.
func TestG36_FourMiBOfJobsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := mustJoin(t, memlog.New(1), "a", t.TempDir())
		app := mustApp(t, a.mustOwn(t), "acme")
		mustSchedule(t, app, 2) // before that the log does not have the app
		mark := mustMark(t, app)
		for n := range 5 {
			mustSchedule(t, app, 900<<10)
			switch changes, _, err := app.JobsSince(t.Context(), mark); {
			case n < 4 && (err != nil || len(changes) != n+1):
				t.Errorf("of %d jobs it tells %d, %v", n+1, len(changes), err)
			case n == 4 && !errors.Is(err, storage.ErrSinceGone):
				t.Errorf("of %d jobs it tells %d, %v", n+1, len(changes), err)
			}
		}
	})
}
