package kv

import (
	"slices"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
)

// Restored is the copy of a volume that is made of what another one has shown, and of its
// records. It has no log. Its methods are for one goroutine.
type Restored struct {
	file  *boltfile.DB
	meta  []Row
	rows  []change
	bytes int
}

// Row is a key with its value.
type Row struct{ Key, Value []byte }

// change is a row that is put, or deleted.
type change struct {
	space Space
	Row
	deleted bool
}

// restoreChunk is how many bytes of rows are written in one transaction, but for the last one.
const restoreChunk = 16 << 20

// Restore makes the file of a volume with these rows in its Meta space, which stay as they
// are whatever is put there.
func Restore(path string, meta []Row) (*Restored, error) {
	return restore(path, meta, boltfile.Options{})
}

func restore(path string, meta []Row, opts boltfile.Options) (*Restored, error) {
	err := Create(path, func(tx *Fresh) error {
		for _, r := range meta {
			if err := tx.Put(Meta, r.Key, r.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	file, err := boltfile.Open(path, opts)
	if err != nil {
		return nil, err
	}
	return &Restored{file: file, meta: meta}, nil
}

// Put puts a row. It keeps both slices.
func (r *Restored) Put(space Space, key, value []byte) error {
	r.add(space, key, value, false)
	return r.flush(restoreChunk)
}

// Apply applies a record that comes behind one that has the chain. It keeps the record.
func (r *Restored) Apply(record []byte, chain uint32) error {
	err := overlay.Scan(record, spaces, chain, func(space int, key, value []byte, deleted bool) {
		r.add(Space(space), key, value, deleted)
	})
	if err != nil {
		return err
	}
	return r.flush(restoreChunk)
}

func (r *Restored) add(space Space, key, value []byte, deleted bool) {
	own := func(m Row) bool { return string(m.Key) == string(key) }
	if boltfile.OfFormat(space, key) || space == Meta && (string(key) == string(metaApplied) || slices.ContainsFunc(r.meta, own)) {
		return
	}
	r.rows = append(r.rows, change{space, Row{key, value}, deleted})
	r.bytes += len(key) + len(value) + rowCost
}

// rowCost is about what a row that waits takes in memory besides its key and value.
const rowCost = 64

// flush writes what waits, if that has so many bytes.
func (r *Restored) flush(least int) error {
	if r.bytes < least || len(r.rows) == 0 {
		return nil
	}
	err := r.file.Update(func(tx *boltfile.Txn) error {
		for _, c := range r.rows {
			var err error
			if c.deleted {
				err = tx.Delete(c.space, c.Key)
			} else {
				err = tx.Put(c.space, c.Key, c.Value)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	r.rows, r.bytes = nil, 0
	return err
}

// Flush makes all durable that was put and applied.
func (r *Restored) Flush() error { return r.flush(0) }

// Close closes the file as it is.
func (r *Restored) Close() error { return r.file.Close() }

// Chain is the checksum of all records up to this one, which the next one bears.
func Chain(record []byte) uint32 { return overlay.Chain(record) }
