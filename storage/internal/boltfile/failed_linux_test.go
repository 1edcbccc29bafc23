package boltfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"carillon/storage/internal/boltfile"
	"carillon/storage/storagetest"
)

// TestG6_AFileIsWrittenAgainAfterAFailedCommit: a commit whose writes were refused, or were
// taken and lost by a sync that failed, has changed nothing for readers of then and of later;
// the next Update, once the disk is in order, makes the file whole again.
func TestG6_AFileIsWrittenAgainAfterAFailedCommit(t *testing.T) {
	for device, what := range map[string]string{"/dev/full": "the disk is full", "/dev/null": "what is written is lost, and the sync fails"} {
		for _, large := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, grows=%v", what, large), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "v.db")
				mustCreate(t, path)
				db, err := boltfile.Open(path, boltfile.Options{})
				if err != nil {
					t.Fatal(err)
				}
				put := func(round, keys int) error {
					return db.Update(func(tx *boltfile.Txn) error {
						for i := range keys {
							if err := tx.Put(boltfile.Data, fmt.Appendf(nil, "k%05d", i), fmt.Appendf(nil, "%d %s", round, strings.Repeat("x", 200))); err != nil {
								return err
							}
						}
						return nil
					})
				}
				for round := range 4 { // which leaves pages that are free
					if err := put(round, 300); err != nil {
						t.Fatal(err)
					}
				}
				pin, err := db.Begin()
				if err != nil {
					t.Fatal(err)
				}
				keys := 10
				if large {
					keys = 3000
				}
				for round := 4; round < 8; round++ {
					restore := storagetest.Redirect(t, path, device)
					for range 2 {
						if err := put(9, keys); err == nil || errors.Is(err, boltfile.ErrUnsure) {
							t.Errorf("a commit that fails: %v, want an error that lets the next one be tried", err)
						}
						wantValue(t, db, "k00000", fmt.Sprint(round-1, " "))
					}
					restore()
					if err := put(round, keys); err != nil {
						t.Fatalf("the disk is in order: %v", err)
					}
				}
				wantValue(t, db, "k00000", "7 ")
				err = pin.Read(func(snap *boltfile.Snapshot) error {
					c, n := snap.Cursor(boltfile.Data), 0
					for k, v := c.First(); k != nil; k, v = c.Next() {
						if n++; !strings.HasPrefix(string(v), "3 ") {
							t.Fatalf("an older snapshot shows %s as %.3s", k, v)
						}
					}
					if n != 300 {
						t.Errorf("an older snapshot shows %d keys", n)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				pin.Close()
				if err := errors.Join(db.CheckPages(), db.Close()); err != nil {
					t.Error(err)
				}
				wantValue(t, mustOpen(t, path), "k00000", "7 ")
			})
		}
	}
}

// TestG6_ACommitThatMayBeShownIsTheNextOpenings: a sync of a commit fails, each of them once.
// If the commit is not shown the next one goes on. If it is, none does before the file was
// opened anew, which decides it.
func TestG6_ACommitThatMayBeShownIsTheNextOpenings(t *testing.T) {
	if dir := os.Getenv(syncDirEnv); dir != "" {
		runtime.LockOSThread()
		failSync(t, filepath.Join(dir, "v.db"))
		return
	}
	strace := storagetest.FindStrace(t)
	seen := map[string]int{}
	for n := range 7 {
		dir := t.TempDir()
		path := filepath.Join(dir, "v.db")
		mustCreate(t, path)
		options := append([]string{"-P", path}, storagetest.Fail("fdatasync", "error=EIO", n+1, false)...)
		worker := strace.Command(t.Context(), options, os.Args[0], "-test.run", "^"+t.Name()+"$")
		worker.Env = append(os.Environ(), syncDirEnv+"="+dir)
		out, err := worker.CombinedOutput()
		if storagetest.Refused(string(out)) {
			t.Skipf("strace may not trace here: %s", out)
		}
		if err != nil {
			t.Errorf("sync %d fails: %v: %s", n+1, err, out)
		}
		for _, what := range []string{"no opening", "is shown", "is not shown", "no error"} {
			if strings.Contains(string(out), "worker: "+what) {
				seen[what]++
			}
		}
	}
	if seen["no opening"] != 1 || seen["is shown"] < 2 || seen["is not shown"] < 2 {
		t.Errorf("%v, want a sync of the opening, and two of both kinds of commits", seen)
	}
}

// failSync is the process of which a sync fails.
func failSync(t *testing.T, path string) {
	say := func(what string) { _, _ = os.Stdout.WriteString("worker: " + what + "\n") }
	db, err := boltfile.Open(path, boltfile.Options{})
	if err != nil {
		say("no opening")
		return
	}
	put := func(value string) error {
		return db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Data, []byte("a"), []byte(value)) })
	}
	latest := ""
	for n := range 3 {
		value := fmt.Sprint(n)
		err := put(value)
		if err == nil {
			latest = value
			continue
		}
		got := mustGet(t, db, boltfile.Data, "a")
		shown := got == value
		if unsure := errors.Is(err, boltfile.ErrUnsure); unsure != shown {
			t.Errorf("the commit is shown: %v; and the error is %v", shown, err)
		}
		if !shown {
			say("is not shown")
			if got != latest {
				t.Errorf("it shows %s, want %s", got, latest)
			}
		} else {
			say("is shown")
			if err := put("x"); !errors.Is(err, boltfile.ErrUnsure) {
				t.Errorf("the next one: %v, want ErrUnsure", err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if db, err = boltfile.Open(path, boltfile.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := put("y"); err != nil {
			t.Errorf("the disk is in order: %v", err)
		}
		break
	}
	if err := errors.Join(db.CheckPages(), db.Close()); err != nil {
		t.Error(err)
	}
}

// wantValue fails the test unless the key's value begins so.
func wantValue(tb testing.TB, db *boltfile.DB, key, begins string) {
	tb.Helper()
	if got := mustGet(tb, db, boltfile.Data, key); !strings.HasPrefix(got, begins) {
		tb.Errorf("%s is %.3q, want %q", key, got, begins)
	}
}
