package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"carillon/storage/internal/kv"
)

// This file moves a store from a directory into a log that several nodes have in common, and back:
// each app by its export, and what the store has besides: tokens, the key of sessions, the audit
// log, what was declared and whose program it is. Eras of the clock are not moved, as they are not
// with an app.

// Moved is what was moved. For engines.
type Moved struct {
	Apps    int
	Rows    uint64 // of the apps
	Tokens  int
	Entries int // of the audit log
}

// metaMoving is the key that a store has while another one is moved into it.
var metaMoving = []byte("moving")

// ImportStore moves a copy of the store in dir, which no process has open, into an empty log. All is
// compared, and every structure verified, before it returns nil; no node owns the log's
// store before that. It waits while a node owns it. After an error it can be run again, and begins anew. ErrExists if the
// log has a store, ErrNotFound if dir has none. For engines.
func ImportStore(ctx context.Context, dir string, log SharedLog) (Moved, error) {
	return importStore(ctx, dir, Options{Log: log})
}

func importStore(ctx context.Context, dir string, opts Options) (m Moved, err error) {
	from, err := Open(dir, Options{ReadOnly: true})
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	err = atLog(ctx, opts, func(to *Store) error {
		m, err = moveStore(ctx, from, to)
		return err
	})
	return m, err
}

// ExportStore moves a copy of the log's store into dir, which has none, as ImportStore does. No
// node may own it meanwhile: it waits until none does. What is in dir after an error is refused by
// Open, and goes on when it is run again. For engines.
func ExportStore(ctx context.Context, log SharedLog, dir string) (m Moved, err error) {
	err = atLog(ctx, Options{Log: log}, func(from *Store) (err error) {
		to, err := Open(dir, Options{moving: true})
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		m, err = moveStore(ctx, from, to)
		return err
	})
	return m, err
}

// atLog calls fn with the log's store, which this process owns meanwhile.
func atLog(ctx context.Context, opts Options, fn func(*Store) error) (err error) {
	cache, err := os.MkdirTemp("", "carillon-move-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(cache)) }()
	opts.Node, opts.NoSync, opts.moving = Node{Name: "carillon-move"}, true, true
	node, err := Join(ctx, cache, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Close()) }()
	s, err := node.Own(ctx)
	if err != nil {
		return err
	}
	return fn(s)
}

// checkMoved refuses a store into which another one is moved, but to what moves it.
func (s *Store) checkMoved() error {
	if s.opts.moving || s.volumes[0].db == nil {
		return nil
	}
	return s.volumes[0].read(func(snap *kv.Snapshot) error {
		if snap.Get(kv.Meta, metaMoving) != nil {
			return fmt.Errorf("%w: a store was to be moved into this one, and that has not ended: run it again", ErrFormat)
		}
		return nil
	})
}

// moveStore moves a copy of one store into the other, which is empty, or has what an earlier call of
// it has left.
func moveStore(ctx context.Context, from, to *Store) (m Moved, err error) {
	if err := to.beginMove(); err != nil {
		return m, err
	}
	apps, err := from.Apps()
	if err != nil {
		return m, err
	}
	for _, id := range apps {
		rows, err := moveApp(ctx, from, to, id)
		if err != nil {
			return m, fmt.Errorf("app %s: %w", id, err)
		}
		m.Apps++
		m.Rows += rows
	}
	if err := m.rest(ctx, from, to); err != nil {
		return m, err
	}
	if err := to.Check(); err != nil {
		return m, fmt.Errorf("moved, but not sound: %w", err)
	}
	if n, err := to.CountApps(); err != nil || n != m.Apps {
		return m, errors.Join(err, fmt.Errorf("%w: %d apps are there, %d were moved", ErrCorrupt, n, m.Apps))
	}
	err = to.volumes[0].do(0, func(tx *kv.Txn) error { return tx.Delete(kv.Meta, metaMoving) })
	to.Leave(ctx)
	return m, err
}

// beginMove empties a store that a move which has not ended has left, and refuses any other one
// that is not empty.
func (s *Store) beginMove() error {
	apps, err := s.Apps()
	if err != nil {
		return err
	}
	err = s.volumes[0].do(0, func(tx *kv.Txn) error {
		before, err := tx.Get(kv.Meta, metaMoving)
		if err == nil && before == nil && len(apps) > 0 {
			err = fmt.Errorf("%w: there is a store with %d apps", ErrExists, len(apps))
		}
		return errors.Join(err, tx.Put(kv.Meta, metaMoving, []byte{1}))
	})
	for _, id := range apps {
		if err == nil {
			err = s.Delete(id)
		}
	}
	for _, v := range s.volumes {
		for some := true; some && err == nil; {
			err = v.do(0, func(tx *kv.Txn) error {
				c := tx.Base().Cursor(kv.Meta)
				n := 0
				for k, _ := c.Seek(auditPrefix); bytes.HasPrefix(k, auditPrefix) && n < auditStep; k, _ = c.Next() {
					if err := tx.Delete(kv.Meta, bytes.Clone(k)); err != nil {
						return err
					}
					n++
				}
				if some = n == auditStep; n == 0 {
					return nil
				}
				return tx.Put(kv.Meta, metaAudited, u64(0))
			})
		}
	}
	return err
}

// moveApp moves an app, and compares what there is then with what there was.
func moveApp(ctx context.Context, from, to *Store, id AppID) (rows uint64, err error) {
	stream := &spool{dir: to.dir}
	defer stream.close()
	if err := from.export(ctx, id, stream); err != nil {
		return 0, err
	}
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := stream.copyTo(ctx, w)
		w.CloseWithError(err)
		written <- err
	}()
	err = to.Import(ctx, id, r)
	r.CloseWithError(io.ErrClosedPipe)
	if failed := <-written; err == nil {
		err = failed
	}
	if err != nil {
		return 0, err
	}
	was, err := from.digest(id)
	if err != nil {
		return 0, err
	}
	is, err := to.digest(id)
	if err == nil && is != was {
		err = fmt.Errorf("%w: %d rows are %d, or differ", ErrCorrupt, was.rows, is.rows)
	}
	return is.rows, err
}

// digest tells the rows of one app from those of another.
type digest struct {
	rows uint64
	sum  uint32
}

// digest is that of the app, but for what Import changes: whose the claims are, and its counters.
func (s *Store) digest(id AppID) (d digest, err error) {
	v, err := s.find(id)
	if err != nil {
		return d, err
	}
	return d, v.read(func(snap *kv.Snapshot) error {
		n, err := decodeEntry(snap.Get(kv.Apps, []byte(id)))
		if err != nil {
			return err
		}
		c := snap.Cursor(kv.Data)
		for k, value := c.Seek(n.number()); bytes.HasPrefix(k, n.number()); k, value = c.Next() {
			if err := damageOf(value); err != nil {
				return err
			}
			d.rows++
			d.sum = crc32.Update(d.sum, castagnoli, k[numberLen:])
			if t := tag(k[numberLen]); t != tagClaim && t != tagMeta {
				d.sum = crc32.Update(d.sum, castagnoli, value)
			}
		}
		return nil
	})
}

// rest moves what is no app's.
func (m *Moved) rest(ctx context.Context, from, to *Store) error {
	name, err := from.Program()
	if err == nil && name != "" {
		err = to.SetProgram(name)
	}
	if err != nil {
		return err
	}
	for i, v := range from.volumes {
		at := to.volumes[i%len(to.volumes)]
		for next := []byte{}; next != nil; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var rows []row
			var entries [][]byte
			err := v.read(func(snap *kv.Snapshot) (err error) {
				rows, entries, next, err = movable(snap, next, i == 0)
				return err
			})
			if err == nil {
				err = at.do(0, func(tx *kv.Txn) (err error) {
					for _, r := range rows {
						err = errors.Join(err, tx.Put(kv.Meta, r.key, r.value))
					}
					return errors.Join(err, at.audit(tx, entries...))
				})
			}
			if err != nil {
				return err
			}
			m.Entries += len(entries)
			for _, r := range rows {
				if bytes.HasPrefix(r.key, tokenPrefix) {
					m.Tokens++
				}
			}
		}
	}
	return nil
}

// movable reads rows of the Meta space from the key on that are moved, and entries of the audit log.
// next is where the others begin; nil if there are none.
func movable(snap *kv.Snapshot, from []byte, first bool) (rows []row, entries [][]byte, next []byte, err error) {
	c := snap.Cursor(kv.Meta)
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		if len(rows)+len(entries) == auditStep {
			return rows, entries, bytes.Clone(k), nil
		}
		if err := damageOf(v); err != nil {
			return nil, nil, nil, err
		}
		r := row{bytes.Clone(k), append([]byte{}, v...)}
		switch {
		case bytes.HasPrefix(k, auditPrefix):
			entries = append(entries, r.value)
		case first && (bytes.HasPrefix(k, tokenPrefix) || bytes.Equal(k, metaSession) || bytes.Equal(k, metaDeclared)):
			rows = append(rows, r)
		}
	}
	return rows, entries, nil, nil
}
