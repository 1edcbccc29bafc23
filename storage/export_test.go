package storage

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/storage/internal/kv"
)

// What follows lets tests of package storage_test look at keys and records.

// MintJobID mints the id of a job that lies at the place.
func MintJobID(ms int64, seq uint64) JobID { return mintJobID(place{ms, seq}) }

// HomeOf is the place that a minted id spells.
func HomeOf(id JobID) (ms int64, seq uint64, ok bool) {
	p, ok := id.home()
	return p.ms, p.seq, ok
}

// MintDocumentID mints the id of a document.
func MintDocumentID(table string, seq uint64) string { return mintDocumentID(table, seq) }

// CheckDocumentID says whether the id may be one of the table's.
func CheckDocumentID(table, id string) error { return checkDocumentID(table, id) }

// QueueKey is the key of the pending job at the place.
func QueueKey(app uint32, ms int64, seq uint64) []byte {
	return keyspace(app).place(tagQueue, place{ms, seq})
}

// DecodeQueueKey is the place that the key of a pending job spells.
func DecodeQueueKey(key []byte) (ms int64, seq uint64) {
	p := placeOf(key)
	return p.ms, p.seq
}

// AlarmKey is the key of the app in the alarm index.
func AlarmKey(ms int64, app uint32) []byte { return alarmKey(ms, keyspace(app)) }

// DecodeAlarmKey is AlarmKey backwards.
func DecodeAlarmKey(key []byte) (ms int64, app uint32) {
	ms, n := decodeAlarmKey(key)
	return ms, uint32(n)
}

// PlaceAt is the place in the sorted job bucket.
func PlaceAt(ms int64, seq uint64) Place { return Place{place{ms, seq}} }

// AfterPrefix is the first key behind all that begin with the prefix.
func AfterPrefix(prefix []byte) []byte { return after(prefix) }

// Pending returns how many jobs wait or run, as of the last change submitted.
func (a *App) Pending() int { return int(a.counts.pending) }

// EncodeJob makes the record of the job, as it lies where it was read.
func EncodeJob(job Job) []byte { return encodeJob(&job) }

// DecodeJob reads the record of the job that lies at the place.
func DecodeJob(ms int64, seq uint64, data []byte) (Job, error) {
	return decodeJob(place{ms, seq}, data)
}

// DecodeRecord reads the bytes as a record of every other kind and returns
// what each said of them.
func DecodeRecord(data []byte) map[string]error {
	_, _, _, claim := decodeClaim(data)
	_, entry := decodeEntry(data)
	_, counts := decodeCounts(data)
	_, table := decodeTable(data)
	return map[string]error{"claim": claim, "entry": entry, "counts": counts, "table": table}
}

// DecodeJobCursor reads the cursor of a listing.
func DecodeJobCursor(cursor string) (region int, place []byte, err error) {
	return decodeCursor(cursor)
}

// EncodeJobCursor is DecodeJobCursor backwards.
func EncodeJobCursor(region int, place []byte) string { return encodeCursor(region, place) }

// WriteVolume changes the file of a volume behind the committer's back.
func (s *Store) WriteVolume(i int, fn func(*kv.Txn) error) error { return s.volumes[i].db.Update(fn) }

// Checkpoint brings the files of all volumes up to date.
func (s *Store) Checkpoint() error {
	return s.each(func(v *volume) error { return v.db.Checkpoint() })
}

// StoreOf is the id of the store that a position of a backup is of.
func StoreOf(tb testing.TB, at string) uint64 {
	tb.Helper()
	p, err := parsePosition(at)
	if err != nil {
		tb.Fatal(err)
	}
	return p.store
}

// ReadVolume reads the file of a volume.
func (s *Store) ReadVolume(i int, fn func(*kv.Snapshot) error) error { return s.volumes[i].read(fn) }

// Doomed is how many app numbers wait for garbage collection, by the files.
func (s *Store) Doomed() (n int, err error) {
	for _, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Doomed)
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				n++
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// RaiseHighWater raises the high-water mark of a volume in a transaction of the
// file that fails if cause is not nil.
func (s *Store) RaiseHighWater(i int, ms int64, cause error) error {
	v := s.volumes[i]
	return v.update(func(tx *kv.Txn) error {
		if err := v.noteInstant(tx, v.clock.Load(), ms); err != nil {
			return err
		}
		return cause
	})
}

// MaxBackoff bounds the time in which a volume applies nothing after failed commits.
const MaxBackoff = maxBackoff

// MetaEpoch is for tests that change it behind the store's back.
var MetaEpoch = metaEpoch

// RetryDead is RetryDeadAt the transaction's instant.
func (tx *Tx) RetryDead(id JobID) (ok bool, err error) { return tx.RetryDeadAt(id, tx.now) }

// Next is the first Place behind p.
func (p Place) Next() Place { return Place{p.p.next()} }

// Rows is all that the volumes show, but for what each file says of itself, its owner and
// its log, and the first one of their number, which the shards of a shared log do not say.
func (s *Store) Rows() map[string]string {
	rows := map[string]string{}
	for i, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			for space := range kv.Space(kv.Spaces) {
				c := snap.Cursor(space)
				for k, val := c.First(); k != nil; k, val = c.Next() {
					rows[fmt.Sprintf("%d %d %q", i, space, k)] = string(val)
				}
			}
			return nil
		})
		if err != nil {
			panic(err)
		}
		for _, own := range []string{"format", "plain", "store", "index", "epoch", "applied", "volumes"} {
			delete(rows, fmt.Sprintf("%d %d %q", i, kv.Meta, own))
		}
	}
	return rows
}

// NumberOf is the number of the app that has the entry.
func NumberOf(entry []byte) uint32 {
	n, err := decodeEntry(entry)
	if err != nil {
		panic(err)
	}
	return uint32(n)
}

// TellAllReplay has an opening tell of each record that it reads of the log, until the test ends.
func TellAllReplay(tb testing.TB) {
	was := slowReplay
	slowReplay = 0
	tb.Cleanup(func() { slowReplay = was })
}

// KeysOf counts the keys of the kind, of all apps.
func (s *Store) KeysOf(kind byte) (n int) {
	for _, v := range s.volumes {
		_ = v.read(func(snap *kv.Snapshot) error {
			c := snap.Cursor(kv.Data)
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if k[numberLen] == kind {
					n++
				}
			}
			return nil
		})
	}
	return n
}

// Writes is how many keys the transaction has written.
func (tx *Tx) Writes() (n int) {
	for _, l := range tx.layers {
		n += l.m.Len()
	}
	return n
}

// SetGroupEnds has the group be one whose members have ended so.
func (w JobWriter) SetGroupEnds(id GroupID, ends GroupEnds) error {
	g, err := w.v.tx.group(id)
	if err == nil {
		g.Ends = ends
		w.v.tx.putGroup(g)
	}
	return err
}

// CountGroups counts n groups more as some that have not ended.
func (w JobWriter) CountGroups(n int) { w.v.tx.top().counts.groups += uint64(n) }

// EditGroup is the record of a group after edit.
func EditGroup(data []byte, edit func(*Group)) ([]byte, error) {
	g, err := decodeGroup(0, data)
	if err != nil {
		return nil, err
	}
	edit(g)
	return encodeGroup(g), nil
}

// FillAudit writes n entries to the volume, of which the first is by "first".
func (s *Store) FillAudit(tx *kv.Txn, volume, n int, at time.Time) error {
	rows := make([][]byte, n)
	for i := range rows {
		e := AuditEntry{At: at, Operator: "ann", Action: "fill"}
		if i == 0 {
			e.Operator = "first"
		}
		rows[i] = e.encode()
	}
	return s.volumes[volume].audit(tx, rows...)
}

// SetMaxIdempotency sets bounds in the place of MaxIdempotencyKeys and MaxIdempotencyBytes.
func (a *App) SetMaxIdempotency(keys, bytes int) {
	a.mostKeyed, a.mostKeyedBytes = uint64(keys), uint64(bytes)
}

// ImportStoreWith is ImportStore into the log that the options name, with their Fault.
func ImportStoreWith(ctx context.Context, dir string, opts Options) (Moved, error) {
	return importStore(ctx, dir, opts)
}

// SetMaxSince sets bounds of JobsSince in bytes: of the records that it reads, and of the memory that
// those of the app take. They stay until the test ends.
func SetMaxSince(tb testing.TB, read, bytes int) {
	wasRead, wasBytes := maxSinceRead, maxSinceBytes
	maxSinceRead, maxSinceBytes = read, bytes
	tb.Cleanup(func() { maxSinceRead, maxSinceBytes = wasRead, wasBytes })
}

// SinceTakes is how many bytes of records JobsSince reads behind the mark, and how many bytes of
// memory those of the app take.
func (a *App) SinceTakes(ctx context.Context, mark CommitMark) (read, bytes int, err error) {
	pin, to, err := a.vol.beginAt()
	if err != nil {
		return 0, 0, err
	}
	defer pin.Close()
	n, is, err := a.stands(pin)
	if err != nil {
		return 0, 0, err
	}
	s := since{app: a.id, keys: n, began: is - uint64(uint32(is)-mark.Seq), first: map[uint64]int{}, last: map[uint64]Job{}}
	from := kv.Place{Seq: mark.Commit, Chain: mark.Chain}
	err = a.vol.log.Since(ctx, kv.Volume(a.vol.index), from, to, func(seq uint64, record []byte) error {
		read += len(record)
		return s.read(seq, record)
	})
	s.writes.m.Scan(func(key string, w write) bool {
		bytes += len(key) + len(w.value) + keyWeight
		return true
	})
	return read, bytes + goneWeight*len(s.last), err
}
