package storage

import (
	"github.com/tidwall/btree"

	"carillon/storage/internal/kv"
)

// buffer is a sorted set of writes that are not in the file yet.
type buffer struct {
	m     btree.Map[string, write]
	bytes int // of the keys and values in m
}

// write is the newest word on one key.
type write struct {
	value   []byte
	deleted bool
}

func (b *buffer) put(key, value []byte) { b.set(string(key), write{value: value}) }

func (b *buffer) delete(key []byte) { b.set(string(key), write{deleted: true}) }

func (b *buffer) set(key string, w write) {
	was, known := b.m.Set(key, w)
	if b.bytes += len(w.value) - len(was.value); !known {
		b.bytes += len(key)
	}
}

// join lets b hold all that c holds, c's word being the newer.
func (b *buffer) join(c *buffer) {
	c.m.Scan(func(key string, w write) bool {
		b.set(key, w)
		return true
	})
}

// row is one key and its value, copied out of their transaction.
type row struct {
	key, value []byte
}

// merge walks several sorted sources as one: buffers, the newest first, over a
// snapshot. On equal keys the newest source wins.
type merge struct {
	reverse bool
	buffers []mergeBuffer
	cursor  *kv.Cursor
	key     []byte // of the cursor; nil at its end
	value   []byte
}

type mergeBuffer struct {
	it btree.MapIter[string, write]
	ok bool
}

// newMerge starts at the first key in [from, to), or at the last one if reverse. The cursor is
// that of the snapshot.
func newMerge(cursor *kv.Cursor, newestFirst []*buffer, from, to []byte, reverse bool) *merge {
	m := &merge{reverse: reverse, cursor: cursor}
	if reverse {
		m.key, m.value = seekBefore(m.cursor, to)
	} else {
		m.cursor.Until(to)
		m.key, m.value = m.cursor.Seek(from)
	}
	for _, b := range newestFirst {
		if b.m.Len() == 0 {
			continue
		}
		mb := mergeBuffer{it: b.m.Iter()}
		if reverse {
			mb.ok = iterBefore(&mb.it, to)
		} else {
			mb.ok = mb.it.Seek(string(from))
		}
		m.buffers = append(m.buffers, mb)
	}
	return m
}

// seekBefore places the cursor on the last key below to; nil is no bound.
func seekBefore(c *kv.Cursor, to []byte) (key, value []byte) {
	if to == nil {
		return c.Last()
	}
	if k, _ := c.Seek(to); k == nil {
		return c.Last()
	}
	return c.Prev()
}

// iterBefore places the iterator on the last key below to; nil is no bound.
func iterBefore(it *btree.MapIter[string, write], to []byte) bool {
	if to == nil || !it.Seek(string(to)) {
		return it.Last()
	}
	return it.Prev()
}

// next returns the next key that is there, in the direction of the walk. The
// bytes of value belong to the snapshot or a buffer. ok is false at the end.
func (m *merge) next() (key string, value []byte, ok bool) {
	for {
		found, best := false, ""
		if m.key != nil {
			found, best = true, string(m.key)
		}
		for i := range m.buffers {
			b := &m.buffers[i]
			if b.ok && (!found || !m.reverse && b.it.Key() < best || m.reverse && b.it.Key() > best) {
				found, best = true, b.it.Key()
			}
		}
		if !found {
			return "", nil, false
		}
		won, deleted := false, false
		for i := range m.buffers {
			b := &m.buffers[i]
			if !b.ok || b.it.Key() != best {
				continue
			}
			if !won {
				w := b.it.Value()
				won, value, deleted = true, w.value, w.deleted
			}
			if m.reverse {
				b.ok = b.it.Prev()
			} else {
				b.ok = b.it.Next()
			}
		}
		if m.key != nil && string(m.key) == best {
			if !won {
				won, value = true, m.value
			}
			if m.reverse {
				m.key, m.value = m.cursor.Prev()
			} else {
				m.key, m.value = m.cursor.Next()
			}
		}
		if !deleted {
			return best, value, true
		}
	}
}
