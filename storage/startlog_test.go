package storage_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/storage"
	"carillon/storage/internal/boltfile"
	"carillon/storage/storagetest"
)

// TestG28_TheStartLogOfALane: what is logged of a lane is read back, with what all of it
// wait for, and until it is forgotten or of no use; other lanes have nothing of it.
func TestG28_TheStartLogOfALane(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{NoSync: true})
	app := mustApp(t, s, "acme")
	if app.HasStarts() {
		t.Error("a new app has starts")
	}
	lane, other := storage.Lane{Pool: "a", Key: "b"}, storage.Lane{Pool: "a"}
	at := storage.Start{Wall: testNow, Era: 7, Elapsed: time.Second + time.Nanosecond}
	const n = 2500
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		for range n {
			if err := tx.LogStart(lane, at); err != nil {
				t.Fatal(err)
			}
		}
		for _, wait := range []time.Duration{time.Hour, time.Minute} {
			w := at
			if w.Wait = wait; tx.LogStart(other, w) != nil {
				t.Fatal("a wait is not logged")
			}
		}
	})
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{NoSync: true})
	app = mustApp(t, s, "acme")
	if !app.HasStarts() {
		t.Error("the app has no starts after a restart")
	}
	read := func(at storage.Lane) (list []storage.Start) {
		t.Helper()
		tx := app.Begin(testNow)
		defer tx.Rollback(nil)
		list, err := tx.Starts(at)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	starts := read(lane)
	if len(starts) != n || !starts[0].Wall.Equal(testNow) || starts[0].Era != 7 || starts[0].Elapsed != time.Second+time.Millisecond || starts[0].Wait != 0 || app.Ours(starts[0].Claim) {
		t.Errorf("%d starts were read, %+v", len(starts), starts[0])
	}
	if list := read(other); len(list) != 1 || list[0].Wait != time.Minute || list[0].Claim.Incarnation != starts[0].Claim.Incarnation {
		t.Errorf("the other lane has %+v, want the latest wait", list)
	}
	if list := read(storage.Lane{Pool: "b"}); len(list) != 0 {
		t.Errorf("a lane of which nothing was logged has %+v", list)
	}
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if err := tx.ForgetStarts(lane, []storage.ClaimID{starts[0].Claim, starts[n-1].Claim}); err != nil {
			t.Fatal(err)
		}
	})
	if list := read(lane); len(list) != n-2 || !slices.Equal(list, starts[1:n-1]) {
		t.Errorf("%d starts are left, want all but the first and the last", len(list))
	}
	for cursor, more, looked := (storage.StartCursor{}), true, 0; more; {
		mustTx(t, app, testNow, func(tx *storage.Tx) {
			var err error
			cursor, more, err = tx.SweepStarts(cursor, 100, func(at storage.Lane, s storage.Start) bool {
				looked++
				return at == lane
			})
			if err != nil || looked > n {
				t.Fatal(looked, err)
			}
		})
	}
	if len(read(lane)) != 0 || len(read(other)) != 1 {
		t.Errorf("after the sweep there are %d starts, and %d waits", len(read(lane)), len(read(other)))
	}
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if err := tx.ForgetStarts(other, []storage.ClaimID{{}}); err != nil {
			t.Fatal(err)
		}
	})
	mustTx(t, app, testNow, func(tx *storage.Tx) {
		if _, _, err := tx.SweepStarts(storage.StartCursor{}, 100, nil); err != nil {
			t.Fatal(err)
		}
	})
	if app.HasStarts() {
		t.Error("the app has starts after all were deleted")
	}
}

// TestG37_ADamagedStart: of a start that is damaged a reader has the claim and an error
// that names it, beside all others.
func TestG37_ADamagedStart(t *testing.T) {
	storagetest.NeedsFiles(t, "which are damaged")
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{NoSync: true})
	lane := storage.Lane{Pool: "stripe"}
	mustTx(t, mustApp(t, s, "acme"), testNow, func(tx *storage.Tx) {
		for range 3 {
			if err := tx.LogStart(lane, storage.Start{Wall: testNow}); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.LogStart(lane, storage.Start{Wall: testNow, Wait: time.Hour}); err != nil {
			t.Fatal(err)
		}
	})
	mustClose(t, s)
	n := 0
	mustDamageValues(t, dir, boltfile.Data, func(key, _ []byte) bool {
		if !bytes.HasPrefix(key, append(binary.BigEndian.AppendUint32(nil, 1), 'v')) {
			return false
		}
		n++
		return n <= 2 // the wait, and the first start
	})
	s = mustOpenLoose(t, dir, storage.Options{NoSync: true})
	tx := mustApp(t, s, "acme").Begin(testNow)
	defer tx.Rollback(nil)
	list, err := tx.Starts(lane)
	unread := 0
	for _, start := range list {
		if start.Wall.IsZero() && start.Claim != (storage.ClaimID{}) {
			unread++
		}
	}
	if len(list) != 3 || unread != 1 {
		t.Errorf("%d starts, %d of them with their claim alone; want 3 and 1", len(list), unread)
	}
	for what, err := range map[string]error{"reading": err, "check": s.Check()} {
		if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), `start log of pool "stripe"`) || !strings.Contains(err.Error(), "app acme: ") {
			t.Errorf("%s: %v, want ErrCorrupt that names app and pool", what, err)
		}
	}
}

// TestG28_TheStartsOfAllApps: of the pools that are asked for, with the claims of their
// jobs, which may have begun; what cannot be read is told, beside the rest.
func TestG28_TheStartsOfAllApps(t *testing.T) {
	storagetest.NeedsFiles(t, "which are damaged")
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{NoSync: true, Volumes: 2})
	for _, id := range []storage.AppID{"a", "b", "c"} {
		mustTx(t, mustApp(t, s, id), testNow, func(tx *storage.Tx) {
			for _, pool := range []string{"pay", "pay2", "mail"} {
				if err := tx.LogStart(storage.Lane{Pool: pool, Key: string(id)}, storage.Start{Wall: testNow}); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.JobWriter().InsertJob(storage.Job{Function: "f:f", Due: testNow, Pool: pool}); err != nil {
					t.Fatal(err)
				}
			}
			for _, job := range tx.Inserted() {
				if ok, err := tx.Claim(&job); !ok || err != nil {
					t.Fatal(ok, err)
				}
			}
		})
	}
	read := func() (starts, claims int, err error) {
		err = s.Starts([]string{"pay", "other"}, func(at storage.Lane, s storage.Start) {
			switch {
			case at.Pool != "pay" || s.Claim == (storage.ClaimID{}):
				t.Errorf("of %+v a start %+v was visited", at, s)
			case s.Wall.IsZero():
				claims++
			default:
				starts++
			}
		})
		return starts, claims, err
	}
	if starts, claims, err := read(); starts != 3 || claims != 3 || err != nil {
		t.Errorf("%d starts and %d claims, %v; want 3 of each", starts, claims, err)
	}
	mustClose(t, s)
	done := false
	mustDamageValues(t, dir, boltfile.Data, func(key, value []byte) bool {
		damages := !done && len(key) > 4 && key[4] == 'q' && bytes.Contains(value, []byte("pay"))
		done = done || damages
		return damages
	})
	s = mustOpenLoose(t, dir, storage.Options{NoSync: true})
	if starts, _, err := read(); starts != 3 || !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("with a damaged job: %d starts, %v; want 3 and ErrCorrupt", starts, err)
	}
}
