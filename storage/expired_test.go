package storage_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage"
)

// G26: of all apps those are found that have rows to be cleared away, a bounded number
// at a time, each once a round, and none that has nothing.
func TestG26_ExpiredRowsAreFound(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 3})
	apps := map[storage.AppID]storage.State{}
	for i := range 30 {
		state := []storage.State{storage.StateSuccess, storage.StateFailed, storage.StateHeld, storage.StatePending, storage.StateCanceled}[i%5]
		id := storage.AppID(fmt.Sprint("app", i))
		apps[id] = state
		mustTx(t, mustApp(t, s, id), testNow, func(tx *storage.Tx) {
			job := mustInsert(t, tx.JobWriter(), storage.Job{})
			if state != storage.StatePending {
				mustEnd(t, tx, job, storage.End{State: state, Reason: "why"})
			}
		})
	}
	all := func(e storage.Expiry, limit int) (ids []storage.AppID, looks int) {
		t.Helper()
		for from := (storage.ExpiredCursor{}); ; {
			found, next, err := s.Expired(from, e, limit)
			if err != nil || len(found) > limit {
				t.Fatalf("found %v, %v", found, err)
			}
			ids = append(ids, found...)
			if looks++; next == (storage.ExpiredCursor{}) {
				slices.Sort(ids)
				return ids, looks
			}
			from = next
		}
	}
	of := func(states ...storage.State) (ids []storage.AppID) {
		for id, state := range apps {
			if slices.Contains(states, state) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		return ids
	}
	finished := []storage.State{storage.StateSuccess, storage.StateCanceled}
	at, later := testNow, testNow.Add(time.Millisecond)
	for name, tt := range map[string]struct {
		e    storage.Expiry
		want []storage.AppID
	}{
		"nothing":             {storage.Expiry{KeepFinished: 1, KeepDead: -1}, nil},
		"not yet":             {storage.Expiry{KeepFinished: 1, KeepDead: 1, History: at, Dead: at, Held: at}, nil},
		"history":             {storage.Expiry{KeepFinished: 1, KeepDead: -1, History: later}, of(finished...)},
		"dead":                {storage.Expiry{KeepFinished: 1, KeepDead: -1, Dead: later}, of(storage.StateFailed)},
		"held":                {storage.Expiry{KeepFinished: 1, KeepDead: -1, Held: later}, of(storage.StateHeld)},
		"too many of history": {storage.Expiry{KeepDead: 1}, of(finished...)},
		"too many dead":       {storage.Expiry{KeepFinished: 1}, of(storage.StateFailed)},
	} {
		for _, limit := range []int{1, 7, 29, 30, 31} {
			ids, looks := all(tt.e, limit)
			if !slices.Equal(ids, tt.want) {
				t.Errorf("%s, %d at a time: %v, want %v", name, limit, ids, tt.want)
			}
			if looks > 30/limit+1 {
				t.Errorf("%s: %d looks of %d apps", name, looks, limit)
			}
		}
	}
}

// G26: a job keeps its latest 100 attempts, and counts the others.
func TestG26_AJobsHistoryIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	app := mustApp(t, s, "acme")
	mustUpdateJobs(t, app, func(w storage.JobWriter) { mustInsert(t, w, storage.Job{ID: "often"}) })
	for n := 1; n <= 102; n++ {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			job := mustEnd(t, tx, "often", storage.End{State: storage.StatePending, Due: testNow, Interrupted: n%2 == 0, Error: &storage.JobError{Code: "internal", Message: "x"}})
			gone := max(n-100, 0)
			if len(job.History) != n-gone || job.Forgotten != gone || job.Attempts != n || job.History[0].Number != gone+1 || job.History[len(job.History)-1].Number != n {
				t.Fatalf("after %d attempts it has %d, from %d on, and has forgotten %d", n, len(job.History), job.History[0].Number, job.Forgotten)
			}
		})
	}
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	mustRead(t, mustApp(t, s, "acme"), func(r storage.Reader) {
		if job := mustJob(t, r, "often"); len(job.History) != 100 || job.Forgotten != 2 || job.Attempts != 102 {
			t.Errorf("then it has %d and has forgotten %d of %d", len(job.History), job.Forgotten, job.Attempts)
		}
	})
}

// G26: a garbage collection that failed is tried again by itself, after 1 s, then 2, and so on, and
// the keys are gone without a new open, or any other commit.
func TestG26_AFailedGarbageCollectionIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var tries []time.Duration
		var begin time.Time
		failing := true
		opts := storage.Options{Volumes: 1, Fault: func(point string) error {
			if point != "gc" {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if tries = append(tries, time.Since(begin)); failing {
				return errors.New("not now")
			}
			return nil
		}}
		s := mustOpen(t, t.TempDir(), opts)
		mustUpdateJobs(t, mustApp(t, s, "acme"), func(w storage.JobWriter) { mustInsert(t, w, storage.Job{}) })
		begin = time.Now()
		if err := s.Delete("acme"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		mu.Lock()
		if want := []time.Duration{0, time.Second, 3 * time.Second}; !slices.Equal(tries, want) || doomed(t, s) != 1 {
			t.Fatalf("tried after %v, want %v; %d are doomed", tries, want, doomed(t, s))
		}
		failing = false
		mu.Unlock()
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if n, keys := doomed(t, s), countKeys(t, s); n != 0 || keys != 0 {
			t.Errorf("%d are doomed, %d keys are left", n, keys)
		}
	})
}
