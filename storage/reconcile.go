package storage

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"carillon/proto"
)

// reconcileBytes bounds how much of documents one step of building an index
// reads, however few rows that is.
const reconcileBytes = 4 << 20

// ReconcileIndexes brings the app's indexes a step nearer to those that the
// store was opened with: it drops what is no longer declared and builds what is
// new, an index whose fields or their types changed being both. It deals with
// about budget rows and says with done whether nothing is left; either way the
// caller commits the transaction. Until the last step has been, nothing else may
// write to the app, which every use of an unfinished index would refuse (ErrNotBuilt).
//
// A document that does not fit an index is left out of it, and noted as such:
// leftOut says why, for each that this step came upon.
func (tx *Tx) ReconcileIndexes(budget int) (done bool, leftOut []error, err error) {
	if budget < 1 {
		return false, nil, invalid("a budget of %d rows, want 1 or more", budget)
	}
	if err := tx.lock(0); err != nil {
		return false, nil, err
	}
	defer tx.mu.Unlock()
	if !tx.app.stored {
		return true, nil, nil
	}
	tables, err := tx.recordedTables()
	if err != nil {
		return false, nil, err
	}
	for name, t := range tx.app.schema {
		if len(t.indexes) > 0 && tables[name] == nil {
			tables[name] = &proto.Table{Version: recordVersion}
		}
	}
	r := reconciler{tx: tx, left: budget, leftBytes: reconcileBytes}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if err := r.table(name, tx.app.schema[name], tables[name]); err != nil {
			return false, nil, fmt.Errorf("table %s: %w", name, err)
		}
		if r.left <= 0 {
			return false, r.leftOut, nil
		}
	}
	return true, r.leftOut, nil
}

// recordedTables reads what the app says of its tables' indexes.
func (tx *Tx) recordedTables() (map[string]*proto.Table, error) {
	tables := map[string]*proto.Table{}
	prefix := tx.app.keys.prefix(tagSchema)
	for from := prefix; ; {
		rows, more, err := tx.readPage(from, after(prefix), false, page(scanChunk))
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			name := string(tail(r.key))
			if tables[name], err = decodeTable(r.value); err != nil {
				return nil, fmt.Errorf("table %s: %w", name, err)
			}
		}
		if !more {
			return tables, nil
		}
		from = append(rows[len(rows)-1].key, 0)
	}
}

// reconciler does one step of ReconcileIndexes. It is out of budget when left
// is 0 or less.
type reconciler struct {
	tx        *Tx
	left      int // rows
	leftBytes int
	leftOut   []error // of documents that do not fit an index
}

// table reconciles one table. t is nil if it is not declared; record is what
// the app says of it, without indexes if it says nothing.
func (r *reconciler) table(name string, t *tableInfo, record *proto.Table) error {
	before := encodeTable(record)
	if len(record.Indexes) == 0 {
		// A table without documents is complete without a word on its indexes.
		prefix := r.tx.app.keys.documents(name)
		found, err := r.tx.rows(prefix, after(prefix), false, 1)
		if err != nil || len(found) == 0 {
			return err
		}
	}
	for _, on := range record.Indexes {
		if t == nil || t.shape(on.Name) != on.Shape {
			on.State, on.BuiltTo = proto.IndexState_INDEX_STATE_DROPPING, ""
		}
	}
	if err := r.drop(name, record); err != nil {
		return err
	}
	if t != nil && r.left > 0 {
		// Every index on record is one that is declared now.
		for _, x := range t.indexes {
			if !slices.ContainsFunc(record.Indexes, func(on *proto.TableIndex) bool { return on.Name == x.name }) {
				record.Indexes = append(record.Indexes, &proto.TableIndex{Name: x.name, Shape: x.shape, State: proto.IndexState_INDEX_STATE_BUILDING})
			}
		}
		slices.SortFunc(record.Indexes, func(a, b *proto.TableIndex) int { return strings.Compare(a.Name, b.Name) })
		for _, on := range record.Indexes {
			if err := r.build(t, on); err != nil {
				return fmt.Errorf("index %s: %w", on.Name, err)
			}
		}
	}
	key := r.tx.app.keys.name(tagSchema, name)
	if data := encodeTable(record); len(record.Indexes) == 0 {
		r.tx.delete(key)
	} else if !bytes.Equal(data, before) {
		r.tx.put(key, data)
	}
	return nil
}

// shape is the shape of the declared index; "", which none has, if there is none.
func (t *tableInfo) shape(index string) string {
	if x := t.index(index); x != nil {
		return x.shape
	}
	return ""
}

// drop deletes the entries of the indexes that are to go, and takes those that
// are gone off the record.
func (r *reconciler) drop(table string, record *proto.Table) error {
	var kept []*proto.TableIndex
	for _, on := range record.Indexes {
		if on.State != proto.IndexState_INDEX_STATE_DROPPING || r.left <= 0 {
			kept = append(kept, on)
			continue
		}
		for _, prefix := range [][]byte{r.tx.app.keys.indexEntries(table, on.Name), r.tx.app.keys.misfits(table, on.Name)} {
			rows, err := r.tx.rows(prefix, after(prefix), false, r.left)
			if err != nil {
				return fmt.Errorf("index %s: %w", on.Name, err)
			}
			for _, row := range rows {
				r.tx.delete(row.key)
			}
			if r.left -= len(rows); r.left == 0 {
				kept = append(kept, on) // there may be more
				break
			}
		}
	}
	record.Indexes = kept
	return nil
}

// build adds entries to an index that is being built, if there is budget.
func (r *reconciler) build(t *tableInfo, on *proto.TableIndex) error {
	keys := r.tx.app.keys
	documents := keys.documents(t.name)
	for on.State == proto.IndexState_INDEX_STATE_BUILDING && r.left > 0 {
		from := documents
		if on.BuiltTo != "" {
			from = append(keys.document(t.name, on.BuiltTo), 0)
		}
		rows, more, err := r.tx.readPage(from, after(documents), false, page(r.left))
		if err != nil {
			return err
		}
		for _, row := range rows {
			id := string(row.key[len(documents):])
			entry, unfit := t.index(on.Name).place(keys, t.name, id, row.value, t.project(row.value))
			if err := damageOf(row.value); err != nil {
				unfit = err
			}
			if r.tx.put(entry, nil); unfit != nil {
				r.leftOut = append(r.leftOut, fmt.Errorf("table %s: document %s: %w", t.name, id, unfit))
			}
			on.BuiltTo = id
			r.leftBytes -= len(row.value)
		}
		if r.left -= len(rows); r.leftBytes <= 0 {
			r.left = 0
		}
		if !more {
			on.State, on.BuiltTo = proto.IndexState_INDEX_STATE_BUILT, ""
		}
	}
	return nil
}
