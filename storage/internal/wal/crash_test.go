package wal_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
	"carillon/storage/storagetest"
)

// play is the life that is cut short in this file: three volumes, records of one byte to
// more than a segment, segments that fill up, are trimmed and used again, a Close in between.
// It goes on when the disk fails, and ends when the process is dead.
func play(t *testing.T, b *diskBench, w *waltest.Witness) (dead bool) {
	rnd := rand.New(rand.NewPCG(7, 7))
	for life := range 2 {
		b.opts.Disk = b.disk
		log, err := wal.OpenFile("", b.opts)
		if errors.Is(err, waltest.ErrDead) {
			return true
		}
		if err != nil {
			continue // the disk has failed
		}
		w.Reopened()
		for i := range 16 {
			var recs []wal.Record
			for id := range wal.Volume(3) {
				if !w.Claimed(id) && errors.Is(w.Claim(t, log, id), waltest.ErrDead) {
					return true
				}
				if w.Claimed(id) && (int(id)+i)%3 != 0 {
					size := []int{1, 300, 5000}[(i+int(id)+life)%3]
					if i == 7+life {
						size *= 8 // up to more than a segment
					}
					recs = append(recs, w.Next(id, size))
				}
			}
			for _, err := range w.Append(t, log, recs...) {
				if errors.Is(err, waltest.ErrDead) {
					return true
				}
			}
			if id := wal.Volume(rnd.IntN(3)); i%2 == 1 {
				w.TrimBy(t, log, id, rnd.IntN(3))
			}
		}
		if err := log.Close(); errors.Is(err, waltest.ErrDead) {
			return true
		}
	}
	return false
}

// readOnly demands that a log that is only read shows what it will show to its owner, and
// changes nothing.
func readOnly(t *testing.T, b *diskBench) {
	t.Helper()
	opts := b.opts
	opts.Disk, opts.ReadOnly = b.disk, true
	before := b.disk.Calls()
	first, err := wal.OpenFile("", opts)
	if err != nil {
		t.Fatal(err)
	}
	second, err := wal.OpenFile("", opts)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[wal.Volume][]wal.Record{}
	for id := range wal.Volume(3) {
		shown[id], _ = read(t, first, id, 1)
		if _, err := second.Claim(t.Context(), id); !errors.Is(err, wal.ErrReadOnly) {
			t.Fatal(err)
		}
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	if n := b.disk.Calls() - before - 2; n > 0 { // it was locked twice
		t.Fatalf("it has changed something: %d calls", n)
	}
	log := b.open(t)
	for id, want := range shown {
		if got, _ := read(t, log, id, 1); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("volume %d: read only it was %v, then %v", id, want, got)
		}
	}
	if _, err := wal.OpenFile("", opts); !errors.Is(err, wal.ErrLocked) {
		t.Fatalf("opened for reading while it has an owner: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestG1_ALogThatIsOnlyRead: the log of a process that has died is read without a change of
// anything, as it will be found by the owner that comes next.
func TestG1_ALogThatIsOnlyRead(t *testing.T) {
	n := calls(t)
	for k := 2; k <= n; k += 2 {
		b, w := newBench(t), waltest.NewWitness()
		b.disk.Fate = at(k, 1, waltest.Die)
		play(t, b, w)
		b.disk = b.disk.Cut(waltest.KeepSome)
		readOnly(t, b)
		verify(t, b, w)
	}
}

// verify opens what is left and demands that all is there that must be, that the log goes
// on, and that what it has shown stays.
func verify(t *testing.T, b *diskBench, w *waltest.Witness) {
	t.Helper()
	log := b.open(t)
	w.Reopened()
	w.CheckAll(t, log)
	for id := range wal.Volume(3) { // what was trimmed is not damaged
		if _, err := read(t, log, id, 1); err != nil && !errors.Is(err, wal.ErrTrimmed) {
			t.Fatal(err)
		}
	}
	b.disk = b.disk.Cut(waltest.KeepNone)
	log = b.open(t)
	w.CheckAll(t, log)
	for id := range wal.Volume(3) {
		if err := w.Claim(t, log, id); err != nil {
			t.Fatal(err)
		}
		if err := w.Append(t, log, w.Next(id, 100))[0]; err != nil {
			t.Fatal(err)
		}
		w.TrimBy(t, log, id, 1)
	}
	b.disk = b.disk.Cut(waltest.KeepSome)
	log = b.open(t)
	w.CheckAll(t, log)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// calls counts the disk calls of play.
func calls(t *testing.T) int {
	b := newBench(t)
	play(t, b, waltest.NewWitness())
	return b.disk.Calls()
}

// at has the call with this number, and as many after it, end so.
func at(n, many int, fate waltest.Fate) func(waltest.Call) waltest.Fate {
	return func(c waltest.Call) waltest.Fate {
		if c.N >= n && c.N < n+many {
			return fate
		}
		return waltest.Succeed
	}
}

// death is a way in which a process ends.
type death struct {
	name string
	cut  func(*waltest.Disk) *waltest.Disk
}

var deaths = []death{
	{"killed", (*waltest.Disk).Kill},
	{"all kept", func(d *waltest.Disk) *waltest.Disk { return d.Cut(waltest.KeepAll) }},
	{"some kept", func(d *waltest.Disk) *waltest.Disk { return d.Cut(waltest.KeepSome) }},
	{"killed, some kept", func(d *waltest.Disk) *waltest.Disk { return d.Kill().Cut(waltest.KeepSome) }},
	{"nothing kept", func(d *waltest.Disk) *waltest.Disk { return d.Cut(waltest.KeepNone) }},
}

// TestG1_LogCrashedAtEveryCall: the process is killed, or the power fails, at every write,
// sync, rename and removal, with any part of what was not synced on the disk, in any
// order. All that was acknowledged is there; nothing that was refused; and what is shown
// once stays.
func TestG1_LogCrashedAtEveryCall(t *testing.T) {
	n, rounds := calls(t), 1
	if storagetest.All() {
		rounds = 2
	}
	for k := 1; k <= n; k++ {
		for _, death := range storagetest.Some(3, deaths) {
			for seed := range uint64(rounds) {
				t.Run(fmt.Sprintf("%d/%s/%d", k, death.name, seed), func(t *testing.T) {
					b, w := newBench(t), waltest.NewWitness()
					b.disk = waltest.NewDisk(uint64(k)<<8 + seed)
					b.disk.Fate = at(k, 1, waltest.Die)
					if !play(t, b, w) {
						t.Fatal("it has outlived its death")
					}
					b.disk = death.cut(b.disk)
					verify(t, b, w)
				})
			}
		}
	}
	t.Logf("%d calls", n)
}

// TestG1_LogCrashedWhileItIsOpened: the power fails a second time, at each call of the
// opening that follows.
func TestG1_LogCrashedWhileItIsOpened(t *testing.T) {
	n := calls(t)
	for k := 1; k <= n; k += 3 {
		for again := 1; ; again++ {
			b, w := newBench(t), waltest.NewWitness()
			b.disk.Fate = at(k, 1, waltest.Die)
			play(t, b, w)
			b.disk = b.disk.Cut(waltest.KeepSome)
			b.disk.Fate = at(again, 1, waltest.Die)
			b.opts.Disk = b.disk
			log, err := wal.OpenFile("", b.opts)
			if err == nil {
				w.CheckAll(t, log)
				break
			}
			if !errors.Is(err, waltest.ErrDead) {
				t.Fatal(err)
			}
			b.disk = b.disk.Cut(waltest.KeepSome)
			verify(t, b, w)
		}
	}
}

// TestG6_LogWithEveryCallFailing: each call fails, alone or with those after it, and the
// process goes on. What is acknowledged then is there after a power cut; a failed sync is
// not trusted, and a failed disk is not the end.
func TestG6_LogWithEveryCallFailing(t *testing.T) {
	n := calls(t)
	for k := 1; k <= n; k++ {
		for _, many := range storagetest.Some(2, []int{1, 2, 7}) {
			t.Run(fmt.Sprintf("%d/%d", k, many), func(t *testing.T) {
				b, w := newBench(t), waltest.NewWitness()
				b.disk.Fate = at(k, many, waltest.Fail)
				play(t, b, w)
				b.disk = b.disk.Cut(waltest.KeepSome)
				verify(t, b, w)
			})
		}
	}
}

// TestG6_LogOnAFullDisk: whatever room there is, an append that does not fit is refused,
// and the log goes on when there is room again.
func TestG6_LogOnAFullDisk(t *testing.T) {
	for space := 4 << 10; space <= 240<<10; space += 4 << 10 {
		b, w := newBench(t), waltest.NewWitness()
		b.disk.Space = space
		play(t, b, w)
		b.disk = b.disk.Cut(waltest.KeepSome)
		b.disk.Space = 0
		verify(t, b, w)
	}
}
