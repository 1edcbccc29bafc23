package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"carillon/internal/declared"
	"carillon/proto"
)

// Schema is the declaration of one table, for Options.Tables. Every *Table is
// one, and nothing else.
type Schema interface {
	info() *tableInfo
}

// IndexDecl declares one index of a table; Index makes it.
type IndexDecl struct {
	name   string
	fields []string
}

// Index declares an index over fields of the documents, which it sorts by the
// first, then the second, and so on. A field is named by its JSON name; a dotted
// name leads into a nested struct. Fields are strings, numbers, bools, time.Time
// and named types of these kinds, and pointers to them, nil first. A field that
// a document leaves out has its zero value.
//
// An index is built when an app is next opened with it, and dropped when an app
// is opened without it.
func Index(name string, fields ...string) IndexDecl {
	return IndexDecl{name: name, fields: slices.Clone(fields)}
}

// tableInfo is what is known of a table without its documents' type.
type tableInfo struct {
	name       string
	doc        reflect.Type // of the documents
	indexes    []*indexInfo // sorted by name
	projection reflect.Type // what of a document the indexes need; nil without indexes
	record     []byte       // what an app's schema says when all indexes are built
}

// indexInfo is one index of a table.
type indexInfo struct {
	name   string
	fields []indexField
	shape  string // spells the fields and their kinds
	own    bool   // a field decodes itself, so that the shape does not say how
}

type indexField struct {
	name string
	fieldType
	at []int // in the table's projection

	alone   reflect.Type // the projection that has this field only
	aloneAt []int
}

// declare makes a table of documents of type doc, or says what is wrong with
// the declaration.
func declare(name string, doc reflect.Type, decls []IndexDecl) (*tableInfo, error) {
	if !tableNameOK(name) {
		return nil, fmt.Errorf("table name %s: want a letter, then up to 63 of A-Z a-z 0-9 _", quote(name))
	}
	t := &tableInfo{name: name, doc: doc}
	if err := checkDocumentType(doc); err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	var paths []string
	for _, d := range decls {
		switch {
		case !tableNameOK(d.name):
			return nil, fmt.Errorf("table %s: index name %s: want a letter, then up to 63 of A-Z a-z 0-9 _", name, quote(d.name))
		case t.index(d.name) != nil:
			return nil, fmt.Errorf("table %s: two indexes are named %s", name, d.name)
		case len(d.fields) == 0:
			return nil, fmt.Errorf("table %s: index %s has no fields", name, d.name)
		}
		x := &indexInfo{name: d.name}
		for i, f := range d.fields {
			if slices.Contains(d.fields[:i], f) {
				return nil, fmt.Errorf("table %s: index %s: field %q is in it twice", name, d.name, f)
			}
			if slices.Contains(strings.Split(f, "."), "") {
				return nil, fmt.Errorf("table %s: index %s: field %q is not a dotted name", name, d.name, f)
			}
			x.fields = append(x.fields, indexField{name: f})
			if !slices.Contains(paths, f) {
				paths = append(paths, f)
			}
		}
		t.indexes = append(t.indexes, x)
	}
	if len(t.indexes) == 0 {
		return t, nil
	}
	if doc.Kind() != reflect.Struct {
		return nil, fmt.Errorf("table %s: a %v has no declared fields that an index could name", name, doc)
	}
	projection, at, err := project(doc, paths)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", name, err)
	}
	t.projection = projection
	for _, x := range t.indexes {
		if err := x.resolve(doc, at); err != nil {
			return nil, fmt.Errorf("table %s: index %s: %w", name, x.name, err)
		}
	}
	slices.SortFunc(t.indexes, func(a, b *indexInfo) int { return strings.Compare(a.name, b.name) })
	record := &proto.Table{Version: recordVersion}
	for _, x := range t.indexes {
		record.Indexes = append(record.Indexes, &proto.TableIndex{Name: x.name, Shape: x.shape})
	}
	t.record = encodeTable(record)
	return t, nil
}

// resolve finds the index's fields in the projection of type doc.
func (x *indexInfo) resolve(doc reflect.Type, at map[string]projected) error {
	var shape []string
	for i := range x.fields {
		f := &x.fields[i]
		f.at = at[f.name].index
		var err error
		if f.fieldType, err = fieldTypeOf(at[f.name].typ); err != nil {
			return fmt.Errorf("field %q: %w", f.name, err)
		}
		shape = append(shape, f.name+":"+f.shape())
		alone, aloneAt, err := project(doc, []string{f.name})
		if err != nil {
			return fmt.Errorf("field %q: %w", f.name, err)
		}
		f.alone, f.aloneAt = alone, aloneAt[f.name].index
		x.own = x.own || f.kind != kindTime && ownJSON(f.elem)
	}
	x.shape = strings.Join(shape, ",")
	return nil
}

// checkDocumentType refuses types whose JSON is not an object.
func checkDocumentType(doc reflect.Type) error {
	if doc.Kind() != reflect.Struct && doc.Kind() != reflect.Map {
		return fmt.Errorf("documents are JSON objects: want a struct or a map, not a %v", doc)
	}
	if data := encodeZero(doc); data != nil && data[0] != '{' && string(data) != "null" {
		return fmt.Errorf("documents are JSON objects, but a %v is encoded as %s", doc, data)
	}
	return nil
}

// encodeZero is the JSON of the zero value, nil if it has none: what is wrong
// with it need not be with other values.
func encodeZero(doc reflect.Type) (data []byte) {
	defer func() {
		if recover() != nil {
			data = nil
		}
	}()
	data, _ = json.Marshal(reflect.Zero(doc).Interface())
	return data
}

func tableNameOK(s string) bool {
	return nameOK(s, "_") && (s[0] >= 'a' && s[0] <= 'z' || s[0] >= 'A' && s[0] <= 'Z')
}

// index returns the index with the name, nil if there is none.
func (t *tableInfo) index(name string) *indexInfo {
	for _, x := range t.indexes {
		if x.name == name {
			return x
		}
	}
	return nil
}

// schemaOf lists the declared tables by name. It refuses two declarations of
// one name, since each would miss the other's indexes.
func schemaOf(tables []Schema) (map[string]*tableInfo, error) {
	schema := map[string]*tableInfo{}
	var errs []error
	for i, s := range tables {
		if s == nil {
			errs = append(errs, invalid("Tables[%d] is nil", i))
			continue
		}
		t := s.info()
		if other := schema[t.name]; other != nil && other != t {
			errs = append(errs, invalid("Tables has two declarations of table %s", t.name))
		}
		schema[t.name] = t
	}
	return schema, errors.Join(errs...)
}

// home is this package, whose callers declare tables.
var home = reflect.TypeFor[Options]().PkgPath()

// declarations are the tables in package-level variables of the program.
var declarations declared.List[*tableInfo]

// unlisted says which tables the packages declare that could not be used: they
// have indexes, or a listed declaration of their name has, and are not listed.
func unlisted(schema map[string]*tableInfo, packages []string) error {
	packages = slices.Clone(packages)
	for _, d := range declarations.All() {
		if schema[d.What.name] == d.What {
			packages = append(packages, d.Package)
		}
	}
	var errs []error
	for _, d := range declarations.Of(packages) {
		t, listed := d.What, schema[d.What.name]
		switch {
		case listed == t:
		case len(t.indexes) > 0 && listed == nil:
			errs = append(errs, invalid("table %s (%s, %s) has indexes and is not listed in Tables", t.name, d.Package, d.Line))
		case len(t.indexes) > 0 || listed != nil && len(listed.indexes) > 0:
			errs = append(errs, invalid("table %s (%s, %s) is listed in Tables by another declaration", t.name, d.Package, d.Line))
		}
	}
	return errors.Join(errs...)
}

// declared refuses the use of a table by a declaration that the store was not
// opened with, if indexes are at stake: to read it, those of this declaration;
// to write it, those of any.
func (t *tableInfo) declared(a *App, write bool) error {
	listed := a.schema[t.name]
	switch {
	case listed == t:
		return nil
	case len(t.indexes) > 0 && listed == nil:
		return fmt.Errorf("%w: it has indexes: list it in Options.Tables", ErrUndeclared)
	case len(t.indexes) > 0, write && listed != nil && len(listed.indexes) > 0:
		return fmt.Errorf("%w: Options.Tables lists another declaration of it", ErrUndeclared)
	}
	return nil
}

// encodeTable makes the record of a table.
func encodeTable(p *proto.Table) []byte {
	return encoded(p.MarshalVT())
}

// decodeTable reads the record of a table.
func decodeTable(data []byte) (*proto.Table, error) {
	var p proto.Table
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return &p, nil
}

// state is what an app's state is read through: a view, or a locked Tx.
type state interface {
	get(key []byte) ([]byte, error)
	rows(from, to []byte, reverse bool, limit int) ([]row, error)
	owner() *App
}

// ready refuses to use the table's indexes while those of the app differ.
// recorded is false if the app has no word on them yet: they are complete then
// because the table is empty.
func (t *tableInfo) ready(n keyspace, s state) (recorded bool, err error) {
	data, err := s.get(n.name(tagSchema, t.name))
	if err == nil {
		err = s.owner().damageOf(data)
	}
	if err != nil || bytes.Equal(data, t.record) {
		return true, err
	}
	if data == nil {
		prefix := n.documents(t.name)
		found, err := s.rows(prefix, after(prefix), false, 1)
		if err == nil && len(found) > 0 {
			err = fmt.Errorf("index %s: %w", t.indexes[0].name, ErrNotBuilt)
		}
		return false, err
	}
	p, err := decodeTable(data)
	if err != nil {
		return true, err
	}
	for _, x := range t.indexes {
		if !x.builtIn(p) {
			return true, fmt.Errorf("index %s: %w", x.name, ErrNotBuilt)
		}
	}
	if len(p.Indexes) != len(t.indexes) {
		return true, fmt.Errorf("%w: one that is no longer declared is still there", ErrNotBuilt)
	}
	return true, nil
}

// builtIn says whether the record has the index, in this shape and complete.
func (x *indexInfo) builtIn(p *proto.Table) bool {
	return slices.ContainsFunc(p.GetIndexes(), func(on *proto.TableIndex) bool {
		return on.Name == x.name && on.Shape == x.shape && on.State == proto.IndexState_INDEX_STATE_BUILT
	})
}
