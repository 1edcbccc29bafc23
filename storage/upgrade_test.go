package storage_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/wal"
	"carillon/storage/storagetest"
)

func init() {
	workers["upgrade"] = func() error {
		runtime.LockOSThread() // for good: strace counts the calls of each thread
		s, err := storage.Open(os.Getenv("CARILLON_STORAGE_DIR"), withDingbats)
		if err != nil {
			return err
		}
		return s.Close()
	}
}

// records are what the log of the store has of its first volume.
func records(tb testing.TB, dir string) (records []string) {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(dir, "log", "lock")); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	file, err := boltfile.Open(volume(dir, 0), boltfile.Options{ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	pin, err := file.Begin()
	if err != nil {
		tb.Fatal(err)
	}
	defer pin.Close()
	var store uint64
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		store = binary.BigEndian.Uint64(snap.Get(boltfile.Meta, []byte("store")))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	log, err := wal.OpenFile(filepath.Join(dir, "log"), wal.Options{ID: store, ReadOnly: true})
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	for rec, err := range log.Read(tb.Context(), 0, 1) {
		if err != nil {
			tb.Fatal(err)
		}
		if len(rec.Data) > 0 {
			records = append(records, fmt.Sprintf("record %d", rec.Seq))
		}
	}
	return records
}

// TestG26_AnUpgradeKilledAtEveryCall: wherever a process is killed that opens a store of
// the first format to write to it, the store shows what it did. Nothing is in the log only
// before the file is one that a reader of the first format, who knows no log, refuses.
func TestG26_AnUpgradeKilledAtEveryCall(t *testing.T) {
	strace := storagetest.FindStrace(t)
	want := string(mustReadFixture(t, "v1", "contents.txt"))
	killed, upgraded, step := 0, 0, 4
	if storagetest.All() {
		step = 1
	}
	for _, call := range append([]string{"rename"}, storagetest.DiskCalls...) {
		for n := 1; ; n += step {
			dir := mustUnpack(t, "v1")
			worker := strace.Command(t.Context(), storagetest.Kill(call, n), os.Args[0])
			worker.Env = workerEnv("upgrade", "CARILLON_STORAGE_DIR="+dir)
			out, err := worker.CombinedOutput()
			if storagetest.Refused(string(out)) {
				t.Skipf("strace may not trace: %s", out)
			}
			if err != nil && !storagetest.Killed(err) {
				t.Fatalf("%s %d: %v: %s", call, n, err, out)
			}
			what := fmt.Sprintf("killed at %s %d", call, n)
			if hasFormat(t, volume(dir, 0), 2) {
				upgraded++
			} else {
				alone := t.TempDir() // as a reader of the first format sees it
				mustCopy(t, volume(dir, 0), volume(alone, 0))
				s := mustOpen(t, alone, withDingbats)
				if got := contents(t, s); got != want {
					t.Errorf("%s: the file alone shows\n%s", what, got)
				}
				mustClose(t, s)
				if log := strings.Join(records(t, dir), ", "); log != "" {
					t.Errorf("%s: the file is of the first format, and the log has %s", what, log)
				}
			}
			for range 2 {
				s := mustOpen(t, dir, withDingbats)
				if got := contents(t, s); got != want {
					t.Errorf("%s: the store shows\n%s", what, got)
				}
				mustClose(t, s)
			}
			if !hasFormat(t, volume(dir, 0), 2) {
				t.Errorf("%s: opened again it is of the first format", what)
			}
			if err == nil {
				break
			}
			killed++
		}
	}
	if upgraded < 16/step || killed-upgraded < 16/step {
		t.Errorf("%d were killed, and %d had upgraded the file", killed, upgraded)
	}
	t.Logf("killed %d times, %d with the file upgraded", killed, upgraded)
}
