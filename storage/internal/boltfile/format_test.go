package boltfile_test

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	bolt "go.etcd.io/bbolt"

	"carillon/storage/internal/boltfile"
)

// raw changes a file that is not open as bbolt does, which knows of no checksums.
func raw(tb testing.TB, path string, fn func(bucket func(name string) *bolt.Bucket) error) {
	tb.Helper()
	b, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: false})
	if err != nil {
		tb.Fatal(err)
	}
	err = b.Update(func(tx *bolt.Tx) error {
		return fn(func(name string) *bolt.Bucket {
			bucket, err := tx.CreateBucketIfNotExists([]byte(name))
			if err != nil {
				tb.Fatal(err)
			}
			return bucket
		})
	})
	if err := errors.Join(err, b.Close()); err != nil {
		tb.Fatal(err)
	}
}

// stored returns what bbolt has under the key.
func stored(tb testing.TB, path, bucket, key string) (value []byte) {
	tb.Helper()
	b, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	err = b.View(func(tx *bolt.Tx) error {
		value = bytes.Clone(tx.Bucket([]byte(bucket)).Get([]byte(key)))
		return nil
	})
	if err := errors.Join(err, b.Close()); err != nil {
		tb.Fatal(err)
	}
	return value
}

// first is what mustCreateFirst has in Data, of each kind that the first format had.
var first = map[string]string{"entry": "", "record": "\x08\x01\x12\x03abc", "document": `{"name":"bell"}`, "location": "q\x00\x00\x01", "app": "_acme"}

// mustCreateFirst makes a file of the first format.
func mustCreateFirst(tb testing.TB, path string) {
	tb.Helper()
	raw(tb, path, func(bucket func(string) *bolt.Bucket) error {
		errs := []error{
			bucket("meta").Put([]byte("format"), []byte("\x00\x00\x00\x00\x00\x00\x00\x01")),
			// Of all values only that was random.
			bucket("meta").Put([]byte("store"), []byte("\x9c\x01\x02\x03\x04\x05\x06\x07")),
			bucket("meta").Put([]byte("made"), []byte("yes")),
		}
		for _, name := range []string{"apps", "alarms", "doomed"} {
			bucket(name)
		}
		for k, v := range first {
			errs = append(errs, bucket("data").Put([]byte(k), []byte(v)))
		}
		return errors.Join(errs...)
	})
}

// mustHaveFirst verifies what mustCreateFirst has made.
func mustHaveFirst(tb testing.TB, db *boltfile.DB) {
	tb.Helper()
	for k, want := range first {
		if got := mustGet(tb, db, boltfile.Data, k); got != want {
			tb.Errorf("under %s is %q, want %q", k, got, want)
		}
	}
	pin, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	if got := mustWalk(tb, pin, boltfile.Data); !slices.Equal(got, slices.Sorted(maps.Keys(first))) {
		tb.Errorf("the keys are %v", got)
	}
	if got := mustGet(tb, db, boltfile.Meta, "store"); got != "\x9c\x01\x02\x03\x04\x05\x06\x07" {
		tb.Errorf("the store is %q", got)
	}
	if err := db.CheckPages(); err != nil {
		tb.Error(err)
	}
}

// TestG26_AFileOfTheFirstFormat: it is read as it is, by one who may write, too, and
// becomes one of the second with the first Update that succeeds. What was not written
// since is read without a checksum; the rest, and Meta, has one.
func TestG26_AFileOfTheFirstFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreateFirst(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []boltfile.Options{{ReadOnly: true}, {}} {
		db, err := boltfile.Open(path, opts)
		if err != nil {
			t.Fatal(err)
		}
		mustHaveFirst(t, db)
		own := errors.New("own")
		err = db.Update(func(tx *boltfile.Txn) error { return own })
		if errors.Is(err, own) == opts.ReadOnly {
			t.Errorf("read-only %t: update: %v", opts.ReadOnly, err)
		}
		mustHaveFirst(t, db)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			t.Errorf("read-only %t: it was changed, %v", opts.ReadOnly, err)
		}
	}
	db, err := boltfile.Open(path, boltfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pin, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		err := db.Update(func(tx *boltfile.Txn) error {
			for _, key := range []string{"entry", "record"} {
				if got, err := tx.Get(boltfile.Data, []byte(key)); err != nil || string(got) != first[key] {
					t.Errorf("update %d reads %q, %v", i, got, err)
				}
				if got := tx.Base().Get(boltfile.Data, []byte(key)); string(got) != first[key] {
					t.Errorf("update %d reads %q of before", i, got)
				}
			}
			return tx.Put(boltfile.Data, []byte("record"), []byte(first["record"]))
		})
		if err != nil {
			t.Fatal(err)
		}
		mustHaveFirst(t, db)
		if got := string(mustRead(t, pin, boltfile.Meta, "made")) + string(mustRead(t, pin, boltfile.Data, "record")); got != "yes"+first["record"] {
			t.Errorf("a pin of before reads %q", got)
		}
	}
	pin.Close()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := stored(t, path, "meta", "format"); !bytes.Equal(got, []byte{0, 0, 0, 0, 0, 0, 0, 2}) {
		t.Errorf("the format is %q", got)
	}
	for key, sealed := range map[string]bool{"record": true, "entry": false, "document": false} {
		if got := stored(t, path, "data", key); (len(got) == 5+len(first[key]) && got[0] == 0x9c) != sealed || (string(got) == first[key]) == sealed {
			t.Errorf("%s is stored as %q", key, got)
		}
	}
	for _, key := range []string{"made", "store", "plain"} {
		if got := stored(t, path, "meta", key); len(got) < 5 || got[0] != 0x9c {
			t.Errorf("%s is stored as %q", key, got)
		}
	}
	mustHaveFirst(t, mustOpen(t, path))
}

// TestG26_AFileOfAnotherFormat: a file is made in the second format, whose number is where
// an older reader looks for it; one of a format to come is refused with both numbers.
func TestG26_AFileOfAnotherFormat(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	if got := stored(t, path, "meta", "format"); !bytes.Equal(got, []byte{0, 0, 0, 0, 0, 0, 0, 2}) {
		t.Errorf("the format is %q", got)
	}
	if got := mustGet(t, mustOpen(t, path), boltfile.Meta, "format"); got != "\x00\x00\x00\x00\x00\x00\x00\x02" {
		t.Errorf("the format is read as %q", got)
	}
	for format, says := range map[string]string{
		"\x00\x00\x00\x00\x00\x00\x00\x03": "v3.db has format 3, this reader knows 1 and 2",
		"\x00\x00\x00\x00\x00\x00\x00\x00": "v3.db has format 0, this reader knows 1 and 2",
		"2":                                "v3.db has format 0, this reader knows 1 and 2",
	} {
		path := filepath.Join(t.TempDir(), "v3.db")
		mustCreate(t, path)
		raw(t, path, func(bucket func(string) *bolt.Bucket) error {
			return bucket("meta").Put([]byte("format"), []byte(format))
		})
		_, err := boltfile.Open(path, boltfile.Options{})
		if !errors.Is(err, boltfile.ErrBadFile) || errors.Is(err, boltfile.ErrDamaged) || !bytes.Contains([]byte(err.Error()), []byte(says)) {
			t.Errorf("format %q: %v, want ErrBadFile that says %q", format, err, says)
		}
	}
}
