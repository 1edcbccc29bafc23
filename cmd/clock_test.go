package cmd

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// TestClockRemote shows and accepts the clock of a server that is running.
func TestClockRemote(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	for _, args := range [][]string{{"clock", "show"}, {"clock", "accept"}} {
		out, err := runs(t, append(args, "--server", site)...)
		if at, bad := time.Parse(time.RFC3339Nano, strings.TrimSpace(out)); err != nil || bad != nil || time.Since(at).Abs() > time.Minute {
			t.Errorf("%v: got %v, %s", args, err, out)
		}
		if out, err := runs(t, append(args, "--server", site, "-o", "json")...); err != nil || !strings.Contains(out, `"notes":[]`) {
			t.Errorf("%v: got %v, %s", args, err, out)
		}
	}
}

// TestCheckTellsOfTheClock demands a line of check for a step of the clock that
// nobody has accepted, and for a wall that is behind what was written down.
func TestCheckTellsOfTheClock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustSeed(t, dir, "acme")
	store, err := storage.Open(dir, storage.Options{Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(24 * time.Hour).Truncate(time.Second)
	era := storage.Era{ID: store.NextEra(), Began: later, Step: -2 * time.Hour}
	store.BeginEra(append(store.Eras(), era))
	if err := store.SetMark(storage.EraSettled, era.ID); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := runs(t, "check", "--data", dir)
	if err != nil || !strings.HasPrefix(out, "ok, apps: 1\nclock: the wall clock was set back by 2h0m0s, to "+later.UTC().Format(time.RFC3339)+"\nclock: the wall clock is 2") ||
		!strings.HasSuffix(out, "behind what was written down last\n") {
		t.Errorf("got %v, %q", err, out)
	}
}
