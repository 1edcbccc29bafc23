package kv_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// node reads shard 3 of a shared log, by a copy of its own.
type node struct {
	volume
	shared  wal.Shared
	over    *kv.Log
	opts    kv.Options
	rebuilt bool
}

const nodeShard kv.Volume = 3

// newNode makes a node that has no copy yet.
func newNode(tb testing.TB, log *waltest.Memory) *node {
	tb.Helper()
	n := &node{opts: kv.Options{NoSync: true}}
	n.by(log.Open(tb).(wal.Shared))
	n.path = filepath.Join(tb.TempDir(), "volume.db")
	tb.Cleanup(func() {
		if n.DB != nil {
			_ = n.Abandon()
		}
	})
	return n
}

// open opens the copy, or makes it anew.
func (n *node) open(tb testing.TB) (err error) {
	tb.Helper()
	meta := []kv.Row{{Key: []byte("store"), Value: []byte("s")}}
	var why error
	n.DB, why, err = kv.OpenCopy(tb.Context(), n.path, n.over, nodeShard, meta, n.opts)
	n.rebuilt = why != nil
	if err != nil {
		n.DB = nil
	}
	return err
}

func mustOpenNode(tb testing.TB, n *node) {
	tb.Helper()
	if err := n.open(tb); err != nil {
		tb.Fatal(err)
	}
}

func mustClaim(tb testing.TB, n *node) {
	tb.Helper()
	if err := n.Claim(tb.Context(), share); err != nil {
		tb.Fatal(err)
	}
}

// mustOwn has the node open its copy and claim the shard.
func mustOwn(tb testing.TB, n *node) {
	tb.Helper()
	mustOpenNode(tb, n)
	mustClaim(tb, n)
}

// by has the node reach the log by another.
func (n *node) by(shared wal.Shared) { n.shared, n.over = shared, kv.Over(shared, kv.Options{}) }

func mustFollow(tb testing.TB, n *node) {
	tb.Helper()
	if err := n.Follow(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// end closes the DB, and is no process any more.
func (n *node) end(tb testing.TB, close func(*kv.DB) error) {
	tb.Helper()
	if err := close(n.DB); err != nil {
		tb.Fatal(err)
	}
	n.DB = nil
}

// TestG45_FollowAndTakeOver: a node shows what another one writes, without a claim, and goes on
// from there when it takes the shard over; the earlier owner is refused.
func TestG45_FollowAndTakeOver(t *testing.T) {
	log := waltest.NewMemory()
	a, b := newNode(t, log), newNode(t, log)
	mustOpenNode(t, a)
	mustOpenNode(t, b)
	if !a.rebuilt || !b.rebuilt {
		t.Error("a copy that is not there was not made anew")
	}
	mustClaim(t, a)
	want := table{}
	for i := range 50 {
		key, value := fmt.Sprint(i%20), fmt.Sprint(i)
		mustPut(t, &a.volume, key, value)
		want[key] = value
		if i%7 == 0 {
			mustFollow(t, b)
			wantShown(t, &b.volume, want)
		}
	}
	if err := b.put("a", "b"); !errors.Is(err, kv.ErrRefused) {
		t.Errorf("it is written without a claim: %v", err)
	}
	mustClaim(t, b)
	wantShown(t, &b.volume, want)
	if err := a.put("x", "stale"); !errors.Is(err, wal.ErrFenced) {
		t.Errorf("the earlier owner is told %v, want ErrFenced", err)
	}
	mustPut(t, &b.volume, "y", "fresh")
	want["y"] = "fresh"
	wantShown(t, &b.volume, want)
	if behind, _, err := a.over.Behind(t.Context(), []*kv.DB{a.DB, b.DB}); err != nil || len(behind) != 1 || behind[0] != a.DB {
		t.Errorf("behind are %v, %v; want the earlier owner", behind, err)
	}
	a.end(t, (*kv.DB).Abandon)
	mustOpenNode(t, a)
	if a.rebuilt {
		t.Error("the copy of the earlier owner was made anew, though the log has all that it lacks")
	}
	wantShown(t, &a.volume, want)
}

// TestG45_FoldsAndLoads: what the copy has is folded into the log's checkpoint, in the
// background and when the DB is closed; records that were folded are forgotten, and a node
// without a copy has all of it.
func TestG45_FoldsAndLoads(t *testing.T) {
	log := waltest.NewMemory()
	a := newNode(t, log)
	mustOpenNode(t, a)
	a.SetKept(1)
	mustClaim(t, a)
	want := table{}
	for i := range 200 {
		key, value := fmt.Sprintf("key%02d", i%70), fmt.Sprint(i)
		if i%5 == 4 {
			value = ""
		}
		mustPut(t, &a.volume, key, value)
		if want[key] = value; value == "" {
			delete(want, key)
		}
		if i%60 == 59 {
			if err := a.Fold(); err != nil {
				t.Fatal(err)
			}
			if a.Folded() != a.Last() {
				t.Errorf("folded up to %d, want %d", a.Folded(), a.Last())
			}
		}
	}
	var trimmed error
	for _, trimmed = range a.shared.Read(t.Context(), nodeShard, 1) {
		break
	}
	if !errors.Is(trimmed, wal.ErrTrimmed) {
		t.Errorf("the first record: %v, want ErrTrimmed", trimmed)
	}
	for _, how := range []func(*kv.DB) error{(*kv.DB).Abandon, (*kv.DB).Close} {
		b := newNode(t, log)
		mustOpenNode(t, b)
		wantShown(t, &b.volume, want)
		mustClaim(t, b)
		mustPut(t, &b.volume, "more", "x")
		want["more"] = "x"
		if err := b.Fold(); err != nil { // also what the one before has left
			t.Error(err)
		}
		b.end(t, how)
	}
	standing, err := a.shared.Standing(t.Context())
	if err != nil || standing.Shards[0].Folded != standing.Shards[0].Last {
		t.Errorf("after Fold the checkpoint stands at %+v, %v; want all", standing.Shards, err)
	}
	c := newNode(t, log)
	mustOpenNode(t, c)
	wantShown(t, &c.volume, want)
	c.end(t, (*kv.DB).Close)
	if got := c.copied(t); !maps.Equal(got, want) {
		t.Errorf("the copy has %v, want %v", got, want)
	}
}

// TestG45_ACopyIsWhatTheLogSays: a copy is used if its store, its shard and its moment are those
// of the log, else it is made anew, whatever is in the file.
func TestG45_ACopyIsWhatTheLogSays(t *testing.T) {
	log, other := waltest.NewMemory(), waltest.NewMemory()
	write := func(n *node, keys ...string) {
		mustOwn(t, n)
		for _, key := range keys {
			mustPut(t, &n.volume, key, "1")
		}
		n.end(t, (*kv.DB).Close)
	}
	a := newNode(t, log)
	write(a, "a", "b")
	early := a.file(t)
	write(a, "c")
	latest := a.file(t)
	alien := newNode(t, other)
	write(alien, "x", "y", "z")
	write(alien, "w")
	garbled := append([]byte(nil), latest...)
	for i := 0; i < 8192 && i < len(garbled); i++ {
		garbled[i] ^= 0x55
	}
	want := table{"a": "1", "b": "1", "c": "1"}
	tests := []struct {
		name    string
		file    []byte
		rebuilt bool
	}{
		{"the latest", latest, false},
		{"of an earlier moment, whose records the log has", early, false},
		{"of another store", alien.file(t), true},
		{"damaged", garbled, true},
		{"cut off", latest[:12<<10], true},
		{"empty", []byte{}, true},
		{"none", nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n := newNode(t, log)
			if tt.file != nil {
				if err := os.WriteFile(n.path, tt.file, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			mustOpenNode(t, n)
			if n.rebuilt != tt.rebuilt {
				t.Errorf("it was made anew: %v, want %v", n.rebuilt, tt.rebuilt)
			}
			wantShown(t, &n.volume, want)
		})
	}
}

// TestG6_AnUnknownAppendIsFoundOut: an append of a shared log whose outcome is unknown is
// answered by what the log has.
func TestG6_AnUnknownAppendIsFoundOut(t *testing.T) {
	log := waltest.NewMemory()
	a := newNode(t, log)
	mustOwn(t, a)
	mustPut(t, &a.volume, "a", "1")
	want := table{"a": "1"}
	for i := range 6 {
		kept, key := i%2 == 0, fmt.Sprint(i)
		log.FailNext(kept)
		err := a.put(key, "1")
		if kept {
			want[key] = "1"
		}
		if kept != (err == nil) || err != nil && !errors.Is(err, kv.ErrRefused) {
			t.Errorf("kept %v, and Update says %v", kept, err)
		}
		wantShown(t, &a.volume, want)
		mustPut(t, &a.volume, "go on", fmt.Sprint(i))
		want["go on"] = fmt.Sprint(i)
	}
	b := newNode(t, log)
	mustOpenNode(t, b)
	wantShown(t, &b.volume, want)
}

// TestG45_ADamagedCopyIsThrownAway: a copy in which a damaged page was met is not written any more,
// and made anew when it is opened again.
func TestG45_ADamagedCopyIsThrownAway(t *testing.T) {
	log := waltest.NewMemory()
	a := newNode(t, log)
	mustOwn(t, a)
	want := table{}
	for i := range 300 {
		key := fmt.Sprintf("key%03d", i)
		want[key] = strings.Repeat("x", 100)
		mustPut(t, &a.volume, key, want[key])
	}
	var page int64
	err := errors.Join(a.Checkpoint(), a.DB.Close())
	if err != nil {
		t.Fatal(err)
	}
	a.DB = nil
	mustOpenNode(t, a)
	pin, err := a.Begin()
	if err != nil {
		t.Fatal(err)
	}
	err = pin.Read(func(snap *kv.Snapshot) error {
		page = snap.PageOf(kv.Data, []byte("key200"))
		return nil
	})
	pin.Close()
	if err != nil {
		t.Fatal(err)
	}
	a.end(t, (*kv.DB).Abandon)
	f, err := os.OpenFile(a.path, os.O_RDWR, 0)
	if err == nil {
		_, err = f.WriteAt(make([]byte, 64), page*int64(os.Getpagesize()))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	mustOwn(t, a)
	if a.rebuilt {
		t.Error("the copy was made anew before the page was read")
	}
	if pin, err = a.Begin(); err != nil {
		t.Fatal(err)
	}
	err = pin.Read(func(snap *kv.Snapshot) error {
		snap.Get(kv.Data, []byte("key200"))
		return nil
	})
	pin.Close()
	if !errors.Is(err, kv.ErrDamaged) {
		t.Fatalf("the page is read: %v", err)
	}
	if err := a.put("a", "1"); !errors.Is(err, kv.ErrDamaged) {
		t.Errorf("the copy is written: %v", err)
	}
	a.end(t, (*kv.DB).Abandon)
	mustOpenNode(t, a)
	if !a.rebuilt {
		t.Error("the damaged copy is used")
	}
	wantShown(t, &a.volume, want)
}
