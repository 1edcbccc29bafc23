package wal_test

import (
	"testing"

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
