package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// maxTableCount bounds how many documents of a table ListTables counts.
const maxTableCount = 10_000

// TableStatus is a table of one app, for people who look at what is stored.
type TableStatus struct {
	Name string
	// Type is the Go type of the documents. "": the program declares no such table, so that its
	// documents can be read, and not be changed.
	Type      string
	Indexes   []IndexStatus // by name
	Documents int           // up to 10,000
	More      bool          // there are more
}

// IndexStatus is an index of a table.
type IndexStatus struct {
	Name   string
	Fields []IndexField // in the order by which it sorts
	Built  bool         // it can be read
}

// IndexField is a field that an index sorts by.
type IndexField struct {
	Name string // as in the documents' JSON, with dots
	Kind string // string, int, uint, float32, float64, bool or time; with a * in front where there may be null
}

// ListTables returns the app's tables by name: those of Options.Tables, and others in which there is
// a document. Of each it counts up to 10,000 documents by their keys.
func ListTables(r Reader) ([]TableStatus, error) {
	v := r.reader()
	names := slices.Collect(maps.Keys(v.app.schema))
	all := v.keys.prefix(tagDocument)
	for from := all; ; {
		rows, err := v.rows(from, after(all), false, 1)
		if err != nil {
			return nil, err
		}
		if len(rows) == 0 {
			break
		}
		name, _, _ := strings.Cut(string(tail(rows[0].key)), "\x00")
		names = append(names, name)
		from = after(v.keys.documents(name))
	}
	slices.Sort(names)
	tables := []TableStatus{}
	for _, name := range slices.Compact(names) {
		t, _, err := v.app.table(name)
		if err != nil {
			return nil, err
		}
		status, err := t.status(v)
		if err != nil {
			return nil, t.wrap(err)
		}
		tables = append(tables, status)
	}
	return tables, nil
}

// table is the declaration of the app's table with the name: that of the store, or else the only one
// of the program. If there is none, known is false, and t can be read in the order of insertion.
func (a *App) table(name string) (t *tableInfo, known bool, err error) {
	if !tableNameOK(name) {
		return nil, false, invalid("table name %s: want a letter, then up to 63 of A-Z a-z 0-9 _", quote(name))
	}
	if t := a.schema[name]; t != nil {
		return t, true, nil
	}
	for _, d := range declarations.All() {
		if d.What.name != name {
			continue
		}
		if known || len(d.What.indexes) > 0 {
			return &tableInfo{name: name}, false, nil
		}
		t, known = d.What, true
	}
	if !known {
		t = &tableInfo{name: name}
	}
	return t, known, nil
}

// status is what there is to say of the table.
func (t *tableInfo) status(v *view) (TableStatus, error) {
	status := TableStatus{Name: t.name}
	if t.doc != nil {
		status.Type = t.doc.String()
	}
	all, err := new(plan).resolve(t, v)
	if err != nil {
		return status, err
	}
	n, err := all.count(maxTableCount + 1)
	if err != nil {
		return status, err
	}
	status.Documents, status.More = min(n, maxTableCount), n > maxTableCount
	for _, x := range t.indexes {
		_, err := (&plan{by: true, index: x.name}).resolve(t, v)
		index := IndexStatus{Name: x.name, Built: err == nil}
		for _, f := range x.fields {
			index.Fields = append(index.Fields, IndexField{Name: f.name, Kind: f.words()})
		}
		status.Indexes = append(status.Indexes, index)
	}
	return status, nil
}

// words is the kind of the field's values for people.
func (f *indexField) words() string {
	if f.nullable {
		return fmt.Sprint("*", f.kind)
	}
	return string(f.kind)
}
