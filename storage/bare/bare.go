// Package bare is what a durable update costs without anything of ours around
// it: one key of one file, in one transaction. The latency of a mutation is
// measured against it.
//
//	f, err := bare.Open(dir)
//	defer f.Close()
//	err = f.Update(value) // durable when it returns
package bare

import (
	"path/filepath"

	"carillon/storage/internal/kv"
)

// File is a file with one key.
type File struct{ db *kv.DB }

// Open makes the file in dir.
func Open(dir string) (*File, error) {
	path := filepath.Join(dir, "bare.db")
	if err := kv.Create(path, func(*kv.Txn) error { return nil }); err != nil {
		return nil, err
	}
	db, err := kv.Open(path, kv.Options{})
	if err != nil {
		return nil, err
	}
	return &File{db}, nil
}

// Update writes the value. It is durable when Update returns nil.
func (f *File) Update(value []byte) error {
	return f.db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, []byte("key"), value) })
}

// Close closes the file.
func (f *File) Close() error { return f.db.Close() }
