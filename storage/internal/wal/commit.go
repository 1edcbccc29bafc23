package wal

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// request is a record on its way into a batch.
type request struct {
	Record        // of a claim, it is complete when it was answered
	claims bool   // it is a takeover
	sum    uint32 // of the data
	err    error  // the answer, or, before it is submitted, why it is refused
	call   *call
}

// call is one caller's requests. It is used again, with its channel, by another caller.
type call struct {
	requests []request
	left     int           // requests without an answer
	done     chan struct{} // says once that there are none
}

// newCall returns a call without requests. The log has its own: a channel that was made in
// a bubble of testing/synctest is of no use outside.
func (f *File) newCall() *call {
	if c, ok := f.calls.Get().(*call); ok {
		return c
	}
	return &call{done: make(chan struct{}, 1)}
}

// recycle takes the call back.
func (f *File) recycle(c *call) {
	clear(c.requests)
	c.requests = c.requests[:0]
	f.calls.Put(c)
}

// submit has the requests answered. One caller at a time commits what all of them have
// queued; the others wait, and what comes meanwhile is the next batch.
func (f *File) submit(c *call) {
	f.mu.Lock()
	for i := range c.requests {
		if r := &c.requests[i]; r.err == nil {
			r.call = c
			c.left++
			f.queue = append(f.queue, r)
		}
	}
	waits := c.left > 0
	f.queued.Store(int64(len(f.queue)))
	f.mu.Unlock()
	for waits {
		select {
		case <-c.done:
			waits = false
		case f.turn <- struct{}{}:
			select {
			case <-c.done: // it would commit for others, and come back late
				waits = false
			default:
				f.commit()
			}
			<-f.turn
		}
	}
}

// commit makes one batch of what is queued and answers it.
func (f *File) commit() {
	if f.queued.Load() == 0 {
		return // another caller has committed it
	}
	f.gatherer.wait(func() int { return int(f.queued.Load()) })
	batch := f.take()
	if len(batch) == 0 {
		return
	}
	began := time.Now()
	s, err := f.room(batch)
	if err != nil {
		err = fmt.Errorf("%w: there is no segment for it: %w", ErrRefused, err)
	} else if err = f.write(s, batch); err != nil {
		err = fmt.Errorf("%w: %w", ErrUnknown, err)
	} else {
		f.prune()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gatherer.took, f.gatherer.expected = time.Since(began), len(batch)+len(f.queue)
	for _, r := range batch {
		f.answer(r, err)
	}
	clear(batch)
}

// take takes the next batch out of the queue. It answers what is refused.
func (f *File) take() []*request {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.taken++
	data, batch, full := 0, f.batch[:0], f.length() > f.opts.MaxLength
	f.queue = slices.DeleteFunc(f.queue, func(r *request) bool {
		fits := batchSize(len(batch)+2, data+len(r.Data)+f.opts.maxDirectory()) <= f.opts.SegmentSize
		if v := f.volumes[r.Volume]; v != nil && v.taken == f.taken || !fits && len(batch) > 0 {
			return false // for the batch after this
		}
		if err := f.admit(r, full); err != nil {
			f.answer(r, err)
			return true
		}
		batch = append(batch, r)
		data += len(r.Data)
		f.volumes[r.Volume].taken = f.taken
		return true
	})
	f.batch = batch
	f.queued.Store(int64(len(f.queue)))
	return batch
}

// admit says why the request is refused: full, that the log is longer than it may be. It
// gives a claim its epoch and its place.
func (f *File) admit(r *request, full bool) error {
	v := f.volumes[r.Volume]
	switch {
	case f.closed:
		return ErrClosed
	case f.opts.ReadOnly:
		return ErrReadOnly
	case f.replaced != nil:
		return f.replaced
	case !r.claims && (v == nil || v.spent || v.epoch != r.Epoch):
		return ErrFenced
	case !r.claims && full:
		return fmt.Errorf("%w: %w", ErrRefused, ErrFull)
	case !r.claims && r.Seq != v.last+1:
		return fmt.Errorf("%w: it is %d, the last is %d", ErrOrder, r.Seq, v.last)
	case !r.claims:
		return nil
	case v == nil && r.Volume == directory:
		return fmt.Errorf("%w: volume %d is reserved", ErrRefused, r.Volume)
	case v == nil && f.lost != nil:
		return f.lost
	case v == nil && (len(f.volumes)+2)*dirSize > f.opts.maxDirectory():
		return fmt.Errorf("%w: %w: it has %d volumes", ErrRefused, ErrFull, len(f.volumes))
	case v == nil:
		v = &volume{spent: true}
		f.volumes[r.Volume] = v
	case v.doubt != nil:
		return v.doubt
	}
	r.Epoch, r.Seq = v.epoch+1, v.last+1
	return nil
}

// answer tells the caller.
func (f *File) answer(r *request, err error) {
	r.err = err
	if r.call.left--; r.call.left == 0 {
		r.call.done <- struct{}{}
	}
}

// room returns the segment that the batch goes to, which has the blocks for it. What is kept
// makes way on a disk that is full.
func (f *File) room(batch []*request) (s *segment, err error) {
	for {
		if s, err = f.roomFor(batch); err == nil || !f.makeWay(err) {
			return s, err
		}
	}
}

// roomFor returns the segment that the batch goes to, if the disk has room.
func (f *File) roomFor(batch []*request) (s *segment, err error) {
	if err := f.present(f.active); err != nil {
		return nil, err
	}
	s, at := f.active, f.at
	if s == nil || f.failed || at+f.size(batch, at) > s.size {
		size, bound := f.size(batch, 0), f.opts.MaxLength
		if size > f.opts.SegmentSize {
			size += blockSize // for Close
		} else {
			size = f.opts.SegmentSize
		}
		if len(batch) == 0 || slices.ContainsFunc(batch, func(r *request) bool { return r.claims }) {
			bound += reserve * int64(f.opts.SegmentSize)
		}
		if s, err = f.fresh(size, bound); err != nil {
			return nil, err
		}
		if err := f.present(s); err != nil {
			return nil, err
		}
		at = 0
	}
	return s, f.fill(s, at, at+f.size(batch, at))
}

// present says whether the file of the segment, if there is one, is still the one that will
// be opened by its name. If it is not, the log ends: what comes next would be behind a gap.
func (f *File) present(s *segment) error {
	if s == nil {
		return nil
	}
	err := s.file.Present(int64(s.size))
	if errors.Is(err, ErrReplaced) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.replaced = err
	}
	return err
}

// size is that of the batch at the offset of a segment. The first has the directory.
func (f *File) size(batch []*request, at int) int {
	data, entries := 0, len(batch)
	for _, r := range batch {
		data += len(r.Data)
	}
	if at == 0 {
		data, entries = data+(len(f.volumes)+1)*dirSize, entries+1
	}
	return batchSize(entries, data)
}

// keptBuf is how large a buffer is kept for the next batch.
const keptBuf = 1 << 20

// write makes the batch durable in the segment: the active one or a fresh one. If that
// fails the segment is given up from this batch on, and another one says where it ends.
func (f *File) write(s *segment, batch []*request) error {
	at := f.at
	if s != f.active {
		at = 0
	}
	h, dir := f.header(s, at)
	entries := f.entries[:0]
	if at == 0 {
		entries = append(entries, entry{volume: directory, sum: sum(dir), size: uint32(len(dir))})
	}
	for _, r := range batch {
		entries = append(entries, entry{volume: r.Volume, sum: r.sum, seq: r.Seq, epoch: r.Epoch, size: uint32(len(r.Data))})
	}
	f.entries = entries
	f.buf = append(appendBatch(f.buf[:0], h, entries), dir...)
	for _, r := range batch {
		f.buf = append(f.buf, r.Data...)
	}
	f.buf = append(f.buf, zeros[:padded(len(f.buf))-len(f.buf)]...)
	_, err := s.file.WriteAt(f.buf, int64(at))
	if err == nil {
		err = s.file.Datasync()
	}
	if err != nil {
		f.giveUp(s, batch)
		return err
	}
	f.publish(s, batch, entries[len(entries)-len(batch):], h, at)
	f.at, f.loose = at+len(f.buf), len(batch) > 0
	if cap(f.buf) > keptBuf {
		f.buf = nil
	}
	return nil
}

// header begins a batch at the offset of the segment, with the directory if it is the first.
func (f *File) header(s *segment, at int) (h header, dir []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun++
	h = header{id: f.opts.ID, first: s.first, number: f.begun, run: f.run, synced: f.synced, oldest: f.begun}
	if len(f.live) > 0 {
		h.oldest = f.live[0].first
	}
	if at == 0 {
		h.first, dir = f.begun, f.directory()
	}
	return h, dir
}

// directory is what is known of all volumes.
func (f *File) directory() []byte {
	var dir []dirEntry
	for id, v := range f.volumes {
		if v.last > 0 || v.doubt != nil {
			dir = append(dir, dirEntry{volume: id, epoch: v.epoch, last: v.last, flags: v.flags()})
		}
	}
	if f.lost != nil {
		dir = append(dir, dirEntry{volume: directory, flags: inDoubt})
	}
	return appendDirectory(nil, dir)
}

// flags are those of the volume in a directory.
func (v *volume) flags() (flags uint32) {
	if v.doubt != nil {
		flags |= inDoubt
	}
	if v.missing != nil || v.hasApart() {
		flags |= isApart
	}
	return flags
}

// publish shows what is durable.
func (f *File) publish(s *segment, batch []*request, entries []entry, h header, at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.synced = h.number
	if s != f.active {
		s.first = h.first
		f.live = append(f.live, s)
		f.active, f.failed = s, false
	}
	for i, r := range batch {
		v := f.volumes[r.Volume]
		v.epoch, v.last, v.spent = r.Epoch, r.Seq, false
		v.places = append(v.places, place{
			segment: s, at: uint32(at + entries[i].data), size: entries[i].size, sum: r.sum, epoch: r.Epoch,
		})
		s.records++
	}
	f.release()
}

// giveUp trusts the segment no more. What it holds from the batch on is not in the log
// once a segment that begins with a batch of the same number, in a later run, is durable.
func (f *File) giveUp(s *segment, batch []*request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begun--
	f.run++
	f.failed, s.bad = true, true
	if s != f.active {
		s.after = f.begun + 1
		f.free = append(f.free, s)
	}
	for _, r := range batch {
		f.volumes[r.Volume].spent = true
	}
}
