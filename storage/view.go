package storage

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"sync"
	"time"

	"carillon/storage/internal/kv"
)

// view reads one app's state. Behind it is either a Snapshot, which holds one
// snapshot of the file open, or a Tx, which opens one for each read: while the
// turn is held, file plus overlay say the same at any time, so no snapshot need
// be held across user code.
type view struct {
	keys  keyspace
	now   time.Time
	app   *App
	tx    *Tx // nil in a Snapshot
	depth int // the layer of tx this view writes to
	// limits hold what is written through the view; nil: none do.
	limits *TxLimits
	snap   *Snapshot
	// reads takes note of what is read through a view of a Snapshot; nil: nothing does.
	reads *ReadSet
}

func (v *view) System() System { return System{v} }
func (v *view) reader() *view  { return v }
func (v *view) owner() *App    { return v.app }

// writable is the view of a Tx: a view that also writes.
type writable struct{ *view }

func (w writable) writer() (*Tx, int) { return w.tx, w.depth }

// get returns a copy of the value of key; nil means there is none.
func (v *view) get(key []byte) ([]byte, error) {
	if v.tx == nil {
		if err := v.snap.lock(); err != nil {
			return nil, err
		}
		defer v.snap.mu.Unlock()
		v.reads.addKey(key)
		var value []byte
		err := v.snap.read(func(snap *kv.Snapshot) error {
			value = bytes.Clone(snap.Get(kv.Data, key))
			return nil
		})
		return value, err
	}
	if err := v.tx.lock(v.depth); err != nil {
		return nil, err
	}
	defer v.tx.mu.Unlock()
	return v.tx.get(key)
}

// rows returns up to limit rows of [from, to), from the end if reverse.
func (v *view) rows(from, to []byte, reverse bool, limit int) ([]row, error) {
	rows, _, err := v.readPage(from, to, reverse, extent{rows: limit, bytes: math.MaxInt})
	return rows, err
}

func (v *view) readPage(from, to []byte, reverse bool, most extent) (rows []row, more bool, err error) {
	if v.tx == nil {
		if err := v.snap.lock(); err != nil {
			return nil, false, err
		}
		defer v.snap.mu.Unlock()
		err = v.snap.read(func(snap *kv.Snapshot) error {
			rows, more = collect(snap, nil, from, to, reverse, most)
			return nil
		})
		if more && len(rows) > 0 {
			from, to = upTo(from, to, rows[len(rows)-1].key, reverse)
		}
		v.reads.add(from, to)
		return rows, more, err
	}
	if err := v.tx.lock(v.depth); err != nil {
		return nil, false, err
	}
	defer v.tx.mu.Unlock()
	return v.tx.readPage(from, to, reverse, most)
}

// upTo is what a read of [from, to) has looked at that ended with the key.
func upTo(from, to, last []byte, reverse bool) (readFrom, readTo []byte) {
	if reverse {
		return last, to
	}
	return from, append(bytes.Clone(last), 0)
}

// extent bounds a read. The row that passes the bytes is the last, so that a large one
// is read, too.
type extent struct{ rows, bytes int }

// pageBytes bounds what one read of many rows copies.
const pageBytes = 1 << 20

// page is up to so many rows that are few megabytes at most.
func page(rows int) extent { return extent{rows, pageBytes} }

// collect copies the first rows of [from, to), as many as may be read, out of the
// snapshot and the buffers over it. more is false if the end was reached.
func collect(snap *kv.Snapshot, newestFirst []*buffer, from, to []byte, reverse bool, most extent) (rows []row, more bool) {
	m := newMerge(snap.Cursor(kv.Data), newestFirst, from, to, reverse)
	for most.rows > 0 && most.bytes > 0 {
		key, value, ok := m.next()
		if !ok || !reverse && to != nil && key >= string(to) || reverse && key < string(from) {
			return rows, false
		}
		rows = append(rows, row{[]byte(key), append([]byte{}, value...)})
		most.rows--
		most.bytes -= len(key) + len(value)
	}
	return rows, true
}

// scanChunk bounds how many rows one read of a longer scan copies.
const scanChunk = 128

// scan yields the rows of [from, to), reading in chunks, so that no snapshot
// is open and no lock held while the loop's body runs. Rows written behind
// the scan's place while it runs are seen, rows before it are not.
func (v *view) scan(from, to []byte, reverse bool) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		for chunk := 16; ; chunk = min(2*chunk, scanChunk) {
			rows, more, err := v.readPage(from, to, reverse, page(chunk))
			if err != nil {
				yield(row{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if !more {
				return
			}
			last := rows[len(rows)-1].key
			if reverse {
				to = last
			} else {
				from = append(bytes.Clone(last), 0)
			}
		}
	}
}

// Snapshot is an app's committed state at one moment, for a query. It may be
// used from several goroutines and must be closed soon: it holds back the reuse
// of pages. Uses after Close return ErrTxDone. For engines.
type Snapshot struct {
	mu    sync.Mutex
	pin   *kv.Pin  // nil once closed
	place kv.Place // App.SnapshotAt
	v     view
}

// read runs fn on the file as it was then. The lock is held.
func (s *Snapshot) read(fn func(*kv.Snapshot) error) error {
	if err := readPin(s.v.app.vol.name, s.pin, fn); err != nil {
		return fmt.Errorf("app %s: %w", s.v.app.id, err)
	}
	return nil
}

func (s *Snapshot) lock() error {
	s.mu.Lock()
	if s.pin == nil {
		s.mu.Unlock()
		return ErrTxDone
	}
	return nil
}

// Reader reads the snapshot.
func (s *Snapshot) Reader() Reader { return &s.v }

// Close ends the snapshot. A second Close does nothing.
func (s *Snapshot) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pin != nil {
		s.pin.Close()
		s.pin = nil
	}
}
