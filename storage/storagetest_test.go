package storage_test

import (
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// testNow is the scheduler's time in tests to which time does not matter.
var testNow = time.UnixMilli(1_800_000_000_000).UTC()

// mustOpen opens the store in dir. When the test ends the store is closed after
// a full check, unless mustClose did that before.
func mustOpen(tb testing.TB, dir string, opts storage.Options) *storage.Store {
	tb.Helper()
	opts.NoSync = true
	if opts.Volumes == 0 {
		opts.Volumes = 1
	}
	s, err := storage.Open(dir, storagetest.On(dir, opts))
	if err != nil {
		tb.Fatalf("open store: %v", err)
	}
	tb.Cleanup(func() { mustClose(tb, s) })
	return s
}

// mustClose verifies every structure of the store and closes it. A second call
// does nothing.
func mustClose(tb testing.TB, s *storage.Store) {
	tb.Helper()
	if _, err := s.Apps(); err != nil {
		return // closed
	}
	if err := s.Check(); err != nil {
		tb.Errorf("check: %v", err)
	}
	if err := s.Close(); err != nil {
		tb.Errorf("close store: %v", err)
	}
}

// mustApp opens an app and brings its indexes in line, as the engine does.
func mustApp(tb testing.TB, s *storage.Store, id storage.AppID) *storage.App {
	tb.Helper()
	app, err := s.App(id)
	if err != nil {
		tb.Fatalf("app %s: %v", id, err)
	}
	for done := false; !done; {
		tx := app.Begin(testNow)
		if done, _, err = tx.ReconcileIndexes(1000); err != nil {
			tb.Fatalf("app %s: reconcile: %v", id, err)
		}
		mustCommit(tb, tx)
	}
	return app
}

// mustCommit commits the transaction and waits until it is durable.
func mustCommit(tb testing.TB, tx *storage.Tx) {
	tb.Helper()
	done := make(chan error, 1)
	if err := tx.Commit(func(err error) { done <- err }); err != nil {
		tb.Fatalf("commit: %v", err)
	}
	if err := <-done; err != nil {
		tb.Fatalf("commit: %v", err)
	}
}

// mustUpdate runs fn in a transaction of its own, which is durable afterwards.
func mustUpdate(tb testing.TB, app *storage.App, fn func(w storage.Writer)) {
	tb.Helper()
	tx := app.Begin(testNow)
	defer tx.Rollback(nil) // if fn ends the test
	fn(tx.Writer())
	mustCommit(tb, tx)
}

// mustUpdateJobs is mustUpdate with what changes jobs and triggers.
func mustUpdateJobs(tb testing.TB, app *storage.App, fn func(w storage.JobWriter)) {
	tb.Helper()
	tx := app.Begin(testNow)
	defer tx.Rollback(nil) // if fn ends the test
	fn(tx.JobWriter())
	mustCommit(tb, tx)
}

// mustRead runs fn on the committed state.
func mustRead(tb testing.TB, app *storage.App, fn func(r storage.Reader)) {
	tb.Helper()
	snap, err := app.Snapshot(testNow)
	if err != nil {
		tb.Fatalf("snapshot: %v", err)
	}
	defer snap.Close()
	fn(snap.Reader())
}
