package wal_test

import (
	"errors"
	"syscall"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestABatchIsWrittenIntoBlocksThatAreThere: segments are filled in steps ahead of the
// batches, durably, in any life of a log, and no further than a step.
func TestABatchIsWrittenIntoBlocksThatAreThere(t *testing.T) {
	for _, size := range []int{16 << 10, 32 << 10, 8 << 20} {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.SegmentSize, b.opts.MaxLength = size, 64<<20
		for life := range 3 {
			log, fills := b.open(t), 0
			b.disk.SetFate(func(c waltest.Call) waltest.Fate {
				if c.Name == "fill" {
					fills++
				}
				return waltest.Succeed
			})
			w.Reopened()
			for i := range 100 {
				spoil(t, log, w, wal.Volume(i%3))
				if w.Claimed(0) && i%10 == 0 {
					w.Append(t, log, w.Next(0, 9000))
				}
			}
			if holes := b.disk.Holes(); holes > 0 {
				t.Errorf("segments of %d, life %d: %d blocks were not filled", size, life, holes)
			}
			for id := range wal.Volume(3) {
				w.TrimBy(t, log, id, 1)
			}
			if stats := log.Stats(); size == 8<<20 && (fills > 6 || stats.Bytes > 2<<20) {
				t.Errorf("110 batches take %d fillings, and %d bytes", fills, stats.Bytes)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			if holes := b.disk.Holes(); holes > 0 {
				t.Errorf("segments of %d, life %d: Close finds %d blocks that were not filled", size, life, holes)
			}
			b.disk = b.disk.Kill()
		}
		w.CheckAll(t, b.open(t))
	}
}

// TestG6_AFillingThatFailsRefuses: when there is no room for the batch it is refused, not
// unknown: the claim is in force, other segments are used if they have their blocks, and
// the log goes on when there is room again.
func TestG6_AFillingThatFailsRefuses(t *testing.T) {
	for fails := range 12 { // appends before the disk fails
		for _, full := range []bool{false, true} {
			b, w := newBench(t), waltest.NewWitness()
			log := b.open(t)
			spoil(t, log, w, 0)
			for range fails {
				spoil(t, log, w, 0)
			}
			if full {
				b.disk.Space = 1
			} else {
				b.disk.SetFate(func(c waltest.Call) waltest.Fate {
					if c.Name == "fill" {
						return waltest.Fail
					}
					return waltest.Succeed
				})
			}
			refused := 0
			for range 8 {
				err := w.Append(t, log, w.Next(0, 5000))[0]
				if err != nil && (!errors.Is(err, wal.ErrRefused) || full != errors.Is(err, syscall.ENOSPC)) {
					t.Fatalf("after %d: %v, want a refusal", fails, err)
				}
				if err != nil {
					refused++
				}
			}
			if refused == 0 {
				t.Errorf("after %d: nothing was refused", fails)
			}
			b.Heal()
			b.disk.Space = 0
			for range 3 {
				spoil(t, log, w, 0) // the claim is in force
			}
			w.CheckAll(t, log)
			if names, _ := b.disk.List(); len(names) > 3+fails/2 {
				t.Errorf("after %d: what could not be filled is left: %v", fails, names)
			}
			b.Crash(t)
			log = b.open(t)
			w.Reopened()
			w.CheckAll(t, log)
			spoil(t, log, w, 0, 0)
		}
	}
}

// TestG6_SparesAreUsedOnAFullDisk: segments that were trimmed have their blocks, so a log
// with spare ones goes on for as long as they last.
func TestG6_SparesAreUsedOnAFullDisk(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	log := b.open(t)
	for range 17 { // four to a segment: five segments
		spoil(t, log, w, 0)
	}
	w.TrimBy(t, log, 0, 0)
	spoil(t, log, w, 0) // the disk knows that four are free; two are kept
	b.disk.Space = 1
	taken := 0
	for range 20 {
		if err := w.Append(t, log, w.Next(0, 100))[0]; err == nil {
			taken++
		}
	}
	if taken < 8 {
		t.Errorf("two segments with their blocks have taken %d batches", taken)
	}
	b.disk = b.disk.Cut(waltest.KeepNone)
	w.CheckAll(t, b.open(t))
}
