package wal_test

import (
	"errors"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// fill appends until the log is full, and returns how many appends it has taken.
func fill(t *testing.T, log wal.Log, w *waltest.Witness) (n int) {
	t.Helper()
	for ; ; n++ {
		err := w.Append(t, log, w.Next(0, 100))[0]
		if err != nil && (!errors.Is(err, wal.ErrFull) || !errors.Is(err, wal.ErrRefused)) {
			t.Fatal(err)
		}
		if err != nil {
			return n
		}
	}
}

// TestG23_ALogHasItsBound: at MaxLength appends are refused, one less is not. A trim makes
// room. A log that is full when its process dies can be claimed, and so trimmed.
func TestG23_ALogHasItsBound(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	b.opts.MaxLength = 4 * int64(b.opts.SegmentSize)
	log := b.open(t)
	spoil(t, log, w, 0)
	for round, want := range []int{15, 16, 12, 13, 12} {
		if n := fill(t, log, w); n != want {
			t.Errorf("round %d: it was full after %d, want %d", round, n, want)
		}
		w.CheckAll(t, log)
		if round == 2 {
			for i := range 5 {
				if i == 3 { // the segment that is kept for claims fails
					b.FailNext(true)
					if err := w.Claim(t, log, 0); !errors.Is(err, wal.ErrUnknown) {
						t.Fatal(err)
					}
					b.Heal()
					spoil(t, log, w, 0)
				}
				b.Crash(t)
				log = b.open(t)
				w.Reopened()
				w.CheckAll(t, log)
				spoil(t, log, w, 0)
				if n := fill(t, log, w); n != 0 {
					t.Errorf("a log that is full takes %d after crash %d", n, i)
				}
			}
		}
		w.TrimBy(t, log, 0, round)
		if names, _ := b.disk.List(); len(names) > 8 {
			t.Errorf("round %d: %d segments: %v", round, len(names), names)
		}
	}
	w.CheckAll(t, log)
}

// TestG23_SpareSegmentsAreBounded: of segments that were trimmed some are kept, as many as
// Spare says, and the others are removed.
func TestG23_SpareSegmentsAreBounded(t *testing.T) {
	for spare := 1; spare <= 3; spare++ {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.Spare = spare
		log := b.open(t)
		for range 80 {
			spoil(t, log, w, 0)
		}
		w.TrimBy(t, log, 0, 0)
		spoil(t, log, w, 0, 0)
		if names, _ := b.disk.List(); len(names) < spare+1 || len(names) > spare+2 {
			t.Errorf("%d spare segments: %v", spare, names)
		}
		w.CheckAll(t, log)
		b.Crash(t)
		w.CheckAll(t, b.open(t))
	}
}
