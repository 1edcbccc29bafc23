package storage

import (
	"bytes"
	"encoding/json"
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

// project decodes of a stored document what the indexes need. The stored form
// counts, not the value it was made from: an entry must be found again from the
// document alone.
func (t *tableInfo) project(data []byte) (reflect.Value, error) {
	p := reflect.New(t.projection)
	if err := json.Unmarshal(data, p.Interface()); err != nil {
		return reflect.Value{}, err
	}
	return p.Elem(), nil
}

// entry makes the key of the document's entry in the index.
func (x *indexInfo) entry(n keyspace, table, id string, projected reflect.Value) ([]byte, error) {
	b := n.indexEntries(table, x.name)
	start := len(b)
	for i := range x.fields {
		f := &x.fields[i]
		var err error
		if b, err = x.appendField(b, start, i, projected.FieldByIndex(f.at)); err != nil {
			return nil, err
		}
	}
	return append(b, id...), nil
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

// entries makes the keys of the document's entries, one for each index, in the
// order of t.indexes. nil data is no document and has none. misfit is what to
// call a document whose indexed fields do not decode.
func (t *tableInfo) entries(n keyspace, id string, data []byte, misfit error) ([][]byte, error) {
	keys := make([][]byte, len(t.indexes))
	if data == nil || len(t.indexes) == 0 {
		return keys, nil
	}
	projected, err := t.project(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", misfit, err)
	}
	for i, x := range t.indexes {
		if keys[i], err = x.entry(n, t.name, id, projected); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// store writes the document and brings the indexes from was to data, which is
// the one place where either is done. nil is no document. It is called with
// the transaction of v locked; after an error nothing has changed.
func (t *tableInfo) store(v *view, id string, was, data []byte) error {
	tx := v.tx
	key := tx.app.keys.document(t.name, id)
	before, err := t.entries(tx.app.keys, id, was, ErrFormat)
	if err != nil {
		return fmt.Errorf("stored document: %w", err)
	}
	now, err := t.entries(tx.app.keys, id, data, ErrInvalid)
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
