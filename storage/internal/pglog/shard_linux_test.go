package pglog_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"carillon/internal/pgtest"
	"carillon/storage/internal/kv"
	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"
)

// mustCopy opens the copy of shard 1 at path, as a standby does.
func mustCopy(t *testing.T, log *pglog.Log, path string) (db *kv.DB, rebuilt bool) {
	t.Helper()
	db, why, err := kv.OpenCopy(t.Context(), path, kv.Over(log, kv.Options{}), 1, nil, kv.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Abandon() })
	return db, why != nil
}

// shows is what the Data space of the copy shows.
func shows(t *testing.T, db *kv.DB) map[string]string {
	t.Helper()
	pin, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	all := map[string]string{}
	err = pin.Read(func(snap *kv.Snapshot) error {
		c := snap.Cursor(kv.Data)
		for k, v := c.First(); k != nil; k, v = c.Next() {
			all[string(k)] = string(v)
		}
		return nil
	})
	wants(t, err, nil)
	return all
}

// TestG45_CopiesOfAShard: a standby follows, takes over, and folds what the owner before has not;
// a node without a copy, and one with an old one, have all of it.
func TestG45_CopiesOfAShard(t *testing.T) {
	p := mustPlace(t)
	log := p.open(t, pglog.Options{})
	dir := t.TempDir()
	write := func(db *kv.DB, key, value string) error {
		return db.Update(func(tx *kv.Txn) error {
			if value == "" {
				return tx.Delete(kv.Data, []byte(key))
			}
			return tx.Put(kv.Data, []byte(key), []byte(value))
		})
	}
	want := map[string]string{}
	writes := func(db *kv.DB, from, n int) {
		t.Helper()
		for i := from; i < from+n; i++ {
			key, value := fmt.Sprint("key ", i%25), fmt.Sprint("value ", i)
			if i%5 == 4 {
				value = ""
			}
			wants(t, write(db, key, value), nil)
			if want[key] = value; value == "" {
				delete(want, key)
			}
		}
	}
	a, rebuilt := mustCopy(t, log, filepath.Join(dir, "a.db"))
	if !rebuilt {
		t.Error("a copy that is not there was not made anew")
	}
	b, _ := mustCopy(t, p.open(t, pglog.Options{}), filepath.Join(dir, "b.db"))
	wants(t, a.Claim(t.Context(), 64<<10), nil)
	writes(a, 0, 60)
	wants(t, a.Fold(), nil)
	wants(t, b.Follow(t.Context()), nil)
	writes(a, 60, 30)
	if a.Folded() == 0 {
		t.Error("nothing was folded")
	}
	wants(t, a.Abandon(), nil)
	wants(t, b.Claim(t.Context(), 64<<10), nil)
	if got := shows(t, b); !maps.Equal(got, want) {
		t.Errorf("the next owner shows %v, want %v", got, want)
	}
	writes(b, 90, 10)
	wants(t, b.Close(), nil) // folds
	for _, name := range []string{"c.db", "a.db", "c.db"} {
		c, _ := mustCopy(t, log, filepath.Join(dir, name))
		if got := shows(t, c); !maps.Equal(got, want) {
			t.Errorf("%s shows %v, want %v", name, got, want)
		}
		wants(t, c.Close(), nil)
	}
	if _, rebuilt := mustCopy(t, log, filepath.Join(dir, "c.db")); rebuilt {
		t.Error("a copy that is what the log says was made anew")
	}
	if n := p.await(t, `SELECT count(*) FROM point`); n != len(want)+1 {
		t.Errorf("the checkpoint has %d rows, want %d and what it has", n, len(want))
	}
}

// TestG6_AnAnswerThatDoesNotCome: an Update whose statement is cut off, before or after the server
// has it, is answered by what the log has.
func TestG6_AnAnswerThatDoesNotCome(t *testing.T) {
	p := mustPlace(t)
	db, _ := mustCopy(t, p.open(t, pglog.Options{}), filepath.Join(t.TempDir(), "a.db"))
	wants(t, db.Claim(t.Context(), 64<<10), nil)
	want, in := map[string]string{}, 0
	for i := range 6 {
		cut := []pgtest.Fate{pgtest.CutBefore, pgtest.CutAfter}[i%2]
		left := 1
		p.proxy.SetFate(func(statement string) pgtest.Fate {
			if statement != "append" || left == 0 {
				return pgtest.Pass
			}
			left--
			return cut
		})
		key := fmt.Sprint(i)
		err := db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, []byte(key), []byte("1")) })
		switch {
		case err == nil:
			want[key] = "1"
			in++
		case !errors.Is(err, kv.ErrRefused) || errors.Is(err, wal.ErrFenced):
			t.Errorf("Update %d ends in %v", i, err)
		}
		if got := shows(t, db); !maps.Equal(got, want) {
			t.Errorf("after Update %d it shows %v, want %v", i, got, want)
		}
	}
}
