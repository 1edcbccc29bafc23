package storage_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"carillon/proto"
	"carillon/storage"
)

// keyOf is the key of that name, of the call that is so fingerprinted.
func keyOf(name, call string) *storage.IdempotencyKey {
	return &storage.IdempotencyKey{Name: sha256.Sum256([]byte(name)), Fingerprint: sha256.Sum256([]byte(call))}
}

// keep keeps a result of the call in the transaction.
func keep(tb testing.TB, tx *storage.Tx, name, result string) {
	tb.Helper()
	if got, err := tx.IdempotentCall(keyOf(name, name), tx.Now()); got != nil || err != nil {
		tb.Fatalf("key %s: %+v, %v, want none", name, got, err)
	}
	must(tb, tx.KeepIdempotentCall(keyOf(name, name), []byte(result), tx.Now()))
}

// wantKept demands what is kept at the instant; "" is nothing.
func wantKept(tb testing.TB, a *storage.App, at time.Time, name, result string) {
	tb.Helper()
	tx := a.Begin(at)
	defer tx.Rollback(nil)
	got, err := tx.IdempotentCall(keyOf(name, name), at)
	switch {
	case err != nil:
		tb.Errorf("key %s: %v", name, err)
	case got == nil && result != "", got != nil && (string(got.Result) != result || got.Size != len(result)):
		tb.Errorf("key %s has %+v, want %q", name, got, result)
	}
}

func wantKeys(tb testing.TB, a *storage.App, n int) {
	tb.Helper()
	if got, bytes := a.IdempotencyKeys(); got != n || (bytes == 0) != (n == 0) {
		tb.Errorf("%d keys of %d bytes are counted, want %d", got, bytes, n)
	}
}

// TestG39_AnOutcomeIsKeptWithItsCommit: not by one that is rolled back; to the end of its time, not
// after, until which it is told apart from another call; over a reopen, an export and an import.
func TestG39_AnOutcomeIsKeptWithItsCommit(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, storage.Options{})
	a := mustApp(t, s, "acme")
	mustTx(t, a, testNow, func(tx *storage.Tx) { keep(t, tx, "a", `"one"`) })
	tx := a.Begin(testNow)
	keep(t, tx, "b", `"two"`)
	tx.Rollback(nil)
	wantKept(t, a, testNow, "b", "")
	wantKeys(t, a, 1)
	mustClose(t, s)
	s = mustOpen(t, dir, storage.Options{})
	var out bytes.Buffer
	must(t, s.Export(t.Context(), "acme", &out))
	must(t, s.Import(t.Context(), "copy", &out))
	for _, id := range []storage.AppID{"acme", "copy"} {
		a := mustApp(t, s, id)
		wantKept(t, a, testNow, "a", `"one"`)
		tx := a.Begin(testNow)
		if _, err := tx.IdempotentCall(keyOf("a", "other"), testNow); !errors.Is(err, storage.ErrInvalid) {
			t.Errorf("another call of the key: %v", err)
		}
		tx.Rollback(nil)
		end := testNow.Add(storage.IdempotencyFor)
		wantKept(t, a, end.Add(-time.Millisecond), "a", `"one"`)
		wantKept(t, a, end, "a", "")
		mustTx(t, a, end, func(tx *storage.Tx) {
			if got, err := tx.IdempotentCall(keyOf("a", "a"), time.Time{}); got == nil || err != nil {
				t.Errorf("while the clock is in doubt: %+v, %v", got, err)
			}
			must(t, tx.KeepIdempotentCall(keyOf("a", "other"), []byte("2"), tx.Now()))
		})
		wantKeys(t, a, 1)
		must(t, s.Check())
	}
}

// TestG39_ALongResultIsNotKept: at the bound and beyond.
func TestG39_ALongResultIsNotKept(t *testing.T) {
	a := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	longest := `"` + strings.Repeat("x", storage.MaxIdempotentResult-2) + `"`
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		keep(t, tx, "most", longest)
		keep(t, tx, "more", longest+" ")
	})
	wantKept(t, a, testNow, "most", longest)
	tx := a.Begin(testNow)
	defer tx.Rollback(nil)
	if got, err := tx.IdempotentCall(keyOf("more", "more"), testNow); err != nil || got.Result != nil || got.Size != len(longest)+1 {
		t.Errorf("of a longer one %d bytes of %d are kept, %v", len(got.Result), got.Size, err)
	}
}

// TestG39_KeysAreBounded: a new one beyond the bounds is refused, which changes nothing, and none that
// is kept makes room; one that is void does.
func TestG39_KeysAreBounded(t *testing.T) {
	a := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	result := `"` + strings.Repeat("x", 1000) + `"`
	mustTx(t, a, testNow, func(tx *storage.Tx) { keep(t, tx, "0", result) })
	_, row := a.IdempotencyKeys()
	for _, tt := range []struct {
		limit       string
		keys, bytes int
	}{{"MaxIdempotencyKeys", 3, 1 << 20}, {"MaxIdempotencyBytes", 100, 3 * int(row)}} {
		t.Run(tt.limit, func(t *testing.T) {
			a := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
			a.SetMaxIdempotency(tt.keys, tt.bytes)
			for i := range 3 {
				mustTx(t, a, testNow.Add(time.Duration(i)*time.Minute), func(tx *storage.Tx) { keep(t, tx, fmt.Sprint(i), result) })
			}
			full := func(now time.Time) {
				t.Helper()
				tx := a.Begin(now)
				defer tx.Rollback(nil)
				_, first := tx.IdempotentCall(keyOf("new", "new"), now)
				for _, err := range []error{first, tx.KeepIdempotentCall(keyOf("new", "new"), []byte(result), now)} {
					if !errors.Is(err, storage.ErrLimit) || !strings.Contains(err.Error(), tt.limit) {
						t.Errorf("one more: %v, want one that names %s", err, tt.limit)
					}
				}
				if !tx.Unchanged() {
					t.Error("a key was refused, and something changed")
				}
			}
			full(testNow.Add(time.Hour))
			for i := range 3 {
				wantKept(t, a, testNow.Add(time.Hour), fmt.Sprint(i), result)
			}
			full(testNow.Add(storage.IdempotencyFor - time.Millisecond))
			end := testNow.Add(storage.IdempotencyFor)
			mustTx(t, a, end, func(tx *storage.Tx) { keep(t, tx, "next", result) })
			wantKeys(t, a, 3)
			full(end)
		})
	}
	if a := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme"); storage.MaxIdempotencyKeys != 100_000 || storage.MaxIdempotencyBytes != 64<<20 {
		t.Error("the bounds of", a.ID(), "are not those of the pages")
	}
}

// TestG39_AKeyIsKeptForItsOwnTime: a shorter one than the others have, to its end and not after.
func TestG39_AKeyIsKeptForItsOwnTime(t *testing.T) {
	a := mustApp(t, mustOpen(t, t.TempDir(), storage.Options{}), "acme")
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		key := keyOf("short", "short")
		key.For = time.Hour
		must(t, tx.KeepIdempotentCall(key, []byte("1"), tx.Now()))
		keep(t, tx, "long", "1")
	})
	end := testNow.Add(time.Hour)
	wantKept(t, a, end.Add(-time.Millisecond), "short", "1")
	wantKept(t, a, end, "short", "")
	wantKept(t, a, end, "long", "1")
	mustTx(t, a, end, func(tx *storage.Tx) {
		if n, more, err := tx.PurgeIdempotencyKeys(end, 10); n != 1 || more || err != nil {
			t.Errorf("%d are purged, more %v, %v", n, more, err)
		}
	})
	wantKeys(t, a, 1)
}

// TestG39_SpareKeysGiveWay: to any other, the oldest first and when there is no room alone; those that are
// not spare give way to none.
func TestG39_SpareKeysGiveWay(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	a := mustApp(t, s, "acme")
	a.SetMaxIdempotency(100, 1<<20)
	spare := func(name string, now time.Time) error {
		tx := a.Begin(now)
		defer tx.Rollback(nil)
		key := keyOf(name, name)
		key.For, key.Spare = time.Hour, true
		if got, err := tx.IdempotentCall(key, now); got != nil || err != nil {
			return fmt.Errorf("%s: %+v, %w", name, got, err)
		}
		if err := tx.KeepIdempotentCall(key, []byte("1"), now); err != nil {
			return err
		}
		mustCommit(t, tx)
		return nil
	}
	second := func(i int) time.Time { return testNow.Add(time.Duration(i) * time.Second) }
	mustTx(t, a, testNow, func(tx *storage.Tx) { keep(t, tx, "kept", "1") })
	for i := range 99 {
		must(t, spare(fmt.Sprint(i), second(i)))
	}
	wantKeys(t, a, 100)
	wantKept(t, a, second(99), "0", "1")
	must(t, spare("99", second(99)))
	wantKeys(t, a, 100-64+1)
	wantKept(t, a, second(100), "63", "")
	wantKept(t, a, second(100), "64", "1")
	wantKept(t, a, second(100), "99", "1")
	must(t, s.Check())

	for i := range 99 { // those that are kept take the places of the rest
		mustTx(t, a, second(100), func(tx *storage.Tx) { keep(t, tx, fmt.Sprint("kept", i), "1") })
	}
	wantKeys(t, a, 100)
	if err := spare("late", second(101)); !errors.Is(err, storage.ErrLimit) {
		t.Errorf("one that is spare takes the place of one that is not: %v", err)
	}
	wantKept(t, a, second(101), "kept", "1")
	must(t, s.Check())

	a.SetMaxIdempotency(101, 1<<20)
	must(t, spare("late", second(102)))
	end := second(102).Add(time.Hour)
	if ids, _, err := s.Expired(storage.ExpiredCursor{}, storage.Expiry{Keys: end, KeepDead: -1}, 10); len(ids) != 1 || err != nil {
		t.Errorf("%v have something to purge, %v", ids, err)
	}
	mustTx(t, a, end, func(tx *storage.Tx) {
		if n, more, err := tx.PurgeIdempotencyKeys(end, 10); n != 1 || more || err != nil {
			t.Errorf("%d are purged, more %v, %v", n, more, err)
		}
	})
	wantKeys(t, a, 100)
	must(t, s.Check())
}

// TestG39_VoidKeysArePurged: in steps, those alone; and those of a clock that was set back last no
// longer from then on than any.
func TestG39_VoidKeysArePurged(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	a := mustApp(t, s, "acme")
	ahead := testNow.Add(1000 * time.Hour)
	mustTx(t, a, ahead, func(tx *storage.Tx) { keep(t, tx, "ahead", "1") })
	mustTx(t, a, testNow, func(tx *storage.Tx) {
		for i := range 5 {
			keep(t, tx, fmt.Sprint(i), "1")
		}
	})
	mustTx(t, a, testNow.Add(time.Minute), func(tx *storage.Tx) { keep(t, tx, "later", "1") })
	purge := func(now, at time.Time, limit, n int, more bool) {
		t.Helper()
		mustTx(t, a, now, func(tx *storage.Tx) {
			if got, left, err := tx.PurgeIdempotencyKeys(at, limit); got != n || left != more || err != nil {
				t.Errorf("%d are purged, more %v, %v; want %d, %v", got, left, err, n, more)
			}
		})
		must(t, s.Check())
	}
	expired := func(at time.Time, want int) {
		t.Helper()
		if ids, _, err := s.Expired(storage.ExpiredCursor{}, storage.Expiry{Keys: at, KeepDead: -1}, 10); len(ids) != want || err != nil {
			t.Errorf("%v have something to purge, %v, want %d", ids, err, want)
		}
	}
	end := testNow.Add(storage.IdempotencyFor)
	expired(end.Add(-time.Millisecond), 0)
	purge(end, time.Time{}, 3, 0, false)
	wantKeys(t, a, 7)
	expired(end, 1)
	purge(end, end, 3, 3, true)
	purge(end, end, 3, 3, true) // two, and that of the clock that was set back is moved
	purge(end, end, 3, 0, false)
	expired(end, 0)
	wantKeys(t, a, 2)
	wantKept(t, a, end, "later", "1")
	wantKept(t, a, end, "ahead", "1")
	late := end.Add(storage.IdempotencyFor)
	expired(late, 1)
	purge(late, late, 10, 2, false)
	wantKeys(t, a, 0)
}

// TestG39_KeysOverARandomLife: kept, rolled back, repeated and purged, they are what a map says.
func TestG39_KeysOverARandomLife(t *testing.T) {
	for seed := range uint64(20) {
		d, s := rand.New(rand.NewPCG(seed, 39)), mustOpen(t, t.TempDir(), storage.Options{})
		a := mustApp(t, s, "acme")
		until, kept := map[string]time.Time{}, map[string]string{}
		for now, i := testNow, 0; i < 60; i++ {
			now = now.Add(time.Duration(d.IntN(3)) * time.Hour)
			name := fmt.Sprint(d.IntN(20))
			want := ""
			if now.Before(until[name]) {
				want = kept[name]
			}
			wantKept(t, a, now, name, want)
			result := fmt.Sprint(i)
			tx := a.Begin(now)
			if want == "" {
				key := keyOf(name, name)
				key.Spare = d.IntN(2) == 0
				must(t, tx.KeepIdempotentCall(key, []byte(result), now))
			}
			if d.IntN(4) == 0 {
				if _, _, err := tx.PurgeIdempotencyKeys(now, d.IntN(5)); err != nil {
					t.Fatal(err)
				}
			}
			if d.IntN(3) == 0 {
				tx.Rollback(nil)
				continue
			}
			if mustCommit(t, tx); want == "" {
				until[name], kept[name] = now.Add(storage.IdempotencyFor), result
			}
		}
		must(t, s.Check())
	}
}

// TestG39_TheCheckSeesKeys: an import of an app is refused whose keys, their ends or their counts
// do not agree.
func TestG39_TheCheckSeesKeys(t *testing.T) {
	s := mustOpen(t, t.TempDir(), storage.Options{})
	mustTx(t, mustApp(t, s, "acme"), testNow, func(tx *storage.Tx) { keep(t, tx, "a", "1"); keep(t, tx, "b", "2") })
	var out bytes.Buffer
	must(t, s.Export(t.Context(), "acme", &out))
	of := func(e *proto.ExportEntry, kind byte) bool { return e.Key[0] == 'I' && e.Key[1] == kind }
	for what, edit := range map[string]func(e *proto.ExportEntry) bool{
		"a key without its end":  func(e *proto.ExportEntry) bool { return !of(e, 'e') },
		"an end without its key": func(e *proto.ExportEntry) bool { return !of(e, 'k') },
		"another size": func(e *proto.ExportEntry) bool {
			if of(e, 'e') {
				binary.BigEndian.PutUint32(e.Key[10:], 7)
			}
			return true
		},
		"a result that is no JSON": func(e *proto.ExportEntry) bool {
			if of(e, 'k') {
				e.Value = bytes.ReplaceAll(e.Value, []byte("\"\x011"), []byte("\"\x01{"))
			}
			return true
		},
		"a key of no kind": func(e *proto.ExportEntry) bool {
			if of(e, 'k') {
				e.Key[1] = 'z'
			}
			return true
		},
		"one that is not counted": func(e *proto.ExportEntry) bool { return e.Key[0] != 'I' },
	} {
		t.Run(what, func(t *testing.T) {
			stream := reseal(t, out.Bytes(), edit)
			if err := s.Import(t.Context(), "copy", bytes.NewReader(stream)); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("imported: %v", err)
			}
		})
	}
	must(t, s.Import(t.Context(), "copy", bytes.NewReader(out.Bytes())))
}
