package wal_test

import (
	"sync"
	"testing"
	"time"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// diskBench is a file log on a disk in memory.
type diskBench struct {
	disk *waltest.Disk
	opts wal.Options
}

// small has segments of 16 KiB, so that a test goes through many.
var small = wal.Options{ID: 42, SegmentSize: 16 << 10, MaxLength: 8 << 20, MaxRecord: 100 << 10, Spare: 2}

func newBench(tb testing.TB) *diskBench {
	tb.Helper()
	return &diskBench{waltest.NewDisk(1), small}
}

func (b *diskBench) Open(tb testing.TB) wal.Log { return b.open(tb) }

func (b *diskBench) open(tb testing.TB) *wal.File {
	tb.Helper()
	b.opts.Disk = b.disk
	f, err := wal.OpenFile("", b.opts)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func (b *diskBench) Crash(testing.TB) { b.disk = b.disk.Cut(waltest.KeepSome) }

func (b *diskBench) FailNext(kept bool) {
	name := "write"
	if kept {
		name = "datasync"
	}
	b.disk.SetFate(func(c waltest.Call) waltest.Fate {
		if c.Name == name {
			return waltest.Fail
		}
		return waltest.Succeed
	})
}

func (b *diskBench) Heal() { b.disk.SetFate(nil) }

// TestG1_FileLogConforms: the log in files is one, on a disk that fails, and loses what
// was not synced when the power fails.
func TestG1_FileLogConforms(t *testing.T) {
	waltest.Conformance(t, func(t *testing.T) waltest.Bench { return newBench(t) })
}

// TestG23_ClaimsTogether: claims of one volume that come at once are one after another: no
// two have an epoch, or a record.
func TestG23_ClaimsTogether(t *testing.T) {
	b := newBench(t)
	b.disk.Fate = func(c waltest.Call) waltest.Fate {
		if c.Name == "datasync" {
			time.Sleep(time.Millisecond) // so that others come meanwhile
		}
		return waltest.Succeed
	}
	log := b.open(t)
	claims := make([]wal.Claim, 20)
	var wg sync.WaitGroup
	for i := range claims {
		wg.Go(func() { claims[i], _ = log.Claim(t.Context(), 1) })
	}
	wg.Wait()
	epochs, last := map[uint64]bool{}, uint64(0)
	for _, c := range claims {
		epochs[c.Epoch] = true
		last = max(last, c.Last)
	}
	if recs, err := read(t, log, 1, 1); len(epochs) != len(claims) || last != uint64(len(claims)) || len(recs) != len(claims) || err != nil {
		t.Errorf("%d claims have %d epochs, %d is their last record of %d, %v", len(claims), len(epochs), last, len(recs), err)
	}
}
