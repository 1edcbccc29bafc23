package actors

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// TestG28_ASharedPoolWaitsIfItsStartsCannotBeRead: for a whole span, since as many as may be
// could have begun just before.
func TestG28_ASharedPoolWaitsIfItsStartsCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := dispatch.NewSharedPool("payments", 1, dispatch.Rate(1, time.Hour))
		eng, err := Open(t.TempDir(), Options{Functions: dispatch.NewRegistry(), Pools: []*dispatch.Pool{pool}})
		if err != nil {
			t.Fatal(err)
		}
		defer eng.Close(t.Context())
		given := 0
		sp := newSharedPools(eng.pools, eng.clock, func(*appState, storage.Lane) { given++ })
		sp.remember(func([]string, func(storage.Lane, storage.Start)) error { return errors.New("damaged") }, slog.New(slog.DiscardHandler))
		at, app := storage.Lane{Pool: "payments"}, new(appState)
		if sp.reserve(app, at) {
			t.Error("a permit is given though nothing is known of what has begun")
		}
		time.Sleep(time.Hour - time.Millisecond)
		if given != 0 {
			t.Error("a permit is given before the span is over")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if given != 1 {
			t.Errorf("%d permits were given when the span is over, want 1", given)
		}
		sp.forget(app)
		if len(sp.lanes) != 0 {
			t.Errorf("%d lanes are kept of which nothing is needed", len(sp.lanes))
		}
	})
}
