package wal_test

import (
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestOpeningReadsHeads: of a log of large batches the heads are read when it is opened, and
// of one that was trimmed its last segment. What it shows is all of it.
func TestOpeningReadsHeads(t *testing.T) {
	for _, size := range []int{200_000, 3_000_000} { // in segments, and in their own
		b, w := newBench(t), waltest.NewWitness()
		b.opts.SegmentSize, b.opts.MaxLength, b.opts.MaxRecord = 1<<20, 64<<20, 8<<20
		log := b.open(t)
		spoil(t, log, w, 0, 1)
		written := 0
		for written < 32<<20 {
			for _, err := range w.Append(t, log, w.Next(0, size)) {
				if err != nil {
					t.Fatal(err)
				}
			}
			written += size
		}
		opened := func() (read int64) {
			t.Helper()
			b.disk = b.disk.Kill()
			counts := true
			b.disk.Unreadable = func(_ string, _, size int64) bool {
				if counts {
					read += size
				}
				return false
			}
			log = b.open(t)
			counts = false
			w.Reopened()
			w.CheckAll(t, log)
			return read
		}
		if n := opened(); n > int64(written)/4 {
			t.Errorf("%d bytes were read of %d, in batches of %d", n, written, size)
		}
		spoil(t, log, w, 0, 1)
		w.TrimBy(t, log, 0, 1)
		w.TrimBy(t, log, 1, 1)
		spoil(t, log, w, 0, 1)
		if n := opened(); n > 6<<20 {
			t.Errorf("%d bytes were read of a log that was trimmed", n)
		}
	}
}

// TestG1_ALogThatWasNotMadeIsEmpty: a process that was killed when it had only made the
// directory leaves a log that is empty for who only reads it, too.
func TestG1_ALogThatWasNotMadeIsEmpty(t *testing.T) {
	dir := t.TempDir()
	for _, readOnly := range []bool{true, false, true} {
		log, err := wal.OpenFile(dir, wal.Options{ReadOnly: readOnly})
		if err != nil {
			t.Fatalf("read-only %v: %v", readOnly, err)
		}
		for rec, err := range log.Read(t.Context(), 0, 1) {
			t.Errorf("read-only %v: it shows %+v, %v", readOnly, rec, err)
		}
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
}
