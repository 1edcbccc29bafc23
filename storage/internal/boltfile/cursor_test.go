package boltfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"carillon/storage/internal/boltfile"
)

// TestCursorAgainstAMap: after each of many commits that put and delete, a cursor
// and Get show what a sorted list does, from both ends and from keys that are there
// and are not; the pages are in order; and a Txn shows its own writes.
func TestCursorAgainstAMap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rng := rand.New(rand.NewPCG(1, 3))
	model := map[string]string{}
	for round := range 60 {
		grow := round < 30
		err := db.Update(func(tx *boltfile.Txn) error {
			for range 1 + rng.IntN(200) {
				key := fmt.Sprintf("%0*d", 3+rng.IntN(3)*20, rng.IntN(900))
				if rng.IntN(10) < 3 == grow {
					delete(model, key)
					if err := tx.Delete(boltfile.Data, []byte(key)); err != nil {
						return err
					}
					continue
				}
				value := string(bytes.Repeat([]byte("v"), rng.IntN(300)))
				if rng.IntN(100) == 0 {
					value = string(bytes.Repeat([]byte("w"), 5000+rng.IntN(20000)))
				}
				model[key] = value
				if err := tx.Put(boltfile.Data, []byte(key), []byte(value)); err != nil {
					return err
				}
				got, err := tx.Get(boltfile.Data, []byte(key))
				if err != nil || string(got) != value {
					return fmt.Errorf("the transaction shows %d bytes for %d: %v", len(got), len(value), err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		keys := make([]string, 0, len(model))
		for key := range model {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		pin, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		err = pin.Read(func(snap *boltfile.Snapshot) error {
			c := snap.Cursor(boltfile.Data)
			at := func(what string, k, v []byte, want int) error {
				switch {
				case want < 0 || want >= len(keys):
					if k != nil {
						return fmt.Errorf("%s: %q, want the end", what, k)
					}
				case string(k) != keys[want] || string(v) != model[keys[want]]:
					return fmt.Errorf("%s: %q with %d bytes, want %q with %d", what, k, len(v), keys[want], len(model[keys[want]]))
				}
				return nil
			}
			k, v := c.First()
			for i := range len(keys) + 1 {
				if err := at("forth", k, v, i); err != nil {
					return err
				}
				k, v = c.Next()
			}
			k, v = c.Last()
			for i := range len(keys) + 1 {
				if err := at("back", k, v, len(keys)-1-i); err != nil {
					return err
				}
				k, v = c.Prev()
			}
			for range 100 {
				key := fmt.Sprintf("%0*d", 3+rng.IntN(3)*20, rng.IntN(1000))
				i, there := slices.BinarySearch(keys, key)
				k, v := c.Seek([]byte(key))
				if err := at("seek", k, v, i); err != nil {
					return err
				}
				if got := snap.Get(boltfile.Data, []byte(key)); there != (got != nil) || string(got) != model[key] {
					return fmt.Errorf("get: %d bytes, want %d", len(got), len(model[key]))
				}
				if i < len(keys) {
					k, v = c.Prev()
					if err := at("before", k, v, i-1); err != nil {
						return err
					}
				}
			}
			return nil
		})
		pin.Close()
		if err := errors.Join(err, db.CheckPages()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}
