package boltfile

import (
	"unsafe"

	bolt "go.etcd.io/bbolt"
)

// Pin holds the file at one moment. It keeps the pages of that moment from being
// used again: close it soon. Its methods may be called by one goroutine at a time.
type Pin struct {
	db   *DB
	tx   *bolt.Tx
	snap Snapshot
}

// Read runs fn on the file as it was at that moment. What a Snapshot or its
// Cursors return is valid only until fn returns. A page that is damaged or cannot be
// read ends fn, with an error that is ErrDamaged and names it. ErrAbandoned if the
// file was closed meanwhile: what fn has read may be anything.
func (p *Pin) Read(fn func(*Snapshot) error) error {
	err := p.db.guarded(false, func() error { return fn(&p.snap) })
	if p.db.abandoned.Load() {
		return ErrAbandoned
	}
	return err
}

// Close lets the moment go. A second Close does nothing.
func (p *Pin) Close() {
	if p.tx == nil {
		return
	}
	tx := p.tx
	p.tx, p.snap = nil, Snapshot{}
	if p.db.broken.Load() == nil {
		_ = tx.Rollback() // it fails only if it was closed already
	}
	if p.db.pins.Add(-1) > 0 {
		return
	}
	if none := p.db.none.Swap(nil); none != nil {
		close(*none)
	}
	if p.db.abandoned.Load() {
		p.db.unmap()
	}
}

// Snapshot is the file at one moment, inside the fn of a Pin's Read.
type Snapshot struct {
	tree  tree
	top   root
	roots [spaces]root // those that were looked up
}

// snapshotOf shows the file as of the commit of that number, with which the transaction began.
func (db *DB) snapshotOf(tx *bolt.Tx, commit int) Snapshot {
	base := db.bolt.Info().Data
	first := *(**byte)(unsafe.Pointer(&base))
	db.base.Store(base)
	return Snapshot{
		tree: tree{db: db, data: unsafe.Slice(first, tx.Size()), size: db.pageSize, sealing: db.sealingAt(commit)},
		top:  root{id: uint64(tx.Cursor().Bucket().RootPage())},
	}
}

func (s *Snapshot) root(space Space) root {
	if s.roots[space].id == 0 {
		s.roots[space] = s.tree.space(s.top, names[space])
	}
	return s.roots[space]
}

// Get returns the value of key, or nil if there is none. What stands for a damaged one has a
// DamageOf, but in Meta, where it ends the Read as a damaged page does.
func (s *Snapshot) Get(space Space, key []byte) []byte {
	p, i, equal := s.tree.find(s.root(space), key)
	var value []byte
	ok := false
	if equal {
		value, ok = s.tree.sealing.unseal(space, key, p.value(i, plainFlags))
	}
	if !ok {
		value = p.around(i, space, key)
	}
	if space == Meta {
		if d := DamageOf(value); d != nil {
			panic(d)
		}
	}
	return value
}

// Cursor returns a cursor over the space, not yet placed.
func (s *Snapshot) Cursor(space Space) *Cursor {
	return &Cursor{t: &s.tree, space: space, root: s.root(space)}
}

// Keys returns a cursor whose values are all nil: they are not verified, and so neither are
// the keys. It is for what counts keys.
func (s *Snapshot) Keys(space Space) *Cursor {
	return &Cursor{t: &s.tree, space: space, keys: true, root: s.root(space)}
}

// unmap ends the mapping of an abandoned file that no Pin reads any more.
func (db *DB) unmap() {
	if db.broken.Load() == nil && db.unmapped.CompareAndSwap(false, true) {
		_ = db.bolt.Close() // the file is closed already
	}
}

// PageOf returns the page on which the key is, or would be. It is for tests.
func (s *Snapshot) PageOf(space Space, key []byte) int64 {
	id, _, _ := s.tree.get(s.root(space), key, plainFlags)
	return int64(id)
}

// Freelist returns the page that lists what is free. It is for tests.
func (s *Snapshot) Freelist() int64 {
	a, _ := decodeMeta(s.tree.data)
	b, _ := decodeMeta(s.tree.data[s.tree.size:])
	if b.txid > a.txid {
		a = b
	}
	return int64(a.freelist)
}
