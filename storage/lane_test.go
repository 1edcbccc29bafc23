package storage_test

import (
	"errors"
	"strings"
	"testing"

	"carillon/storage"
)

// TestG27_NamesAndKeysHaveBounds: a pool's name, a key and a priority out of bounds are
// refused, and nothing is changed.
func TestG27_NamesAndKeysHaveBounds(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, strings.Repeat("a", 64): true, "A-z_0.9": true,
		"": false, strings.Repeat("a", 65): false, "a b": false, "é": false, "a\x00": false,
	} {
		if err := storage.CheckPoolName(name); (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("name %q: %v", name, err)
		}
	}
	for key, ok := range map[string]bool{
		"": true, strings.Repeat("k", 256): true, "ключ": true,
		strings.Repeat("k", 257): false, "a\x00b": false, "\xff": false,
	} {
		if err := storage.CheckPoolKey(key); (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("key %.20q: %v", key, err)
		}
	}
	s := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	app := mustApp(t, s, "acme")
	tx := app.Begin(testNow)
	for name, job := range map[string]storage.Job{
		"priority 5": {Priority: 5}, "priority -1": {Priority: -1},
		"key without a pool": {PoolKey: "k"}, "name": {Pool: "a b"}, "key": {Pool: "a", PoolKey: "\x00"},
	} {
		job.Function, job.Due = "a:b", testNow
		if _, err := tx.JobWriter().InsertJob(job); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if !tx.Unchanged() {
		t.Error("a job that was refused has changed something")
	}
	tx.Rollback(nil)
}

// TestG27_AClaimedJobIsInNoLane: a job waits in its lanes from when it is stored until it is
// claimed, and again when its claim is taken back; a page says where the next one begins.
func TestG27_AClaimedJobIsInNoLane(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{NoSync: true})
	app := mustApp(t, s, "acme")
	lane := storage.Lane{Pool: "stripe", Key: "ada"}
	tx := app.Begin(testNow)
	for range 3 {
		job := storage.Job{Function: "a:b", Due: testNow, Pool: lane.Pool, PoolKey: lane.Key, Priority: 1}
		if _, err := tx.JobWriter().InsertJob(job); err != nil {
			t.Fatal(err)
		}
	}
	wait := func(want int) (jobs []storage.Job) {
		t.Helper()
		with, _, _, err := tx.DueWith(1, storage.Place{}, 10)
		if err == nil {
			jobs, _, _, err = tx.DueIn(lane, 1, storage.Place{}, 10)
		}
		if err != nil || len(jobs) != want || len(with) != want {
			t.Fatalf("%d wait in the lane and %d of their priority, %v; want %d", len(jobs), len(with), err, want)
		}
		return jobs
	}
	jobs := wait(3)
	if ok, err := tx.Claim(&jobs[1]); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if left := wait(2); left[0].ID != jobs[0].ID || left[1].ID != jobs[2].ID {
		t.Errorf("%s and %s wait, want %s and %s", left[0].ID, left[1].ID, jobs[0].ID, jobs[2].ID)
	}
	if err := tx.Unclaim(&jobs[1]); err != nil {
		t.Fatal(err)
	}
	wait(3)
	first, next, more, err := tx.DueIn(lane, 1, storage.Place{}, 1)
	if err != nil || len(first) != 1 || !more {
		t.Fatalf("the first page has %d, more %t, %v", len(first), more, err)
	}
	if rest, _, more, err := tx.DueIn(lane, 1, next, 10); err != nil || len(rest) != 2 || more || rest[0].ID != jobs[1].ID {
		t.Errorf("the next page has %d, more %t, %v", len(rest), more, err)
	}
	if _, err := tx.EndAttempt(jobs[1], storage.End{State: storage.StateSuccess}); err == nil {
		t.Error("a job that is not claimed has ended")
	}
	tx.Rollback(nil)
}
