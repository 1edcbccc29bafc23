package boltfile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math/bits"
	"path/filepath"
)

// A value is stored sealed, behind a checksum of its space, its key and itself (K8):
//
//	marker 1 | CRC-32C 4, big-endian | value
//
// Values of the first format are plain. They begin with the 0x08 of a record, with JSON, or
// with a letter, a digit or '_', from all of which the marker differs in three bits, or are
// empty.
const (
	marker  = 0x9c
	sealLen = 5
)

// formatKey is the one key of Meta whose value is plain in every format, so that each reader
// can say which format it has met.
var formatKey = []byte("format")

func isFormat(space Space, key []byte) bool { return space == Meta && string(key) == string(formatKey) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seeds are the checksums of the spaces, which those of their values go on from.
var seeds = func() (seeds [spaces]uint32) {
	for i := range seeds {
		seeds[i] = crc32.Checksum([]byte{byte(i)}, castagnoli)
	}
	return seeds
}()

func sum(space Space, key, value []byte) uint32 {
	return crc32.Update(crc32.Update(seeds[space], castagnoli, key), castagnoli, value)
}

// appendSealed appends the value of the key as it is stored.
func appendSealed(b []byte, space Space, key, value []byte) []byte {
	if isFormat(space, key) {
		return append(b, value...)
	}
	b = binary.BigEndian.AppendUint32(append(b, marker), sum(space, key, value))
	return append(b, value...)
}

// sealing is which values of a file are sealed.
type sealing int8

const (
	allSealed  sealing = iota // the second format
	someSealed                // the second format, upgraded from the first: Meta, and what was written since
	noneSealed                // the first format
)

// unseal returns the value of the key that is stored as data, which it does not copy. ok is
// false if that is not what Put has stored under the key.
func (s sealing) unseal(space Space, key, data []byte) (value []byte, ok bool) {
	switch {
	case s == noneSealed || isFormat(space, key):
		return data, true
	case len(data) >= sealLen && data[0] == marker:
		value = data[sealLen:]
		return value, binary.BigEndian.Uint32(data[1:]) == sum(space, key, value)
	case s == someSealed && space != Meta:
		return data, len(data) == 0 || bits.OnesCount8(data[0]^marker) > 2 // no damaged marker
	}
	return nil, false
}

// around returns the value of the key where it is not at i, at which a search of the leaf
// has ended, with its checksum: nil if there is none. A key that is damaged may have led the
// search astray, or be the one that is asked for: it is out of order there, or beside i.
func (p *page) around(i int, space Space, key []byte) []byte {
	from, to := max(i-1, 0), min(i+2, p.count)
	for j := max(i-1, 1); j < to; j++ {
		if bytes.Compare(p.key(j-1), p.key(j)) >= 0 {
			from, to = 0, p.count
			break
		}
	}
	damaged := false
	for j := from; j < to; j++ {
		has, data := p.key(j), p.value(j, plainFlags)
		if bytes.Equal(has, key) {
			if value, ok := p.t.sealing.unseal(space, key, data); ok {
				return value
			}
			damaged = true
		}
		damaged = damaged || renamed(has, space, key, data)
	}
	if damaged {
		return p.t.db.damagedValue(p.id, space, key)
	}
	return nil
}

// renamed says whether what is stored as data is the value of the key, and the key that it
// has differs in a byte.
func renamed(has []byte, space Space, key, data []byte) bool {
	if len(has) != len(key) || len(data) < sealLen || data[0] != marker {
		return false
	}
	differ := 0
	for j := range key {
		if has[j] != key[j] {
			if differ++; differ > 1 {
				return false
			}
		}
	}
	_, ok := allSealed.unseal(space, key, data)
	return ok
}

// damagedMark begins what stands for a value that is damaged. No record begins so.
const damagedMark = "\x9cdamaged\x00"

// damagedValue stands for the value of the key, which is damaged.
func (db *DB) damagedValue(page uint64, space Space, key []byte) []byte {
	file := filepath.Base(db.path)
	b := binary.BigEndian.AppendUint64([]byte(damagedMark), page)
	b = append(append(b, byte(space), byte(len(file))), file...)
	return append(b, key...)
}

// DamageOf returns what is wrong with a value if what was read, or a copy of it, stands for
// one that is damaged, else nil.
func DamageOf(value []byte) *Damage {
	rest, ok := bytes.CutPrefix(value, []byte(damagedMark))
	if !ok {
		return nil
	}
	page, space, rest := binary.BigEndian.Uint64(rest), Space(rest[8]), rest[9:]
	file, key := rest[1:1+rest[0]], rest[1+rest[0]:]
	return &Damage{
		File: string(file), Page: int64(page), Space: space, Key: append([]byte{}, key...),
		What: "the value does not match its checksum",
	}
}

// badSeal says that what is stored under the key, on that page, is not its value.
func (db *DB) badSeal(page uint64, space Space, key []byte) *Damage {
	return DamageOf(db.damagedValue(page, space, key))
}

// unseal returns the value of the key that is stored as data on the page, or what stands for
// it if it is damaged.
func (t *tree) unseal(page uint64, space Space, key, data []byte) []byte {
	value, ok := t.sealing.unseal(space, key, data)
	if !ok {
		return t.db.damagedValue(page, space, key)
	}
	return value
}
