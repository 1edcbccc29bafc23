package wal

import (
	"errors"
	"slices"
	"syscall"
)

// This file keeps what was trimmed, for readers that come late: the segments behind those
// that are needed, as many as Keep says.
//
//	                 trimmed            longer than Keep, or the disk is full
//	in use (live) ───────────► kept ──────────────────────────────────────────► free
//
// Kept segments are free in all but name: a crash, and an owner with another Keep, take them
// for that. So damage in them is of no volume; it ends what is kept.

// letGo frees the kept segments that have been kept longest, until no more than so many bytes
// are. Their records cannot be read any more.
func (f *File) letGo(most int64) {
	for n := f.keptBytes(); n > most; {
		s := f.kept[0]
		f.kept = f.kept[1:]
		f.free = append(f.free, s)
		f.forgetPlaces(s)
		n -= int64(s.size)
	}
}

// forgetPlaces forgets the trimmed records in the segment, and those before them.
func (f *File) forgetPlaces(s *segment) {
	for _, v := range f.volumes {
		for i := v.trimmed - 1; i >= 0; i-- {
			if v.places[i].segment == s {
				v.places = v.places[i+1:]
				v.trimmed -= i + 1
				break
			}
		}
	}
}

// makeWay lets go of the segment that has been kept longest, if the error is that the disk
// has no room, and says whether there was one.
func (f *File) makeWay(err error) bool {
	if !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return false
	}
	f.mu.Lock()
	some := len(f.kept) > 0
	if some {
		f.letGo(f.keptBytes() - 1)
	}
	f.mu.Unlock()
	f.prune()
	return some
}

func (f *File) keptBytes() (n int64) {
	for _, s := range f.kept {
		n += int64(s.size)
	}
	return n
}

// keep finds the segments that were kept, among those from before the oldest that is needed,
// in order: each ends where the next begins.
func (r *recovery) keep(old []*segment) {
	f := r.File
	if len(f.live) == 0 {
		return
	}
	next, left := f.live[0].first, f.opts.Keep
	from := len(old)
	var found [][]entryIn
	for from > 0 && int64(old[from-1].size) <= left {
		entries, ok := r.whole(old[from-1], next)
		if !ok {
			break
		}
		from--
		next, left = old[from].first, left-int64(old[from].size)
		found = append(found, entries)
	}
	f.kept = slices.Clone(old[from:])
	f.free = slices.DeleteFunc(f.free, func(s *segment) bool { return slices.Contains(f.kept, s) })
	runs := map[Volume][]entryIn{} // of each volume the latest records without a gap
	for _, entries := range slices.Backward(found) {
		for _, e := range entries {
			run := runs[e.volume]
			if n := len(run); n > 0 && run[n-1].seq+1 != e.seq {
				run = nil
			}
			runs[e.volume] = append(run, e)
		}
	}
	for id, run := range runs {
		v := f.volumes[id]
		if v == nil || run[0].seq >= v.first() || run[len(run)-1].seq+1 < v.first() {
			continue
		}
		v.trimmed = int(v.first() - run[0].seq)
		places := make([]place, 0, v.trimmed+len(v.places))
		for _, e := range run[:v.trimmed] {
			places = append(places, place{segment: e.in, at: uint32(e.data), size: e.size, sum: e.sum, epoch: e.epoch})
		}
		v.places = append(places, v.places...)
	}
}

// entryIn is an entry with its segment.
type entryIn struct {
	entry
	in *segment
}

// whole reads the entries of a segment, and says whether it has all its batches, up to the one
// with which the next segment begins.
func (r *recovery) whole(s *segment, next uint64) (entries []entryIn, ok bool) {
	r.reader.turn(s)
	for at, number := 0, s.first; number < next; number++ {
		if at >= s.size {
			return nil, false
		}
		b, ok := r.reader.batch(at)
		if !ok || b.id != r.opts.ID || b.first != s.first || b.number != number {
			return nil, false
		}
		for _, e := range b.entries {
			if e.volume != directory {
				entries = append(entries, entryIn{e, s})
			}
		}
		at = b.end
	}
	return entries, true
}
