package storage

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"carillon/proto"
	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// An exported app is a stream of length-prefixed records, each behind a byte
// that says which: one header, the app's keys and values in key order, and one
// trailer with their number and the checksum of all before it.
const (
	exportMagic   = "carillon app export\n"
	exportVersion = 1

	recordHeader  = 'H'
	recordEntry   = 'E'
	recordTrailer = 'T'
)

// maxExportRecord bounds one record of a stream, so that a damaged length
// does not ask for all memory. A document is 1 MiB at most; a job's call too.
const maxExportRecord = 16 << 20

// importChunk is the weight of an import that shares one commit.
const importChunk = heavyWeight

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Export writes the app's committed state, as of one moment, to w. It runs
// beside the app's traffic. It reads all of the app before it writes, beyond a MiB
// into a nameless file of the store's directory, so that a w that blocks holds
// nothing up. ErrNotFound if there is no such app.
func (s *Store) Export(ctx context.Context, id AppID, w io.Writer) error {
	spool := &spool{dir: s.dir}
	defer spool.close()
	if err := s.export(ctx, id, spool); err != nil {
		return err
	}
	return spool.copyTo(ctx, w)
}

func (s *Store) export(ctx context.Context, id AppID, w io.Writer) error {
	if err := id.Check(); err != nil {
		return err
	}
	vol, err := s.find(id)
	if err != nil {
		return err
	}
	pin, err := vol.begin()
	if err != nil {
		return err
	}
	defer pin.Close()
	read := func(fn func(*kv.Snapshot) error) error {
		if err := readPin(vol.name, pin, fn); err != nil {
			return fmt.Errorf("app %s: %w", id, err)
		}
		return nil
	}
	var n keyspace
	err = read(func(snap *kv.Snapshot) (err error) {
		if entry := snap.Get(kv.Apps, []byte(id)); entry != nil {
			n, err = decodeEntry(entry)
		}
		return err
	})
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: app %s", ErrNotFound, id)
	}
	buf := bufio.NewWriterSize(w, 64<<10)
	sum := crc32.New(castagnoli)
	if _, err := buf.WriteString(exportMagic); err != nil {
		return err
	}
	if err := writeRecord(buf, sum, recordHeader, &proto.ExportHeader{Version: exportVersion, App: string(id)}); err != nil {
		return err
	}
	entries := uint64(0)
	for from := n.number(); from != nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		// Copied first: w is the caller's, and no page is read while it runs.
		var rows []row
		err := read(func(snap *kv.Snapshot) error {
			rows, from, err = exportRows(snap.Cursor(kv.Data), n, from)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			entries++
			if err := writeRecord(buf, sum, recordEntry, &proto.ExportEntry{Key: r.key[numberLen:], Value: r.value}); err != nil {
				return err
			}
		}
	}
	if err := writeRecord(buf, nil, recordTrailer, &proto.ExportTrailer{Entries: entries, Crc32C: sum.Sum32()}); err != nil {
		return err
	}
	return buf.Flush()
}

// exportChunk bounds the bytes that an export reads at once, but for the last row.
const exportChunk = 1 << 20

// exportRows copies rows of the app from the key on. next is where the others
// begin; nil if there are none. A damaged value is the error.
func exportRows(c *kv.Cursor, n keyspace, from []byte) (rows []row, next []byte, err error) {
	size := 0
	for k, v := c.Seek(from); bytes.HasPrefix(k, n.number()); k, v = c.Next() {
		if size >= exportChunk {
			return rows, bytes.Clone(k), nil
		}
		if err := damageOf(v); err != nil {
			return nil, nil, err
		}
		rows = append(rows, row{bytes.Clone(k), bytes.Clone(v)})
		size += len(k) + len(v)
	}
	return rows, nil, nil
}

func writeRecord(w io.Writer, sum io.Writer, kind byte, m interface{ MarshalVT() ([]byte, error) }) error {
	body, err := m.MarshalVT()
	if err != nil {
		return err
	}
	head := binary.AppendUvarint([]byte{kind}, uint64(len(body)))
	if _, err := w.Write(head); err != nil {
		return err
	}
	if sum != nil {
		sum.Write(body) // a hash never fails
	}
	_, err = w.Write(body)
	return err
}

// readRecord reads one record and returns its kind and body.
func readRecord(r *bufio.Reader) (kind byte, body []byte, err error) {
	if kind, err = r.ReadByte(); err != nil {
		return 0, nil, err
	}
	head := make([]byte, 0, binary.MaxVarintLen64)
	for len(head) == 0 || len(head) < cap(head) && head[len(head)-1] >= 0x80 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		head = append(head, b)
	}
	n, width := binary.Uvarint(head)
	if width <= 0 || n > maxExportRecord {
		return 0, nil, fmt.Errorf("%w: a record of %d bytes in the stream", ErrCorrupt, n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return kind, body, err
}

// Import makes the app id from an exported stream, with its documents, jobs and
// history. The app appears when the whole stream has been read and verified and
// is durable, or not at all; garbage collection deletes what an import that was cut off
// has left on disk. ErrExists if there is such an app, ErrCorrupt or ErrFormat for a
// bad stream. Jobs that were running when the app was exported count as interrupted.
func (s *Store) Import(ctx context.Context, id AppID, r io.Reader, by ...AuditEntry) error {
	if err := s.Free(id); err != nil {
		return err
	}
	vol, err := s.find(id)
	if err != nil {
		return err
	}
	n := vol.nextNumber()
	// Doomed until it is whole: a crash on the way leaves nothing behind.
	err = vol.do(0, func(tx *kv.Txn) error {
		return errors.Join(raiseNumbers(tx, n), tx.Put(kv.Doomed, n.number(), nil))
	})
	if err != nil {
		return err
	}
	if err := vol.importKeys(ctx, n, s.schema, s.opts.CheckTrigger, bufio.NewReaderSize(r, 64<<10)); err != nil {
		vol.garbage.add(n)
		vol.submit(&changeSet{app: new(App), done: func(error) {}})
		return fmt.Errorf("import app %s: %w", id, err)
	}
	err = vol.do(0, func(tx *kv.Txn) error {
		if held, err := tx.Get(kv.Apps, []byte(id)); err != nil {
			return err
		} else if held != nil {
			return fmt.Errorf("%w: there is an app %s", ErrExists, id)
		}
		a := &App{id: id, vol: vol, keys: n, relasted: true}
		counters, err := tx.Get(kv.Data, n.prefix(tagMeta))
		if err != nil {
			return err
		}
		c, err := decodeCounts(counters)
		if err != nil {
			return err
		}
		c.corrected = 0 // another store's eras tell nothing here
		if err := tx.Put(kv.Data, n.prefix(tagMeta), c.encode()); err != nil {
			return err
		}
		a.filed.counters = c
		if err := vol.auditAll(tx, by); err != nil {
			return err
		}
		return errors.Join(tx.Delete(kv.Doomed, n.number()), a.makeEntry(tx, &a.filed), a.index(tx, &a.filed), a.indexHeld(tx, counts{}, c))
	})
	if err != nil {
		vol.garbage.add(n)
	}
	return err
}

// Free returns nil if an app may be imported under the name, ErrExists if there is
// one already.
func (s *Store) Free(id AppID) error {
	if err := id.Check(); err != nil {
		return err
	}
	vol, err := s.find(id)
	if err != nil {
		return err
	}
	held, err := vol.holds(id)
	if err == nil && held {
		err = fmt.Errorf("%w: there is an app %s", ErrExists, id)
	}
	return err
}

// checkSpecs asks about every trigger: storage does not know what a spec means.
func (n keyspace) checkSpecs(snap *kv.Snapshot, check func(*Trigger) error) (errs []error) {
	if check == nil {
		return nil
	}
	for k, v := range n.all(snap, tagTrigger) {
		t, err := decodeTrigger(string(tail(k)), v)
		if err == nil {
			err = check(&t)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%w: trigger %s: %w", ErrCorrupt, quote(string(tail(k))), err))
		}
	}
	return errs
}

func (v *volume) importKeys(ctx context.Context, n keyspace, schema map[string]*tableInfo, checkTrigger func(*Trigger) error, r *bufio.Reader) error {
	magic := make([]byte, len(exportMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != exportMagic {
		return fmt.Errorf("%w: not an exported app", ErrFormat)
	}
	kind, body, err := readRecord(r)
	if err != nil || kind != recordHeader {
		return fmt.Errorf("%w: the stream has no header", ErrCorrupt)
	}
	var header proto.ExportHeader
	if err := header.UnmarshalVT(body); err != nil {
		return fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	if header.Version != exportVersion {
		return fmt.Errorf("%w: export version %d, this reader knows %d", ErrFormat, header.Version, exportVersion)
	}
	sum := crc32.New(castagnoli)
	sum.Write(body)
	entries := uint64(0)
	var chunk []row
	size := 0
	flush := func() error {
		rows, weight := chunk, size
		chunk, size = nil, 0
		return v.do(weight, func(tx *kv.Txn) error {
			for _, r := range rows {
				if err := tx.Put(kv.Data, r.key, r.value); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		kind, body, err := readRecord(r)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("%w: the stream ends early", ErrCorrupt)
			}
			return err
		}
		switch kind {
		case recordEntry:
			var e proto.ExportEntry
			if err := e.UnmarshalVT(body); err != nil || len(e.Key) == 0 {
				return fmt.Errorf("%w: entry %d of the stream", ErrCorrupt, entries)
			}
			if !slices.Contains(tags, tag(e.Key[0])) {
				return fmt.Errorf("%w: entry %d of the stream is of an unknown kind, %q", ErrCorrupt, entries, e.Key[0])
			}
			if len(n.number())+len(e.Key) >= wal.MaxKey {
				return fmt.Errorf("%w: entry %d of the stream has a key of %d bytes", ErrCorrupt, entries, len(e.Key))
			}
			sum.Write(body)
			entries++
			if tag(e.Key[0]) == tagClaim {
				e.Value = foreignClaim(e.Value) // though it may be one of this store
			}
			chunk = append(chunk, row{append(n.number(), e.Key...), e.Value})
			if size += len(body) + keyWeight; size >= importChunk {
				if err := flush(); err != nil {
					return err
				}
			}
		case recordTrailer:
			var t proto.ExportTrailer
			if err := t.UnmarshalVT(body); err != nil || t.Entries != entries || t.Crc32C != sum.Sum32() {
				return fmt.Errorf("%w: the stream's checksum does not match", ErrCorrupt)
			}
			if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
				return fmt.Errorf("%w: the stream goes on after its end", ErrCorrupt)
			}
			if err := flush(); err != nil {
				return err
			}
			return v.read(func(snap *kv.Snapshot) error {
				errs := append(n.checkJobs(snap), n.checkDocuments(snap, schema)...)
				return errors.Join(append(errs, n.checkSpecs(snap, checkTrigger)...)...)
			})
		default:
			return fmt.Errorf("%w: a record of kind %q in the stream", ErrCorrupt, kind)
		}
	}
}

// Delete removes the app for good. Its name is free when Delete returns, which
// is when that is durable; its keys are deleted afterwards, a few with each
// commit. An entry of the audit log is written in the same one. The caller has closed the app before. ErrNotFound if
// there is no such app.
func (s *Store) Delete(id AppID, by ...AuditEntry) error {
	if err := id.Check(); err != nil {
		return err
	}
	vol, err := s.find(id)
	if err != nil {
		return err
	}
	var n keyspace
	err = vol.do(0, func(tx *kv.Txn) error {
		entry, err := tx.Get(kv.Apps, []byte(id))
		if err != nil {
			return err
		}
		if entry == nil {
			return fmt.Errorf("%w: app %s", ErrNotFound, id)
		}
		if n, err = decodeEntry(entry); err != nil {
			return err
		}
		first, _, err := tx.Seek(kv.Data, n.prefix(tagQueue))
		if err != nil {
			return err
		}
		firstLast, _, err := tx.Seek(kv.Data, n.prefix(tagLast))
		if err != nil {
			return err
		}
		for _, at := range []int64{n.dueAt(first), n.lastAt(firstLast)} { // one of the two, if any
			if err := tx.Delete(kv.Alarms, alarmKey(at, n)); err != nil {
				return err
			}
		}
		if err := vol.auditAll(tx, by); err != nil {
			return err
		}
		return errors.Join(tx.Delete(kv.Alarms, alarmKey(heldAlarm, n)), tx.Delete(kv.Apps, []byte(id)), tx.Put(kv.Doomed, n.number(), nil))
	})
	if err != nil {
		return err
	}
	vol.garbage.add(n)
	vol.submit(&changeSet{app: new(App), done: func(error) {}})
	return nil
}
