package kv

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"

	"carillon/storage/internal/wal"
)

// A record that is not small is compressed in the log, if that makes it smaller:
//
//	packMark 1 | S2 block
//
// No record that a Change makes begins with the mark (its version stands there). What is above
// the Log sees records as they were made, and so do their checksums.
const packMark = 0xb2

// packLeast is the size in bytes from which a record is compressed. Smaller ones share their
// blocks of the log with others, or with air.
const packLeast = 1500

// packs are buffers for records that are on their way.
var packs = sync.Pool{New: func() any { return new([]byte) }}

// Append is wal.Log's.
func (l *Log) Append(recs ...wal.Record) []error {
	if l.shared != nil {
		return l.Log.Append(recs...) // it compresses by itself
	}
	buffers := make([]*[]byte, 0, 1)
	for i := range recs {
		data := recs[i].Data
		if len(data) < packLeast || len(data) > l.MaxRecord() {
			continue
		}
		if len(buffers) == 0 {
			recs = slices.Clone(recs) // they are the caller's
		}
		b := packs.Get().(*[]byte)
		buffers = append(buffers, b)
		if *b = pack(*b, data); len(*b) < len(data) {
			recs[i].Data = *b
		}
	}
	errs := l.Log.Append(recs...)
	for _, b := range buffers {
		if cap(*b) <= maxPack {
			packs.Put(b)
		}
	}
	return errs
}

// maxPack bounds a buffer that is kept, in bytes.
const maxPack = 1 << 20

// pack returns the record compressed, in the buffer if it has the room.
func pack(buffer, record []byte) []byte {
	if n := 1 + s2.MaxEncodedLen(len(record)); cap(buffer) < n {
		buffer = make([]byte, n)
	}
	buffer = buffer[:cap(buffer)]
	buffer[0] = packMark
	return buffer[:1+len(s2.Encode(buffer[1:], record))]
}

// unpack returns the record that is in the log as data.
func (l *Log) unpack(data []byte) (record []byte, err error) {
	if len(data) == 0 || data[0] != packMark {
		return data, nil
	}
	n, err := s2.DecodedLen(data[1:])
	if err == nil && n > l.MaxRecord() {
		err = fmt.Errorf("it would have %d bytes", n)
	}
	if err == nil {
		record, err = s2.Decode(nil, data[1:])
	}
	return record, err
}

// Read is wal.Log's.
func (l *Log) Read(ctx context.Context, v Volume, from uint64) iter.Seq2[wal.Record, error] {
	return func(yield func(wal.Record, error) bool) {
		for rec, err := range l.Log.Read(ctx, v, from) {
			if err == nil {
				if rec.Data, err = l.unpack(rec.Data); err != nil {
					err = &Damage{File: logName, Page: -1, What: fmt.Sprintf("record %d of volume %d is not compressed as it should be: %v", rec.Seq, v, err)}
				}
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}
