package overlay

import (
	"unsafe"

	"github.com/tidwall/btree"
)

// entryCost is about what an entry takes in memory besides its key and value.
const entryCost = 128

// degree is that of the trees: each change copies the nodes on the way to its keys.
const degree = 12

// tree has the latest word on each key: its value, or nil if it was deleted.
type tree = btree.Map[string, []byte]

// Layer is an ordered set of changes. One that is published or frozen does not change.
type Layer struct {
	spaces []*tree
	bytes  int
}

func newLayer(spaces int) *Layer {
	l := &Layer{spaces: make([]*tree, spaces)}
	for i := range l.spaces {
		l.spaces[i] = btree.NewMap[string, []byte](degree)
	}
	return l
}

// copy returns a layer that can be changed. The two share what does not.
func (l *Layer) copy() *Layer {
	c := &Layer{spaces: make([]*tree, len(l.spaces)), bytes: l.bytes}
	for i, m := range l.spaces {
		c.spaces[i] = m.Copy()
	}
	return c
}

// set takes in the key's value, nil if it is deleted. The bytes are the layer's from then on.
func (l *Layer) set(space int, key, value []byte) {
	was, known := l.spaces[space].Set(text(key), value)
	l.bytes += len(key) + len(value) + entryCost
	if known {
		l.bytes -= len(key) + len(was) + entryCost
	}
}

func (l *Layer) get(space int, key []byte) (value []byte, known bool) {
	return l.spaces[space].Get(text(key))
}

// text returns the same bytes as a string, and raw a string's as a slice: neither copies.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
func raw(s string) []byte  { return unsafe.Slice(unsafe.StringData(s), len(s)) }

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
	l.spaces[space].Scan(func(key string, value []byte) bool {
		err = fn(raw(key), value, value == nil)
		return err == nil
	})
	return err
}
