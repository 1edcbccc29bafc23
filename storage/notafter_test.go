package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/kv"
)

// TestG24_JobsExpireInPieces: those that are too late end in the order of their instants, as
// many as the call may end, whatever region they lie in, and the next call goes on behind.
func TestG24_JobsExpireInPieces(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	app := mustApp(t, s, "acme")
	at := func(sec int) time.Time { return testNow.Add(time.Duration(sec) * time.Second) }
	var ids []storage.JobID
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		for i := range 5 {
			ids = append(ids, mustInsert(t, tx.JobWriter(), storage.Job{Due: testNow, NotAfter: at(5 - i)}))
		}
		mustInsert(t, tx.JobWriter(), storage.Job{Due: testNow})
		if ok, err := tx.JobWriter().HoldJob(ids[3], "no function"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	var ended []storage.JobID
	var cursor storage.LateCursor
	for _, step := range []struct {
		sec, limit, n int
		then          time.Time
	}{{1, 2, 0, at(1)}, {2, 2, 1, at(2)}, {9, 2, 2, at(4)}, {9, 2, 2, time.Time{}}, {9, 2, 0, time.Time{}}} {
		mustTx(t, app, at(step.sec), func(tx *storage.Tx) {
			n, next, then, err := tx.ExpireLate(at(step.sec), cursor, step.limit, func(job *storage.Job) string {
				ended = append(ended, job.ID)
				return "why"
			})
			if cursor = next; err != nil || n != step.n || !then.Equal(step.then) {
				t.Errorf("after %d s: %d have expired, and then %v, %v, want %d and %v", step.sec, n, then, err, step.n, step.then)
			}
		})
	}
	for i, id := range ended {
		if want := ids[4-i]; id != want {
			t.Errorf("the %d. to expire is %s, want %s", i+1, id, want)
		}
	}
	mustRead(t, app, func(r storage.Reader) {
		for _, id := range ids {
			if job := mustJob(t, r, id); job.State != storage.StateExpired || job.Reason != "why" || job.Attempts != 0 {
				t.Errorf("job %s: %+v", id, job)
			}
		}
	})
}

// TestG14_TheAlarmIndexHasWhatIsToExpire: an app whose only job is held is in the index with
// the instant at which that is too late, also one that was imported, and none that was deleted.
func TestG14_TheAlarmIndexHasWhatIsToExpire(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{Volumes: 1})
	app := mustApp(t, s, "acme")
	at := testNow.Add(time.Hour)
	alarms := func() map[storage.AppID]time.Time {
		found := map[storage.AppID]time.Time{}
		err := s.Alarms(func(id storage.AppID, at time.Time) bool {
			found[id] = at
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	want := func(what string, want map[storage.AppID]time.Time) {
		t.Helper()
		if got := alarms(); !maps.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s: the alarms are %v, want %v", what, got, want)
		}
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	var id storage.JobID
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		id = mustInsert(t, tx.JobWriter(), storage.Job{Due: testNow, NotAfter: at})
	})
	want("pending", map[storage.AppID]time.Time{"acme": testNow})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if ok, err := tx.JobWriter().HoldJob(id, "why"); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	late := at.Add(time.Millisecond)
	want("held", map[storage.AppID]time.Time{"acme": late})
	if err := s.Import(t.Context(), "copy", bytes.NewReader(mustExport(t, s, "acme"))); err != nil {
		t.Fatal(err)
	}
	want("imported", map[storage.AppID]time.Time{"acme": late, "copy": late})
	if err := s.Delete("copy"); err != nil {
		t.Fatal(err)
	}
	want("deleted", map[storage.AppID]time.Time{"acme": late})
	mustTx(t, app, late, func(tx *storage.Tx) {
		if n, _, _, err := tx.ExpireLate(late, storage.LateCursor{}, 10, func(*storage.Job) string { return "why" }); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
	want("expired", map[storage.AppID]time.Time{})
}

// TestG37_AMovedLastInstantExpiresNothing: a job whose entry damage has moved to an earlier
// instant is not late by it: the error names it, it stays as it is, and those behind it expire.
func TestG37_AMovedLastInstantExpiresNothing(t *testing.T) {
	s := mustOpenUnchecked(t)
	app := mustApp(t, s, "acme")
	last := testNow.Add(time.Hour)
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "moved", Due: testNow, NotAfter: last})
		mustInsert(t, tx.JobWriter(), storage.Job{ID: "late", Due: testNow, NotAfter: testNow.Add(time.Second)})
	})
	err := s.WriteVolume(0, func(tx *kv.Txn) error {
		c := tx.Base().Cursor(kv.Data)
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if k[4] != 'e' || int64(binary.BigEndian.Uint64(k[5:])) != last.UnixMilli() {
				continue
			}
			old := bytes.Clone(k)
			moved := bytes.Clone(k)
			binary.BigEndian.PutUint64(moved[5:], uint64(testNow.UnixMilli()))
			return errors.Join(tx.Delete(kv.Data, old), tx.Put(kv.Data, moved, nil))
		}
		return errors.New("there is no such entry")
	})
	must(t, err)
	mustTx(t, app, testNow.Add(time.Minute), func(tx *storage.Tx) {
		n, _, _, err := tx.ExpireLate(testNow.Add(time.Minute), storage.LateCursor{}, 10, func(*storage.Job) string { return "why" })
		if n != 1 || !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "app acme: last instant") || !strings.HasSuffix(err.Error(), "job moved") {
			t.Errorf("%d have expired, %v; want one, and ErrCorrupt that names the other", n, err)
		}
	})
	mustRead(t, app, func(r storage.Reader) {
		for id, want := range map[storage.JobID]storage.State{"moved": storage.StatePending, "late": storage.StateExpired} {
			if job := mustJob(t, r, id); job.State != want {
				t.Errorf("job %s is %s, want %s", id, job.State, want)
			}
		}
	})
}
