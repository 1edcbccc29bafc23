package overlay

import (
	"bytes"

	"github.com/tidwall/btree"
)

// Below is a cursor of the copy. Each method returns a nil key at the end.
type Below interface {
	First() (key, value []byte)
	Last() (key, value []byte)
	Seek(key []byte) (k, v []byte) // the first that is not below key
	Next() (key, value []byte)
	Prev() (key, value []byte)
}

// Cursor walks a space in byte order, layers and copy as one. It is like the copy's: each
// method returns a nil key at an end, where the cursor stays until it is turned.
type Cursor struct {
	layers []source // the newest first
	below  source
	keys   bool   // values are nil
	until  []byte // Seek and Next end there; nil: nowhere
	key    []byte
	back   bool // the sources stand on their last key that is not above key, else on the first not below
	end    bool // key is nil because the cursor is behind the last key, or before the first
}

// source is one of what a cursor walks.
type source struct {
	iter       btree.MapIter[string, []byte]
	cursor     Below // instead of iter
	key, value []byte
	ok         bool
}

// Cursor walks the space. It is placed by First, Last or Seek.
func (v *View) Cursor(space int, below Below) *Cursor {
	c := &Cursor{below: source{cursor: below}}
	for _, l := range v.layers() {
		if m := l.spaces[space]; m.Len() > 0 {
			c.layers = append(c.layers, source{iter: m.Iter()})
		}
	}
	return c
}

// Keys is Cursor whose values are all nil.
func (v *View) Keys(space int, below Below) *Cursor {
	c := v.Cursor(space, below)
	c.keys = true
	return c
}

// Until has Seek and Next end before the key. What lies from there on is not looked at, such as
// any number of keys that a layer has deleted.
func (c *Cursor) Until(key []byte) { c.until = key }

// First places the cursor on the first key.
func (c *Cursor) First() (key, value []byte) {
	c.back = false
	c.each((*source).first)
	return c.here()
}

// Last places the cursor on the last key.
func (c *Cursor) Last() (key, value []byte) {
	c.back = true
	c.each((*source).last)
	return c.here()
}

// Seek places the cursor on the first key that is not below key.
func (c *Cursor) Seek(key []byte) (k, v []byte) {
	c.back = false
	c.each(func(s *source) { s.seek(key) })
	return c.here()
}

// Next moves the cursor to the next key.
func (c *Cursor) Next() (key, value []byte) {
	switch {
	case c.key == nil && !c.end:
		return nil, nil
	case c.key == nil && !c.back:
		return nil, nil // behind the last
	case c.key == nil:
		return c.First()
	case c.back:
		at := c.key
		c.back = false
		c.each(func(s *source) { s.seek(at) })
	}
	c.leave()
	return c.here()
}

// Prev moves the cursor to the key before.
func (c *Cursor) Prev() (key, value []byte) {
	switch {
	case c.key == nil && !c.end:
		return nil, nil
	case c.key == nil && c.back:
		return nil, nil // before the first
	case c.key == nil:
		return c.Last()
	case !c.back:
		at := c.key
		c.back = true
		c.each(func(s *source) { s.seekBack(at) })
	}
	c.leave()
	return c.here()
}

func (c *Cursor) each(do func(*source)) {
	for i := range c.layers {
		do(&c.layers[i])
	}
	do(&c.below)
}

// leave moves the sources off the key.
func (c *Cursor) leave() {
	at := c.key
	c.each(func(s *source) {
		if s.ok && bytes.Equal(s.key, at) {
			s.step(c.back)
		}
	})
}

// here settles on the nearest key of all sources. The newest source that has it counts.
func (c *Cursor) here() (key, value []byte) {
	for {
		nearest := &c.below
		for i := range c.layers {
			// From the oldest to the newest, so that this one wins if they are equal.
			s := &c.layers[len(c.layers)-1-i]
			if d := bytes.Compare(s.key, nearest.key); s.ok && (!nearest.ok || d == 0 || (d > 0) == c.back) {
				nearest = s
			}
		}
		c.key, c.end = nil, true
		if !nearest.ok || c.until != nil && !c.back && bytes.Compare(nearest.key, c.until) >= 0 {
			return nil, nil
		}
		c.key = nearest.key
		if nearest.value != nil || nearest.cursor != nil {
			if c.keys {
				return c.key, nil
			}
			return c.key, nearest.value
		}
		c.leave()
	}
}

func (s *source) first() {
	if s.cursor == nil {
		s.at(s.iter.First())
		return
	}
	s.on(s.cursor.First())
}

func (s *source) last() {
	if s.cursor == nil {
		s.at(s.iter.Last())
		return
	}
	s.on(s.cursor.Last())
}

func (s *source) seek(key []byte) {
	if s.cursor == nil {
		s.at(s.iter.Seek(text(key)))
		return
	}
	s.on(s.cursor.Seek(key))
}

// seekBack moves to the last key that is not above key.
func (s *source) seekBack(key []byte) {
	if s.seek(key); !s.ok {
		s.last()
	} else if !bytes.Equal(s.key, key) {
		s.step(true)
	}
}

func (s *source) step(back bool) {
	switch {
	case s.cursor == nil && back:
		s.at(s.iter.Prev())
	case s.cursor == nil:
		s.at(s.iter.Next())
	case back:
		s.on(s.cursor.Prev())
	default:
		s.on(s.cursor.Next())
	}
}

// at notes where the iterator is.
func (s *source) at(ok bool) {
	if s.ok = ok; ok {
		s.key, s.value = raw(s.iter.Key()), s.iter.Value()
	}
}

// on notes where the cursor is.
func (s *source) on(key, value []byte) {
	s.ok, s.key, s.value = key != nil, key, value
}
