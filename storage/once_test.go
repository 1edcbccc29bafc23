package storage_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/storage"
)

// once schedules a job of the parent under the name.
func (u *uniqueApp) once(tx *storage.Tx, parent storage.JobID, name string) (storage.Told, error) {
	return tx.JobWriter().Schedule(storage.Job{Function: "a:b", Args: []byte(`1`), Due: u.now, EnqueuedAt: u.now, Parent: parent, Once: name})
}

// TestG29_NamesOfOnceGoWithTheirParent: purged, dropped or its id chosen again, and not before.
func TestG29_NamesOfOnceGoWithTheirParent(t *testing.T) {
	for how, gone := range map[string]func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error{
		"purged": func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error {
			_, _, err := tx.PurgeHistory(u.now.Add(time.Minute), 0, 10)
			return err
		},
		"purged when dead": func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error {
			_, _, err := tx.PurgeDead(u.now.Add(time.Minute), 0, 10)
			return err
		},
		"dropped": func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error {
			_, err := tx.DropDead(id)
			return err
		},
		"held and dropped": func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error {
			if _, err := tx.RetryDeadAt(id, u.now); err != nil {
				return err
			}
			if n := u.app.Pending(); n == 0 {
				return errors.New("it is not pending")
			}
			if _, err := tx.JobWriter().HoldJob(id, "unknown"); err != nil {
				return err
			}
			_, err := tx.DropDead(id)
			return err
		},
		"chosen again": func(u *uniqueApp, tx *storage.Tx, id storage.JobID) error {
			u.app.SetDeadRetention(time.Second)
			_, err := tx.JobWriter().InsertJob(storage.Job{ID: id, Function: "a:b", Due: u.now})
			return err
		},
	} {
		t.Run(how, func(t *testing.T) {
			u := newUniqueApp(t)
			parent := storage.JobID("parent")
			mustInsertOne(u, storage.Job{ID: parent})
			job := u.start(parent)
			var child storage.JobID
			u.tx(func(tx *storage.Tx) {
				for _, name := range []string{"x", "y", "x"} {
					done, err := u.once(tx, parent, name)
					if err != nil {
						t.Fatal(err)
					}
					if child == "" {
						child = done.ID
					} else if done.Kept != (name == "x") || done.Kept != (done.ID == child) {
						t.Errorf("%s: %+v, the first child is %s", name, done, child)
					}
				}
			})
			u.check()
			u.tx(func(tx *storage.Tx) { mustEnd(t, tx, child, storage.End{State: storage.StateSuccess}) })
			state := storage.StateFailed
			if how == "purged" {
				state = storage.StateSuccess
			}
			u.end(job, storage.End{State: state, Error: errOops, StartedAt: u.now})
			u.check()
			u.tx(func(tx *storage.Tx) {
				if done, err := u.once(tx, parent, "x"); err != nil || done.ID != child {
					t.Errorf("when it has ended: %+v, %v, want %s", done, err, child)
				}
			})
			u.now = u.now.Add(time.Hour)
			u.tx(func(tx *storage.Tx) {
				if err := gone(u, tx, parent); err != nil {
					t.Fatal(err)
				}
			})
			u.check()
			if n := u.s.KeysOf('o'); n != 0 {
				t.Errorf("%d rows are left", n)
			}
			if how == "chosen again" {
				u.tx(func(tx *storage.Tx) {
					if done, err := u.once(tx, parent, "x"); err != nil || done.Kept {
						t.Errorf("of the job that has its id now: %+v, %v", done, err)
					}
				})
				u.check()
				return
			}
			u.tx(func(tx *storage.Tx) {
				if _, err := u.once(tx, parent, "x"); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("of a parent that is gone: %v", err)
				}
			})
		})
	}
}

func TestG29_BoundsOfOnce(t *testing.T) {
	u := newUniqueApp(t)
	mustInsertOne(u, storage.Job{ID: "parent"})
	u.tx(func(tx *storage.Tx) {
		for name, ok := range map[string]bool{
			"n": true, strings.Repeat("n", storage.MaxKey): true, strings.Repeat("n", storage.MaxKey+1): false, "\xff": false,
		} {
			if _, err := u.once(tx, "parent", name); (err == nil) != ok || err != nil && !errors.Is(err, storage.ErrInvalid) {
				t.Errorf("a name of %d bytes: %v, want it taken: %t", len(name), err, ok)
			}
		}
		for n := 2; n < storage.MaxOnce; n++ {
			if _, err := u.once(tx, "parent", fmt.Sprint("n", n)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := u.once(tx, "parent", "one more"); !errors.Is(err, storage.ErrLimit) {
			t.Errorf("%d names, and one more: %v", storage.MaxOnce, err)
		}
		if done, err := u.once(tx, "parent", "n"); err != nil || !done.Kept {
			t.Errorf("a name that is there: %+v, %v", done, err)
		}
	})
	u.check()
	if n := u.app.Pending(); n != storage.MaxOnce+1 {
		t.Errorf("%d jobs are pending, want %d and the parent", n, storage.MaxOnce)
	}
}

// TestG29_OnceStaysWithinTheLimitsOfATransaction, with all that it writes (S16).
func TestG29_OnceAndKeysStayWithinTheLimitsOfATransaction(t *testing.T) {
	u := newUniqueApp(t)
	mustInsertOne(u, storage.Job{ID: "parent"})
	for writes := range 12 {
		limits := storage.TxLimits{Writes: writes + 1}.WithDefaults()
		tx := u.app.Begin(u.now)
		before := u.app.Pending()
		w := tx.Bounded(&limits)
		var err error
		for n := 0; err == nil; n++ {
			_, err = w.Schedule(storage.Job{
				Function: "a:b", Due: u.now, Parent: "parent", Once: fmt.Sprint(n % 2),
				Unique: &storage.Unique{Key: fmt.Sprint(n % 3), Policy: storage.UniqueReplace},
			})
			if n > 100 {
				break // it writes the same keys again
			}
		}
		if err != nil && !errors.Is(err, storage.ErrTxLimit) {
			t.Errorf("%d writes: %v", writes+1, err)
		}
		if got := tx.Writes(); got > writes+1 {
			t.Errorf("%d writes where %d are allowed", got, writes+1)
		}
		tx.Rollback(nil)
		if u.app.Pending() != before {
			t.Error("it was not rolled back")
		}
	}
}

// TestG29_AKeyOfAnotherNameStaysWithinTheLimitsOfATransaction: the row of the name that the
// function had is counted ahead as well, whatever holds it (S16).
func TestG29_AKeyOfAnotherNameStaysWithinTheLimitsOfATransaction(t *testing.T) {
	for _, holds := range []string{"a pending job", "a running job", "a success"} {
		u := newUniqueApp(t)
		unique := storage.Unique{Key: "k", Policy: storage.UniqueReplace, MaxWait: time.Hour, HeldFor: time.Hour}
		id := u.mustAsk(0, `1`, unique).ID
		if holds != "a pending job" {
			job := u.start(id)
			if holds == "a success" {
				u.end(job, storage.End{State: storage.StateSuccess, StartedAt: u.now})
			}
		}
		u.app.SetNames(func(string) []string { return []string{"a:b"} })
		done := 0
		for most := range 12 {
			limits := storage.TxLimits{Writes: most + 1}.WithDefaults()
			tx := u.app.Begin(u.now)
			key := unique
			_, err := tx.Bounded(&limits).Schedule(storage.Job{Function: "a:new", Due: u.now, Unique: &key})
			switch {
			case err == nil:
				done++
			case !errors.Is(err, storage.ErrTxLimit):
				t.Errorf("%s, %d writes: %v", holds, most+1, err)
			}
			if got := tx.Writes(); got > most+1 {
				t.Errorf("%s: %d writes where %d are allowed", holds, got, most+1)
			}
			tx.Rollback(nil)
		}
		if done == 0 {
			t.Errorf("%s: it was refused with any limit", holds)
		}
	}
}
