package kv

import (
	"fmt"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// Txn is one Update. What it reads is what the volume holds after its own writes.
// Before a write it looks at the pages of the copy that the checkpoint will touch (V6): an
// error that is ErrDamaged has changed nothing, and its caller gives the Update up.
type Txn struct {
	change *overlay.Change
	base   *Snapshot
	looker *boltfile.Looker
}

// Base shows the volume as it was before the Update. What it returns is valid until the
// Update ends.
func (t *Txn) Base() *Snapshot { return t.base }

// Get returns the value of key, or nil if there is none.
func (t *Txn) Get(space Space, key []byte) (value []byte, err error) {
	if value, known := t.change.Get(int(space), key); known {
		return value, nil
	}
	if err := t.looker.Look(space, key, false); err != nil {
		return nil, err
	}
	return t.base.below.Get(space, key), nil
}

// Seek returns the first key that is not below key, and its value; nil if there is none. A
// damaged page ends the Update.
func (t *Txn) Seek(space Space, key []byte) (k, v []byte, err error) {
	if err := t.looker.Look(space, key, false); err != nil {
		return nil, nil, err
	}
	k, v = t.change.Cursor(int(space), t.base.below.Cursor(space)).Seek(key)
	return k, v, nil
}

// Put stores value under key, which has fewer bytes than wal.MaxKey: with the space it is a key of
// a checkpoint. It keeps neither.
func (t *Txn) Put(space Space, key, value []byte) error {
	if len(key) >= wal.MaxKey {
		return fmt.Errorf("%w: a key of %d bytes, want fewer than %d", ErrRefused, len(key), wal.MaxKey)
	}
	if err := t.looker.Look(space, key, false); err != nil {
		return err
	}
	t.change.Put(int(space), key, value)
	return nil
}

// Delete removes key if it is there.
func (t *Txn) Delete(space Space, key []byte) error {
	if err := t.looker.Look(space, key, true); err != nil {
		return err
	}
	t.change.Delete(int(space), key)
	return nil
}
