package wal

import (
	"errors"
	"fmt"
	"slices"
)

// segment is a file of the log. Those of SegmentSize are used again and again, one that was
// made for a single large record is not.
type segment struct {
	name    string
	file    DiskFile
	size    int
	filled  int    // up to where it was written since it was made or opened
	first   uint64 // number of its first batch; 0 if it has none
	run     uint64 // of that batch, while the log is opened
	records int    // that were not trimmed
	bad     bool   // a write or a sync has failed: it is used no more
	after   uint64 // a free one: it is needed until this batch is durable
	unread  int    // offset behind its last block that could not be read; 0 if all can
	isApart bool   // it has the records that were moved apart, of one volume
	of      Volume // that volume
}

const (
	suffix  = ".log"
	newName = "new" // of a segment that has not its size yet
)

// reserve is how many segments more there may be for claims, without which nothing is
// trimmed. One holds thousands; each write that fails takes another.
const reserve = 4

// length is how many bytes the segments have that hold what was not trimmed.
func (f *File) length() (n int64) {
	for _, s := range f.live {
		if s.records > 0 || s != f.active {
			n += int64(s.size)
		}
	}
	return n
}

// fresh returns a segment of the size to begin, one of earlier use if there is one. It is
// refused if the log became longer than the bound.
func (f *File) fresh(size int, bound int64) (*segment, error) {
	f.mu.Lock()
	if n := f.length(); n+int64(size) > bound {
		f.mu.Unlock()
		return nil, fmt.Errorf("%w: %d bytes, and %d are needed", ErrFull, n, size)
	}
	i := slices.IndexFunc(f.free, func(s *segment) bool { return s.usable(f.synced) && !s.bad && s.size == size })
	if i >= 0 && size == f.opts.SegmentSize {
		s := f.free[i]
		f.free = slices.Delete(f.free, i, i+1)
		f.mu.Unlock()
		return s, nil
	}
	f.names++
	name := fmt.Sprintf("%06d%s", f.names, suffix)
	f.mu.Unlock()
	return f.create(name, size)
}

// usable says whether the segment may be written over: after a crash, a batch that is
// durable says that it is not needed (L7).
func (s *segment) usable(synced uint64) bool { return s.after <= synced }

// create makes a segment of holes.
func (f *File) create(name string, size int) (_ *segment, err error) {
	d := f.opts.Disk
	_ = d.Remove(newName) // of a failure before
	file, err := d.Create(newName)
	if err != nil {
		return nil, err
	}
	_, err = file.WriteAt(zeros[:blockSize], int64(size-blockSize))
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		_ = d.Remove(newName)
		return nil, err
	}
	if file, err = f.named(newName, name); err != nil {
		return nil, err
	}
	return &segment{name: name, file: file, size: size}, nil
}

// named gives a file that is durable its name, durably, and opens it.
func (f *File) named(from, name string) (file DiskFile, err error) {
	d := f.opts.Disk
	if err = d.Rename(from, name); err == nil {
		err = d.Sync()
	}
	if err == nil {
		file, err = d.Open(name, false)
	}
	if err != nil {
		_ = errors.Join(d.Remove(from), d.Remove(name)) // one is there
		return nil, err
	}
	return file, nil
}

// fillStep is how much of a segment is filled at a time.
const fillStep = 256 << 10

var zeros [fillStep]byte

// fill writes zeros up to the end of a batch that begins at the offset, and further, in
// steps, and syncs them: a sync of blocks that were written before has no need of the file
// system's journal, and a disk that is full shows before the batch is written. One block more
// is for Close.
//
// A batch relies on no sync that has to make blocks the file's: on an ext4 that is shutting
// down, Linux (6.18) answers some of these with success though its journal has ended in the
// middle, and the blocks read as zeros afterwards. Whatever is written after such a sync fails.
//
// If filling fails another segment is next, one that is filled if there is one.
func (f *File) fill(s *segment, at, end int) (err error) {
	s.filled = max(s.filled, at)
	end = min(end+blockSize, s.size)
	step := min(fillStep, padded(f.opts.SegmentSize/4))
	filled := s.filled
	for to := min((end+step-1)/step*step, s.size); filled < end && err == nil; {
		var n int
		n, err = s.file.WriteAt(zeros[:min(to-filled, len(zeros))], int64(filled))
		filled += n &^ (blockSize - 1)
	}
	if filled > s.filled && (err == nil || filled >= end) {
		if err = s.file.Sync(); err == nil {
			s.filled = filled
		}
	}
	switch {
	case s.filled >= end:
		return nil
	case s != f.active:
		return errors.Join(err, s.file.Close(), f.opts.Disk.Remove(s.name))
	}
	f.failed, s.bad = true, true
	return err
}

// release frees the oldest segments if all in them was trimmed. They are needed until a
// batch that says so is durable.
func (f *File) release() {
	for len(f.live) > 1 && f.live[0].records == 0 {
		s := f.live[0]
		s.after = f.begun + 1
		f.live = f.live[1:]
		f.kept = append(f.kept, s)
	}
	f.letGo(max(f.opts.Keep, 0))
	f.releaseApart()
}

// prune removes segments that are of no more use. One that cannot be removed is found
// when the log is opened next.
func (f *File) prune() {
	f.mu.Lock()
	spare := 0
	var old []*segment
	f.free = slices.DeleteFunc(f.free, func(s *segment) bool {
		switch {
		case !s.usable(f.synced):
			return false
		case s.bad || s.size != f.opts.SegmentSize || spare == f.opts.Spare:
			old = append(old, s)
			return true
		}
		spare++
		return false
	})
	f.mu.Unlock()
	for _, s := range old {
		_ = errors.Join(s.file.Close(), f.opts.Disk.Remove(s.name))
	}
}
