package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"carillon/storage/internal/wal"
)

// appender appends records to volumes that are its own, and trims them.
type appender struct {
	log    wal.Log
	claims []wal.Claim
	recs   []wal.Record
	took   []time.Duration
	thinks time.Duration // before each call
}

func newAppender(b *testing.B, log wal.Log, first wal.Volume, records, size int) *appender {
	a := &appender{log: log}
	for i := range records {
		c, err := log.Claim(b.Context(), first+wal.Volume(i))
		if err != nil {
			b.Fatal(err)
		}
		a.claims = append(a.claims, c)
		a.recs = append(a.recs, wal.Record{Volume: c.Volume, Epoch: c.Epoch, Seq: c.Last, Data: bytes.Repeat([]byte{1}, size)})
	}
	return a
}

func (a *appender) append(b *testing.B) {
	for i := range a.recs {
		a.recs[i].Seq++
	}
	began := time.Now()
	for time.Since(began) < a.thinks {
	}
	began = time.Now()
	for _, err := range a.log.Append(a.recs...) {
		if err != nil {
			b.Error(err)
		}
	}
	a.took = append(a.took, time.Since(began))
	if len(a.took)%64 == 0 {
		for i, c := range a.claims {
			if err := a.log.Trim(c, a.recs[i].Seq-1); err != nil {
				b.Error(err)
			}
		}
	}
}

// report reports how many calls there were a second, and how long half of them took.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/b.Elapsed().Seconds(), "calls/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
}

// run has each of the appenders append, b.N times in all.
func run(b *testing.B, appenders []*appender) {
	var wg sync.WaitGroup
	b.ResetTimer()
	for i, a := range appenders {
		wg.Go(func() {
			for n := i; n < b.N; n += len(appenders) {
				a.append(b)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	var took []time.Duration
	for _, a := range appenders {
		took = append(took, a.took...)
	}
	report(b, took)
}

// BenchmarkAppend: callers append so many records of 300 bytes each a call, to volumes that
// are theirs; beside it one writes the same bytes to a file of zeros and calls fdatasync,
// with nothing else. Without syncs it is what a call takes of the processor.
func BenchmarkAppend(b *testing.B) {
	const size = 300
	for _, records := range []int{1, 16} {
		for _, callers := range []int{1, 4, 64} {
			for _, noSync := range []bool{false, true} {
				b.Run(fmt.Sprintf("records=%d/callers=%d/nosync=%v", records, callers, noSync), func(b *testing.B) {
					log := mustOpen(b, b.TempDir(), wal.Options{NoSync: noSync})
					defer log.Close()
					var appenders []*appender
					for i := range callers {
						appenders = append(appenders, newAppender(b, log, wal.Volume(i*records), records, size))
					}
					before := log.Stats()
					b.ReportAllocs()
					run(b, appenders)
					b.ReportMetric(float64(b.N)/float64(log.Stats().Batches-before.Batches), "calls/batch")
				})
			}
			b.Run(fmt.Sprintf("records=%d/bare=%d", records, callers), func(b *testing.B) {
				bare(b, 64+callers*records*(size+32))
			})
		}
	}
}

// bare appends so many bytes, in whole blocks, to a file of zeros, and syncs them.
func bare(b *testing.B, size int) {
	const length = 8 << 20
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	data := bytes.Repeat([]byte{1}, (size+4095)&^4095)
	if _, err := f.Write(make([]byte, length)); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	var took []time.Duration
	at := int64(0)
	b.ResetTimer()
	for range b.N {
		if at+int64(len(data)) > length {
			at = 0
		}
		began := time.Now()
		if _, err := f.WriteAt(data, at); err != nil {
			b.Fatal(err)
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		at += int64(len(data))
	}
	b.StopTimer()
	report(b, took)
}

// BenchmarkThink: callers with a record of 300 bytes keep a processor busy for a while before
// they come back, as committers do.
func BenchmarkThink(b *testing.B) {
	for _, callers := range []int{4, 16} {
		for _, thinks := range []time.Duration{10 * time.Microsecond, 50 * time.Microsecond, 200 * time.Microsecond} {
			b.Run(fmt.Sprintf("callers=%d/thinks=%v", callers, thinks), func(b *testing.B) {
				log := mustOpen(b, b.TempDir(), wal.Options{})
				defer log.Close()
				var appenders []*appender
				for i := range callers {
					a := newAppender(b, log, wal.Volume(i), 1, 300)
					a.thinks = thinks
					appenders = append(appenders, a)
				}
				before := log.Stats()
				run(b, appenders)
				b.ReportMetric(float64(b.N)/float64(log.Stats().Batches-before.Batches), "calls/batch")
			})
		}
	}
}

// BenchmarkVolumes: each volume has one caller, as it has one committer, with a record of
// 3 KB; all in one log, or each in a log of its own.
func BenchmarkVolumes(b *testing.B) {
	for _, volumes := range []int{1, 4, 64} {
		for _, logs := range slices.Compact([]int{1, volumes}) {
			b.Run(fmt.Sprintf("volumes=%d/logs=%d", volumes, logs), func(b *testing.B) {
				var open []*wal.File
				for range logs {
					log := mustOpen(b, b.TempDir(), wal.Options{})
					defer log.Close()
					open = append(open, log)
				}
				var appenders []*appender
				for i := range volumes {
					appenders = append(appenders, newAppender(b, open[i%logs], wal.Volume(i), 1, 3000))
				}
				run(b, appenders)
			})
		}
	}
}

// forget has the system drop what it has of the files in memory.
func forget(b *testing.B, dir string) {
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			b.Fatal(err)
		}
		err = errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen: a log that is full, of records of 300 bytes or 40 KB, is opened, and, which
// read-ms is about, all of it is read.
func BenchmarkOpen(b *testing.B) {
	for _, size := range []int{300, 40_000} {
		for _, live := range []string{"all", "all, cold", "little"} {
			b.Run(fmt.Sprintf("size=%d/live=%s", size, live), func(b *testing.B) {
				dir := b.TempDir()
				log := mustOpen(b, dir, wal.Options{NoSync: true})
				a := newAppender(b, log, 0, 1, size)
				for err := error(nil); err == nil; {
					a.recs[0].Seq++
					err = log.Append(a.recs...)[0]
				}
				if live == "little" {
					if err := log.Trim(a.claims[0], a.recs[0].Seq-1); err != nil {
						b.Fatal(err)
					}
					if err := log.Append(a.recs...)[0]; err != nil {
						b.Fatal(err)
					}
				}
				if err := log.Close(); err != nil {
					b.Fatal(err)
				}
				var read time.Duration
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					if live == "all, cold" {
						b.StopTimer()
						forget(b, dir)
						b.StartTimer()
					}
					log := mustOpen(b, dir, wal.Options{})
					b.StopTimer()
					began, n := time.Now(), 0
					for _, err := range log.Read(b.Context(), 0, 1) {
						if err != nil && !errors.Is(err, wal.ErrTrimmed) {
							b.Fatal(err)
						}
						n++
					}
					read += time.Since(began)
					b.ReportMetric(float64(n), "records")
					if err := log.Close(); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
				b.ReportMetric(float64(read.Milliseconds())/float64(b.N), "read-ms")
			})
		}
	}
}
