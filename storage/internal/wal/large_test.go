package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

const (
	// least is how large a record any log of segments of 16 KiB takes.
	least = 16<<10 - 2<<10 - 64 - 2*32
	// fits is how large a record may be to fit in one, in a log of two volumes.
	fits = 16<<10 - 64 - 2*32 - 3*24
)

// sizes are those of the segments, by name.
func sizes(b *diskBench) map[string]int {
	names, _ := b.disk.List()
	m := map[string]int{}
	for _, name := range names {
		m[name] = len(b.disk.Bytes(name))
	}
	return m
}

// TestG1_ARecordLargerThanASegment: it has a segment of its own, is kept and read like any
// other, and its segment is gone when it was trimmed.
func TestG1_ARecordLargerThanASegment(t *testing.T) {
	for _, tt := range []struct {
		size int
		own  bool
	}{
		{fits, false},
		{fits + 1, true},
		{20_000, true},
		{100 << 10, true},
	} {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.Spare = 20
		log := b.open(t)
		for range 3 {
			spoil(t, log, w, 0, 1, 0, 1)
			for i, err := range w.Append(t, log, w.Next(1, 10), w.Next(0, tt.size)) {
				if err != nil {
					t.Fatalf("record %d of %d bytes: %v", i, tt.size, err)
				}
			}
			spoil(t, log, w, 0, 1)
			w.CheckAll(t, log)
			b.Crash(t)
			log = b.open(t)
			w.Reopened()
			w.CheckAll(t, log)
		}
		own := 0
		for _, size := range sizes(b) {
			if size != small.SegmentSize {
				own++
			}
			if size > 2*small.SegmentSize && size > tt.size+3*4096 {
				t.Errorf("a record of %d bytes has a segment of %d", tt.size, size)
			}
		}
		if own != 0 && own != 3 || tt.own != (own > 0) {
			t.Errorf("records of %d bytes: %v", tt.size, sizes(b))
		}
		spoil(t, log, w, 0, 1)
		w.TrimBy(t, log, 0, 1)
		w.TrimBy(t, log, 1, 1)
		spoil(t, log, w, 0, 1)
		for name, size := range sizes(b) {
			if size != small.SegmentSize {
				t.Errorf("%s is still there, of %d bytes", name, size)
			}
		}
		w.CheckAll(t, log)
	}
}

// TestG37_ALargeRecordDamaged: it stops its volume, and no other.
func TestG37_ALargeRecordDamaged(t *testing.T) {
	for _, at := range []int{20, 64 + 32 + 5, 9000, 50_000} {
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		spoil(t, log, w, 0, 1)
		w.Append(t, log, w.Next(0, 60_000))
		spoil(t, log, w, 1, 0)
		b.disk = b.disk.Copy()
		for name, size := range sizes(b) {
			if size > small.SegmentSize {
				b.disk.Spoil(name, func(data []byte) { data[at] ^= 1 })
			}
		}
		log = b.open(t)
		recs, err := read(t, log, 0, 1)
		wantDamage(t, err)
		if len(recs) != 1 {
			t.Errorf("byte %d: %d records before the damage", at, len(recs))
		}
		w.Check(t, log, 1)
	}
}

// TestG23_ALargeRecordCountsByItsBytes: at MaxLength it is taken, one byte beyond it is
// refused, and the largest is always taken by a log that was trimmed.
func TestG23_ALargeRecordCountsByItsBytes(t *testing.T) {
	const own = 10<<12 + 1<<12 // 40,000 bytes, and a block for Close
	for _, tt := range []struct {
		length int64
		want   error
	}{
		{16<<10 + 2*own, nil},
		{16<<10 + 2*own - 1, wal.ErrFull},
	} {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.MaxLength = tt.length
		log := b.open(t)
		spoil(t, log, w, 0)
		if err := w.Append(t, log, w.Next(0, 40_000))[0]; err != nil {
			t.Fatal(err)
		}
		if err := w.Append(t, log, w.Next(0, 40_000))[0]; !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Errorf("a bound of %d: %v, want %v", tt.length, err, tt.want)
		}
		w.CheckAll(t, log)
	}
	for length := int64(32 << 10); length <= 160<<10; length += 1000 {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.MaxLength = length
		log := b.open(t)
		if n := log.MaxRecord(); n < least || n > max(least, int(length)-32<<10) || n > 100<<10 {
			t.Errorf("a log of %d takes records of %d", length, n)
		}
		spoil(t, log, w, 0)
		for range 4 {
			if err := w.Append(t, log, w.Next(0, log.MaxRecord()))[0]; err != nil {
				t.Errorf("a log of %d that was trimmed refuses a record of %d: %v", length, log.MaxRecord(), err)
			}
			w.TrimBy(t, log, 0, 0)
		}
		w.CheckAll(t, log)
	}
}

// TestG1_ARecordOf64MiB: the default takes one of 64 MiB, in a directory of the system's,
// and not one byte more.
func TestG1_ARecordOf64MiB(t *testing.T) {
	dir, opts := t.TempDir(), wal.Options{NoSync: true}
	log := mustOpen(t, dir, opts)
	c := mustClaim(t, log, 0)
	data := bytes.Repeat([]byte("carillon"), 8<<20+1)
	for _, tt := range []struct {
		size int
		want error
	}{{64<<20 + 1, wal.ErrTooLarge}, {64 << 20, nil}} {
		err := log.Append(wal.Record{Volume: 0, Epoch: c.Epoch, Seq: c.Last + 1, Data: data[:tt.size]})[0]
		if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
			t.Fatalf("%d bytes: %v, want %v", tt.size, err, tt.want)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = mustOpen(t, dir, opts)
	defer log.Close()
	recs, err := read(t, log, 0, c.Last+1)
	if err != nil || len(recs) != 1 || !bytes.Equal(recs[0].Data, data[:64<<20]) {
		t.Errorf("%d records, %v", len(recs), err)
	}
}

// TestG37_AClosedLogKnowsItsEnd: wherever in a segment the last batch is, also at its very
// end, a log that was closed knows that it was durable.
func TestG37_AClosedLogKnowsItsEnd(t *testing.T) {
	for n := range 9 {
		for _, size := range []int{100, 5000, 40_000} {
			b, w := newBench(t), waltest.NewWitness()
			log := b.open(t)
			spoil(t, log, w, 0)
			for range n {
				spoil(t, log, w, 0)
			}
			rec := w.Next(0, size)
			w.Append(t, log, rec)
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			spoiled := false
			for name := range sizes(b) {
				b.disk.Spoil(name, func(data []byte) {
					if at := bytes.Index(data, rec.Data); at >= 0 {
						data[at] ^= 1
						spoiled = true
					}
				})
			}
			_, err := read(t, b.open(t), 0, 1)
			if !spoiled || !errors.Is(err, wal.ErrDamaged) {
				t.Errorf("%s: %v, want a damage", fmt.Sprint(n, " records and one of ", size), err)
			}
		}
	}
}
