package boltfile_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"carillon/storage/internal/boltfile"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustCreate(tb testing.TB, path string) {
	tb.Helper()
	err := boltfile.Create(path, func(tx *boltfile.Txn) error { return tx.Put(boltfile.Meta, []byte("made"), []byte("yes")) })
	if err != nil {
		tb.Fatalf("create: %v", err)
	}
}

// mustOpen opens the file and closes it when the test ends, after a check.
func mustOpen(tb testing.TB, path string) *boltfile.DB {
	tb.Helper()
	db, err := boltfile.Open(path, boltfile.Options{})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(db.CheckPages(), db.Close()); err != nil {
			tb.Errorf("check and close: %v", err)
		}
	})
	return db
}

func mustGet(tb testing.TB, db *boltfile.DB, space boltfile.Space, key string) string {
	tb.Helper()
	pin, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	return string(mustRead(tb, pin, space, key))
}

// mustRead returns a copy of the value of the key, nil if there is none.
func mustRead(tb testing.TB, pin *boltfile.Pin, space boltfile.Space, key string) (value []byte) {
	tb.Helper()
	err := pin.Read(func(snap *boltfile.Snapshot) error {
		value = bytes.Clone(snap.Get(space, []byte(key)))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// mustWalk returns the keys of the space in order.
func mustWalk(tb testing.TB, pin *boltfile.Pin, space boltfile.Space) (keys []string) {
	tb.Helper()
	err := pin.Read(func(snap *boltfile.Snapshot) error {
		c := snap.Cursor(space)
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			keys = append(keys, string(k))
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return keys
}

// names are the files in the directory.
func names(tb testing.TB, dir string) (names []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestCreateIsAtomic: a file has its final name when it is whole, and not
// before (K1). What a crash left of an earlier creation is no hindrance.
func TestCreateIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "v.db")
	mine := errors.New("mine")
	err := boltfile.Create(path, func(tx *boltfile.Txn) error {
		if got := names(t, dir); len(got) != 1 || got[0] == "v.db" {
			t.Errorf("while the file is made there are %v", got)
		}
		return errors.Join(tx.Put(boltfile.Meta, []byte("a"), nil), mine)
	})
	if !errors.Is(err, mine) {
		t.Errorf("%v, want the error of init", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("after the error there are %v", got)
	}
	if _, err := boltfile.Open(path, boltfile.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("open: %v, want ErrNotExist", err)
	}
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("open made %v", got)
	}
	for name, left := range map[string][]byte{"empty": nil, "torn": bytes.Repeat([]byte{1}, 5000)} {
		if err := os.WriteFile(path+".new", left, 0o600); err != nil {
			t.Fatal(err)
		}
		mustCreate(t, path)
		if got := names(t, dir); len(got) != 1 || got[0] != "v.db" {
			t.Errorf("with a leftover that is %s there are %v", name, got)
		}
	}
	db := mustOpen(t, path)
	if got := mustGet(t, db, boltfile.Meta, "made"); got != "yes" {
		t.Errorf("the new file says %q", got)
	}
}

// TestUpdate: an Update happens as a whole or not at all, and a snapshot shows
// what was committed before it was opened.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	db := mustOpen(t, path)
	put := func(key, value string, err error) error {
		return db.Update(func(tx *boltfile.Txn) error {
			return errors.Join(tx.Put(boltfile.Data, []byte(key), []byte(value)), tx.Delete(boltfile.Data, []byte("nobody")), err)
		})
	}
	if err := put("a", "1", nil); err != nil {
		t.Fatal(err)
	}
	before, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	mine := errors.New("mine")
	if err := put("a", "2", mine); !errors.Is(err, mine) {
		t.Errorf("%v, want mine", err)
	}
	if got := mustGet(t, db, boltfile.Data, "a"); got != "1" {
		t.Errorf("after a rollback a is %q", got)
	}
	if err := put("a", "3", nil); err != nil {
		t.Fatal(err)
	}
	if err := put("b", "", nil); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, before, boltfile.Data, "a"); string(got) != "1" {
		t.Errorf("the old snapshot shows %q", got)
	}
	before.Close()
	before.Close()
	if got := mustGet(t, db, boltfile.Data, "a"); got != "3" {
		t.Errorf("a is %q, want 3", got)
	}
	pin, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer pin.Close()
	if got := mustRead(t, pin, boltfile.Data, "b"); got == nil || len(got) != 0 {
		t.Errorf("an empty value is read as %v, want empty and not nil", got)
	}
	if got := mustRead(t, pin, boltfile.Alarms, "a"); got != nil {
		t.Errorf("another space has %q", got)
	}
	if keys := mustWalk(t, pin, boltfile.Data); fmt.Sprint(keys) != "[a b]" {
		t.Errorf("keys are %v", keys)
	}
}

// TestG23_LockTimesOut: a file that is open is refused, in this process too,
// after the timeout and not for ever, and can be opened when it was closed.
func TestG23_LockTimesOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	db, err := boltfile.Open(path, boltfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, timeout := range []time.Duration{time.Nanosecond, 100 * time.Millisecond} {
		began := time.Now()
		if _, err := boltfile.Open(path, boltfile.Options{LockTimeout: timeout}); !errors.Is(err, boltfile.ErrLocked) {
			t.Errorf("second open: %v, want ErrLocked", err)
		}
		if took := time.Since(began); took < timeout/2 || took > timeout+10*time.Second {
			t.Errorf("refused after %v, want about %v", took, timeout)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path)
}

const pageSize = 4096

// filled is a file with something in its spaces, of some hundred pages.
func filled(tb testing.TB) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "v.db")
	mustCreate(tb, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		err := db.Update(func(tx *boltfile.Txn) error {
			for range 200 {
				key := fmt.Appendf(nil, "%08x", rng.Uint32())
				for _, space := range []boltfile.Space{boltfile.Meta, boltfile.Apps, boltfile.Alarms, boltfile.Data} {
					if err := tx.Put(space, key, bytes.Repeat(key, 4)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	end := len(bytes.TrimRight(data, "\x00"))
	return data[:(end/pageSize+1)*pageSize]
}

// refused opens a file with the content, which must be refused as no usable
// file, twice: a refusal must not keep the lock. It must not change the file.
func refused(tb testing.TB, what string, content []byte) {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "v.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		tb.Fatal(err)
	}
	for range 2 {
		db, err := boltfile.Open(path, boltfile.Options{LockTimeout: time.Nanosecond})
		if err == nil {
			db.Close()
			tb.Fatalf("%s: it was opened", what)
		}
		if !errors.Is(err, boltfile.ErrBadFile) {
			tb.Fatalf("%s: %v, want ErrBadFile", what, err)
		}
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
		tb.Fatalf("%s: opening it changed it from %d to %d bytes, %v", what, len(content), len(after), err)
	}
}

// TestTornFileIsRefused: a file cut anywhere below the end of its last page in
// use is refused with an error; so is one that is empty or something else.
func TestTornFileIsRefused(t *testing.T) {
	data := filled(t)
	end := len(bytes.TrimRight(data, "\x00"))
	for n := 0; n < end; n += 1 + n/16 {
		refused(t, fmt.Sprintf("cut to %d of %d bytes", n, end), data[:n])
	}
	refused(t, "cut before its last byte", data[:end-1])
	refused(t, "zeros", make([]byte, len(data)))
	refused(t, "text", bytes.Repeat([]byte("It is a truth universally acknowledged "), 1000))
	for seed := range uint64(5) {
		noise := make([]byte, 1<<16)
		rng := rand.NewChaCha8([32]byte{byte(seed)})
		if _, err := rng.Read(noise); err != nil {
			t.Fatal(err)
		}
		refused(t, "noise", noise)
	}
}

// TestDamagedPageIsFound: a page of noise is found when the file is opened or
// checked, unless the page holds nothing, and neither panics.
func TestDamagedPageIsFound(t *testing.T) {
	data := filled(t)
	rng := rand.NewChaCha8([32]byte{1})
	opened, checked := 0, 0
	for at := 0; at < len(data); at += pageSize {
		damaged := bytes.Clone(data)
		if _, err := rng.Read(damaged[at : at+pageSize]); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "v.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, boltfile.Options{})
		if err != nil {
			if !errors.Is(err, boltfile.ErrBadFile) {
				t.Errorf("page %d: %v, want ErrBadFile", at/pageSize, err)
			}
			opened++
			continue
		}
		if err := db.CheckPages(); err != nil {
			checked++
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if opened == 0 || checked < 50 {
		t.Errorf("%d damaged pages were found at open and %d by the check", opened, checked)
	}
}
