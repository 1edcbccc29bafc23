package storage

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"

	"carillon/internal/strictjson"
)

// This file reads and changes documents without their Go type at hand, for people who look at what is
// stored and mend it.

// Document is a stored document.
type Document struct {
	ID string
	// Version tells it from other contents: it is a digest of the JSON, so that a document that is
	// changed back has the version that it had.
	Version string
	JSON    json.RawMessage // an object
}

func documentOfJSON(id string, data []byte) Document {
	sum := sha256.Sum256(data)
	return Document{ID: id, Version: hex.EncodeToString(sum[:12]), JSON: data}
}

// ConflictError is why a change was refused whose author had seen another version. It matches
// ErrConflict.
type ConflictError struct {
	Present Document // what is stored
}

// Error says which version there is.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("document %s: %v, which is %s", e.Present.ID, ErrConflict, e.Present.Version)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// DocumentQuery chooses documents of a table. Values are as in JSON; one of a string or an instant
// may go without quotes, unless it begins with one.
type DocumentQuery struct {
	Table string
	Index string   // to read through; "": in the order of insertion, and without values
	Eq    []string // values of the index's first fields
	// The bounds are of the field after those of Eq; nil: there is none.
	From, After, To, Before *string
	Desc                    bool
	Limit                   int    // of the page, 1 to 1,000; 0 is 100
	Cursor                  string // DocumentPage.Next of the page before; "" is the beginning
}

// DocumentPage is some of the documents of a query.
type DocumentPage struct {
	Documents []Document
	Next      string // where the next page begins; "" if there is none
}

// ListDocuments returns a page of documents, which ends early once it has 1 MiB of them. ErrNotFound if
// the program declares no such table and there is no document in it; other errors are as of Query.Page.
func ListDocuments(r Reader, q DocumentQuery) (DocumentPage, error) {
	v := r.reader()
	t, known, err := v.app.table(q.Table)
	if err != nil {
		return DocumentPage{}, err
	}
	page, err := t.list(v, &q)
	if err == nil && !known && q.Cursor == "" && len(page.Documents) == 0 {
		err = fmt.Errorf("%w: the app has no such table", ErrNotFound)
	}
	return page, t.wrap(err)
}

func (t *tableInfo) list(v *view, q *DocumentQuery) (page DocumentPage, err error) {
	limit := q.Limit
	switch {
	case limit == 0:
		limit = defaultPage
	case limit < 0 || limit > maxPage:
		return page, invalid("a page of %d documents: want 1 to %d", limit, maxPage)
	}
	p, err := t.planOf(q)
	if err != nil {
		return page, err
	}
	s, err := p.resolve(t, v)
	if err != nil {
		return page, err
	}
	rows, more, err := v.readPage(s.from, s.to, s.reverse, extent{rows: limit + 1, bytes: pageBytes})
	if err != nil {
		return page, err
	}
	if len(rows) > limit {
		rows, more = rows[:limit], true
	}
	page.Documents = []Document{}
	size := 0
	for i, r := range rows {
		m, ok, err := s.match(r)
		if err != nil {
			return DocumentPage{}, err
		}
		if ok {
			page.Documents = append(page.Documents, documentOfJSON(m.id, m.data))
			size += len(m.data)
		}
		if last := i == len(rows)-1; last && more || !last && size >= pageBytes {
			page.Next = s.cursorAt(r.key)
			break
		}
	}
	return page, nil
}

// planOf makes the plan of a query whose values are text.
func (t *tableInfo) planOf(q *DocumentQuery) (*plan, error) {
	p := &plan{by: q.Index != "", index: q.Index, desc: q.Desc, cursor: q.Cursor}
	x := t.index(q.Index)
	value := func(i int, text string) (any, error) {
		if x == nil || i >= len(x.fields) {
			return text, nil // which resolve refuses
		}
		v, err := x.fields[i].parse(text)
		if err != nil {
			return nil, invalid("index %s: field %q: %v", x.name, x.fields[i].name, err)
		}
		return v, nil
	}
	for i, text := range q.Eq {
		v, err := value(i, text)
		if err != nil {
			return nil, err
		}
		p.eq = append(p.eq, v)
	}
	for _, b := range []struct {
		text      *string
		at        **bound
		inclusive bool
		twice     error
	}{{q.From, &p.lower, true, nil}, {q.After, &p.lower, false, errTwoLower}, {q.To, &p.upper, true, nil}, {q.Before, &p.upper, false, errTwoUpper}} {
		switch {
		case b.text == nil:
			continue
		case *b.at != nil:
			return nil, fmt.Errorf("%w: %w", ErrInvalid, b.twice)
		}
		v, err := value(len(q.Eq), *b.text)
		if err != nil {
			return nil, err
		}
		*b.at = &bound{v, b.inclusive}
	}
	return p, nil
}

// parse makes a value of the field of text.
func (f *fieldType) parse(text string) (any, error) {
	if text == "null" && f.nullable {
		return nil, nil
	}
	data := []byte(text)
	if (f.kind == kindString || f.kind == kindTime) && (text == "" || text[0] != '"') {
		data, _ = json.Marshal(text)
	}
	v := reflect.New(f.elem)
	if err := strictjson.Decode(data, v.Interface()); err != nil {
		return nil, err
	}
	if text == "null" && f.kind != kindString {
		return nil, fmt.Errorf("want a %s, got null", f.kind)
	}
	return v.Elem().Interface(), nil
}

// GetDocument returns the table's document. ErrNotFound if there is none with the id, ErrInvalid if the
// id is none of the table's.
func GetDocument(r Reader, table, id string) (Document, error) {
	v := r.reader()
	t, _, err := v.app.table(table)
	if err != nil {
		return Document{}, err
	}
	data, err := t.load(v, id)
	if err != nil {
		return Document{}, t.wrap(err)
	}
	return documentOfJSON(id, data), nil
}

// FitDocument returns the JSON as the table stores it: decoded into the type that the program declares,
// and encoded from that. ErrInvalid if it does not decode, has a member that the type has not, or does
// not fit an index; ErrLimit if it is too long; ErrUndeclared if the program declares no such table.
// It calls methods of that type, and is for outside of transactions. For engines.
func FitDocument(r Reader, table string, data []byte) (json.RawMessage, error) {
	v := r.reader()
	t, err := v.app.changeable(table)
	if err != nil {
		return nil, err
	}
	if data = bytes.TrimSpace(data); len(data) == 0 || data[0] != '{' {
		return nil, t.wrap(invalid("the document is no JSON object"))
	}
	doc := reflect.New(t.doc)
	if err := strictjson.Decode(data, doc.Interface()); err != nil {
		return nil, t.wrap(invalid("the document is no %v: %v", t.doc, err))
	}
	stored, err := encodeDocument(doc.Interface())
	if err == nil {
		_, err = t.entries(v.keys, mintDocumentID(t.name, 1), stored)
	}
	if err != nil {
		return nil, t.wrap(err)
	}
	return stored, nil
}

// changeable is the table, if the program declares its type.
func (a *App) changeable(table string) (*tableInfo, error) {
	t, known, err := a.table(table)
	if err == nil && !known {
		err = t.wrap(fmt.Errorf("%w: its documents have no type to check a change by", ErrUndeclared))
	}
	return t, err
}

// DocumentEdit is a change of one document.
type DocumentEdit struct {
	Table   string
	ID      string          // "": a new document
	Version string          // that the change is made of; a new document has none
	JSON    json.RawMessage // what FitDocument has returned; nil: the document is deleted
}

// EditDocument makes the change, and returns the document as it is stored then, the zero Document if
// it was deleted. ConflictError if the present version is another one, ErrNotFound if there is no
// document; after an error nothing has changed. For engines.
func EditDocument(w Writer, e DocumentEdit) (Document, error) {
	v := w.reader()
	t, err := v.app.changeable(e.Table)
	if err != nil {
		return Document{}, err
	}
	if e.ID == "" {
		id, err := t.insert(w, e.JSON)
		if err != nil {
			return Document{}, t.wrap(err)
		}
		return documentOfJSON(id, e.JSON), nil
	}
	was, err := t.load(v, e.ID)
	if err != nil {
		return Document{}, t.wrap(err)
	}
	if present := documentOfJSON(e.ID, was); present.Version != e.Version {
		return Document{}, t.wrap(&ConflictError{present})
	}
	if err := t.replace(w, e.ID, was, e.JSON); err != nil || e.JSON == nil {
		return Document{}, t.wrap(err)
	}
	return documentOfJSON(e.ID, e.JSON), nil
}
