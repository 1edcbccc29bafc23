package boltfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"carillon/storage/internal/boltfile"
)

// spot is a key of a space.
type spot struct {
	space boltfile.Space
	key   string
}

// sealedFile makes a file of a few pages, with a value under each spot, which differ.
func sealedFile(tb testing.TB, path string) (values map[spot]string) {
	tb.Helper()
	values = map[spot]string{}
	for space := boltfile.Meta; space <= boltfile.Data; space++ {
		for i := range 3 {
			s := spot{space, fmt.Sprintf("key-%d-%d", space, i)}
			values[s] = fmt.Sprintf("value of space %d, %d", space, i)
		}
		values[spot{space, fmt.Sprintf("empty-%d", space)}] = ""
	}
	for i := range 40 {
		values[spot{boltfile.Data, fmt.Sprintf("more-%02d", i)}] = fmt.Sprintf("%-200d", i)
	}
	values[spot{boltfile.Data, "large"}] = strings.Repeat("0123456789", pageSize/5)
	err := boltfile.Create(path, func(tx *boltfile.Txn) error {
		for s, v := range values {
			if err := tx.Put(s.space, []byte(s.key), []byte(v)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return values
}

// storedAs is the value as the file has it. It is spelled out here, since it is a format.
func storedAs(s spot, value string) []byte {
	sum := crc32.Checksum(slices.Concat([]byte{byte(s.space)}, []byte(s.key), []byte(value)), crc32.MakeTable(crc32.Castagnoli))
	return append(binary.BigEndian.AppendUint32([]byte{0x9c}, sum), value...)
}

// flipper flips bits of a file that is open.
type flipper struct {
	tb   testing.TB
	file *os.File
	data []byte
}

func newFlipper(tb testing.TB, path string) *flipper {
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { f.Close() })
	return &flipper{tb, f, data}
}

// flip flips the bits of the mask in a byte, until undo is called.
func (f *flipper) flip(at int, mask byte) (undo func()) {
	write := func(b byte) {
		if _, err := f.file.WriteAt([]byte{b}, int64(at)); err != nil {
			f.tb.Fatal(err)
		}
	}
	write(f.data[at] ^ mask)
	return func() { write(f.data[at]) }
}

// get reads one key.
func get(db *boltfile.DB, s spot) (value []byte, err error) {
	err = view(db, func(snap *boltfile.Snapshot) error {
		value = bytes.Clone(snap.Get(s.space, []byte(s.key)))
		return damageOf(value)
	})
	return value, err
}

func damageOf(value []byte) error {
	if d := boltfile.DamageOf(value); d != nil {
		return d
	}
	return nil
}

// TestG37_EveryBitOfAValueFlipped: whichever bit of a value, or of its checksum, is
// flipped, the value is damage, which names its key, however it is read, and in the
// check; and every other value can be read.
func TestG37_EveryBitOfAValueFlipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	values := sealedFile(t, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f := newFlipper(t, path)
	flips := 0
	for s, value := range values {
		as := storedAs(s, value)
		at := bytes.Index(f.data, append([]byte(s.key), as...)) + len(s.key)
		if at < len(s.key) || !bytes.Contains(f.data[at:], as) {
			t.Fatalf("%v is not stored as %q", s, as)
		}
		var page int64
		err := view(db, func(snap *boltfile.Snapshot) error {
			page = snap.PageOf(s.space, []byte(s.key))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for bit := range 8 * len(as) {
			if bit >= 8*100 && bit%61 != 0 {
				continue
			}
			flips++
			undo := f.flip(at+bit/8, 1<<(bit%8))
			named := func(how string, err error) {
				t.Helper()
				d, ok := errors.AsType[*boltfile.Damage](err)
				if !ok || !errors.Is(err, boltfile.ErrDamaged) || d.Space != s.space || string(d.Key) != s.key || d.File != "v.db" || d.Page != page || !strings.Contains(d.What, "checksum") {
					t.Fatalf("bit %d of %v, %s: %v, want damage that names key and page %d", bit, s, how, err, page)
				}
			}
			_, err := get(db, s)
			named("get", err)
			if bit%8 == bit/8%8 { // one of a byte
				walk := func(how string, step func(*boltfile.Cursor, func(k, v []byte))) {
					t.Helper()
					seen := map[string]string{}
					err := view(db, func(snap *boltfile.Snapshot) error {
						step(snap.Cursor(s.space), func(k, v []byte) { seen[string(k)] = string(v) })
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
					named(how, damageOf([]byte(seen[s.key])))
					delete(seen, s.key)
					for k, v := range seen {
						if want, ok := values[spot{s.space, k}]; ok && v != want {
							t.Fatalf("bit %d of %v, %s: %s is %q", bit, s, how, k, v)
						}
					}
				}
				walk("seek", func(c *boltfile.Cursor, visit func(k, v []byte)) { visit(c.Seek([]byte(s.key))) })
				walk("walk", func(c *boltfile.Cursor, visit func(k, v []byte)) {
					for k, v := c.First(); k != nil; k, v = c.Next() {
						visit(k, v)
					}
				})
				walk("walk back", func(c *boltfile.Cursor, visit func(k, v []byte)) {
					for k, v := c.Last(); k != nil; k, v = c.Prev() {
						visit(k, v)
					}
				})
				err := db.Update(func(tx *boltfile.Txn) error {
					k, v, err := tx.Seek(s.space, []byte(s.key))
					if err != nil || string(k) != s.key {
						t.Errorf("bit %d of %v, seek in an update: %q, %v", bit, s, k, err)
					}
					return damageOf(v)
				})
				named("seek in an update", err)
				named("get in an update", db.Update(func(tx *boltfile.Txn) error {
					v, err := tx.Get(s.space, []byte(s.key))
					return errors.Join(err, damageOf(v))
				}))
				named("check", db.CheckPages())
				for other, want := range values {
					if got, err := get(db, other); other != s && (err != nil || string(got) != want) {
						t.Fatalf("bit %d of %v: %v is %q, %v", bit, s, other, got, err)
					}
				}
			}
			undo()
		}
		if got, err := get(db, s); err != nil || string(got) != value {
			t.Fatalf("%v is %q, %v", s, got, err)
		}
	}
	if err := db.CheckPages(); err != nil {
		t.Error(err)
	}
	t.Logf("%d bits of %d values", flips, len(values))
}

// TestG37_EveryBitOfAKeyFlipped: whichever bit of a key is flipped, a Get of the key finds
// damage of it, not that there is none; no key has a value that it had not; and the check
// finds something.
func TestG37_EveryBitOfAKeyFlipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	values := sealedFile(t, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	f := newFlipper(t, path)
	for s, value := range values {
		at := bytes.Index(f.data, append([]byte(s.key), storedAs(s, value)...))
		if at < 0 {
			t.Fatalf("%v is not stored", s)
		}
		for bit := range 8 * len(s.key) {
			undo := f.flip(at+bit/8, 1<<(bit%8))
			_, err := get(db, s)
			if d, ok := errors.AsType[*boltfile.Damage](err); !ok || string(d.Key) != s.key && d.Key != nil {
				t.Errorf("bit %d of the key of %v: %v, want damage of it", bit, s, err)
			}
			for other, want := range values {
				if got, err := get(db, other); other != s && (err != nil || string(got) != want) {
					t.Errorf("bit %d of the key of %v: %v is %q, %v", bit, s, other, got, err)
				}
			}
			if err := db.CheckPages(); !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("bit %d of the key of %v: the check: %v", bit, s, err)
			}
			undo()
		}
	}
}

// TestG37_AValueOfAnotherKey: what was written for another key, or in another space, is
// damage, though its checksum is that of its bytes.
func TestG37_AValueOfAnotherKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	values := sealedFile(t, path)
	moved := map[spot]spot{
		{boltfile.Data, "key-4-0"}: {boltfile.Data, "key-4-1"},
		{boltfile.Apps, "key-1-0"}: {boltfile.Alarms, "key-1-0"},
	}
	names := []string{"meta", "apps", "alarms", "doomed", "data"}
	raw(t, path, func(bucket func(string) *bolt.Bucket) error {
		for from, to := range moved {
			if err := bucket(names[to.space]).Put([]byte(to.key), bytes.Clone(bucket(names[from.space]).Get([]byte(from.key)))); err != nil {
				return err
			}
		}
		return nil
	})
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for from, to := range moved {
		if got, err := get(db, to); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("%v with the value of %v reads as %q, %v, want ErrDamaged", to, from, got, err)
		}
		if got, err := get(db, from); err != nil || string(got) != values[from] {
			t.Errorf("%v reads as %q, %v", from, got, err)
		}
	}
}

// TestG37_PlainValues: a file that was made in the second format takes no value without
// a checksum; one that was upgraded takes it, unless it begins with a damaged marker, and
// not in Meta.
func TestG37_PlainValues(t *testing.T) {
	dir := t.TempDir()
	made, upgraded := filepath.Join(dir, "made.db"), filepath.Join(dir, "upgraded.db")
	mustCreate(t, made)
	mustCreateFirst(t, upgraded)
	db, err := boltfile.Open(upgraded, boltfile.Options{NoSync: true})
	if err == nil {
		err = errors.Join(db.Update(func(*boltfile.Txn) error { return nil }), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	plain := maps.Clone(first)
	for bit := range 8 {
		plain[fmt.Sprint("one bit off ", bit)] = string([]byte{0x9c ^ 1<<bit, 1, 2, 3, 4, 'x'})
		plain[fmt.Sprint("two bits off ", bit)] = string([]byte{0x9c ^ 1<<bit ^ 1<<((bit+1)%8), 1, 2, 3, 4, 'x'})
	}
	for n := 1; n < 5; n++ {
		plain[fmt.Sprint("cut off at ", n)] = "\x9c\x01\x02\x03"[:n]
	}
	for _, path := range []string{made, upgraded} {
		raw(t, path, func(bucket func(string) *bolt.Bucket) error {
			var errs []error
			for k, v := range plain {
				errs = append(errs, bucket("data").Put([]byte(k), []byte(v)))
			}
			return errors.Join(append(errs, bucket("meta").Put([]byte("made"), []byte("no")))...)
		})
		db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range plain {
			got, err := get(db, spot{boltfile.Data, k})
			if _, ok := first[k]; ok && path == upgraded {
				if err != nil || string(got) != v {
					t.Errorf("%s: %s is %q, %v, want %q", filepath.Base(path), k, got, err, v)
				}
			} else if !errors.Is(err, boltfile.ErrDamaged) {
				t.Errorf("%s: %s is %q, %v, want ErrDamaged", filepath.Base(path), k, got, err)
			}
		}
		if got, err := get(db, spot{boltfile.Meta, "made"}); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("%s: in Meta: %q, %v, want ErrDamaged", filepath.Base(path), got, err)
		}
		if err := db.CheckPages(); !errors.Is(err, boltfile.ErrDamaged) {
			t.Errorf("%s: check: %v", filepath.Base(path), err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestSealingDoesNotAllocate: neither a read nor a write allocates because of checksums:
// a write has room in what the Update before has left.
func TestSealingDoesNotAllocate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "v.db")
	sealedFile(t, path)
	db, err := boltfile.Open(path, boltfile.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key, value := []byte("key-4-1"), make([]byte, 300)
	err = view(db, func(snap *boltfile.Snapshot) error {
		if n := testing.AllocsPerRun(100, func() { snap.Get(boltfile.Data, key) }); n != 0 {
			t.Errorf("a read allocates %v times", n)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	each := func(update func(puts int) error) float64 {
		measure := func(puts int) float64 {
			return testing.AllocsPerRun(20, func() {
				if err := update(puts); err != nil {
					t.Fatal(err)
				}
			})
		}
		return (measure(60) - measure(10)) / 50
	}
	sealed := each(func(puts int) error {
		return db.Update(func(tx *boltfile.Txn) error {
			for range puts {
				if err := tx.Put(boltfile.Data, key, value); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	bare, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	plain := each(func(puts int) error {
		return bare.Update(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte("data"))
			for range puts {
				if err := b.Put(key, value); err != nil {
					return err
				}
			}
			return nil
		})
	})
	// The collector empties pools when it likes: a run of either may allocate once more.
	if sealed > plain+0.5 {
		t.Errorf("a write allocates %v times, and bbolt %v", sealed, plain)
	}
}
