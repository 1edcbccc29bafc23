package wal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// This file moves what the log has of one volume out of its way. A volume that cannot be
// copied keeps its records for as long as that lasts, and so would keep the segments, and all
// behind them. Its records alone are one batch in a file of their own: NUMBER-VOLUME.apart.
//
//	file written and synced ──► it has its name ──► the segments are free ──► used again
//
// A crash before the last step leaves the records twice: those in the segments count.

const (
	apartSuffix  = ".apart"
	newApartName = "new" + apartSuffix // of a file that is not whole yet
)

// MoveApart copies what the log has of the volume, and was not trimmed, to a file of its own,
// which counts apart from MaxLength and is removed when its records were trimmed: they are
// read, trimmed and salvaged as before, and hold back no segment. Damage goes along. It is durable
// when MoveApart returns; after an error nothing has changed. Appends go on meanwhile.
func (f *File) MoveApart(id Volume) error {
	f.moving.Lock()
	defer f.moving.Unlock()
	f.mu.Lock()
	v := f.volumes[id]
	switch {
	case f.closed:
		f.mu.Unlock()
		return ErrClosed
	case f.opts.ReadOnly:
		f.mu.Unlock()
		return ErrReadOnly
	case v == nil || len(v.needed()) == 0 || v.places[len(v.places)-1].segment.isApart:
		f.mu.Unlock()
		return nil
	}
	places, first := v.needed(), v.first()+uint64(v.trimmed) // the places are never changed where they stand, only below
	f.names++
	s := &segment{name: fmt.Sprintf("%06d-%d%s", f.names, id, apartSuffix), isApart: true, of: id}
	h := header{id: f.opts.ID, number: f.begun, run: f.run, synced: f.synced}
	f.mu.Unlock()

	moved, err := f.copyApart(s, h, places, first)
	if err != nil {
		return errors.Join(err, f.opts.Disk.Remove(newApartName))
	}
	f.turn <- struct{}{} // so that the log is not closed
	defer func() { <-f.turn }()
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return errors.Join(ErrClosed, f.opts.Disk.Remove(newApartName))
	}
	if s.file, err = f.named(newApartName, s.name); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apart = append(f.apart, s)
	v.places = slices.Clone(v.places) // it may be read
	for i, p := range moved {
		// Some may have been trimmed, or given up, meanwhile.
		if seq := first + uint64(i); seq >= v.first()+uint64(v.trimmed) && seq <= v.last {
			was := &v.places[seq-v.first()]
			was.segment.records--
			*was = p
			s.records++
		}
	}
	f.release()
	return nil
}

// copyApart writes the records, which begin with the number, to a file that has no name yet,
// and makes it durable. It returns where they are. What cannot be read is no record there
// either: the sum does not fit.
func (f *File) copyApart(s *segment, h header, places []place, first uint64) (moved []place, err error) {
	entries := make([]entry, len(places))
	total := int64(headerSize)
	for i, p := range places {
		entries[i] = entry{volume: s.of, seq: first + uint64(i)}
		if p.damage == nil {
			entries[i].sum, entries[i].epoch, entries[i].size = p.sum, p.epoch, p.size
		}
		total += entrySize + int64(entries[i].size)
	}
	if total > math.MaxUint32-blockSize {
		return nil, fmt.Errorf("%w: %d bytes of volume %d cannot be moved out of it, at most 4 GiB", ErrFull, total, s.of)
	}
	d := f.opts.Disk
	_ = d.Remove(newApartName) // of a failure before
	file, err := d.Create(newApartName)
	if err != nil {
		return nil, err
	}
	head := appendBatch(nil, h, entries)
	_, err = file.WriteAt(head, 0)
	var data []byte
	for i, e := range entries {
		if err != nil {
			break
		}
		p := places[i]
		data = slices.Grow(data[:0], int(e.size))[:e.size]
		if e.size > 0 {
			if _, unread := p.segment.file.ReadAt(data, int64(p.at)); unread != nil {
				clear(data)
			}
			_, err = file.WriteAt(data, int64(e.data))
		}
		moved = append(moved, place{segment: s, damage: p.damage, at: uint32(e.data), size: e.size, sum: e.sum, epoch: e.epoch})
	}
	s.size = padded(int(total))
	if err == nil {
		_, err = file.WriteAt(zeros[:s.size-int(total)], total)
	}
	if err == nil {
		err = file.Sync()
	}
	return moved, errors.Join(err, file.Close())
}

// openApart opens a file of records that were moved apart, if that is one.
func (r *recovery) openApart(name string) error {
	text, isApart := strings.CutSuffix(name, apartSuffix)
	number, volume, _ := strings.Cut(text, "-")
	n, err := strconv.Atoi(number)
	id, wrong := strconv.ParseUint(volume, 10, 32)
	if !isApart || err != nil || wrong != nil {
		return nil
	}
	f := r.File
	f.names = max(f.names, n)
	s := &segment{name: name, isApart: true, of: Volume(id)}
	if s.file, err = f.opts.Disk.Open(name, f.opts.ReadOnly); err != nil {
		return err
	}
	f.apart = append(f.apart, s)
	size, err := s.file.Size()
	s.size = int(size)
	return err
}

// attach puts the records that were moved apart in front of those that the segments have.
// What does not fit there is of before: those were trimmed, or are in the segments still.
func (r *recovery) attach() error {
	f := r.File
	slices.SortFunc(f.apart, func(a, b *segment) int {
		return cmp.Or(cmp.Compare(len(b.name), len(a.name)), cmp.Compare(b.name, a.name)) // the latest of a volume has most
	})
	for _, s := range f.apart {
		v := f.volumes[s.of]
		if v == nil {
			continue // the segments that told of it are missing
		}
		data := make([]byte, headerSize)
		s.read(data, 0)
		head := min(headSize(data), s.size)
		data = make([]byte, max(head, headerSize))
		s.read(data, 0)
		b, ok := readBatch(data, 0, s.size)
		switch {
		case ok && b.id != f.opts.ID:
			return fmt.Errorf("%w: %s", ErrForeign, s.name)
		case !ok || len(b.entries) == 0 || b.entries[0].volume != s.of:
			v.missing = &Damage{s.name, 0, fmt.Sprintf("which records of volume %d are here is not what was written", s.of)}
			continue
		}
		first := b.entries[0].seq
		if first >= v.first() || b.entries[len(b.entries)-1].seq+1 < v.first() {
			continue
		}
		var moved []place
		for _, e := range b.entries[:v.first()-first] {
			p := place{segment: s, at: uint32(e.data), size: e.size, sum: e.sum, epoch: e.epoch}
			if e.epoch == 0 {
				p.damage = &Damage{s.name, int64(e.data), fmt.Sprintf("record %d of volume %d was lost before it was moved here", e.seq, s.of)}
			}
			moved = append(moved, p)
		}
		s.records = len(moved)
		v.places = append(moved, v.places...)
	}
	for id, v := range f.volumes {
		if v.apart && v.missing == nil && !v.hasApart() {
			v.missing = &Damage{"*" + apartSuffix, 0, fmt.Sprintf("the file with records of volume %d is missing", id)}
		}
	}
	return nil
}

// hasApart says whether the oldest record of the volume was moved apart.
func (v *volume) hasApart() bool { return len(v.needed()) > 0 && v.needed()[0].segment.isApart }

// releaseApart frees the files whose records were trimmed. Of a volume that is damaged they
// stay until it is salvaged.
func (f *File) releaseApart() {
	f.apart = slices.DeleteFunc(f.apart, func(s *segment) bool {
		v := f.volumes[s.of]
		if s.records > 0 || v == nil || v.damaged() {
			return false
		}
		s.after, s.bad = f.begun+1, true // so that it is removed
		f.forgetPlaces(s)
		f.free = append(f.free, s)
		return true
	})
}
