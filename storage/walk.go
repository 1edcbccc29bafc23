package storage

import (
	"bytes"
	"fmt"
	"iter"

	"carillon/storage/internal/kv"
)

// match is one document that a query found.
type match struct {
	id   string
	data []byte
}

// countChunk bounds how many keys one read of a count walks over, so that a
// long count does not hold a lock or a snapshot of the file throughout.
const countChunk = 4096

// walk calls visit for the rows of [from, to) in order until it returns false,
// without copying them: visit must keep nothing and be quick, since the
// transaction is locked. frozen, if not nil, stands for the buffers of the
// transaction, as freeze returned them. look makes the cursor of the file.
func (v *view) walk(look func(*kv.Snapshot) *kv.Cursor, frozen []*buffer, from, to []byte, reverse bool, visit func(key string, value []byte) bool) error {
	each := func(snap *kv.Snapshot, newestFirst []*buffer) (last string) {
		m := newMerge(look(snap), newestFirst, from, to, reverse)
		for {
			key, value, ok := m.next()
			if !ok || !reverse && to != nil && key >= string(to) || reverse && key < string(from) {
				return ""
			}
			if !visit(key, value) {
				return key
			}
		}
	}
	if v.tx == nil {
		if err := v.snap.lock(); err != nil {
			return err
		}
		defer v.snap.mu.Unlock()
		last := ""
		err := v.snap.read(func(snap *kv.Snapshot) error {
			last = each(snap, nil)
			return nil
		})
		if last != "" {
			from, to = upTo(from, to, []byte(last), reverse)
		}
		v.reads.add(from, to)
		return err
	}
	if err := v.tx.lock(v.depth); err != nil {
		return err
	}
	defer v.tx.mu.Unlock()
	if frozen == nil {
		for i := v.depth; i >= 0; i-- {
			frozen = append(frozen, &v.tx.layers[i].buffer)
		}
		under := v.tx.app.overlay.newestFirst()
		frozen = append(frozen, under[:]...)
	}
	return v.tx.readFile(func(snap *kv.Snapshot) error {
		each(snap, frozen)
		return nil
	})
}

func wholeRows(snap *kv.Snapshot) *kv.Cursor { return snap.Cursor(kv.Data) }

// keysOnly is for counts: it spares them the checksums, a fifth of their time.
func keysOnly(snap *kv.Snapshot) *kv.Cursor { return snap.Keys(kv.Data) }

// freeze returns the transaction's buffers as they are now, whatever is written
// later, at the cost of copying what later writes touch. A Snapshot is frozen
// anyway and has none. Below them, file plus overlay say the same until the
// transaction is over.
func (v *view) freeze() ([]*buffer, error) {
	if v.tx == nil {
		return nil, nil
	}
	if err := v.tx.lock(v.depth); err != nil {
		return nil, err
	}
	defer v.tx.mu.Unlock()
	var frozen []*buffer
	for i := v.depth; i >= 0; i-- {
		frozen = append(frozen, &buffer{m: *v.tx.layers[i].m.Copy()})
	}
	under := v.tx.app.overlay.newestFirst()
	return append(frozen, under[:]...), nil
}

// lastWord is the newest word of the open transaction on the key. ok is false
// if the transaction has not written it.
func (v *view) lastWord(key []byte) (value []byte, deleted, ok bool, err error) {
	if v.tx == nil {
		return nil, false, false, nil
	}
	if err := v.tx.lock(v.depth); err != nil {
		return nil, false, false, err
	}
	defer v.tx.mu.Unlock()
	for i := v.depth; i >= 0; i-- {
		if w, ok := v.tx.layers[i].m.Get(string(key)); ok {
			return w.copy(), w.deleted, true, nil
		}
	}
	return nil, false, false, nil
}

// take copies up to limit rows of [from, to).
func (s *span) take(frozen []*buffer, from, to []byte, limit int) ([]row, error) {
	var rows []row
	err := s.view.walk(wholeRows, frozen, from, to, s.reverse, func(key string, value []byte) bool {
		rows = append(rows, row{[]byte(key), bytes.Clone(value)})
		return len(rows) < limit
	})
	return rows, err
}

// behind narrows [from, to) to what comes after key in the walk's direction.
func (s *span) behind(from, to, key []byte) (newFrom, newTo []byte) {
	if s.reverse {
		return from, key
	}
	return append(bytes.Clone(key), 0), to
}

// page finds up to size documents. last is the key of the last one if there
// are more, else nil.
func (s *span) page(size int) (found []match, last []byte, err error) {
	rows, err := s.take(nil, s.from, s.to, size+1)
	if err != nil {
		return nil, nil, err
	}
	if len(rows) > size {
		rows = rows[:size]
		last = rows[size-1].key
	}
	for _, r := range rows {
		m, ok, err := s.match(r)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			found = append(found, m)
		}
	}
	return found, last, nil
}

// count counts the keys, up to limit.
func (s *span) count(limit int) (int, error) {
	n := 0
	from, to := s.from, s.to
	for {
		step := min(countChunk, limit-n)
		walked, last := 0, ""
		err := s.view.walk(keysOnly, nil, from, to, s.reverse, func(key string, _ []byte) bool {
			walked++
			last = key
			return walked < step
		})
		n += walked
		if err != nil || walked < step || n == limit {
			return n, err
		}
		from, to = s.behind(from, to, []byte(last))
	}
}

// each yields the documents of the span, reading in chunks, so that no snapshot
// is open and no lock held while the loop's body runs.
func (s *span) each() iter.Seq2[match, error] {
	return func(yield func(match, error) bool) {
		frozen, err := s.view.freeze()
		if err != nil {
			yield(match{}, err)
			return
		}
		from, to := s.from, s.to
		for chunk := 16; ; chunk = min(2*chunk, scanChunk) {
			rows, err := s.take(frozen, from, to, chunk)
			if err != nil {
				yield(match{}, err)
				return
			}
			for _, r := range rows {
				m, ok, err := s.match(r)
				if err != nil {
					yield(match{}, err)
					return
				}
				if ok && !yield(m, nil) {
					return
				}
			}
			if len(rows) < chunk {
				return
			}
			from, to = s.behind(from, to, rows[len(rows)-1].key)
		}
	}
}

// match finds the document of a row that was read a little earlier. ok is
// false if the transaction has changed it since so that it no longer matches.
func (s *span) match(r row) (m match, ok bool, err error) {
	value, deleted, written, err := s.view.lastWord(r.key)
	if err == nil && !written {
		err = s.view.app.damageOf(r.value)
	}
	if err != nil {
		return match{}, false, err
	}
	if s.index == nil {
		m = match{string(r.key[len(s.prefix):]), r.value}
		if written {
			m.data = value
		}
		return m, !deleted, nil
	}
	m.id = documentOf(r.key)
	if m.data, err = s.view.get(s.view.keys.document(s.table.name, m.id)); err == nil {
		err = s.view.app.damageOf(m.data)
	}
	switch {
	case err != nil:
		return match{}, false, err
	case m.data == nil && s.view.tx != nil:
		return match{}, false, nil
	case m.data == nil:
		return match{}, false, fmt.Errorf("%w: index %s has document %s, the table has not", ErrCorrupt, s.index.name, m.id)
	case !deleted:
		return m, true, nil
	}
	// It lies elsewhere in the index now, perhaps still inside the span.
	key, _ := s.index.place(s.view.keys, s.table.name, m.id, m.data, s.table.project(m.data))
	return m, string(key) >= string(s.lo) && string(key) < string(s.hi), nil
}
