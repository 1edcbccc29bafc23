// Package baseline is what a durable update costs without anything of ours around
// it. The latency of a mutation is measured against both floors:
//
//	keys, err := baseline.OpenKeys(dir, 100, value) // a bbolt file
//	err = keys.Update(7, value)                     // one key, in one transaction
//	zeros, err := baseline.OpenZeros(dir)           // a plain file
//	err = zeros.Append(value)                       // one write and one sync
//
// Both are durable when they return nil.
package baseline

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Keys is a bbolt file with some keys. A bucket that has only a few is part of the
// page above it, and its update one page cheaper.
type Keys struct{ db *bbolt.DB }

var bucket = []byte("data")

// OpenKeys makes the file in dir, with so many keys of the value.
func OpenKeys(dir string, keys int, value []byte) (*Keys, error) {
	db, err := bbolt.Open(filepath.Join(dir, "keys.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucket)
		for i := 0; i < keys && err == nil; i++ {
			err = b.Put(key(i), value)
		}
		return err
	})
	if err != nil {
		db.Close()
		return nil, err
	}
	return &Keys{db}, nil
}

// key is as long as that of a document.
func key(i int) []byte { return fmt.Appendf(nil, "%040d", i) }

// Update writes the value of key i. It is durable when Update returns nil.
func (k *Keys) Update(i int, value []byte) error {
	return k.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key(i), value) })
}

// Close closes the file.
func (k *Keys) Close() error { return k.db.Close() }
