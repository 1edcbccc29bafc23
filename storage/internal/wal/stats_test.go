package wal_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestTheLogSaysWhatItWrites: the counts are those of the disk, segments and failures
// included; without syncs all is there that the system was given, and none is made.
func TestTheLogSaysWhatItWrites(t *testing.T) {
	for _, noSync := range []bool{false, true} {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.NoSync = noSync
		datasyncs, syncs := int64(0), int64(0)
		b.disk.Fate = func(c waltest.Call) waltest.Fate {
			switch c.Name {
			case "datasync":
				datasyncs++
				fallthrough
			case "sync", "syncdir":
				syncs++
			}
			return waltest.Succeed
		}
		log := b.open(t)
		if got := log.Stats(); got.Batches != 0 || got.Syncs != 0 || got.Bytes != 0 || got.Length != 0 {
			t.Errorf("a new log has written %+v", got)
		}
		spoil(t, log, w, 0, 0, 0, 0)
		before := log.Stats()
		w.Append(t, log, w.Next(0, 4096))
		after := log.Stats()
		if n := after.Bytes - before.Bytes; n < 2*4096 {
			t.Errorf("a batch of two blocks is %d bytes", n)
		}
		if after.Batches != 5 || after.Syncs != syncs || !noSync && after.Batches != datasyncs || noSync && syncs > 0 {
			t.Errorf("no sync %v: %+v, on the disk %d syncs, %d of batches", noSync, after, syncs, datasyncs)
		}
		if n := int64(after.Synced.Total()); n != syncs || after.Length == 0 {
			t.Errorf("%d syncs were measured, want %d; the log has %d bytes", n, syncs, after.Length)
		}
		b.disk = b.disk.Kill()
		log = b.open(t)
		w.CheckAll(t, log)
		if err := log.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestG23_ALogIsWaitedFor: a log that is in use is opened when it is closed within the
// LockTimeout, and refused when it is not.
func TestG23_ALogIsWaitedFor(t *testing.T) {
	for _, held := range []time.Duration{999 * time.Millisecond, 1001 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			log := b.open(t)
			go func() {
				time.Sleep(held)
				if err := log.Close(); err != nil {
					t.Error(err)
				}
			}()
			began, opts := time.Now(), b.opts
			if _, err := wal.OpenFile("", opts); !errors.Is(err, wal.ErrLocked) || time.Since(began) > 0 {
				t.Errorf("without a timeout: %v after %v", err, time.Since(began))
			}
			opts.LockTimeout = time.Second
			second, err := wal.OpenFile("", opts)
			if late := held > time.Second; late != errors.Is(err, wal.ErrLocked) || !late && err != nil || time.Since(began) != time.Second {
				t.Errorf("held for %v: %v after %v", held, err, time.Since(began))
			}
			if err == nil {
				if err := second.Close(); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Second)
		})
	}
}
