package storage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"
)

// maxDocumentLen bounds one document's JSON, in bytes.
const maxDocumentLen = 1 << 20

// Table is a table of documents of type T, by encoding/json a JSON object of
// at most 1 MiB. It holds no data: one Table serves every app, from any
// goroutine. Every error names the table.
type Table[T any] struct {
	decl *tableInfo
}

// Doc is a document with its id.
type Doc[T any] struct {
	ID    ID[T] `json:"id"`
	Value T     `json:"value"`
}

// NewTable declares a table, usually in a package-level variable. A table with
// indexes must be listed in Options.Tables; of one table name there should be
// one declaration. Names begin with a letter and have up to 64 letters, digits
// and '_'. It panics if the declaration is at fault: a bad name, a T that is
// neither struct nor map, an index over a field that T does not have or that
// cannot be sorted, two indexes of one name.
func NewTable[T any](name string, indexes ...IndexDecl) *Table[T] {
	decl, err := declare(name, reflect.TypeFor[T](), indexes)
	if err != nil {
		panic("storage: " + err.Error())
	}
	declarations.Add(home, decl)
	return &Table[T]{decl}
}

func (t *Table[T]) info() *tableInfo { return t.decl }

// Name returns the table's name.
func (t *Table[T]) Name() string { return t.decl.name }

// Get returns the document. ErrNotFound if there is none with the id,
// ErrInvalid if the id is none of this table, ErrFormat if what is stored does
// not decode into a T.
func (t *Table[T]) Get(r Reader, id ID[T]) (T, error) {
	data, err := t.decl.load(r.reader(), string(id))
	if err != nil {
		var none T
		return none, t.decl.wrap(err)
	}
	doc, err := t.decode(string(id), data)
	return doc, t.decl.wrap(err)
}

// Insert stores a new document and returns its id, which is greater than those
// of all documents the app inserted before. ErrInvalid if doc has no JSON or its
// JSON is not an object, ErrLimit if that or an index key is too long; all of these match ErrPermanent.
func (t *Table[T]) Insert(w Writer, doc T) (ID[T], error) {
	data, err := encodeDocument(&doc)
	if err != nil {
		return "", t.decl.wrap(err)
	}
	id, err := t.decl.insert(w, data)
	return ID[T](id), t.decl.wrap(err)
}

// Patch changes a document: fn is given what is stored and alters it in place.
// If fn returns an error, or panics, the document is as before, and the error is
// returned as it is. fn may use w, but if the document itself is changed
// meanwhile Patch returns ErrReentrant and that change stays. Fields of the
// stored JSON that T does not have are lost. Other errors are as of Get and Insert.
func (t *Table[T]) Patch(w Writer, id ID[T], fn func(doc *T) error) error {
	was, err := t.decl.load(w.reader(), string(id))
	if err != nil {
		return t.decl.wrap(err)
	}
	doc, err := t.decode(string(id), was)
	if err != nil {
		return t.decl.wrap(err)
	}
	if err := fn(&doc); err != nil {
		return err
	}
	data, err := encodeDocument(&doc)
	if err != nil {
		return t.decl.wrap(err)
	}
	return t.decl.wrap(t.decl.replace(w, string(id), was, data))
}

// Replace puts doc in the place of the stored document. Errors are as of Get
// and Insert; after one the document is as before.
func (t *Table[T]) Replace(w Writer, id ID[T], doc T) error {
	data, err := encodeDocument(&doc)
	if err != nil {
		return t.decl.wrap(err)
	}
	return t.decl.wrap(t.decl.replace(w, string(id), nil, data))
}

// Delete removes the document for good: its id never names another. Errors are
// as of Get.
func (t *Table[T]) Delete(w Writer, id ID[T]) error {
	return t.decl.wrap(t.decl.replace(w, string(id), nil, nil))
}

// decode reads a stored document.
func (t *Table[T]) decode(id string, data []byte) (T, error) {
	var doc T
	if err := json.Unmarshal(data, &doc); err != nil {
		var none T
		return none, fmt.Errorf("document %s: %w: %w", id, ErrFormat, err)
	}
	return doc, nil
}

// encodeDocument is json.Marshal that leaves HTML as it is and checks bounds.
func encodeDocument(doc any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc); err != nil {
		return nil, permanent(fmt.Errorf("%w: %w", ErrInvalid, err))
	}
	data := bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if data[0] != '{' {
		return nil, permanent(fmt.Errorf("%w: documents are JSON objects, this one is encoded as %.20s", ErrInvalid, data))
	}
	if !utf8.Valid(data) || halfPair(data) { // of a json.RawMessage, which is passed on as it is
		return nil, permanent(fmt.Errorf("%w: the document is not UTF-8, or has half a surrogate pair", ErrInvalid))
	}
	if len(data) > maxDocumentLen {
		return nil, permanent(fmt.Errorf("%w: a document of %d bytes, at most %d are allowed", ErrLimit, len(data), maxDocumentLen))
	}
	return data, nil
}

// wrap names the table in an error. Exported methods call it, nothing below.
func (t *tableInfo) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("table %s: %w", t.name, err)
}

func notFound(id string) error { return fmt.Errorf("document %s: %w", id, ErrNotFound) }

// load returns what is stored of a document.
func (t *tableInfo) load(v *view, id string) ([]byte, error) {
	if err := t.declared(v.app, false); err != nil {
		return nil, err
	}
	if err := checkDocumentID(t.name, id); err != nil {
		return nil, err
	}
	data, err := v.get(v.keys.document(t.name, id))
	switch {
	case err != nil:
		return nil, err
	case data == nil:
		return nil, notFound(id)
	}
	return data, v.app.damageOf(data)
}

// insert stores a new document and returns its id.
func (t *tableInfo) insert(w Writer, data []byte) (string, error) {
	tx, depth := w.writer()
	if err := t.declared(tx.app, true); err != nil {
		return "", err
	}
	if err := tx.lock(depth); err != nil {
		return "", err
	}
	defer tx.mu.Unlock()
	recorded := true
	if len(t.indexes) > 0 {
		var err error
		if recorded, err = t.ready(tx.app.keys, tx); err != nil {
			return "", err
		}
	}
	id := mintDocumentID(t.name, tx.top().counts.seq+1)
	if err := t.store(w.reader(), id, nil, data); err != nil {
		return "", err
	}
	tx.top().counts.seq++
	if !recorded {
		// The table's first document: its indexes were complete while empty.
		tx.put(tx.app.keys.name(tagSchema, t.name), t.record)
	}
	return id, nil
}

// replace stores data in the place of a document that there must be; nil data
// deletes it. Unless was is nil, the document must still be what was says.
func (t *tableInfo) replace(w Writer, id string, was, data []byte) error {
	tx, depth := w.writer()
	if err := t.declared(tx.app, true); err != nil {
		return err
	}
	if err := checkDocumentID(t.name, id); err != nil {
		return err
	}
	if err := tx.lock(depth); err != nil {
		return err
	}
	defer tx.mu.Unlock()
	stored, err := tx.get(tx.app.keys.document(t.name, id))
	if err == nil && (was != nil || len(t.indexes) > 0) {
		err = tx.app.damageOf(stored) // else it is not needed
	}
	switch {
	case err != nil:
		return err
	case stored == nil:
		return notFound(id)
	case was != nil && !bytes.Equal(stored, was):
		return fmt.Errorf("document %s: %w: it was changed inside its own patch", id, ErrReentrant)
	case bytes.Equal(stored, data) && !slices.ContainsFunc(t.indexes, func(x *indexInfo) bool { return x.own }):
		return nil // else an index may have it where an earlier release put it
	}
	if len(t.indexes) > 0 {
		if _, err := t.ready(tx.app.keys, tx); err != nil {
			return err
		}
	}
	if err := t.store(w.reader(), id, stored, data); err != nil {
		return fmt.Errorf("document %s: %w", id, err)
	}
	return nil
}
