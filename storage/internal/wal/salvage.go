package wal

import (
	"fmt"
	"slices"
)

// Salvage accepts that records of a damaged volume are lost: the log gives up all that it
// has of it, and the volume can be claimed and trimmed again. What can be read of it is
// read before. The loss is accepted for good when the claim that follows is durable.
//
// The volume goes on behind every number and epoch that a lost record can have had.
func (f *File) Salvage(id Volume) error {
	f.turn <- struct{}{} // so that no append is under way
	defer func() { <-f.turn }()
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.volumes[id]
	switch {
	case f.closed:
		return ErrClosed
	case f.opts.ReadOnly:
		return ErrReadOnly
	case id == directory, v == nil && f.lost == nil, v != nil && !v.damaged():
		return fmt.Errorf("%w: nothing of volume %d is damaged", ErrRefused, id)
	case v == nil:
		v = &volume{}
		f.volumes[id] = v
	}
	for _, p := range v.needed() {
		p.segment.records--
	}
	// A volume has one record in a batch at most, and one epoch in a record.
	*v = volume{last: f.begun, epoch: f.begun, spent: true}
	f.release()
	return nil
}

// Behind returns what the log has of the volume behind a record: the number of the last one,
// how many of them have data, or cannot be told, and the bytes of those that can.
func (f *File) Behind(id Volume, seq uint64) (last uint64, records int, bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.volumes[id]
	if v == nil {
		return 0, 0, 0
	}
	for i, p := range v.places {
		if v.first()+uint64(i) > seq && (p.size > 0 || p.damage != nil) {
			records++
			bytes += int64(p.size)
		}
	}
	return v.last, records, bytes
}

// damaged says whether records of the volume are, or may be, lost.
func (v *volume) damaged() bool {
	return v.doubt != nil || v.missing != nil || slices.ContainsFunc(v.needed(), func(p place) bool { return p.damage != nil })
}
