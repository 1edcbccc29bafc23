package storage

import (
	"time"

	"carillon/internal/histogram"
)

// Histogram is how many values there were of each size.
type Histogram struct {
	Unit   int64      // the first bound
	Counts [21]uint64 // of values up to Bound(i) and above the bound before; at last of those above all
	Sum    int64      // of the values
}

// Bound is the bound of Counts[i]: twice that before it.
func (h *Histogram) Bound(i int) int64 { return (*histogram.Counts)(h).Bound(i) }

// Total is how many values there were.
func (h *Histogram) Total() uint64 { return (*histogram.Counts)(h).Total() }

// Since is what was counted after before, which the same histogram had at an earlier instant.
func (h *Histogram) Since(before *Histogram) Histogram {
	d := Histogram{Unit: h.Unit, Sum: h.Sum - before.Sum}
	for i := range d.Counts {
		d.Counts[i] = h.Counts[i] - before.Counts[i]
	}
	return d
}

// Quantile is what so many of a thousand of the values are not above, as far as the buckets tell: within one
// the values are taken to lie evenly, and beyond the last bound to be that bound. Of no values it is 0.
func (h *Histogram) Quantile(permille int) int64 {
	total := h.Total()
	rank, below := float64(total)*float64(permille)/1000, uint64(0)
	for i, n := range h.Counts[:len(h.Counts)-1] {
		if n > 0 && float64(below+n) >= rank {
			from := int64(0)
			if i > 0 {
				from = h.Bound(i - 1)
			}
			return from + int64(float64(h.Bound(i)-from)*(rank-float64(below))/float64(n))
		}
		below += n
	}
	if total == 0 {
		return 0
	}
	return h.Bound(len(h.Counts) - 2)
}

// Latency is how long things took, as far as the buckets of a histogram tell.
type Latency struct {
	Count    int64
	P50, P99 time.Duration // Histogram.Quantile; 0 if Count is
}

// Latency is that of a histogram of nanoseconds.
func (h *Histogram) Latency() Latency {
	return Latency{int64(h.Total()), time.Duration(h.Quantile(500)), time.Duration(h.Quantile(990))}
}

// The first bounds of a store's histograms.
const (
	timeUnit  = int64(64 * time.Microsecond)
	bytesUnit = 256
)

// Stats are what a store has written since Open. For engines.
type Stats struct {
	Commits int64 // records of the log: the group commit's measure
	Syncs   int64 // of the log: commits of several volumes may share one
	Written int64 // bytes of the log, and of the files' pages

	LogBytes int64  // of the log now, what it keeps for backups included
	Uncopied uint64 // records of the log that the files do not have yet

	BatchTime   Histogram // nanoseconds from when change sets were taken together until they were answered
	BatchBytes  Histogram // what they weighed together, about bytes
	SyncTime    Histogram // nanoseconds of each of the Syncs
	Checkpoints Histogram // nanoseconds that it took to bring a file up to date
}

// Stats returns what the store has written since Open. It waits for a volume that is being
// opened anew.
func (s *Store) Stats() Stats {
	var st Stats
	for _, v := range s.volumes {
		st.Commits += v.commits.Load()
		st.Written += v.written.Load()
		for into, of := range map[*Histogram]*histogram.Histogram{&st.BatchTime: &v.batchTime, &st.BatchBytes: &v.batchBytes, &st.Checkpoints: &v.checkpoints} {
			counts := of.Counts()
			(*histogram.Counts)(into).Add(&counts)
		}
	}
	log := s.log.Stats()
	st.Syncs, st.Written = log.Syncs, st.Written+log.Bytes
	st.LogBytes, st.SyncTime, st.Uncopied = log.Length, Histogram(log.Synced), s.Uncopied()
	return st
}

// VolumeStats is what there is to say of a volume.
type VolumeStats struct {
	VolumeHealth
	Epoch     uint64 // how often the file has had an owner; 0 while the volume is down
	Bytes     int64  // of the file, as it was when it was last brought up to date; 0 while the volume is down
	FreeBytes int64  // of those: pages that are used again before the file grows
	Uncopied  uint64 // records of the log that the file does not have yet
	Commits   int64  // since Open
	Written   int64  // bytes of the file's pages, since Open
}

// Options returns the options in force: those of Open, with their defaults, and as many volumes as
// the store has.
func (s *Store) Options() Options {
	o := s.opts
	o.Volumes = len(s.volumes)
	return o
}

// VolumeStats returns what there is to say of each volume, in their order. It waits for a volume that is
// being opened anew, and for the file system as Volumes does.
func (s *Store) VolumeStats() []VolumeStats {
	list := make([]VolumeStats, len(s.volumes))
	for i, v := range s.volumes {
		st := &list[i]
		st.VolumeHealth = VolumeHealth{v.name, v.health()}
		st.Commits, st.Written = v.commits.Load(), v.written.Load()
		v.mu.RLock()
		if v.db != nil {
			st.Epoch, st.Uncopied = v.epoch, v.db.Uncopied()
			st.Bytes, st.FreeBytes = v.db.Sizes()
		}
		v.mu.RUnlock()
	}
	return list
}

// CommitTimes is Stats.BatchTime alone, for which it waits for nothing.
func (s *Store) CommitTimes() (all Histogram) {
	for _, v := range s.volumes {
		counts := v.batchTime.Counts()
		(*histogram.Counts)(&all).Add(&counts)
	}
	return all
}

// Depth is how much there is in all apps together.
type Depth struct {
	Apps                         int
	Pending, Held, Dead, History int // jobs; those that run are pending here
	Groups                       int // that have not ended
	Unreadable                   int // apps, and volumes, whose counters are not in it
}
