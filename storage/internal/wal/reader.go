package wal

import (
	"errors"
	"io"
)

// reader reads the heads of a segment's batches. It leaves out the data of large ones, and
// reads many small ones at once.
type reader struct {
	*segment
	buf  []byte
	at   int // offset of what is in buf
	last int // size of the batch that was read last
}

const (
	readAhead = 256 << 10
	// skipped is how large a batch is whose data is not read. To read less is one more access
	// of the disk, which takes as long.
	skipped = 128 << 10
)

// turn has the reader read another segment.
func (r *reader) turn(s *segment) { r.segment, r.buf = s, r.buf[:0] }

// from returns the segment from the offset on, at least so many bytes. Blocks that cannot
// be read are zeros. It is good until the next call.
func (r *reader) from(at, least int) []byte {
	if at < r.at || at+least > r.at+len(r.buf) {
		r.at = at &^ (blockSize - 1)
		n := padded(at + least - r.at)
		if r.last < skipped {
			n = max(n, readAhead)
		}
		n = min(n, r.size-r.at)
		if cap(r.buf) < n {
			r.buf = make([]byte, n)
		}
		r.buf = r.buf[:n]
		r.read(r.buf, r.at)
	}
	return r.buf[at-r.at:]
}

// batch returns the batch at the offset, or false if there is none.
func (r *reader) batch(at int) (b batch, ok bool) {
	data := r.from(at, blockSize)
	head := headSize(data)
	if head > r.size-at {
		return batch{}, false
	}
	if head > len(data) {
		data = r.from(at, head)
	}
	b, ok = readBatch(data, at, r.size)
	r.last = b.end - b.at
	return b, ok
}

// read fills the data with that of the segment from the offset on. Blocks that cannot be
// read are zeros.
func (s *segment) read(data []byte, at int) {
	n, err := s.file.ReadAt(data, int64(at))
	clear(data[n:])
	if n == len(data) || errors.Is(err, io.EOF) {
		return
	}
	for o := 0; o < len(data); o += blockSize {
		block := data[o:min(o+blockSize, len(data))]
		if n, err := s.file.ReadAt(block, int64(at+o)); err != nil {
			clear(block[n:])
			if !errors.Is(err, io.EOF) {
				clear(block)
				s.unread = max(s.unread, at+o+blockSize)
			}
		}
	}
}
