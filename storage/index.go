package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// maxIndexKey bounds the encoded fields of one index entry, in bytes. It keeps
// keys far below what a page can hold well.
const maxIndexKey = 2048

// documents is the beginning of the keys of a table's documents.
func (n keyspace) documents(table string) []byte {
	return append(append(n.prefix(tagDocument), table...), 0)
}

func (n keyspace) document(table, id string) []byte {
	return append(n.documents(table), id...)
}

// indexEntries is the beginning of the keys of an index's entries.
func (n keyspace) indexEntries(table, index string) []byte {
	b := append(append(n.prefix(tagIndex), table...), 0)
	return append(append(b, index...), 0)
}

// documentOf is the document that an index entry is about.
func documentOf(entry []byte) string { return string(entry[len(entry)-documentIDLen:]) }

// misfits is the beginning of the keys of the documents that an index leaves out,
// because their fields do not fit it.
func (n keyspace) misfits(table, index string) []byte {
	b := append(append(n.prefix(tagMisfit), table...), 0)
	return append(append(b, index...), 0)
}

func (x *indexInfo) misfit(n keyspace, table, id string) []byte {
	return append(n.misfits(table, x.name), id...)
}

// project decodes of a stored document what the indexes need; it is not valid if a
// field does not decode. The stored form counts, not the value it was made from: an
// entry must be found again from the document alone.
func (t *tableInfo) project(data []byte) reflect.Value {
	if t.projection == nil {
		return reflect.Value{} // there are no indexes
	}
	p := reflect.New(t.projection)
	if json.Unmarshal(data, p.Interface()) != nil {
		return reflect.Value{}
	}
	return p.Elem()
}

// entry makes the key of the document's entry in the index from the document and its
// projection. An error says which field does not fit.
func (x *indexInfo) entry(n keyspace, table, id string, data []byte, projection reflect.Value) ([]byte, error) {
	b := n.indexEntries(table, x.name)
	start := len(b)
	for i := range x.fields {
		v, err := x.fields[i].in(data, projection)
		if err != nil {
			return nil, permanent(fmt.Errorf("index %s: field %q: %w: %w", x.name, x.fields[i].name, ErrInvalid, err))
		}
		if b, err = x.appendField(b, start, i, v); err != nil {
			return nil, err
		}
	}
	return append(b, id...), nil
}

// in returns the field's value in a document: from the projection of the table, or if
// that is not valid from one of its own, so that a field spoils only indexes that have it.
func (f *indexField) in(data []byte, projection reflect.Value) (reflect.Value, error) {
	if projection.IsValid() {
		return projection.FieldByIndex(f.at), nil
	}
	p := reflect.New(f.alone)
	if err := json.Unmarshal(data, p.Interface()); err != nil {
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			err = fmt.Errorf("want a %v, got %s", f.typ, wrong.Value)
		}
		return reflect.Value{}, err
	}
	return p.Elem().FieldByIndex(f.aloneAt), nil
}

// appendField adds the key of field i to b, whose fields begin at start.
func (x *indexInfo) appendField(b []byte, start, i int, v reflect.Value) ([]byte, error) {
	f := &x.fields[i]
	b, err := f.append(b, v)
	if err != nil {
		return nil, permanent(fmt.Errorf("index %s: field %q: %w: %w", x.name, f.name, ErrInvalid, err))
	}
	if size := len(b) - start; size > maxIndexKey {
		return nil, permanent(fmt.Errorf("index %s: field %q: %w: the index key takes %d bytes, at most %d are allowed", x.name, f.name, ErrLimit, size, maxIndexKey))
	}
	return b, nil
}

// place is the key of a stored document's entry in the index, or if it does not fit
// the key among those that are left out, and why.
func (x *indexInfo) place(n keyspace, table, id string, data []byte, projection reflect.Value) (key []byte, unfit error) {
	key, unfit = x.entry(n, table, id, data, projection)
	if unfit != nil {
		key = x.misfit(n, table, id)
	}
	return key, unfit
}

// entries makes the keys of the document's entries, one for each index, in the
// order of t.indexes. nil data is no document and has none.
func (t *tableInfo) entries(n keyspace, id string, data []byte) ([][]byte, error) {
	keys := make([][]byte, len(t.indexes))
	if data == nil || len(t.indexes) == 0 {
		return keys, nil
	}
	projection := t.project(data)
	for i, x := range t.indexes {
		var err error
		if keys[i], err = x.entry(n, t.name, id, data, projection); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// stored finds the keys that the stored document has in the indexes, whether it fits
// them or not.
func (t *tableInfo) stored(tx *Tx, id string, data []byte) ([][]byte, error) {
	keys := make([][]byte, len(t.indexes))
	if data == nil || len(t.indexes) == 0 {
		return keys, nil
	}
	projection := t.project(data)
	for i, x := range t.indexes {
		keys[i], _ = x.place(tx.app.keys, t.name, id, data, projection)
		if x.own {
			var err error
			if keys[i], err = x.found(tx, t.name, id, keys[i]); err != nil {
				return nil, err
			}
		}
	}
	return keys, nil
}

// found returns where the document has its entry in an index of which a type of this
// program decodes a field: at the key, unless an earlier release decoded it otherwise.
func (x *indexInfo) found(tx *Tx, table, id string, key []byte) ([]byte, error) {
	for _, k := range [][]byte{key, x.misfit(tx.app.keys, table, id)} {
		if value, err := tx.get(k); err != nil || value != nil {
			return k, err
		}
	}
	prefix := tx.app.keys.indexEntries(table, x.name)
	for from := prefix; ; {
		rows, err := tx.rows(from, after(prefix), false, scanChunk)
		if err != nil || len(rows) == 0 {
			return nil, err
		}
		for _, r := range rows {
			if documentOf(r.key) == id {
				return r.key, nil
			}
		}
		from = append(rows[len(rows)-1].key, 0)
	}
}

// store writes the document and brings the indexes from was to data, which is
// the one place where either is done. nil is no document. It is called with
// the transaction of v locked; after an error nothing has changed.
func (t *tableInfo) store(v *view, id string, was, data []byte) error {
	tx := v.tx
	key := tx.app.keys.document(t.name, id)
	before, err := t.stored(tx, id, was)
	if err != nil {
		return err
	}
	now, err := t.entries(tx.app.keys, id, data)
	if err != nil {
		return err
	}
	writes, size := 1, len(key)+len(data)
	for i := range t.indexes {
		if !bytes.Equal(before[i], now[i]) {
			writes += min(len(before[i]), 1) + min(len(now[i]), 1)
			size += len(before[i]) + len(now[i])
		}
	}
	if err := v.spare(0, writes, size); err != nil {
		return err
	}
	for i := range t.indexes {
		if bytes.Equal(before[i], now[i]) {
			continue
		}
		if before[i] != nil {
			tx.delete(before[i])
		}
		if now[i] != nil {
			tx.put(now[i], nil)
		}
	}
	if data == nil {
		tx.delete(key)
	} else {
		tx.put(key, data)
	}
	return nil
}
