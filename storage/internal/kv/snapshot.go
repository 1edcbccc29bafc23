package kv

import (
	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
)

// Pin holds the volume at one moment. It keeps pages of the copy from being used again:
// close it soon. Its methods may be called by one goroutine at a time.
type Pin struct {
	db   *DB
	pin  *boltfile.Pin
	snap Snapshot
}

// Read runs fn on the volume as it was at that moment. What a Snapshot or its Cursors return
// is valid only until fn returns. A page that is damaged or cannot be read ends fn, with an
// error that is ErrDamaged and names it. ErrAbandoned if the DB was closed meanwhile: what fn
// has read may be anything.
func (p *Pin) Read(fn func(*Snapshot) error) error {
	return p.db.met(p.pin.Read(func(below *boltfile.Snapshot) error {
		p.snap.below = below
		return fn(&p.snap)
	}))
}

// Close lets the moment go. A second Close does nothing.
func (p *Pin) Close() {
	p.pin.Close()
	p.snap = Snapshot{}
}

// Snapshot is the volume at one moment, inside the fn of a Pin's Read.
type Snapshot struct {
	view  *overlay.View
	below *boltfile.Snapshot
}

// Get returns the value of key, or nil if there is none.
func (s *Snapshot) Get(space Space, key []byte) []byte {
	if value, known := s.view.Get(int(space), key); known {
		return value
	}
	return s.below.Get(space, key)
}

// Cursor returns a cursor over the space, not yet placed.
func (s *Snapshot) Cursor(space Space) *Cursor {
	return s.view.Cursor(int(space), s.below.Cursor(space))
}

// Keys is Cursor whose values are all nil, and not verified. It is for what counts keys.
func (s *Snapshot) Keys(space Space) *Cursor {
	return s.view.Keys(int(space), s.below.Keys(space))
}

// PageOf returns the page of the copy on which the key is, or would be. It is for tests.
func (s *Snapshot) PageOf(space Space, key []byte) int64 { return s.below.PageOf(space, key) }

// Freelist returns the page of the copy that lists what is free. It is for tests.
func (s *Snapshot) Freelist() int64 { return s.below.Freelist() }
