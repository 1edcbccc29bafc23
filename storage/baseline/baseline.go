// Package baseline is what a durable update costs without anything of ours around
// it: one key of a file that has so many, in one transaction. The latency of a
// mutation is measured against it.
//
//	f, err := baseline.Open(dir, 100, value)
//	defer f.Close()
//	err = f.Update(7, value) // durable when it returns
package baseline

import (
	"fmt"
	"path/filepath"

	"carillon/storage/internal/kv"
)

// File is a file with some keys. A bucket that has only a few is part of the
// page above it, and its update one page cheaper.
type File struct{ db *kv.DB }

// Open makes the file in dir, with so many keys of the value.
func Open(dir string, keys int, value []byte) (*File, error) {
	path := filepath.Join(dir, "baseline.db")
	err := kv.Create(path, func(tx *kv.Txn) error {
		for i := range keys {
			if err := tx.Put(kv.Data, key(i), value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	db, err := kv.Open(path, kv.Options{})
	if err != nil {
		return nil, err
	}
	return &File{db}, nil
}

// key is as long as that of a document.
func key(i int) []byte { return fmt.Appendf(nil, "%040d", i) }

// Update writes the value of key i. It is durable when Update returns nil.
func (f *File) Update(i int, value []byte) error {
	return f.db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, key(i), value) })
}

// Close closes the file.
func (f *File) Close() error { return f.db.Close() }
