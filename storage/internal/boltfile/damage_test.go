package boltfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/boltfile"
	"carillon/storage/storagetest"
)

// small is a file of some twenty pages that has all kinds of them: branches,
// leaves, one that overflows, a freelist with something in it, spaces that lie
// inside another page.
func small(tb testing.TB) []byte {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "v.db")
	mustCreate(tb, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		tb.Fatal(err)
	}
	for round := range 3 {
		err := db.Update(func(tx *boltfile.Txn) error {
			for i := range 120 {
				if err := tx.Put(boltfile.Data, dataKey(i), bytes.Repeat([]byte{byte(round)}, 300)); err != nil {
					return err
				}
			}
			for i := range 40 {
				if err := tx.Put(boltfile.Apps, dataKey(i), bytes.Repeat([]byte{1}, 80)); err != nil {
					return err
				}
			}
			return errors.Join(
				tx.Put(boltfile.Data, []byte("big"), bytes.Repeat([]byte{2}, 3*pageSize)),
				tx.Put(boltfile.Alarms, []byte("alarm"), nil))
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

func dataKey(i int) []byte { return fmt.Appendf(nil, "key%04d", i) }

// use does all that can be done with the file and returns what went wrong. Whatever
// it finds, it comes back: without a panic, a fault, or a wait for ever.
func use(db *boltfile.DB) error {
	var errs []error
	for space := boltfile.Meta; space <= boltfile.Data; space++ {
		pin, err := db.Begin()
		if err != nil {
			errs = append(errs, err)
			break
		}
		errs = append(errs, pin.Read(func(snap *boltfile.Snapshot) error {
			c := snap.Cursor(space)
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				snap.Get(space, k)
			}
			for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
			}
			return nil
		}))
		pin.Close()
	}
	for i := 0; i < 120; i += 7 {
		errs = append(errs, db.Update(func(tx *boltfile.Txn) error {
			_, _, err := tx.Seek(boltfile.Data, dataKey(i))
			return errors.Join(err,
				tx.Delete(boltfile.Data, dataKey(i)),
				tx.Delete(boltfile.Data, dataKey(i+1)),
				tx.Put(boltfile.Data, dataKey(i+2), []byte("small now")),
				tx.Put(boltfile.Apps, dataKey(i), []byte("x")),
				tx.Delete(boltfile.Alarms, []byte("alarm")))
		}))
	}
	errs = append(errs, db.Update(func(tx *boltfile.Txn) error { return tx.Delete(boltfile.Data, []byte("big")) }))
	return errors.Join(errs...)
}

// onlyDamage fails the test unless all that is joined in err is damage.
func onlyDamage(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range joined.Unwrap() {
			onlyDamage(t, what, err)
		}
		return
	}
	if !errors.Is(err, boltfile.ErrDamaged) && !errors.Is(err, boltfile.ErrBadFile) {
		t.Errorf("%s: %v, want an error that is damage", what, err)
	}
}

// damages are the ways in which a page is damaged, by name.
func damages(page []byte) map[string][]byte {
	ways := map[string][]byte{"zeroed": make([]byte, len(page)), "flipped": bytes.Clone(page)}
	for i := range ways["flipped"] {
		ways["flipped"][i] ^= 0xff
	}
	flip := func(name string, bit int) {
		p := bytes.Clone(page)
		p[bit/8] ^= 1 << (bit % 8)
		ways[fmt.Sprintf("%s bit %d", name, bit)] = p
	}
	for bit := range 16 * 8 {
		flip("header", bit)
	}
	// Of the elements the first and the last, and of a branch some more.
	count := int(binary.NativeEndian.Uint16(page[10:]))
	for i := range count {
		if branch := page[8] == 1; (i == 0 || i == count-1 || branch && i%4 == 1) && 32+16*i < len(page) {
			for bit := range 16 * 8 {
				flip("element", (16+16*i)*8+bit)
			}
		}
	}
	return ways
}

// TestG37_EveryPageDamaged: each page of a small file is zeroed, flipped, and has
// each bit of its header and of its elements flipped, before the file is opened and
// while it is open. Every use comes back, with an error or without; the check names
// the page; what was refused has changed nothing; and Close closes.
func TestG37_EveryPageDamaged(t *testing.T) {
	data := small(t)
	dir := t.TempDir()
	n := 0
	for page := range len(data) / pageSize {
		original := data[page*pageSize:][:pageSize]
		ways := damages(original)
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			damaged := ways[way]
			if strings.HasPrefix(way, "element") && page < 2 {
				continue // a meta page has none
			}
			for _, open := range []bool{false, true} {
				n++
				if n/2%2 == n%2 || strings.HasPrefix(way, "element") && n%9 != 0 || !storagetest.All() && n%7 != 0 {
					continue
				}
				what := fmt.Sprintf("page %d %s, open %t", page, way, open)
				path := filepath.Join(dir, "v.db")
				before := bytes.Clone(data)
				if !open {
					copy(before[page*pageSize:], damaged)
				}
				if err := os.WriteFile(path, before, 0o600); err != nil {
					t.Fatal(err)
				}
				db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
				if err != nil {
					onlyDamage(t, what, err)
					if open || page > 1 && !errors.Is(err, boltfile.ErrDamaged) {
						t.Errorf("%s: %v, want ErrDamaged", what, err)
					}
					continue
				}
				if open {
					f, err := os.OpenFile(path, os.O_WRONLY, 0)
					if err == nil {
						_, err = f.WriteAt(damaged, int64(page*pageSize))
						err = errors.Join(err, f.Close())
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				checked := db.CheckPages()
				onlyDamage(t, what, checked)
				if !strings.HasPrefix(way, "element") && checked == nil && !overflows(data, page) && !free(data, page) {
					t.Errorf("%s: the check finds nothing", what)
				}
				if checked != nil && !strings.HasPrefix(way, "element") && !overflows(data, page) && !strings.Contains(checked.Error(), fmt.Sprintf("page %d", page)) {
					t.Errorf("%s: the check does not name the page: %v", what, checked)
				}
				onlyDamage(t, what, use(db))
				began := time.Now()
				if err := db.Close(); err != nil {
					t.Errorf("%s: close: %v", what, err)
				}
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("%s: close took %v", what, took)
				}
			}
		}
	}
	t.Logf("%d damages", n)
}

// overflows says whether the page belongs to the one before.
func overflows(data []byte, page int) bool {
	return int(binary.NativeEndian.Uint64(data[page*pageSize:])) != page
}

// free says whether the page is in the file's freelist, which is below 65,535 pages.
func free(data []byte, page int) bool {
	newest := 0
	if binary.NativeEndian.Uint64(data[pageSize+16+48:]) > binary.NativeEndian.Uint64(data[16+48:]) {
		newest = 1
	}
	list := data[int(binary.NativeEndian.Uint64(data[newest*pageSize+16+32:]))*pageSize:]
	for i := range int(binary.NativeEndian.Uint16(list[10:])) {
		if int(binary.NativeEndian.Uint64(list[16+8*i:])) == page {
			return true
		}
	}
	return false
}

// TestG37_AFileCutOffWhileItIsOpen: what lies behind the new end cannot be read, and
// nothing is written to the file any more; what lies before it is read.
func TestG37_AFileCutOffWhileItIsOpen(t *testing.T) {
	data := small(t)
	for size := 0; size < len(data); size += pageSize / 2 {
		path := filepath.Join(t.TempDir(), "v.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("cut off at %d", size)
		err = use(db)
		onlyDamage(t, what, err)
		if !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", what, err)
		}
		if err := db.CheckPages(); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("%s: the check: %v", what, err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
			t.Errorf("%s: now it has %d bytes, %v", what, info.Size(), err)
		}
	}
}

// TestG23_AFileReplacedWhileItIsOpen: nothing is committed to a file that has lost
// its name, to another file or to none.
func TestG23_AFileReplacedWhileItIsOpen(t *testing.T) {
	for _, copied := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "v.db")
		mustCreate(t, path)
		db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		put := func() error {
			return db.Update(func(tx *boltfile.Txn) error { return tx.Put(boltfile.Data, []byte("a"), []byte("1")) })
		}
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		if copied {
			data, err := os.ReadFile(path + ".old")
			if err == nil {
				err = os.WriteFile(path, data, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := put(); !errors.Is(err, boltfile.ErrReplaced) {
			t.Errorf("copied %t: %v, want ErrReplaced", copied, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestK7_CloseOverAPin: a Pin that is never closed holds Close up for CloseWait,
// not for ever; it reads no more, and the file can be opened again.
func TestK7_CloseOverAPin(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	synctest.Test(t, func(t *testing.T) {
		db, err := boltfile.Open(path, boltfile.Options{})
		if err != nil {
			t.Fatal(err)
		}
		pin, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if took := time.Since(began); took != boltfile.CloseWait {
			t.Errorf("close took %v, want %v", took, boltfile.CloseWait)
		}
		read := func(*boltfile.Snapshot) error { return nil }
		if err := pin.Read(read); !errors.Is(err, boltfile.ErrAbandoned) {
			t.Errorf("read: %v, want ErrAbandoned", err)
		}
		if _, err := db.Begin(); !errors.Is(err, boltfile.ErrAbandoned) {
			t.Errorf("begin: %v, want ErrAbandoned", err)
		}
		again, err := boltfile.Open(path, boltfile.Options{})
		if err != nil {
			t.Fatalf("open again: %v", err)
		}
		pin.Close()
		if got := mustGet(t, again, boltfile.Meta, "made"); got != "yes" {
			t.Errorf("opened again it says %q", got)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestReadOnly: a file that is opened to be read is not written, shows what it has,
// can be opened by several and by nobody who writes.
func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	var open []*boltfile.DB
	for range 2 {
		db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, db)
		if got := mustGet(t, db, boltfile.Meta, "made"); got != "yes" {
			t.Errorf("it says %q", got)
		}
		if err := db.CheckPages(); err != nil {
			t.Error(err)
		}
		if err := db.Update(func(*boltfile.Txn) error { return nil }); err == nil {
			t.Error("it was written to")
		}
	}
	if _, err := boltfile.Open(path, boltfile.Options{LockTimeout: time.Nanosecond}); !errors.Is(err, boltfile.ErrLocked) {
		t.Errorf("open to write: %v, want ErrLocked", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("it was changed, %v", err)
	}
	for _, db := range open {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	if db, err := boltfile.Open(path, boltfile.Options{LockTimeout: time.Nanosecond}); err != nil {
		t.Errorf("open to write when it was closed: %v", err)
	} else if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestG37_APageThatRefersToOneAbove: a branch that refers to itself, or to one above
// it, makes no use of the file endless. bbolt follows it until the stack is full.
func TestG37_APageThatRefersToOneAbove(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	mustCreate(t, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *boltfile.Txn) error {
		for i := range 20_000 {
			if err := tx.Put(boltfile.Data, dataKey(i), bytes.Repeat([]byte{1}, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var branches []int
	for page := 2; page < len(data)/pageSize; page++ {
		if p := data[page*pageSize:]; int(binary.NativeEndian.Uint64(p)) == page && p[8] == 1 {
			branches = append(branches, page)
		}
	}
	if len(branches) < 3 {
		t.Fatalf("the branches are %v: it takes three levels", branches)
	}
	for _, from := range branches {
		for _, to := range branches {
			damaged := bytes.Clone(data)
			count := int(binary.NativeEndian.Uint16(damaged[from*pageSize+10:]))
			for i := range count {
				binary.NativeEndian.PutUint64(damaged[from*pageSize+16+16*i+8:], uint64(to))
			}
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("page %d refers to page %d", from, to)
			db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			err = use(db)
			onlyDamage(t, what, err)
			if err == nil || db.CheckPages() == nil {
				t.Errorf("%s: nothing was found", what)
			}
			if err := db.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
		}
	}
}

// view runs fn on the file as it is now.
func view(db *boltfile.DB, fn func(*boltfile.Snapshot) error) error {
	pin, err := db.Begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	return pin.Read(fn)
}

// TestG37_APageInAnothersPlace: a page that was written to the place of another one is
// not taken for it, so that no key seems never to have been.
func TestG37_APageInAnothersPlace(t *testing.T) {
	data := small(t)
	path := filepath.Join(t.TempDir(), "v.db")
	read := func() (missing, damaged int) {
		db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 120 {
			err := view(db, func(s *boltfile.Snapshot) error {
				if s.Get(boltfile.Data, dataKey(i)) == nil {
					missing++
				}
				return nil
			})
			onlyDamage(t, "read", err)
			if err != nil {
				damaged++
			}
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		return missing, damaged
	}
	write := func(data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(data)
	sound, _ := read()
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	var pages [2]int64
	err = view(db, func(s *boltfile.Snapshot) error {
		pages = [2]int64{s.PageOf(boltfile.Data, dataKey(0)), s.PageOf(boltfile.Data, dataKey(119))}
		return nil
	})
	if err := errors.Join(err, db.Close()); err != nil || pages[0] == pages[1] {
		t.Fatal(pages, err)
	}
	copy(data[pages[1]*pageSize:][:pageSize], data[pages[0]*pageSize:])
	write(data)
	if missing, damaged := read(); missing > sound || damaged == 0 {
		t.Errorf("%d keys are missing and %d damaged, want %d missing and some damaged", missing, damaged, sound)
	}
}
