package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"carillon/storage/internal/boltfile"
)

// Rewritten says what Rewrite has made of a copy.
type Rewritten struct {
	Before, After int64 // bytes that the pages take, free ones included
}

// Rewrite makes the file to, beside the copy at path and in the place of what is there, of the
// same rows: in the order of their keys, each with a checksum, and with the same place in the
// log. Both are closed, and the caller keeps others from them. The copy is not changed. When
// Rewrite returns, the file is durable and was read back. moved is told of bytes as they are
// written. ErrDamaged names what cannot be rewritten; after an error there is no file to.
func Rewrite(ctx context.Context, path, to string, moved func(bytes int)) (r Rewritten, err error) {
	if err := RemoveRewritten(to); err != nil {
		return r, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, RemoveRewritten(to))
		}
	}()
	var first content
	r.Before, err = readCopy(path, func(db *boltfile.DB) error { return first.copyTo(ctx, db, to, moved) })
	if err != nil {
		return r, err
	}
	var second content
	r.After, err = readCopy(to, func(db *boltfile.DB) error {
		return errors.Join(second.read(ctx, db, func(Space, []byte, []byte) error { return nil }), db.CheckPages())
	})
	if err == nil && first != second {
		err = fmt.Errorf("%w: %s was not rewritten as it was: %d rows are %d, or differ", ErrBadFile, filepath.Base(path), first.rows, second.rows)
	}
	return r, err
}

// RemoveRewritten removes what a Rewrite to that file has left.
func RemoveRewritten(to string) error {
	var errs []error
	for _, name := range []string{to, to + ".new"} {
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// readCopy opens the copy and returns how many bytes its pages take.
func readCopy(path string, fn func(*boltfile.DB) error) (used int64, err error) {
	db, err := boltfile.Open(path, boltfile.Options{ReadOnly: true})
	if err != nil {
		return 0, err
	}
	err = fn(db)
	if err == nil {
		used, err = db.Used()
	}
	return used, errors.Join(err, db.Close())
}

// content tells the rows of one copy from those of another, but for the rows of the format.
type content struct {
	rows int
	sum  uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// read calls row for each row of the copy, in order. The slices are the copy's.
func (c *content) read(ctx context.Context, db *boltfile.DB, row func(space Space, key, value []byte) error) error {
	pin, err := db.Begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	return pin.Read(func(snap *boltfile.Snapshot) error {
		for space := range Space(spaces) {
			cursor := snap.Cursor(space)
			for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
				if d := DamageOf(v); d != nil {
					return d
				}
				if boltfile.OfFormat(space, k) {
					continue
				}
				c.add(space, k, v)
				if err := ctx.Err(); err != nil {
					return err
				}
				if err := row(space, k, v); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func (c *content) add(space Space, key, value []byte) {
	var head [9]byte
	head[0] = byte(space)
	binary.BigEndian.PutUint32(head[1:], uint32(len(key)))
	binary.BigEndian.PutUint32(head[5:], uint32(len(value)))
	c.rows++
	for _, b := range [][]byte{head[:], key, value} {
		c.sum = crc32.Update(c.sum, castagnoli, b)
	}
}

// copyTo writes the rows to a new file.
func (c *content) copyTo(ctx context.Context, db *boltfile.DB, to string, moved func(bytes int)) error {
	meta, err := place(db)
	if err != nil {
		return err
	}
	file, err := Restore(to, meta)
	if err != nil {
		return err
	}
	err = c.read(ctx, db, func(space Space, key, value []byte) error {
		moved(len(key) + len(value))
		return file.Put(space, bytes.Clone(key), bytes.Clone(value))
	})
	if err == nil {
		err = file.Flush()
	}
	return errors.Join(err, file.Close())
}

// place is the row of Meta that says which records the copy has, if it has one.
func place(db *boltfile.DB) (meta []Row, err error) {
	pin, err := db.Begin()
	if err != nil {
		return nil, err
	}
	defer pin.Close()
	err = pin.Read(func(snap *boltfile.Snapshot) error {
		if v := snap.Get(Meta, metaApplied); v != nil {
			meta = []Row{{metaApplied, bytes.Clone(v)}}
		}
		return nil
	})
	return meta, err
}
