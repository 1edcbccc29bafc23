package kv_test

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// share is the memory that a volume has for its layers in these tests.
const share = 64 << 10

// table is what the Data space holds.
type table map[string]string

// volume is a DB of a log on a disk in memory and a copy in a directory.
type volume struct {
	*kv.DB
	disk  *waltest.Disk
	log   *wal.File
	path  string
	fault func(string) error
	moved func()
	share int // default share
}

// newVolume makes the copy of a new volume.
func newVolume(tb testing.TB, seed uint64) *volume {
	tb.Helper()
	v := &volume{disk: waltest.NewDisk(seed), path: filepath.Join(tb.TempDir(), "volume.db")}
	if err := kv.Create(v.path, func(*kv.Fresh) error { return nil }); err != nil {
		tb.Fatal(err)
	}
	return v
}

// open opens log and copy, and claims the volume.
func (v *volume) open(tb testing.TB) (err error) {
	tb.Helper()
	if v.log == nil {
		if v.log, err = wal.OpenFile("", wal.Options{SegmentSize: 32 << 10, MaxLength: 4 << 20, Disk: v.disk}); err != nil {
			v.log = nil
			return err
		}
	}
	v.DB, err = kv.Open(v.path, kv.Options{NoSync: true, Fault: v.fault, Moved: v.moved})
	if err != nil {
		return err
	}
	if err = v.Join(tb.Context(), v.log, 0); err == nil {
		err = v.Claim(tb.Context(), cmp.Or(v.share, share))
	}
	if err != nil {
		err = errors.Join(err, v.Abandon())
		v.DB = nil
	}
	return err
}

// crash ends the process, and the power if it is cut.
func (v *volume) crash(tb testing.TB, cut bool) {
	tb.Helper()
	if v.DB != nil {
		if err := v.Abandon(); err != nil {
			tb.Fatal(err)
		}
	}
	if cut {
		v.disk = v.disk.Cut(waltest.KeepSome)
	} else {
		v.disk = v.disk.Kill()
	}
	v.DB, v.log = nil, nil
}

func mustOpenVolume(tb testing.TB, v *volume) {
	tb.Helper()
	if err := v.open(tb); err != nil {
		tb.Fatal(err)
	}
}

// put changes one key; a value of "" deletes it.
func (v *volume) put(key, value string) error {
	return v.Update(func(tx *kv.Txn) error {
		if value == "" {
			return tx.Delete(kv.Data, []byte(key))
		}
		return tx.Put(kv.Data, []byte(key), []byte(value))
	})
}

func mustPut(tb testing.TB, v *volume, key, value string) {
	tb.Helper()
	if err := v.put(key, value); err != nil {
		tb.Fatal(err)
	}
}

// shown is all that the Data space shows.
func (v *volume) shown(tb testing.TB) table {
	tb.Helper()
	pin, err := v.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	return pinned(tb, pin)
}

func pinned(tb testing.TB, pin *kv.Pin) table {
	tb.Helper()
	shown := table{}
	err := pin.Read(func(snap *kv.Snapshot) error {
		c, keys := snap.Cursor(kv.Data), snap.Keys(kv.Data)
		key, none := keys.First()
		for k, val := c.First(); k != nil; k, val = c.Next() {
			if !bytes.Equal(key, k) || none != nil {
				tb.Errorf("of the keys alone %q is there with %q, want %q", key, none, k)
			}
			key, none = keys.Next()
			shown[string(k)] = string(val)
			if got := snap.Get(kv.Data, k); !bytes.Equal(got, val) {
				tb.Errorf("key %q is %q, and %q by the cursor", k, got, val)
			}
		}
		if key != nil {
			tb.Errorf("of the keys alone %q is there, want the end", key)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return shown
}

func wantShown(tb testing.TB, v *volume, want table) {
	tb.Helper()
	if got := v.shown(tb); !maps.Equal(got, want) {
		tb.Errorf("it shows %v, want %v", got, want)
	}
}

// copied is what the copy alone holds. The DB is closed.
func (v *volume) copied(tb testing.TB) table {
	tb.Helper()
	db, err := boltfile.Open(v.path, boltfile.Options{ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer db.Close()
	pin, err := db.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	held := table{}
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		c := snap.Cursor(boltfile.Data)
		for k, val := c.First(); k != nil; k, val = c.Next() {
			held[string(k)] = string(val)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return held
}

// file is what is in the copy's file.
func (v *volume) file(tb testing.TB) []byte {
	tb.Helper()
	data, err := os.ReadFile(v.path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}
