package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
)

// The formats of a file. Which one it has is the value of formatKey, 8 bytes, big-endian.
// The first one has no checksums. Any other than these is refused.
const (
	formatPlain  = 1
	formatSealed = 2
)

// plainKey is there in Meta if the file was upgraded from the first format, and may have
// plain values.
var plainKey = []byte("plain")

// OfFormat says whether the row tells which format its file has.
func OfFormat(space Space, key []byte) bool {
	return isFormat(space, key) || space == Meta && string(key) == string(plainKey)
}

// readFormat finds out which format the file has, which was just opened.
func (db *DB) readFormat(snap *Snapshot) error {
	var format uint64
	if _, v, _ := snap.tree.get(snap.root(Meta), formatKey, plainFlags); len(v) == 8 {
		format = binary.BigEndian.Uint64(v)
	}
	switch format {
	case formatPlain:
		db.sealedFrom.Store(math.MaxInt64)
		db.upgraded = true
	case formatSealed:
		db.upgraded = snap.Get(Meta, plainKey) != nil
	default:
		return fmt.Errorf("%w: %s has format %d, this reader knows %d and %d", ErrBadFile, filepath.Base(db.path), format, formatPlain, formatSealed)
	}
	return nil
}

// sealingAt is which values are sealed as of the commit of that number.
func (db *DB) sealingAt(commit int) sealing {
	switch {
	case int64(commit) < db.sealedFrom.Load():
		return noneSealed
	case db.upgraded:
		return someSealed
	}
	return allSealed
}

// Upgrade makes a file of the first format one of the second, durably when it returns, if
// it is none yet. The first Update would do so, too. done says whether it did. An error is
// as one of Update.
func (db *DB) Upgrade() (done bool, err error) {
	pin, err := db.Begin()
	if err != nil {
		return false, err
	}
	plain := pin.snap.tree.sealing == noneSealed
	pin.Close()
	if !plain {
		return false, nil
	}
	return true, db.Update(func(*Txn) error { return nil })
}

// upgrade makes a file of the first format one of the second, with the Update that it is
// part of. It writes Meta anew; other values are sealed when they are written again.
func (t *Txn) upgrade() error {
	t.db.sealedFrom.Store(int64(t.tx.ID()))
	t.sealing = someSealed
	c := t.base.Cursor(Meta)
	for k, v := c.First(); k != nil; k, v = c.Next() { // none is damaged: none has a checksum
		if err := t.Put(Meta, k, v); err != nil {
			return err
		}
	}
	return errors.Join(t.Put(Meta, plainKey, nil), t.Put(Meta, formatKey, binary.BigEndian.AppendUint64(nil, formatSealed)))
}
