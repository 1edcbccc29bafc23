package boltfile

import "bytes"

// Cursor walks a space in byte order. Seek, First, Last, Next and Prev return a
// nil key at the end, where Next or Prev stays. They get to an end, whatever the pages say: keys
// that are out of order are damage. A walk goes over values that its caller does not need: what
// stands for a damaged one has a DamageOf.
type Cursor struct {
	t     *tree
	space Space
	keys  bool // values are not looked at
	root  root
	above []step // the way down to the leaf
	room  [4]step
	leaf  page
	at    int
}

// step is a branch on the way down, and the element that was taken.
type step struct {
	id uint64
	at int
	of int
}

// root is where a bucket begins: a page, or, with inline, what the page has in it.
type root struct {
	id     uint64
	inline []byte
}

func (t *tree) open(r root) page {
	if r.inline != nil {
		return t.inline(r.id, r.inline)
	}
	return t.page(r.id)
}

// Seek places the cursor on the first key that is not below key.
func (c *Cursor) Seek(key []byte) (k, v []byte) {
	c.above = c.room[:0]
	c.down(c.t.open(c.root), func(p *page) int { return p.towards(key) })
	c.at, _ = c.leaf.search(key)
	if c.at < c.leaf.count {
		k, v = c.here()
	} else {
		k, v = c.forward()
	}
	if k != nil && bytes.Compare(k, key) < 0 {
		c.leaf.bad("its keys are out of order")
	}
	return k, v
}

// First places the cursor on the first key.
func (c *Cursor) First() (k, v []byte) {
	c.above = c.room[:0]
	c.down(c.t.open(c.root), first)
	if c.at = 0; c.leaf.count > 0 {
		return c.here()
	}
	return c.forward()
}

// Last places the cursor on the last key.
func (c *Cursor) Last() (k, v []byte) {
	c.above = c.room[:0]
	c.down(c.t.open(c.root), last)
	if c.at = c.leaf.count - 1; c.at >= 0 {
		return c.here()
	}
	return c.back()
}

// Next moves the cursor to the next key.
func (c *Cursor) Next() (k, v []byte) {
	if c.at >= c.leaf.count {
		return nil, nil
	}
	from := c.leaf.key(c.at)
	if c.at++; c.at < c.leaf.count {
		k, v = c.here()
	} else {
		k, v = c.forward()
	}
	if k != nil && bytes.Compare(k, from) <= 0 {
		c.leaf.bad("its keys are out of order")
	}
	return k, v
}

// Prev moves the cursor to the key before.
func (c *Cursor) Prev() (k, v []byte) {
	if c.at < 0 {
		return nil, nil
	}
	from := c.leaf.key(c.at)
	if c.at--; c.at >= 0 {
		k, v = c.here()
	} else {
		k, v = c.back()
	}
	if k != nil && bytes.Compare(k, from) >= 0 {
		c.leaf.bad("its keys are out of order")
	}
	return k, v
}

func first(*page) int  { return 0 }
func last(p *page) int { return p.count - 1 }

// here returns what the cursor is on.
func (c *Cursor) here() (k, v []byte) {
	if k = c.leaf.key(c.at); c.keys {
		return k, nil
	}
	return k, c.t.unseal(c.leaf.id, c.space, k, c.leaf.value(c.at, plainFlags))
}

// down goes on from the page to a leaf, by the element that way chooses of each branch.
func (c *Cursor) down(p page, way func(*page) int) {
	for !p.leaf {
		if len(c.above) >= maxDepth {
			p.bad("it is %d pages below its root", maxDepth)
		}
		at := way(&p)
		c.above = append(c.above, step{p.id, at, p.count})
		p = c.t.page(p.child(at))
	}
	c.leaf = p
}

// forward goes to the first key of the next leaf that has one.
func (c *Cursor) forward() (k, v []byte) {
	for c.turn(func(s *step) bool { s.at++; return s.at < s.of }) {
		c.down(c.below(), first)
		if c.at = 0; c.leaf.count > 0 {
			return c.here()
		}
	}
	return nil, nil
}

// back goes to the last key of the leaf before that has one.
func (c *Cursor) back() (k, v []byte) {
	for c.turn(func(s *step) bool { s.at--; return s.at >= 0 }) {
		c.down(c.below(), last)
		if c.at = c.leaf.count - 1; c.at >= 0 {
			return c.here()
		}
	}
	return nil, nil
}

// turn goes up to the nearest branch that has another element that way. It is
// false if none has.
func (c *Cursor) turn(move func(*step) bool) bool {
	for n := len(c.above); n > 0; n-- {
		if move(&c.above[n-1]) {
			c.above = c.above[:n]
			return true
		}
	}
	c.above = c.above[:0]
	return false
}

// below is the page that the last step leads to.
func (c *Cursor) below() page {
	s := c.above[len(c.above)-1]
	p := c.t.page(s.id)
	if p.leaf || s.at >= p.count {
		p.bad("it has changed while it was read")
	}
	return c.t.page(p.child(s.at))
}

// get returns the value of the key, whose element has the flags, and the page it is
// on. ok is false if there is none.
func (t *tree) get(r root, key []byte, flags uint32) (id uint64, value []byte, ok bool) {
	p, i, equal := t.find(r, key)
	if !equal {
		return p.id, nil, false
	}
	return p.id, p.value(i, flags), true
}

// find returns the leaf on which the key is, or would be, its first element whose key is
// not below the key, and whether it is the key.
func (t *tree) find(r root, key []byte) (p page, i int, equal bool) {
	p = t.open(r)
	for depth := 0; !p.leaf; depth++ {
		if depth >= maxDepth {
			p.bad("it is %d pages below its root", maxDepth)
		}
		p = t.page(p.child(p.towards(key)))
	}
	i, equal = p.search(key)
	return p, i, equal
}

// space finds the space of that name.
func (t *tree) space(top root, name []byte) root {
	id, value, ok := t.get(top, name, bucketFlags)
	if !ok {
		panic(t.db.damaged(id, "it has no space %q", name))
	}
	return t.bucketAt(id, value)
}

// bucketAt reads what a leaf says of a bucket.
func (t *tree) bucketAt(id uint64, value []byte) root {
	if len(value) < bucketLen {
		panic(t.db.damaged(id, "a bucket in it has %d bytes", len(value)))
	}
	if r := order.Uint64(value); r != 0 {
		if !t.has(r) {
			panic(t.db.damaged(id, "a bucket in it refers to page %d of %d", r, t.pages()))
		}
		return root{id: r}
	}
	return root{id: id, inline: value}
}
