package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// This file is the form of a batch: the records of one write and one sync.
//
//	header (64 bytes)
//	    0 magic   4 sum of the header behind it and of the entries   8 log id
//	   16 first batch of the segment   24 number of the batch   32 run   40 synced   48 oldest
//	   56 count of entries   60 size in bytes, all included
//	entries (32 bytes each)
//	    0 volume   4 sum of the data   8 sequence number   16 epoch   24 size of the data   28 zero
//	data of the entries, one behind the other
//	zeros up to the next block
//
// All numbers are little endian; sums are CRC-32C. The first entry of a segment's first
// batch is the directory: its volume is that of no record, and its data is what is
// known of each volume before the batch, as dirEntries.

const (
	// blockSize is what a write that fails may harm: a batch shares no block with another.
	blockSize  = 4096
	headerSize = 64
	entrySize  = 32
	dirSize    = 24

	magic = 0x31_4c_41_57 // "WAL1": another form of the log has another one

	// directory is the volume of an entry that is a segment's directory, and, within
	// one, of the volumes that no entry names.
	directory = ^Volume(0)

	// Marks of a volume in a directory: it may have lost its latest records, or has records
	// that were moved apart.
	inDoubt = 1
	isApart = 2
)

var (
	order = binary.LittleEndian
	table = crc32.MakeTable(crc32.Castagnoli)
)

// header is that of a batch.
type header struct {
	id     uint64 // of the log
	first  uint64 // number of the segment's first batch: it tells what an older use of the file has left
	number uint64 // 1, 2, 3 … without a gap, over all segments
	run    uint64 // it goes up when the log is opened, and after each failure: what was given up has a lower one
	synced uint64 // every batch up to this number was durable when this one was written
	oldest uint64 // number of the first batch that the log still needed then
}

// entry is a record, or the directory, in a batch.
type entry struct {
	volume Volume
	sum    uint32
	seq    uint64
	epoch  uint64
	size   uint32
	data   int // offset in the segment
}

// batch is one that was read.
type batch struct {
	header
	at, end int // offsets in the segment; end is that of the block behind it
	entries []entry
}

// dirEntry is what a directory says of a volume.
type dirEntry struct {
	volume Volume
	flags  uint32
	epoch  uint64
	last   uint64
}

func sum(data []byte) uint32 { return crc32.Checksum(data, table) }

// padded is the size rounded up to blocks.
func padded(size int) int { return (size + blockSize - 1) &^ (blockSize - 1) }

// batchSize is the size, in blocks, of a batch with so many entries and bytes of data.
func batchSize(entries, data int) int { return padded(headerSize + entries*entrySize + data) }

// appendBatch appends the encoded batch, without its data, to b, which is empty. The
// offsets of the entries' data become those in b.
func appendBatch(b []byte, h header, entries []entry) []byte {
	size := headerSize + len(entries)*entrySize
	for i := range entries {
		entries[i].data = size
		size += int(entries[i].size)
	}
	b = order.AppendUint32(b, magic)
	b = order.AppendUint32(b, 0)
	for _, v := range []uint64{h.id, h.first, h.number, h.run, h.synced, h.oldest} {
		b = order.AppendUint64(b, v)
	}
	b = order.AppendUint32(b, uint32(len(entries)))
	b = order.AppendUint32(b, uint32(size))
	for _, e := range entries {
		b = order.AppendUint32(b, uint32(e.volume))
		b = order.AppendUint32(b, e.sum)
		b = order.AppendUint64(b, e.seq)
		b = order.AppendUint64(b, e.epoch)
		b = order.AppendUint32(b, e.size)
		b = order.AppendUint32(b, 0)
	}
	order.PutUint32(b[4:], sum(b[8:]))
	return b
}

// headSize is that of the header and the entries of the batch that begins with the block;
// that of the header if there is none.
func headSize(data []byte) int {
	if len(data) < headerSize || order.Uint32(data) != magic {
		return headerSize
	}
	return headerSize + int(order.Uint32(data[56:]))*entrySize
}

// readBatch reads the batch that begins with the data, at the offset of a segment of the
// size, but for the data of its entries. It returns false if there is none.
func readBatch(data []byte, at, size int) (b batch, ok bool) {
	if len(data) < headerSize || order.Uint32(data) != magic {
		return batch{}, false
	}
	count, length := int64(order.Uint32(data[56:])), int64(order.Uint32(data[60:]))
	head := headerSize + count*entrySize
	if head > int64(len(data)) || length > int64(size-at) || sum(data[8:head]) != order.Uint32(data[4:]) {
		return batch{}, false
	}
	b.header = header{
		id: order.Uint64(data[8:]), first: order.Uint64(data[16:]), number: order.Uint64(data[24:]),
		run: order.Uint64(data[32:]), synced: order.Uint64(data[40:]), oldest: order.Uint64(data[48:]),
	}
	b.at, b.end = at, at+padded(int(length))
	end := head
	for e := data[headerSize:head]; len(e) > 0; e = e[entrySize:] {
		b.entries = append(b.entries, entry{
			volume: Volume(order.Uint32(e)), sum: order.Uint32(e[4:]), seq: order.Uint64(e[8:]),
			epoch: order.Uint64(e[16:]), size: order.Uint32(e[24:]), data: at + int(end),
		})
		if end += int64(order.Uint32(e[24:])); end > length {
			return batch{}, false
		}
	}
	return b, end == length
}

// whole says whether the data of all entries is what was written. It is that of the
// segment from the batch on.
func (b *batch) whole(data []byte) bool {
	for _, e := range b.entries {
		if sum(data[e.data-b.at:][:e.size]) != e.sum {
			return false
		}
	}
	return true
}

func appendDirectory(b []byte, entries []dirEntry) []byte {
	for _, e := range entries {
		b = order.AppendUint32(b, uint32(e.volume))
		b = order.AppendUint32(b, e.flags)
		b = order.AppendUint64(b, e.epoch)
		b = order.AppendUint64(b, e.last)
	}
	return b
}

func readDirectory(data []byte) (entries []dirEntry) {
	for ; len(data) >= dirSize; data = data[dirSize:] {
		entries = append(entries, dirEntry{
			volume: Volume(order.Uint32(data)), flags: order.Uint32(data[4:]),
			epoch: order.Uint64(data[8:]), last: order.Uint64(data[16:]),
		})
	}
	return entries
}
