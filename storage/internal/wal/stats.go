package wal

import (
	"sync/atomic"
	"time"

	"carillon/internal/histogram"
)

// Stats is what a File has written since it was opened.
type Stats struct {
	Batches int64            // each is one write and one sync
	Syncs   int64            // of batches, of segments that were made, of names; none with NoSync
	Bytes   int64            // of batches, padding included, and of zeros that segments were filled with
	Length  int64            // bytes of the log now
	Synced  histogram.Counts // how long the Syncs took, in nanoseconds
}

// Stats may be called at any time.
func (f *File) Stats() Stats {
	m := f.meter
	f.mu.Lock()
	length := f.length()
	f.mu.Unlock()
	return Stats{Batches: m.batches.Load(), Syncs: m.syncs.Load(), Bytes: m.bytes.Load(), Length: length, Synced: m.synced.Counts()}
}

// meter is a Disk that counts what is written to another one. With noSync it syncs nothing.
type meter struct {
	Disk
	noSync                bool
	batches, syncs, bytes atomic.Int64
	synced                histogram.Histogram
}

// sync counts the sync and makes it.
func (m *meter) sync(sync func() error) error {
	if m.noSync {
		return nil
	}
	m.syncs.Add(1)
	defer m.synced.Since(time.Now())
	return sync()
}

func (m *meter) Sync() error { return m.sync(m.Disk.Sync) }

func (m *meter) Create(name string) (DiskFile, error) { return m.metered(m.Disk.Create(name)) }

func (m *meter) Open(name string, readOnly bool) (DiskFile, error) {
	return m.metered(m.Disk.Open(name, readOnly))
}

func (m *meter) metered(file DiskFile, err error) (DiskFile, error) {
	if err != nil {
		return nil, err
	}
	return meteredFile{file, m}, nil
}

type meteredFile struct {
	DiskFile
	*meter
}

func (f meteredFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.DiskFile.WriteAt(p, at)
	f.bytes.Add(int64(n))
	return n, err
}

func (f meteredFile) Sync() error { return f.sync(f.DiskFile.Sync) }

func (f meteredFile) Datasync() error {
	f.batches.Add(1)
	return f.sync(f.DiskFile.Datasync)
}
