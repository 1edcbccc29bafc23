package boltfile

import (
	"bytes"
	"slices"

	bolt "go.etcd.io/bbolt"
)

// Txn is one Update. What it reads is what the file holds after its own writes.
// Before it has bbolt touch a page it looks at the page (K6): an error that is
// ErrDamaged has changed nothing, and its caller gives the Update up.
type Txn struct {
	db      *DB
	tx      *bolt.Tx
	base    Snapshot // the file as it was before
	sealing sealing  // of what it holds after this Update
	arena   []byte   // where sealed values are until then
	buckets [spaces]*bolt.Bucket
	cursors [spaces]*bolt.Cursor
	looked  [spaces]looked
	few     [16]uint64      // pages that were looked at, the first ones
	sound   map[uint64]bool // and the others
	fresh   bool            // there are no pages yet
}

// Bounds of the pieces of memory that sealed values are put in, but for a value that is
// larger. The last piece serves the next Update, too.
const (
	minArena = 1 << 10
	maxArena = 64 << 10
)

// looked is the range of keys whose pages were looked at last.
type looked struct {
	low, high []byte // nil is no bound
	any       bool
	sides     bool // and the leaves beside it
}

func (db *DB) newTxn(tx *bolt.Tx) *Txn {
	base := db.snapshotOf(tx, tx.ID()-1)
	return &Txn{db: db, tx: tx, base: base, sealing: base.tree.sealing, arena: db.arena[:0]}
}

// run runs fn. It makes the file one of the second format first if it is none yet.
func (t *Txn) run(fn func(*Txn) error) error {
	defer func() {
		if cap(t.arena) <= maxArena {
			t.db.arena = t.arena
		}
	}()
	if t.sealing == noneSealed {
		if err := t.upgrade(); err != nil {
			return err
		}
	}
	return fn(t)
}

// bucket opens bbolt's bucket, whose root was looked at.
func (t *Txn) bucket(space Space) *bolt.Bucket {
	if t.buckets[space] == nil {
		t.buckets[space] = t.tx.Bucket(names[space])
		t.buckets[space].FillPercent = fillPercent
	}
	return t.buckets[space]
}

// Base shows the file as it was before the Update. What it returns is valid until
// the Update ends.
func (t *Txn) Base() *Snapshot { return &t.base }

// Get returns the value of key, or nil if there is none. What stands for a damaged one has a
// DamageOf, but in Meta, where it is the error.
func (t *Txn) Get(space Space, key []byte) (value []byte, err error) {
	if err := t.look(space, key, false); err != nil {
		return nil, err
	}
	data := t.bucket(space).Get(key)
	if data == nil {
		return nil, nil
	}
	value = t.unseal(space, key, data)
	if space == Meta {
		if d := DamageOf(value); d != nil {
			return nil, d
		}
	}
	return value, nil
}

func (t *Txn) unseal(space Space, key, data []byte) []byte {
	value, ok := t.sealing.unseal(space, key, data)
	if !ok {
		page, _, _ := t.base.tree.get(t.base.root(space), key, plainFlags)
		return t.db.damagedValue(page, space, key)
	}
	return value
}

// Seek returns the first key that is not below key, and its value, nil if there is none. What
// stands for a damaged one has a DamageOf.
func (t *Txn) Seek(space Space, key []byte) (k, v []byte, err error) {
	err = t.look(space, key, false)
	if err == nil {
		// It may go on to other pages than the one that was looked at.
		err = t.db.guarded(false, func() error {
			t.base.Cursor(space).Seek(key)
			return nil
		})
	}
	if err != nil {
		return nil, nil, err
	}
	if k, v = t.cursor(space).Seek(key); k != nil {
		v = t.unseal(space, k, v)
	}
	return k, v, nil
}

// Put stores value under key. It keeps neither.
func (t *Txn) Put(space Space, key, value []byte) error {
	if err := t.look(space, key, false); err != nil {
		return err
	}
	return t.bucket(space).Put(key, t.seal(space, key, value))
}

// seal returns the value as it is stored. It is good until the Update returns.
func (t *Txn) seal(space Space, key, value []byte) []byte {
	if n := sealLen + len(value); cap(t.arena)-len(t.arena) < n {
		t.arena = make([]byte, 0, max(n, min(2*cap(t.arena), maxArena), minArena))
	}
	from := len(t.arena)
	t.arena = appendSealed(t.arena, space, key, value)
	return t.arena[from:len(t.arena):len(t.arena)]
}

// Delete removes key if it is there.
func (t *Txn) Delete(space Space, key []byte) error {
	if err := t.look(space, key, true); err != nil {
		return err
	}
	c := t.cursor(space)
	if found, _ := c.Seek(key); !bytes.Equal(found, key) {
		return nil
	}
	return c.Delete()
}

// cursor is used again and again: it has its stack already, which a new one allocates.
func (t *Txn) cursor(space Space) *bolt.Cursor {
	if t.cursors[space] == nil {
		t.cursors[space] = t.bucket(space).Cursor()
	}
	return t.cursors[space]
}

// OnCommit has fn told, when the transaction is durable, how many bytes of pages
// it wrote.
func (t *Txn) OnCommit(fn func(written int64)) {
	tx, page := t.tx, int64(t.db.pageSize)
	tx.OnCommit(func() {
		stats := tx.Stats()
		fn(stats.GetPageAlloc() + page) // and the meta page, which is not allocated
	})
}

// lookAtTop looks at the pages that every Update touches: the one that has the
// small spaces in it, and the head of the freelist. latest is the id of the latest commit, at
// the moment of base: the next but one writes its own over what says so.
func (t *Txn) lookAtTop(latest uint64) error {
	if t.tx != nil {
		t.db.writing.Store(latest + 1)
	}
	return t.db.guarded(false, func() error {
		tree := &t.base.tree
		m, ok := decodeMeta(tree.data[latest%2*uint64(tree.size):])
		if ok = ok && m.txid == latest; ok {
			if _, _, err := tree.freelistHead(m.freelist); err != nil {
				return err
			}
		} else if t.db.writing.Load() < latest+2 {
			return t.db.damaged(latest%2, "it is not what was committed last")
		}
		top := tree.page(t.base.top.id)
		top.verify(bucketFlags, nil, nil)
		for i := range names {
			if r := t.base.root(Space(i)); r.inline != nil {
				p := tree.open(r)
				p.verify(plainFlags, nil, nil)
			}
		}
		return nil
	})
}

// look looks at the pages that a use of the key may touch: those on the way to it,
// and with sides, as a leaf that gets too small joins another one, those beside them.
func (t *Txn) look(space Space, key []byte, sides bool) error {
	l := &t.looked[space]
	if t.fresh || l.any && (l.sides || !sides) && bytes.Compare(l.low, key) <= 0 && (l.high == nil || bytes.Compare(key, l.high) < 0) {
		return nil
	}
	return t.db.guarded(false, func() error {
		*l = looked{}
		var found looked
		tree := &t.base.tree
		p := tree.open(t.base.root(space))
		t.lookAt(&p, nil, nil)
		for depth := 0; !p.leaf; depth++ {
			if depth >= maxDepth {
				p.bad("it is %d pages below its root", maxDepth)
			}
			at := p.towards(key)
			outer := found.high
			t.bounds(&p, at, &found.low, &found.high, outer)
			child := tree.page(p.child(at))
			t.lookAt(&child, p.key(at), found.high)
			for _, side := range [...]int{at - 1, at + 1} {
				if sides && side >= 0 && side < p.count {
					beside := tree.page(p.child(side))
					low, high := p.key(side), outer
					if side+1 < p.count {
						high = p.key(side + 1)
					}
					t.lookAt(&beside, low, high)
				}
			}
			p = child
		}
		found.any, found.sides = true, sides
		*l = found
		return nil
	})
}

// bounds narrows [low, high) to what lies below the branch's element.
func (t *Txn) bounds(p *page, at int, low, high *[]byte, outer []byte) {
	if at > 0 {
		*low = p.key(at)
	}
	if *high = outer; at+1 < p.count {
		*high = p.key(at + 1)
	}
}

func (t *Txn) lookAt(p *page, low, high []byte) {
	if t.sound[p.id] || slices.Contains(t.few[:], p.id) {
		return
	}
	p.verify(plainFlags, low, high)
	if i := slices.Index(t.few[:], 0); i >= 0 {
		t.few[i] = p.id
		return
	}
	if t.sound == nil {
		t.sound = map[uint64]bool{}
	}
	t.sound[p.id] = true
}
