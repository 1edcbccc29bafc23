package kv

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"carillon/storage/internal/boltfile"
	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
)

// errNotCopy says that a file is not a copy of what the log has.
var errNotCopy = errors.New("not a copy of what the log has")

// buildTries is how many times a copy is made before OpenCopy gives up. A log that forgets
// more than what was read meanwhile has it begin again.
const buildTries = 5

// OpenCopy opens the copy of a shard at path and shows what the log has, without a claim. The
// file is used only if it says of which store, which shard and which record it is the copy, and
// that record is the log's, with the same claim and checksum. Else, and if there is no file or
// a damaged one, it is thrown away and made anew of what the log has: rebuilt is why, or nil. meta is rows of
// the Meta space, which such a file begins with and keeps.
//
// A file that is made anew gets its name when it is whole and durable. Until then nothing is
// at path, and what is left of it is thrown away by the next OpenCopy. TailLost of the DB says whether
// the log has lost what this node had.
func OpenCopy(ctx context.Context, path string, log *Log, volume Volume, meta []Row, opts Options) (db *DB, rebuilt, err error) {
	for tries := 0; ; tries++ {
		db, err = openCopy(ctx, path, log, volume, opts)
		if err == nil {
			if err = db.missed(ctx, log); err != nil {
				return nil, rebuilt, errors.Join(err, db.Abandon())
			}
			return db, rebuilt, nil
		}
		if !useless(err) || tries == buildTries {
			return nil, rebuilt, err
		}
		rebuilt = err
		if errors.Is(err, wal.ErrTailLost) {
			log.lost.Store(volume, err)
		}
		if err := RemoveCopy(path); err != nil {
			return nil, rebuilt, err
		}
		b := build{path: path + ".building", log: log, volume: volume, meta: meta, opts: opts}
		if err := b.run(ctx); err != nil {
			return nil, rebuilt, fmt.Errorf("%s is made anew: %w", filepath.Base(path), err)
		}
		if err := errors.Join(os.Rename(b.path, path), SyncDir(filepath.Dir(path))); err != nil {
			return nil, rebuilt, err
		}
	}
}

// RemoveCopy throws the copy of a shard away, which is closed.
func RemoveCopy(path string) error {
	var errs []error
	for _, name := range []string{path, path + ".new", path + ".building", path + ".building.new"} {
		if err := os.Remove(name); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// useless says that a copy is of no use, whatever the log has.
func useless(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, ErrBadFile) || errors.Is(err, ErrDamaged) || errors.Is(err, errNotCopy)
}

// openCopy opens a copy that is there.
func openCopy(ctx context.Context, path string, log *Log, volume Volume, opts Options) (*DB, error) {
	db, err := Open(path, opts)
	if err != nil {
		return nil, err
	}
	db.log, db.volume, db.share = log, volume, followShare
	db.shard = &shard{log: log, bound: maxUnfolded, read: foldRead, kept: keptBytes, folding: newTurn(), wake: make(chan struct{}, 1)}
	db.shard.ctx, db.shard.stop = context.WithCancel(context.Background())
	if err := db.agrees(ctx); err != nil {
		db.shard.stop()
		return nil, errors.Join(err, db.file.Close())
	}
	db.stopped = make(chan struct{})
	go db.checkpoints()
	if err := db.Follow(ctx); err != nil {
		return nil, errors.Join(err, db.Abandon())
	}
	return db, nil
}

// agrees says that the copy is one of what the log has, and takes over how far it is.
func (db *DB) agrees(ctx context.Context) error {
	pin, err := db.file.Begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	var at position
	err = pin.Read(func(snap *boltfile.Snapshot) (err error) {
		at, err = db.readLabel(snap.Get(Meta, metaApplied))
		return err
	})
	if err != nil || at.last == 0 {
		return err
	}
	switch err := db.has(ctx, at); {
	case errors.Is(err, wal.ErrTrimmed) || errors.Is(err, wal.ErrTailLost):
		return fmt.Errorf("%w: %w", errNotCopy, err)
	case err != nil:
		return err
	}
	db.position, db.inFile = at, at
	return nil
}

// The label of a copy of a shard is the value of metaApplied:
//
//	number 8 | chain 4 | checksum 4 | claim 16 | store 8 | shard 4
const labelLen = 8 + 4 + 4 + 16 + 8 + 4

// applies is what a copy says of how far it is.
func (db *DB) applies(at position) []byte {
	if db.shard == nil {
		return encodeApplied(at.last, at.chain)
	}
	return label(db.shard.log, db.volume, at)
}

func label(log *Log, volume Volume, at position) []byte {
	b := binary.BigEndian.AppendUint32(encodeApplied(at.last, at.chain), at.sum)
	b = binary.BigEndian.AppendUint64(append(b, at.fence[:]...), log.id)
	return binary.BigEndian.AppendUint32(b, uint32(volume))
}

// readLabel reads how far the copy is, which must be of this log's shard.
func (db *DB) readLabel(b []byte) (at position, err error) {
	if len(b) != labelLen {
		return at, fmt.Errorf("%w: its label has %d bytes", errNotCopy, len(b))
	}
	at.last, at.chain, at.sum = binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	copy(at.fence[:], b[16:])
	if !bytes.Equal(b, label(db.shard.log, db.volume, at)) {
		return at, fmt.Errorf("%w: it is of another store, or another shard", errNotCopy)
	}
	return at, nil
}

// build makes the file of a copy. Nothing is synced before all is there.
type build struct {
	path   string
	log    *Log
	volume Volume
	meta   []Row
	opts   Options

	file    *Restored
	at      position // of what was read
	chained uint64   // at.chain is that of the records up to here
	behind  bool     // a record was read
	known   bool     // at.chain is that of at.last
}

func (b *build) run(ctx context.Context) error {
	last, err := b.log.shared.Load(ctx, b.volume, b.begin, b.row, b.record)
	if err == nil {
		err = b.end(ctx, last)
	}
	if b.file != nil {
		err = errors.Join(err, b.file.Close())
	}
	if err == nil && !b.opts.NoSync {
		err = syncFile(b.path)
	}
	if err == nil {
		err = b.fault("built")
	}
	return err
}

func (b *build) fault(point string) error {
	if b.opts.Fault == nil {
		return nil
	}
	return b.opts.Fault(point)
}

// begin begins, or begins again.
func (b *build) begin() (err error) {
	if b.file != nil {
		err = b.file.Close()
	}
	if err = errors.Join(err, RemoveCopy(b.path)); err != nil {
		return err
	}
	b.at, b.chained, b.behind, b.known = position{}, 0, false, false
	b.file, err = restore(b.path, b.meta, boltfile.Options{NoSync: true})
	return err
}

// row takes a row of the log's checkpoint: its key begins with the space.
func (b *build) row(key, value []byte) error {
	if len(key) < 2 || int(key[0]) >= spaces {
		return fmt.Errorf("%w: the checkpoint of shard %d has a key %x", wal.ErrDamaged, b.volume, key)
	}
	if bytes.Equal(key, foldedKey) {
		if len(value) != 12 {
			return fmt.Errorf("%w: the checkpoint of shard %d says in %d bytes what it has", wal.ErrDamaged, b.volume, len(value))
		}
		b.chained, b.at.chain = binary.BigEndian.Uint64(value), binary.BigEndian.Uint32(value[8:])
		return nil
	}
	if err := b.fault("building"); err != nil {
		return err
	}
	return b.file.Put(Space(key[0]), key[1:], value)
}

// record takes a record behind the checkpoint. A fold that has not ended may have left a
// chain that is ahead: the record says behind which it comes.
func (b *build) record(rec wal.Record) error {
	if !b.behind {
		b.behind, b.known = true, b.chained == rec.Seq-1
	}
	if len(rec.Data) > 0 {
		if !b.known {
			b.at.chain, b.known = overlay.Behind(rec.Data), true
		}
		if err := b.file.Apply(rec.Data, b.at.chain); err != nil {
			return fmt.Errorf("%w: record %d of shard %d: %w", wal.ErrDamaged, rec.Seq, b.volume, err)
		}
	}
	b.at = b.at.after(rec)
	return nil
}

// end marks the file as a copy of the records up to the last one.
func (b *build) end(ctx context.Context, last uint64) error {
	if !b.behind && last > 0 {
		b.at.last = last
		for rec, err := range b.log.Read(ctx, b.volume, last) {
			if err != nil && !errors.Is(err, wal.ErrTrimmed) { // then it has gone on: this is no copy any more
				return err
			}
			b.at.sum, b.at.fence = overlay.Chain(rec.Data), rec.Fence
			break
		}
	}
	if err := b.file.Flush(); err != nil {
		return err
	}
	if err := b.fault("marking"); err != nil {
		return err
	}
	return b.file.file.Update(func(tx *boltfile.Txn) error {
		return tx.Put(Meta, metaApplied, label(b.log, b.volume, b.at))
	})
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
