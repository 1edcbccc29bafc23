package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// restoring is the directory, in that of a store, in which it is restored.
const restoring = "restoring"

// VerifyBackup reads a backup to its end and says what is in it. ErrCorrupt, which names the
// offset, or ErrFormat for one that is damaged, cut off or none.
func VerifyBackup(r io.Reader) (BackupInfo, error) {
	b := &backupReader{}
	err := b.begin(r)
	if err == nil {
		err = b.read(context.Background(), func(uint32, kv.Space, []byte, []byte) error { return nil }, func(uint32, []byte, uint32) error { return nil })
	}
	return b.info, err
}

// Restore makes a store in dir of a backup that has all and of those that go on from it, in
// order. dir is made if it is not there, and must not have a store. The store is one of its
// own: it has no log in common with the one that was backed up, and no backup of that goes on
// from it. Jobs that were running then count as interrupted.
//
// Everything is verified, the structures of the new store too, before it has its name. When
// Restore returns nil the store is durable; after an error, or a crash, there is none, and
// Open refuses dir until it was restored anew. The info is that of the last backup.
// Errors: ErrExists, ErrLocked, ErrCorrupt, ErrFormat, ErrInvalid for a wrong order, or the
// file system's.
func Restore(ctx context.Context, dir string, backups ...io.Reader) (info BackupInfo, err error) {
	if len(backups) == 0 {
		return info, invalid("no backup to restore")
	}
	first := &backupReader{}
	if err := first.begin(backups[0]); err != nil {
		return info, fmt.Errorf("backup 1: %w", err)
	}
	if first.info.Since != "" {
		return info, invalid("backup 1 goes on from another one: restore that first, in the same call")
	}
	_, missing := os.Stat(dir)
	if err := kv.MakeDir(dir); err != nil {
		return info, err
	}
	release, err := kv.LockDir(dir, time.Second)
	if err != nil {
		return info, mapOpenError("directory", err)
	}
	defer release()
	if err := clearRestoring(dir); err != nil {
		return info, err
	}
	tmp := filepath.Join(dir, restoring)
	if err := errors.Join(os.Mkdir(tmp, 0o700), kv.SyncDir(dir)); err != nil {
		return info, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
			if missing != nil {
				_ = os.Remove(dir)
			}
		}
	}()
	r := &restore{dir: tmp}
	err = r.all(ctx, first, backups[1:])
	if err = errors.Join(err, r.close()); err != nil {
		return info, err
	}
	if err := verified(tmp); err != nil {
		return info, fmt.Errorf("restored, but not sound: %w", err)
	}
	return r.info, appear(dir, len(r.volumes))
}

// clearRestoring removes what a Restore that did not end has left in the directory. ErrExists
// if there is a store, or part of one.
func clearRestoring(dir string) error {
	tmp := filepath.Join(dir, restoring)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var volumes []string
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "log", name == filepath.Base(volumePath("", 0)):
			return fmt.Errorf("%w: there is a store in %s", ErrExists, dir)
		case name == filepath.Base(shardPath("", 0)):
			return fmt.Errorf("%w: in %s a node keeps its copies of a store whose log is elsewhere", ErrExists, dir)
		case strings.HasPrefix(name, "volume-"):
			volumes = append(volumes, name)
		}
	}
	if len(volumes) > 0 {
		// Those of a Restore have got their names while volume 0 has not.
		if _, err := os.Stat(volumePath(tmp, 0)); err != nil {
			return fmt.Errorf("%w: there is part of a store in %s", ErrExists, dir)
		}
	}
	for _, name := range volumes {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return os.RemoveAll(tmp)
}

// unfinished says whether a Restore into the directory has not ended.
func unfinished(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, restoring))
	_, missing := os.Stat(volumePath(dir, 0))
	return err == nil && errors.Is(missing, os.ErrNotExist)
}

// appear gives the volumes their names. There is no store before volume 0, the last, has its.
func appear(dir string, volumes int) error {
	tmp := filepath.Join(dir, restoring)
	for i := volumes - 1; i >= 0; i-- {
		if i == 0 {
			if err := kv.SyncDir(dir); err != nil {
				return err
			}
		}
		if err := os.Rename(volumePath(tmp, i), volumePath(dir, i)); err != nil {
			return err
		}
	}
	return errors.Join(kv.SyncDir(dir), os.Remove(tmp), kv.SyncDir(dir))
}

// restore makes the volumes.
type restore struct {
	dir     string
	store   uint64 // a new one
	volumes []*kv.Restored
	current uint32 // the only volume that has rows in memory
	info    BackupInfo
	at      position
}

// all restores the backups, of which the header of the first was read.
func (r *restore) all(ctx context.Context, first *backupReader, others []io.Reader) error {
	r.store = rand.Uint64()
	for i := range first.at.places {
		meta := volumeMeta(r.store, i)
		if i == 0 { // that of a shared log has no such row, and Open would leave out all but the first few
			meta = append(meta, kv.Row{Key: metaVolumes, Value: u64(uint64(len(first.at.places)))})
		}
		v, err := kv.Restore(volumePath(r.dir, i), meta)
		if err != nil {
			return err
		}
		r.volumes = append(r.volumes, v)
	}
	if err := r.take(ctx, first); err != nil {
		return fmt.Errorf("backup 1: %w", err)
	}
	for i, other := range others {
		b := &backupReader{}
		err := b.begin(other)
		switch {
		case err != nil:
		case b.info.Since == "":
			err = invalid("all of a store is in it: it is for the first place only")
		case b.info.Since != r.info.Position || b.at.store != r.at.store || len(b.at.places) != len(r.at.places):
			err = invalid("it does not go on from the one before it")
		default:
			err = r.take(ctx, b)
		}
		if err != nil {
			return fmt.Errorf("backup %d: %w", i+2, err)
		}
	}
	for _, v := range r.volumes {
		if err := v.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// take puts what is in the backup into the volumes.
func (r *restore) take(ctx context.Context, b *backupReader) error {
	err := b.read(ctx, func(volume uint32, space kv.Space, key, value []byte) error {
		v, err := r.volume(volume)
		return errors.Join(err, v.Put(space, key, value))
	}, func(volume uint32, record []byte, chain uint32) error {
		v, err := r.volume(volume)
		return errors.Join(err, v.Apply(record, chain))
	})
	r.info, r.at = b.info, b.at
	return err
}

// volume returns the volume, after what waits for another one was written.
func (r *restore) volume(i uint32) (v *kv.Restored, err error) {
	if i != r.current {
		err = r.volumes[r.current].Flush()
		r.current = i
	}
	return r.volumes[i], err
}

func (r *restore) close() error {
	var errs []error
	for _, v := range r.volumes {
		errs = append(errs, v.Close())
	}
	return errors.Join(errs...)
}

// backupReader reads a backup.
type backupReader struct {
	frames *frameReader
	info   BackupInfo
	at     position
	from   position // that it goes on from
}

// begin reads the header.
func (b *backupReader) begin(r io.Reader) error {
	frames, header, err := newFrameReader(r)
	if err != nil {
		return err
	}
	b.frames = frames
	b.info = BackupInfo{Position: header.Position, Since: header.Since}
	b.at, err = parsePosition(header.Position)
	if err == nil && b.info.Since != "" {
		b.from, err = parsePosition(header.Since)
	}
	if err != nil || b.at.store != header.Store || len(b.at.places) != int(header.Volumes) {
		return b.frames.wrong("the header has no position of its store")
	}
	return nil
}

// read reads the rest, and calls put with each row, apply with each record and the chain
// that it comes behind. Both may keep what they are given.
func (b *backupReader) read(ctx context.Context, put func(uint32, kv.Space, []byte, []byte) error, apply func(uint32, []byte, uint32) error) error {
	places := b.from.places
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, body, err := b.frames.next()
		if err != nil {
			return err
		}
		switch {
		case kind == frameRows && b.info.Since == "":
			var m proto.BackupRows
			if err := m.UnmarshalVT(body); err != nil || int(m.Volume) >= len(b.at.places) || int(m.Space) >= kv.Spaces || len(m.Keys) != len(m.Values) {
				return b.frames.wrong("they are no rows")
			}
			for i, key := range m.Keys {
				b.info.Rows++
				if err := put(m.Volume, kv.Space(m.Space), key, m.Values[i]); err != nil {
					return err
				}
			}
		case kind == frameRecord && b.info.Since != "":
			var m proto.BackupRecord
			if err := m.UnmarshalVT(body); err != nil || int(m.Volume) >= len(places) || m.Seq <= places[m.Volume].Seq {
				return b.frames.wrong("it is no record that is next")
			}
			b.info.Records++
			if err := apply(m.Volume, m.Data, places[m.Volume].Chain); err != nil {
				return b.frames.wrong("record %d of volume %d: %v", m.Seq, m.Volume, err)
			}
			places[m.Volume] = kv.Place{Seq: m.Seq, Chain: kv.Chain(m.Data)}
		case kind == frameEnd:
			var m proto.BackupEnd
			if err := m.UnmarshalVT(body); err != nil || m.Rows != b.info.Rows || m.Records != b.info.Records {
				return b.frames.wrong("it has %d rows and %d records, and says %d and %d", b.info.Rows, b.info.Records, m.Rows, m.Records)
			}
			for i, p := range places {
				if p.Chain != b.at.places[i].Chain {
					return b.frames.wrong("records of volume %d are missing", i)
				}
			}
			b.info.Bytes = b.frames.end
			return b.frames.last()
		default:
			return b.frames.wrong("a frame of kind %q", kind)
		}
	}
}
