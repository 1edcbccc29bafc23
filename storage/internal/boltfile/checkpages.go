package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// maxFaults bounds how many faults CheckPages names.
const maxFaults = 100

// CheckPages verifies the file's own structure: every page is whole, in order, and
// reachable or free, once. It may run beside Updates. It returns every fault it
// finds, up to a hundred, joined; each names its page.
func (db *DB) CheckPages() error {
	db.commit.RLock() // the meta page of a moment is there until the second commit after it
	pin, err := db.Begin()
	var metas [2]meta
	var whole [2]bool
	if err == nil {
		err = pin.Read(func(snap *Snapshot) error {
			for i := range metas {
				data := snap.tree.data[i*snap.tree.size:]
				metas[i], whole[i] = decodeMeta(data)
				head := order.Uint64(data) == uint64(i) && order.Uint16(data[8:]) == metaFlag && order.Uint16(data[10:]) == 0 && order.Uint32(data[12:]) == 0
				whole[i] = whole[i] && head
			}
			return nil
		})
	}
	db.commit.RUnlock()
	if err != nil {
		return err
	}
	defer pin.Close()
	if err := db.present(pin.tx.Size()); err != nil {
		return err
	}
	c := pageCheck{db: db}
	for i := range metas {
		if !whole[i] {
			c.fault(db.damaged(uint64(i), "it is no whole meta page"))
		}
	}
	m := metas[pin.tx.ID()%2]
	if m.txid != uint64(pin.tx.ID()) {
		return errors.Join(c.faults...)
	}
	err = pin.Read(func(snap *Snapshot) error {
		c.check(snap, m)
		return nil
	})
	return errors.Join(append(c.faults, err)...)
}

// pageCheck is a walk over all pages of a file.
type pageCheck struct {
	db     *DB
	tree   *tree
	used   []bool // by page
	cut    bool   // a page is damaged, and what is below it was not walked
	faults []error
}

func (c *pageCheck) fault(err error) {
	if len(c.faults) == maxFaults {
		return
	}
	if c.faults = append(c.faults, err); len(c.faults) == maxFaults {
		c.faults = append(c.faults[:maxFaults-1], fmt.Errorf("%w: there are more faults", ErrDamaged))
	}
}

func (c *pageCheck) check(snap *Snapshot, m meta) {
	c.tree = &snap.tree
	c.used = make([]bool, c.tree.pages())
	c.used[0], c.used[1] = true, true
	c.page(bucketFlags, 0, 0, m.root, nil, nil, 0)
	free := c.free(m.freelist)
	unused, first := 0, 0
	for id := range c.used {
		switch {
		case c.used[id] && free[uint64(id)]:
			c.fault(c.db.damaged(uint64(id), "it is in use and in the freelist (page %d)", m.freelist))
		case !c.used[id] && !free[uint64(id)]:
			if unused++; unused == 1 {
				first = id
			}
		}
	}
	if unused > 0 && !c.cut {
		c.fault(c.db.damaged(uint64(first), "it is neither in use nor in the freelist (page %d), and so are %d more", m.freelist, unused-1))
	}
}

// page walks the tree below the page, to which the other one refers, and whose
// leaves have elements with the flags: buckets, or the keys and values of the space.
func (c *pageCheck) page(flags uint32, space Space, from, id uint64, low, high []byte, depth int) {
	var p page
	err := c.db.guarded(false, func() error {
		p = c.tree.page(id)
		if depth > maxDepth {
			p.bad("it is %d pages below its root", depth)
		}
		p.verify(flags, low, high)
		return nil
	})
	if err == nil {
		err = c.use(id, len(p.data)/c.tree.size)
	}
	if err != nil {
		c.cut = true
		if d, ok := errors.AsType[*Damage](err); ok && from != 0 {
			d.What += fmt.Sprintf(" (page %d refers to it)", from)
		}
		c.fault(err)
		return
	}
	if !p.leaf {
		for i := range p.count {
			next := high
			if i+1 < p.count {
				next = p.key(i + 1)
			}
			c.page(flags, space, id, p.child(i), p.key(i), next, depth+1)
		}
		return
	}
	if flags == plainFlags {
		c.values(&p, space)
		return
	}
	for i := range p.count {
		c.bucket(id, p.key(i), p.value(i, flags))
	}
}

// values looks at the values of a leaf that is sound.
func (c *pageCheck) values(p *page, space Space) {
	err := c.db.guarded(false, func() error {
		for i := range p.count {
			if _, ok := c.tree.sealing.unseal(space, p.key(i), p.value(i, plainFlags)); !ok {
				c.fault(c.db.badSeal(p.id, space, p.key(i)))
			}
		}
		return nil
	})
	if err != nil {
		c.fault(err)
	}
}

// bucket walks the bucket of that name that a leaf has in it.
func (c *pageCheck) bucket(id uint64, name, value []byte) {
	space := Space(slices.IndexFunc(names[:], func(n []byte) bool { return bytes.Equal(n, name) }))
	if space < 0 {
		c.fault(c.db.damaged(id, "it has a space %q, which there is not", name))
		c.cut = true
		return
	}
	var r root
	err := c.db.guarded(false, func() error {
		if r = c.tree.bucketAt(id, value); r.inline != nil {
			p := c.tree.open(r)
			p.verify(plainFlags, nil, nil)
			c.values(&p, space)
		}
		return nil
	})
	switch {
	case err != nil:
		c.cut = true
		c.fault(err)
	case r.inline == nil:
		c.page(plainFlags, space, id, r.id, nil, nil, 0)
	}
}

// use marks n pages from that one on as in use.
func (c *pageCheck) use(id uint64, n int) error {
	for i := range uint64(n) {
		if c.used[id+i] {
			return c.db.damaged(id+i, "it is referred to twice")
		}
		c.used[id+i] = true
	}
	return nil
}

// free reads the freelist and marks its own pages as in use.
func (c *pageCheck) free(id uint64) map[uint64]bool {
	free := map[uint64]bool{}
	err := c.db.guarded(false, func() error {
		ids, size, err := c.tree.freelist(id)
		if err != nil {
			return err
		}
		if err := c.use(id, size/c.tree.size); err != nil {
			return err
		}
		for i := range len(ids) / 8 {
			free[order.Uint64(ids[8*i:])] = true
		}
		return nil
	})
	if err != nil {
		c.cut = true
		c.fault(err)
	}
	return free
}

// freelistHead returns where in the freelist at that page its numbers are, 8 bytes
// each, and how many bytes it takes.
func (t *tree) freelistHead(id uint64) (ids []byte, size int, err error) {
	flags, count, data := t.header(id)
	ids = data[headerLen:]
	if flags != freelistFlag {
		return nil, 0, t.db.damaged(id, "its type is %#x, and it is the freelist", flags)
	}
	n := uint64(count)
	if n == 0xffff {
		n, ids = order.Uint64(ids), ids[8:]
	}
	pages := uint64(len(data) / t.size)
	if n > uint64(len(ids)/8) || (headerLen+8*(n+1+pages))/uint64(t.size)+1 < pages {
		return nil, 0, t.db.damaged(id, "it has %d free pages in %d bytes", n, len(data))
	}
	return ids[:8*n], len(data), nil
}

// freelist is freelistHead after a look at every number: they lie in the file, in
// order, each once.
func (t *tree) freelist(id uint64) (ids []byte, size int, err error) {
	if ids, size, err = t.freelistHead(id); err != nil {
		return nil, 0, err
	}
	last := uint64(1)
	for i := range len(ids) / 8 {
		free := order.Uint64(ids[8*i:])
		if free <= last || free >= t.pages() {
			return nil, 0, t.db.damaged(id, "its free page %d is %d, of %d", i, free, t.pages())
		}
		last = free
	}
	return ids, size, nil
}
