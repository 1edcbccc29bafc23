package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"carillon/internal/histogram"
	"carillon/storage/internal/osdir"
)

// Options of OpenFile. The zero value is ready for use.
type Options struct {
	// ID tells the log from others: segments that bear another one are refused.
	ID uint64
	// SegmentSize is the size of a segment in bytes, rounded up to 4 KiB, from 16 KiB
	// to 1 GiB. Default: 8 MiB.
	SegmentSize int
	// MaxLength bounds the segments that hold what was not trimmed, in bytes. Four more are
	// for claims, and one is for what was trimmed and is not written over yet. At least two
	// segments. Default: 1 GiB.
	MaxLength int64
	// MaxRecord is how many bytes of data a record may have, if MaxLength has room for it
	// and for two segments. One for which a segment is too small has a segment of its own.
	// At least what fits in a segment, at most 1 GiB. Default: 64 MiB.
	MaxRecord int
	// Spare is how many segments are kept for later use beside those in use. Default: 8.
	Spare int
	// Keep is how many bytes of segments are kept, beside MaxLength and Spare, after what they
	// hold was trimmed: it is read until they are let go, those first that have been kept longest, also
	// when the disk is full. Default: none.
	Keep int64
	// ReadOnly has the log write nothing: claims and appends are refused, and what it shows
	// may not be durable. It may be open more than once so, and not otherwise meanwhile.
	ReadOnly bool
	// NoSync has the log sync nothing: a power cut may lose what was acknowledged, or all
	// of the log. The death of the process alone loses nothing. For tests.
	NoSync bool
	// LockTimeout is how long to wait for a log that is in use. Default: not at all.
	LockTimeout time.Duration
	// Disk is where the segments are. Default: the directory.
	Disk Disk
}

func (o Options) withDefaults(path string) Options {
	o.SegmentSize = padded(min(max(cmp.Or(o.SegmentSize, 8<<20), 4*blockSize), 1<<30))
	o.MaxLength = max(cmp.Or(o.MaxLength, 1<<30), 2*int64(o.SegmentSize))
	o.MaxRecord = int(min(int64(cmp.Or(o.MaxRecord, 64<<20)), 1<<30, o.MaxLength-2*int64(o.SegmentSize)))
	o.MaxRecord = max(o.MaxRecord, o.SegmentSize-o.maxDirectory()-headerSize-2*entrySize)
	o.Spare = cmp.Or(o.Spare, 8)
	if o.Disk == nil {
		o.Disk = dir(path)
	}
	return o
}

// File is a Log in a directory: segments that are filled with zeros ahead of what is
// written, and written over when what they held was trimmed. Callers of Append that come together share
// a write and a sync.
type File struct {
	opts   Options
	meter  *meter // the Disk
	unlock func() error
	calls  sync.Pool // of calls that were answered

	// turn is held by the caller that commits for all; what stands below it is the holder's.
	turn     chan struct{}
	gatherer gatherer
	batch    []*request // these three are used again
	entries  []entry
	buf      []byte
	run      uint64
	active   *segment
	at       int  // where the next batch goes in the active segment
	failed   bool // a batch has failed: the next one begins a segment
	loose    bool // nothing on the disk says yet that the latest batch is durable

	moving sync.Mutex // held by MoveApart

	mu       sync.Mutex // for what stands below; held while nothing waits for the disk
	closed   bool
	queued   atomic.Int64 // how long the queue is
	replaced error        // a file was found to be: nothing is appended any more
	queue    []*request
	taken    uint64 // how many times requests were taken out of it
	volumes  map[Volume]*volume
	lost     *Damage    // of volumes that are not known, if there may be some
	live     []*segment // oldest first; the active one is the last
	free     []*segment
	kept     []*segment // that were trimmed, and are read still; oldest first, the live ones come next
	apart    []*segment // of volumes whose records were moved
	begun    uint64     // number of the latest batch
	synced   uint64     // number of the latest batch that is durable
	names    int        // number in the latest segment's name
}

// volume is what is known of one.
type volume struct {
	epoch   uint64
	last    uint64
	spent   bool    // no claim is in force, or the outcome of an append is unknown
	places  []place // of the latest records, those first that were trimmed and are kept
	trimmed int     // how many of them these are
	doubt   *Damage // there may have been records behind the last
	missing *Damage // there may have been records before the first
	apart   bool    // while the log is opened: the latest directory says that records were moved apart
	taken   uint64  // when a request was last taken: a batch has one of a volume
	seen    uint64  // while the log is opened: the latest batch that has told of the volume
}

// place is where a record is.
type place struct {
	segment *segment
	damage  *Damage // nil, or why the record cannot be read
	at      uint32
	size    uint32
	sum     uint32
	epoch   uint64
}

// first is the number of the first record that is there.
func (v *volume) first() uint64 { return v.last + 1 - uint64(len(v.places)) }

// needed are the places of the records that were not trimmed.
func (v *volume) needed() []place { return v.places[v.trimmed:] }

// OpenFile opens the log in the directory, which must exist. It makes durable what it
// shows. What it finds damaged is an error of the volumes that it concerns. An error of
// OpenFile is that of the disk, ErrLocked (after LockTimeout), ErrForeign, or ErrDamaged: a block cannot be
// read, and whether it holds what was durable last cannot be told.
func OpenFile(path string, opts Options) (*File, error) {
	f := &File{opts: opts.withDefaults(path), turn: make(chan struct{}, 1), volumes: map[Volume]*volume{}}
	f.meter = &meter{Disk: f.opts.Disk, noSync: opts.NoSync, synced: histogram.Histogram{Unit: int64(64 * time.Microsecond)}}
	f.opts.Disk = f.meter
	err := osdir.Await(opts.LockTimeout, func() (err error) {
		f.unlock, err = f.opts.Disk.Lock(opts.ReadOnly)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := f.recover(); err != nil {
		return nil, errors.Join(err, f.closeFiles())
	}
	return f, nil
}

// Claim is Log's.
func (f *File) Claim(ctx context.Context, v Volume) (Claim, error) {
	if err := ctx.Err(); err != nil {
		return Claim{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c := f.newCall()
	defer f.recycle(c)
	c.requests = append(c.requests, request{Record: Record{Volume: v}, claims: true})
	f.submit(c)
	if r := c.requests[0]; r.err != nil {
		return Claim{}, r.err
	}
	return Claim{Volume: v, Epoch: c.requests[0].Epoch, Last: c.requests[0].Seq}, nil
}

// Append is Log's.
func (f *File) Append(recs ...Record) []error {
	c := f.newCall()
	defer f.recycle(c)
	for i, rec := range recs {
		r := request{Record: rec, sum: sum(rec.Data)}
		switch {
		case len(rec.Data) == 0:
			r.err = ErrEmpty
		case len(rec.Data) > f.MaxRecord():
			r.err = fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(rec.Data), f.MaxRecord())
		}
		for _, other := range recs[:i] {
			if other.Volume == rec.Volume {
				r.err = fmt.Errorf("%w: there is another one of volume %d in the call", ErrOrder, rec.Volume)
			}
		}
		c.requests = append(c.requests, r)
	}
	f.submit(c)
	errs := make([]error, len(recs))
	for i := range errs {
		errs[i] = c.requests[i].err
	}
	return errs
}

// Read is Log's.
func (f *File) Read(ctx context.Context, v Volume, from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for seq := max(from, 1); ; seq++ {
			rec, ok, err := f.read(v, seq)
			if err = cmp.Or(ctx.Err(), err); err != nil {
				yield(Record{}, err)
				return
			}
			if !ok || !yield(rec, nil) {
				return
			}
		}
	}
}

// read returns one record, or false if it is not there yet.
func (f *File) read(id Volume, seq uint64) (Record, bool, error) {
	p, ok, err := f.find(id, seq)
	if !ok {
		return Record{}, false, err
	}
	rec := Record{Volume: id, Epoch: p.epoch, Seq: seq}
	if p.size > 0 {
		rec.Data = make([]byte, p.size)
	}
	_, err = p.segment.file.ReadAt(rec.Data, int64(p.at))
	if err == nil && sum(rec.Data) == p.sum {
		return rec, true, nil
	}
	// If it was trimmed meanwhile, the segment may have another use.
	if _, ok, gone := f.find(id, seq); !ok {
		return Record{}, false, gone
	}
	what := fmt.Sprintf("record %d of volume %d is not what was written", seq, id)
	if err != nil {
		what = fmt.Sprintf("record %d of volume %d cannot be read: %v", seq, id, err)
	}
	return Record{}, false, &Damage{p.segment.name, int64(p.at), what}
}

// find returns where the record is, or false if it is not there.
func (f *File) find(id Volume, seq uint64) (p place, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.volumes[id]
	switch {
	case f.closed:
		return p, false, ErrClosed
	case v == nil:
		return p, false, asError(f.lost)
	case seq < v.first() && v.missing != nil:
		return p, false, v.missing
	case seq < v.first():
		return p, false, fmt.Errorf("%w: volume %d has them from %d on", ErrTrimmed, id, v.first())
	case seq > v.last:
		return p, false, asError(v.doubt)
	}
	p = v.places[seq-v.first()]
	return p, p.damage == nil, asError(p.damage)
}

// asError makes no damage no error.
func asError(d *Damage) error {
	if d == nil {
		return nil
	}
	return d
}

// Trim is Log's. It does not write: what it has said is durable with the next append.
func (f *File) Trim(c Claim, upTo uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.volumes[c.Volume]
	switch {
	case f.closed:
		return ErrClosed
	case v == nil || v.spent || v.epoch != c.Epoch:
		return ErrFenced
	case upTo > v.last:
		return fmt.Errorf("%w: trim to record %d, %d is the last", ErrOrder, upTo, v.last)
	}
	f.forget(v, upTo)
	return nil
}

// Forget is Trim of a volume of which no claim is in force: a log that is full may have no
// room for one.
func (f *File) Forget(id Volume, upTo uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.volumes[id]
	switch {
	case f.closed:
		return ErrClosed
	case f.opts.ReadOnly:
		return ErrReadOnly
	case v == nil || !v.spent:
		return ErrFenced
	case upTo > v.last:
		return fmt.Errorf("%w: trim to record %d, %d is the last", ErrOrder, upTo, v.last)
	}
	f.forget(v, upTo)
	return nil
}

// forget frees the segments that had nothing but the volume's records up to that one.
func (f *File) forget(v *volume, upTo uint64) {
	if upTo < v.first()+uint64(v.trimmed) {
		return
	}
	n := upTo - v.first() + 1
	for _, p := range v.places[v.trimmed:n] {
		p.segment.records--
	}
	if v.trimmed = int(n); f.opts.Keep <= 0 {
		v.places, v.trimmed = append([]place(nil), v.places[n:]...), 0
	}
	v.missing = nil // it is not needed any more
	f.release()
}

// Oldest returns the volumes with records in the oldest segment, in order: these keep it, and
// all behind it, from being used again. length is that of the log, as MaxLength bounds it.
func (f *File) Oldest() (volumes []Volume, length int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, v := range f.volumes {
		i := slices.IndexFunc(v.needed(), func(p place) bool { return !p.segment.isApart })
		if i >= 0 && v.needed()[i].segment == f.live[0] {
			volumes = append(volumes, id)
		}
	}
	slices.Sort(volumes)
	return volumes, f.length()
}

// MaxRecord is Log's.
func (f *File) MaxRecord() int { return f.opts.MaxRecord }

// maxDirectory is how much of a segment its directory may take.
func (o Options) maxDirectory() int { return o.SegmentSize / 8 }

// Close is Log's. A last batch, without a record, says that all others were durable. On a
// disk that has no room for it the log is closed as a crash would leave it. ErrReplaced
// says that it is not there any more.
func (f *File) Close() error {
	f.moving.Lock()
	defer f.moving.Unlock()
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	f.mu.Lock()
	closed := f.closed
	f.closed = true
	f.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if f.loose && !f.failed && !f.opts.ReadOnly {
		s, full := f.room(nil)
		switch {
		case full == nil:
			err = f.write(s, nil)
		case errors.Is(full, ErrReplaced):
			err = full
		}
	}
	return errors.Join(err, f.closeFiles())
}

func (f *File) closeFiles() error {
	var errs []error
	for _, s := range slices.Concat(f.live, f.free, f.kept, f.apart) {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(append(errs, f.unlock())...)
}
