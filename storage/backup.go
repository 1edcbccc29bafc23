package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// BackupInfo says what is in a backup.
type BackupInfo struct {
	Position string // the moment: what the next backup may go on from
	Since    string // the Position that it goes on from; "" if all of the store is in it
	Rows     uint64 // keys and their values; 0 if it goes on from another one
	Records  uint64 // of the log; 0 if it does not
	Bytes    int64
}

// Backup writes all volumes, as of one moment, to w, while the store is used. With since,
// the Position of an earlier backup, it writes only what was committed after that; if the
// log does not have all of it any more, or if that was another store or another life of this
// one, it writes everything, and BackupInfo.Since is "". ErrInvalid for a since that is none.
//
// It reads before it writes, beyond a MiB into a nameless file of the store's directory, as
// large as the backup, so that a w that blocks holds nothing up. One backup is made at a
// time, others wait. A store that is open ReadOnly needs no such file. A volume that cannot
// be read, or what is damaged in it, is the error, and what was written then is of no use.
func (s *Store) Backup(ctx context.Context, w io.Writer, since string) (BackupInfo, error) {
	var from *position
	if since != "" {
		p, err := parsePosition(since)
		if err != nil {
			return BackupInfo{}, err
		}
		from = &p
	}
	select {
	case s.backups <- struct{}{}:
		defer func() { <-s.backups }()
	case <-ctx.Done():
		return BackupInfo{}, ctx.Err()
	}
	if s.opts.ReadOnly {
		// Nothing is written to it, so a moment holds nothing up, and the log stays as it is.
		if from != nil {
			_, err := s.backup(ctx, io.Discard, from)
			if errors.Is(err, kv.ErrGone) {
				from = nil
			} else if err != nil {
				return BackupInfo{}, err
			}
		}
		return s.backup(ctx, w, from)
	}
	out := &spool{dir: s.dir}
	defer func() { out.close() }()
	info, err := s.backup(ctx, out, from)
	if errors.Is(err, kv.ErrGone) {
		out.close()
		out = &spool{dir: s.dir}
		info, err = s.backup(ctx, out, nil)
	}
	if err != nil {
		return BackupInfo{}, err
	}
	return info, out.copyTo(ctx, w)
}

// moment pins all volumes as of one moment. None is opened anew meanwhile.
func (s *Store) moment() (pins []*kv.Pin, at position, err error) {
	dbs := make([]*kv.DB, len(s.volumes))
	for i, v := range s.volumes {
		v.mu.RLock()
		defer v.mu.RUnlock()
		if v.db == nil {
			return nil, at, v.downError()
		}
		dbs[i] = v.db
	}
	at.store = s.log.ID()
	pins, at.places, err = kv.Moment(dbs)
	return pins, at, readError(err)
}

// backup writes a backup. kv.ErrGone says that it cannot go on from there; what was written
// is of no use then.
func (s *Store) backup(ctx context.Context, w io.Writer, from *position) (BackupInfo, error) {
	pins, at, err := s.moment()
	if err != nil {
		return BackupInfo{}, err
	}
	defer func() {
		for _, pin := range pins {
			pin.Close()
		}
	}()
	info := BackupInfo{Position: at.String()}
	if from != nil {
		info.Since = from.String()
	}
	out, err := newFrameWriter(w)
	if err != nil {
		return info, err
	}
	header := &proto.BackupHeader{
		Version: backupVersion, Store: at.store, Since: info.Since, Position: info.Position, Volumes: uint32(len(s.volumes)),
	}
	if err := out.frame(frameHeader, header); err != nil {
		return info, err
	}
	if from != nil {
		err = s.backupRecords(ctx, out, *from, at, &info)
	} else {
		err = s.backupRows(ctx, out, pins, &info)
	}
	if err == nil {
		err = errors.Join(out.frame(frameEnd, &proto.BackupEnd{Rows: info.Rows, Records: info.Records}), out.w.Flush())
	}
	info.Bytes = out.bytes
	return info, err
}

// backupRecords writes what the logs have between two moments.
func (s *Store) backupRecords(ctx context.Context, out *frameWriter, from, to position, info *BackupInfo) error {
	if from.store != to.store || len(from.places) != len(to.places) {
		return kv.ErrGone
	}
	for i := range to.places {
		err := s.log.Since(ctx, kv.Volume(i), from.places[i], to.places[i], func(seq uint64, record []byte) error {
			info.Records++
			return out.frame(frameRecord, &proto.BackupRecord{Volume: uint32(i), Seq: seq, Data: record})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// backupRows writes all that the pins show.
func (s *Store) backupRows(ctx context.Context, out *frameWriter, pins []*kv.Pin, info *BackupInfo) error {
	for i, pin := range pins {
		for space := range kv.Space(kv.Spaces) {
			for from, more := []byte(nil), true; more; {
				if err := ctx.Err(); err != nil {
					return err
				}
				frame := &proto.BackupRows{Volume: uint32(i), Space: uint32(space)}
				err := readPin(s.volumes[i].name, pin, func(snap *kv.Snapshot) (err error) {
					from, err = addRows(frame, snap.Cursor(space), from)
					return err
				})
				if err != nil {
					return fmt.Errorf("%s: %w", s.volumes[i].name, err)
				}
				if more = from != nil; len(frame.Keys) == 0 {
					continue
				}
				info.Rows += uint64(len(frame.Keys))
				if err := out.frame(frameRows, frame); err != nil {
					return err
				}
			}
		}
		pin.Close() // its pages may be used again
	}
	return nil
}

// addRows copies rows from the key on, nil for the first. next is where the others begin;
// nil if there are none. A damaged value is the error.
func addRows(frame *proto.BackupRows, c *kv.Cursor, from []byte) (next []byte, err error) {
	k, v := c.First()
	if from != nil {
		k, v = c.Seek(from)
	}
	for size := 0; k != nil; k, v = c.Next() {
		if size >= backupChunk {
			return bytes.Clone(k), nil
		}
		if err := damageOf(v); err != nil {
			return nil, err
		}
		frame.Keys = append(frame.Keys, bytes.Clone(k))
		frame.Values = append(frame.Values, append([]byte{}, v...))
		size += len(k) + len(v)
	}
	return nil, nil
}
