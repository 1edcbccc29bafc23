package overlay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// version begins a record; one that is not known is refused.
const version = 1

// headLen is the version and the chain.
const headLen = 1 + 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Chain is what the record behind this one bears: a checksum of all records up to here.
func Chain(record []byte) uint32 { return crc32.Checksum(record, castagnoli) }

// ErrBadRecord says that a record was not made by a Change, or by a later release.
var ErrBadRecord = errors.New("record of changes is not usable")

// Change is what one commit changes, while it is made.
type Change struct {
	layer  *Layer // what was published, and the change on top
	view   *View  // that it was begun on
	record []byte
	writes int
}

// Change begins a change of what the view shows. It is dropped by not publishing it.
func (v *View) Change() *Change {
	return &Change{layer: v.latest.copy(), view: v, record: append(make([]byte, 0, 512), version, 0, 0, 0, 0)}
}

// Put sets the key, which is not empty. It keeps neither slice.
func (c *Change) Put(space int, key, value []byte) { c.set(space, key, value, false) }

// Delete deletes the key, whether it is there or not.
func (c *Change) Delete(space int, key []byte) { c.set(space, key, nil, true) }

func (c *Change) set(space int, key, value []byte, deleted bool) {
	what := uint64(space) << 1
	if deleted {
		what |= 1
	}
	c.record = binary.AppendUvarint(c.record, what)
	c.record = appendBytes(c.record, key)
	if !deleted {
		c.record = appendBytes(c.record, value)
	}
	c.apply(space, key, value, deleted)
}

// apply sets the key in the layer.
func (c *Change) apply(space int, key, value []byte, deleted bool) {
	both := append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
	key, value = both[:len(key):len(key)], both[len(key):]
	if deleted {
		value = nil
	}
	c.writes++
	c.layer.set(space, key, value)
}

// Get returns what the change or, below it, a View says of the key. known is false if
// neither does. A value of nil says that the key was deleted.
func (c *Change) Get(space int, key []byte) (value []byte, known bool) {
	return (&View{latest: c.layer, frozen: c.view.frozen}).Get(space, key)
}

// Cursor walks what the space will be, as View.Cursor does. A Put or a Delete ends it.
func (c *Change) Cursor(space int, below Below) *Cursor {
	return (&View{latest: c.layer, frozen: c.view.frozen}).Cursor(space, below)
}

// Bytes is about what the change adds to the memory of the layers.
func (c *Change) Bytes() int { return c.layer.bytes - c.view.latest.bytes }

// Writes is how many times a key was set or deleted, by replay too.
func (c *Change) Writes() int { return c.writes }

// Record returns the change for the log, behind a record that has the chain. It is nil if
// nothing was changed.
func (c *Change) Record(chain uint32) []byte {
	if len(c.record) == headLen {
		return nil
	}
	binary.BigEndian.PutUint32(c.record[1:], chain)
	return c.record
}

// Replay puts a record's changes on top; it comes behind a record that has the chain. One
// that is not usable has changed nothing. What is replayed is no part of Record.
func (c *Change) Replay(record []byte, chain uint32) error {
	return Scan(record, len(c.layer.spaces), chain, c.apply)
}

// Scan calls fn with each change of a record, which comes behind a record that has the chain.
// With one that is not usable it is not called at all. The bytes are the record's.
func Scan(record []byte, spaces int, chain uint32, fn func(space int, key, value []byte, deleted bool)) error {
	if err := read(record, spaces, func(int, []byte, []byte, bool) {}); err != nil {
		return err
	}
	if is := Behind(record); is != chain {
		return fmt.Errorf("%w: it comes behind %08x, not behind %08x", ErrBadRecord, is, chain)
	}
	return read(record, spaces, fn)
}

// Behind is the Chain of the record that this one comes behind; 0 if it is not usable.
func Behind(record []byte) uint32 {
	if len(record) < headLen {
		return 0
	}
	return binary.BigEndian.Uint32(record[1:])
}

// onto returns the layer with the change on top.
func (c *Change) onto(l *Layer) *Layer {
	c.layer = l.copy()
	_ = read(c.record, len(l.spaces), c.apply) // it is our own
	return c.layer
}

// read calls fn with each change of a record.
func read(record []byte, spaces int, fn func(space int, key, value []byte, deleted bool)) error {
	if len(record) < headLen || record[0] != version {
		return fmt.Errorf("%w: it has version %.1x, this program reads %d", ErrBadRecord, record, version)
	}
	for rest := record[headLen:]; len(rest) > 0; {
		at := len(record) - len(rest)
		what, n := binary.Uvarint(rest)
		if n <= 0 || what>>1 >= uint64(spaces) {
			return fmt.Errorf("%w: byte %d: no space", ErrBadRecord, at)
		}
		var key, value []byte
		ok := false
		if key, rest, ok = cutBytes(rest[n:]); !ok || len(key) == 0 {
			return fmt.Errorf("%w: byte %d: no key", ErrBadRecord, at)
		}
		if what&1 == 0 {
			if value, rest, ok = cutBytes(rest); !ok {
				return fmt.Errorf("%w: byte %d: no value", ErrBadRecord, at)
			}
		}
		fn(int(what>>1), key, value, what&1 == 1)
	}
	return nil
}

func appendBytes(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func cutBytes(b []byte) (data, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	return b[n:][:size:size], b[n+int(size):], true
}
