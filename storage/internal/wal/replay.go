package wal

import "fmt"

// This file makes of the batches of a log what is known of its volumes, when it is opened.

// show takes in the batch that is held, now that one behind it says that it was durable.
func (r *recovery) show() {
	b := r.held
	if b == nil {
		return
	}
	if b.gap.Damage != nil {
		r.gap = b.gap
	}
	if b.at == 0 {
		r.list(b)
	}
	for _, e := range b.entries {
		if e.seq == 0 || e.seq > b.number {
			continue // it has a record a batch at most
		}
		v := r.volume(e.volume, e.seq-1)
		v.seen = b.number
		if e.seq <= v.last {
			v.doubt = &Damage{b.segment.name, int64(b.at), fmt.Sprintf("record %d of volume %d comes after record %d", e.seq, e.volume, v.last)}
			continue
		}
		r.extend(v, e.seq-1, b)
		v.epoch, v.last = max(v.epoch, e.epoch), e.seq
		v.doubt = nil // else it would not have been claimed
		v.places = append(v.places, place{segment: b.segment, at: uint32(e.data), size: e.size, sum: e.sum, epoch: e.epoch})
		b.segment.records++
	}
}

// list takes in the directory of a segment.
func (r *recovery) list(b *found) {
	oldest := b.number == r.oldest
	switch {
	case b.badDir && oldest:
		r.gap = gap{&Damage{b.segment.name, int64(b.at), "the list of volumes is not what was written"}, b.segment, b.number}
		return
	case b.badDir:
		return // what comes before it tells the same
	}
	r.listed = b.number
	for _, d := range b.dir {
		var doubt *Damage
		if d.flags&inDoubt != 0 {
			doubt = &Damage{b.segment.name, int64(b.at), "records were lost before it"}
		}
		if d.volume == directory {
			r.lost = doubt
			continue
		}
		if d.last >= b.number {
			continue
		}
		if oldest {
			r.volumes[d.volume] = &volume{last: d.last}
		}
		v := r.volume(d.volume, d.last)
		r.extend(v, d.last, b)
		v.epoch, v.seen, v.doubt = max(v.epoch, d.epoch), b.number, doubt
		v.apart = d.flags&isApart != 0
	}
	r.known = r.known || oldest
}

// volume returns the volume, of which the log tells for the first time if it is not
// known. Then it was empty, unless the directory that would say so is missing.
func (r *recovery) volume(id Volume, last uint64) *volume {
	v := r.volumes[id]
	if v == nil {
		v = &volume{}
		if !r.known {
			v.last = max(last, 1) - 1
		}
		r.volumes[id] = v
	}
	return v
}

// most is of how many records of a volume that are lost the log keeps account.
const most = 1 << 16

// extend notes that records of the volume are missing up to the sequence number.
func (r *recovery) extend(v *volume, last uint64, b *found) {
	if v.last >= last {
		return
	}
	if r.gap.Damage == nil {
		r.gap = gap{&Damage{b.segment.name, int64(b.at), "records before it are missing"}, b.segment, b.number}
	}
	if last-v.last > most {
		for _, p := range v.places {
			p.segment.records--
		}
		v.places, v.last = nil, last-most
	}
	for v.last < last {
		v.last++
		v.places = append(v.places, place{segment: r.gap.segment, damage: r.gap.Damage})
		r.gap.segment.records++
	}
}
