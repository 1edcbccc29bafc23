package overlay

import (
	"unsafe"

	"github.com/tidwall/btree"
)

// entry is the latest word on a key.
type entry struct {
	key, value []byte
	deleted    bool
}

// entryCost is about what an entry takes in memory besides its key and value.
const entryCost = 128

// Layer is an ordered set of changes. One that is published or frozen does not change.
type Layer struct {
	spaces []*btree.Map[string, entry]
	bytes  int
}

func newLayer(spaces int) *Layer {
	l := &Layer{spaces: make([]*btree.Map[string, entry], spaces)}
	for i := range l.spaces {
		l.spaces[i] = &btree.Map[string, entry]{}
	}
	return l
}

// copy returns a layer that can be changed. The two share what does not.
func (l *Layer) copy() *Layer {
	c := &Layer{spaces: make([]*btree.Map[string, entry], len(l.spaces)), bytes: l.bytes}
	for i, m := range l.spaces {
		c.spaces[i] = m.Copy()
	}
	return c
}

// set takes the entry in. Its bytes are the layer's from then on.
func (l *Layer) set(space int, e entry) {
	was, known := l.spaces[space].Set(unsafe.String(unsafe.SliceData(e.key), len(e.key)), e)
	l.bytes += len(e.key) + len(e.value) + entryCost
	if known {
		l.bytes -= len(was.key) + len(was.value) + entryCost
	}
}

func (l *Layer) get(space int, key []byte) (entry, bool) {
	return l.spaces[space].Get(unsafe.String(unsafe.SliceData(key), len(key)))
}

// Bytes is about what the layer takes in memory.
func (l *Layer) Bytes() int { return l.bytes }

// Len is how many keys the layer has a word on.
func (l *Layer) Len() (n int) {
	for _, m := range l.spaces {
		n += m.Len()
	}
	return n
}

// Scan calls fn with each key of the space, in order, until it returns an error. The bytes
// are the layer's.
func (l *Layer) Scan(space int, fn func(key, value []byte, deleted bool) error) (err error) {
	l.spaces[space].Scan(func(_ string, e entry) bool {
		err = fn(e.key, e.value, e.deleted)
		return err == nil
	})
	return err
}
