package wal_test

import (
	"errors"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
	"carillon/storage/storagetest"
)

// keeps has the log append and trim, so that it goes through so many segments of four blocks.
func keeps(t *testing.T, log wal.Log, w *waltest.Witness, segments int) {
	t.Helper()
	for range 4 * segments {
		spoil(t, log, w, 0)
		w.TrimBy(t, log, 0, 1)
	}
}

// TestG26_WhatWasTrimmedIsKept: as many segments are kept as Keep has bytes for, and one
// byte less keeps one less. What they hold is read, also after a crash, or by who only reads; what
// is older is not. A log that is full keeps them too, and one with another Keep goes by that.
func TestG26_WhatWasTrimmedIsKept(t *testing.T) {
	for _, tt := range []struct {
		segments int
		less     int64
	}{{0, 0}, {1, 1}, {1, 0}, {3, 1}, {3, 0}, {7, 0}} {
		b, w := newBench(t), waltest.NewWitness()
		size := int64(b.opts.SegmentSize)
		b.opts.Keep = int64(tt.segments)*size - tt.less
		b.opts.MaxLength = 4 * size
		want := tt.segments
		if tt.less > 0 {
			want--
		}
		log := b.open(t)
		keeps(t, log, w, 12)
		check := func(what string, want int) {
			t.Helper()
			w.CheckAll(t, log)
			first, last := w.CheckKept(t, log, 0), w.Next(0, 1).Seq-1
			// The active segment has up to four, the one before it two that are needed or none.
			if n := int(last-first) + 1; n < 4*want || n > 4*want+6 {
				t.Errorf("%+v: %s: %d records can be read, of %d segments", tt, what, n, want)
			}
			if names, _ := b.disk.List(); len(names) > want+2+b.opts.Spare+1 {
				t.Errorf("%+v: %s: there are %v", tt, what, names)
			}
		}
		check("at first", want)
		if n := fill(t, log, w); n < 8 {
			t.Errorf("%+v: it was full after %d", tt, n)
		}
		w.TrimBy(t, log, 0, 1)
		spoil(t, log, w, 0)
		for range 3 {
			before := w.CheckKept(t, log, 0)
			b.Crash(t)
			log = b.open(t)
			w.Reopened()
			if after := w.CheckKept(t, log, 0); after > before { // a trim may be forgotten
				t.Errorf("%+v: it was kept from record %d on, after a crash from %d", tt, before, after)
			}
			log.Close()
			b.opts.ReadOnly = true
			if after := w.CheckKept(t, b.open(t), 0); after > before {
				t.Errorf("%+v: it was kept from record %d on, read only from %d", tt, before, after)
			}
			b.opts.ReadOnly = false
			b.disk = b.disk.Copy()
			log = b.open(t)
			keeps(t, log, w, 5)
			check("after a crash", want)
			if w.CheckKept(t, log, 0) == before {
				t.Errorf("%+v: nothing is let go", tt)
			}
		}
		log.Close()
		b.opts.Keep = size
		log = b.open(t)
		w.Reopened()
		keeps(t, log, w, 1)
		check("with another Keep", 1)
	}
}

// TestG26_ADamagedSegmentEndsWhatIsKept: damage in what is kept is no volume's: what comes
// behind the segment is kept, and what comes before it is not.
func TestG26_ADamagedSegmentEndsWhatIsKept(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	b.opts.Keep = 6 * int64(b.opts.SegmentSize)
	log := b.open(t)
	keeps(t, log, w, 10)
	spoil(t, log, w, 1)
	before := w.CheckKept(t, log, 0)
	log.Close()
	b.disk = b.disk.Copy()
	names, _ := b.disk.List()
	shorter := 0
	for _, name := range names {
		if name == "lock" {
			continue
		}
		f := &diskBench{b.disk.Copy(), b.opts}
		f.disk.Spoil(name, func(data []byte) { data[4096+30] ^= 1 })
		log := f.open(t)
		if _, err := read(t, log, 0, before); errors.Is(err, wal.ErrDamaged) {
			continue // it is in use
		}
		if after := w.CheckKept(t, log, 0); after < before {
			t.Errorf("%s: kept from %d on, before it was %d", name, after, before)
		} else if after > before {
			shorter++
		}
		log.Close()
	}
	if shorter != 6 {
		t.Errorf("%d harms have shortened it, want one of each segment", shorter)
	}
}

// playKept is play with segments that are kept.
func playKept(t *testing.T, b *diskBench, w *waltest.Witness) bool {
	b.opts.Keep = 3 * int64(b.opts.SegmentSize)
	return play(t, b, w)
}

// TestG26_KeptSegmentsAtEveryCrash: the process is killed, the power fails, or the disk does, at every call
// while segments are kept, let go and used again: what was trimmed and can be read is what was
// appended, and never what was refused or given up.
func TestG26_KeptSegmentsAtEveryCrash(t *testing.T) {
	b := newBench(t)
	playKept(t, b, waltest.NewWitness())
	n, kept := b.disk.Calls(), 0
	look := func(b *diskBench, w *waltest.Witness) {
		t.Helper()
		log := b.open(t)
		w.Reopened()
		w.CheckAll(t, log)
		for id := range wal.Volume(3) {
			if w.Trimmed(id) > 0 && w.CheckKept(t, log, id) <= w.Trimmed(id) {
				kept++
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		verify(t, b, w)
		b.disk = b.disk.Copy()
		log = b.open(t)
		for id := range wal.Volume(3) {
			w.CheckKept(t, log, id)
		}
	}
	for k := 1; k <= n; k++ {
		for _, death := range storagetest.Some(2, deaths) {
			b, w := newBench(t), waltest.NewWitness()
			b.disk = waltest.NewDisk(uint64(k))
			b.disk.Fate = at(k, 1, waltest.Die)
			playKept(t, b, w)
			b.disk = death.cut(b.disk)
			look(b, w)
		}
		for _, many := range storagetest.Some(2, []int{1, 3}) {
			b, w := newBench(t), waltest.NewWitness()
			b.disk.Fate = at(k, many, waltest.Fail)
			playKept(t, b, w)
			b.disk = b.disk.Cut(waltest.KeepSome)
			look(b, w)
		}
	}
	if kept < n/2 {
		t.Errorf("in %d lives of %d calls only %d volumes had kept something", 3*n, n, kept)
	}
}

// TestG26_WhatIsKeptMakesWay: on a disk that is full what is kept is let go, and no append
// is refused that would not be without it.
func TestG26_WhatIsKeptMakesWay(t *testing.T) {
	for _, space := range []int{7, 9, 14} {
		var n [2]int
		for i, keep := range []int64{0, 1 << 30} {
			b, w := newBench(t), waltest.NewWitness()
			b.disk.Space = space * b.opts.SegmentSize
			b.opts.Keep = keep
			log := b.open(t)
			keeps(t, log, w, 40) // without a refusal
			if first := w.CheckKept(t, log, 0); keep > 0 && first < 2 {
				t.Error("the disk was not full")
			}
			for w.Append(t, log, w.Next(0, 3000))[0] == nil {
				n[i]++
			}
			w.CheckAll(t, log)
			w.TrimBy(t, log, 0, 0)
			b.disk.Space = 0
			keeps(t, log, w, 10)
			b.disk = b.disk.Cut(waltest.KeepSome)
			w.Reopened()
			w.CheckAll(t, b.open(t))
		}
		if n[1] < n[0] {
			t.Errorf("%d segments of space: %d appends without what is kept, %d with it", space, n[0], n[1])
		}
	}
}

// TestG26_MovedApartAndKept: a volume whose records are apart, and one that is kept, are read
// from the first that is there, whichever of the two has it.
func TestG26_MovedApartAndKept(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	b.opts.Keep = 4 * int64(b.opts.SegmentSize)
	log := b.open(t)
	spoil(t, log, w, 1, 1, 1, 1)
	w.TrimBy(t, log, 1, 2)
	for life := range 4 {
		for range 3 {
			keeps(t, log, w, 3)
			if err := log.MoveApart(1); err != nil {
				t.Fatal(err)
			}
			w.CheckAll(t, log)
			w.CheckKept(t, log, 0)
			w.CheckKept(t, log, 1)
		}
		b.Crash(t)
		log = b.open(t)
		w.Reopened()
		w.CheckAll(t, log)
		w.CheckKept(t, log, 0)
		w.CheckKept(t, log, 1)
		if life > 0 {
			spoil(t, log, w, 1, 1)
			w.TrimBy(t, log, 1, life%2)
			w.CheckAll(t, log)
			w.CheckKept(t, log, 1)
		}
	}
}
