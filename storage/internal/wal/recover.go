package wal

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// This file reads a log that was closed, or left behind by a crash.
//
// A batch that cannot be read is damage if a later one says that it was durable.
// Otherwise it is the torn tail of a crash, or was given up, and is no part of the log:
// all of it, since none of its records can have been acknowledged.

// recovery is the state of a log that is being opened.
type recovery struct {
	*File
	reader reader
	old    []*segment // from before it, in order
	oldest uint64     // number of the first batch that is needed
	next   uint64     // number of the batch that is due
	where  *segment   // where it is due
	at     int
	held   *found // the latest batch, not shown yet: it may be torn
	known  bool   // the directory of the oldest segment is
	gap    gap    // the latest
	listed uint64 // number of the latest batch with a directory
}

// found is a batch of a segment.
type found struct {
	batch
	segment *segment
	dir     []dirEntry
	badDir  bool
	gap     gap // before it
}

// gap is where batches are missing that were durable.
type gap struct {
	*Damage
	segment *segment
	end     uint64 // number of the batch behind it
}

// recover fills the File that is opened.
func (f *File) recover() error {
	r := &recovery{File: f}
	segments, err := r.segments()
	if err != nil {
		return err
	}
	if len(segments) > 0 && !f.opts.ReadOnly {
		// The process that has named the last of them may have crashed before the name
		// was durable.
		if err := f.opts.Disk.Sync(); err != nil {
			return err
		}
	}
	f.run = 1
	for _, s := range segments {
		f.run = max(f.run, s.run+1)
	}
	oldest := r.arrange(segments)
	if len(f.live) == 0 {
		return f.unreadable(nil, 0)
	}
	r.oldest, r.next, r.where = oldest, oldest, f.live[0]
	for i := 0; i < len(f.live) && r.scan(i); i++ {
	}
	return r.finish()
}

// segments opens all segments and sees what they are.
func (r *recovery) segments() (segments []*segment, err error) {
	f := r.File
	names, err := f.opts.Disk.List()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		number, isSegment := strings.CutSuffix(name, suffix)
		n, err := strconv.Atoi(number)
		switch {
		case (name == newName || name == newApartName) && !f.opts.ReadOnly:
			if err := f.opts.Disk.Remove(name); err != nil {
				return nil, err
			}
			continue
		case !isSegment || err != nil:
			if err := r.openApart(name); err != nil {
				return nil, err
			}
			continue
		}
		f.names = max(f.names, n)
		s := &segment{name: name}
		if s.file, err = f.opts.Disk.Open(name, f.opts.ReadOnly); err != nil {
			return nil, err
		}
		f.free = append(f.free, s) // so that it is closed
		if err := r.identify(s); err != nil {
			return nil, err
		}
		segments = append(segments, s)
	}
	return segments, nil
}

// identify finds out which batch the segment begins with. Each of its batches says so,
// as do those of earlier uses, which began with earlier ones.
func (r *recovery) identify(s *segment) error {
	size, err := s.file.Size()
	if err != nil {
		return err
	}
	s.size = int(size) &^ (blockSize - 1)
	r.reader.turn(s)
	r.reader.last = skipped // most often the first block is all that is read
	for at := 0; at < s.size; at += blockSize {
		b, ok := r.reader.batch(at)
		if ok && b.id != r.opts.ID {
			return fmt.Errorf("%w: %s", ErrForeign, s.name)
		}
		if ok && (b.first > s.first || b.first == s.first && b.run > s.run) {
			s.first, s.run = b.first, b.run
		}
		if ok && at == 0 {
			return nil
		}
	}
	return nil
}

// unreadable is the damage of a block that cannot be read and may hold what was durable
// last: in a segment that is free as far as it can be read, or at the end of the log.
func (f *File) unreadable(last *segment, end int) error {
	for _, s := range append([]*segment{last}, f.free...) {
		if s != nil && s.unread > 0 && (s != last || s.unread > end) {
			return &Damage{s.name, int64(s.unread - blockSize), "the block cannot be read, and may hold what was durable last"}
		}
	}
	return nil
}

// arrange parts the segments that are needed from those that are free. It returns the
// number of the first batch that is needed.
func (r *recovery) arrange(segments []*segment) (oldest uint64) {
	f := r.File
	f.free = nil
	slices.SortFunc(segments, func(a, b *segment) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.run, b.run)) })
	for i, s := range segments {
		// Of two that begin with the same batch, the earlier run's was given up.
		if s.first == 0 || i+1 < len(segments) && segments[i+1].first == s.first {
			s.bad = s.first > 0 // so that it is removed, and cannot be taken for one that was kept
			f.free = append(f.free, s)
		} else {
			f.live = append(f.live, s)
		}
	}
	if len(f.live) == 0 {
		return 0
	}
	// A segment is written over when the log on the disk says that it is not needed.
	last := f.live[len(f.live)-1]
	r.reader.turn(last)
	for at := 0; at < last.size; {
		b, ok := r.reader.batch(at)
		if !ok || b.first != last.first {
			at += blockSize
			continue
		}
		oldest = max(oldest, min(b.oldest, last.first))
		f.run = max(f.run, b.run+1)
		at = b.end
	}
	n := slices.IndexFunc(f.live, func(s *segment) bool { return s.first >= oldest })
	r.old = f.live[:n:n]
	f.free, f.live = append(f.free, r.old...), f.live[n:]
	return oldest
}

// scan reads the batches of a segment. It returns false if the log ends there.
func (r *recovery) scan(i int) (more bool) {
	s, limit := r.live[i], uint64(math.MaxUint64)
	if i+1 < len(r.live) {
		limit = r.live[i+1].first // from there on it was given up
	}
	r.reader.turn(s)
	if s.first == r.next {
		r.where, r.at = s, 0
	}
	for at := 0; at < s.size && r.next < limit; {
		b, ok := r.reader.batch(at)
		due := ok && s == r.where && at == r.at && b.number == r.next
		switch {
		case !ok || b.id != r.opts.ID || b.first != s.first || b.number >= limit, !due && b.number <= r.next:
			at += blockSize // what an earlier use or run has left
			continue
		case !due && b.synced < r.next:
			return false // the batch that is due was never durable
		}
		fb := &found{batch: b, segment: s}
		if !due {
			what := fmt.Sprintf("batches %d to %d, which were durable, cannot be read", r.next, b.number-1)
			fb.gap = gap{&Damage{r.where.name, int64(r.at), what}, r.where, b.number}
		}
		if e := b.entries; len(e) > 0 && e[0].volume == directory {
			list := r.reader.from(e[0].data, int(e[0].size))[:e[0].size]
			fb.badDir = sum(list) != e[0].sum
			fb.dir = readDirectory(list)
			fb.entries = e[1:]
		}
		r.show()
		r.held = fb
		r.next, r.where, r.at = b.number+1, s, b.end
		at = b.end
	}
	return true
}

// finish decides on the latest batch, and has the log go on behind it.
func (r *recovery) finish() error {
	if b := r.held; b != nil {
		data := make([]byte, b.end-b.at)
		b.segment.read(data, b.at)
		if b.whole(data) && !b.badDir {
			if err := r.settle(b, data); err != nil {
				return err
			}
			r.loose = len(b.entries) > 0
			r.show()
		} else {
			r.next, r.where, r.at = b.number, b.segment, b.at
			if b.gap.Damage != nil {
				r.gap = b.gap
			}
		}
	}
	r.begun, r.synced = r.next-1, r.next-1
	r.active, r.File.at = r.where, r.at
	n := slices.Index(r.live, r.where) + 1
	r.live, r.free = r.live[:n:n], append(r.free, r.live[n:]...)
	if err := r.unreadable(r.where, r.at); err != nil {
		return err
	}
	for _, s := range r.free {
		// What says that it is free may not be durable.
		s.after = r.begun + 1
	}
	for _, v := range r.volumes {
		v.spent = true
		if v.doubt == nil && v.seen < r.gap.end {
			v.doubt = r.gap.Damage
		}
	}
	if r.lost == nil && r.listed < r.gap.end {
		r.lost = r.gap.Damage
	}
	if err := r.attach(); err != nil {
		return err
	}
	r.keep(r.old)
	r.release()
	return nil
}

// settle makes durable the batch that is the latest (L4): it may be in the memory of the
// system only, where a sync that has failed does not find it again. So it is written again.
func (r *recovery) settle(b *found, data []byte) error {
	if r.opts.ReadOnly {
		return nil
	}
	if _, err := b.segment.file.WriteAt(data, int64(b.at)); err != nil {
		return err
	}
	return b.segment.file.Datasync()
}
