package api

import "encoding/json"

// Table is a table of documents of an app.
type Table struct {
	Name      string       `json:"name"`
	Type      string       `json:"type,omitempty"`    // the Go type of its documents; none: the program declares none, and they cannot be changed
	Indexes   []TableIndex `json:"indexes,omitempty"` // by name
	Documents int          `json:"documents"`         // how many there are, up to 10,000
	More      bool         `json:"more,omitempty"`    // there are more
}

// TableIndex is an index of a table.
type TableIndex struct {
	Name   string       `json:"name"`
	Fields []IndexField `json:"fields"` // in the order by which it sorts
	Built  bool         `json:"built"`  // it can be read
}

// IndexField is a field that an index sorts by.
type IndexField struct {
	Name string `json:"name"` // with dots, where it is inside of another
	Kind string `json:"kind"` // string, int, uint, float32, float64, bool or time; with a * in front where there may be null
}

// Document is a document of a table.
type Document struct {
	ID      string          `json:"id"`
	Version string          `json:"version"` // another one once the value has changed
	Value   json.RawMessage `json:"value"`   // an object
}

// DocumentPage is one page of documents: 100, or the parameter limit, which is 1 to 1,000. It ends early
// once it has 1 MiB of them.
type DocumentPage struct {
	Documents []Document `json:"documents"`
	Next      string     `json:"next,omitempty"` // cursor of the next page; none if this is the last
}

// NewDocument is what a document is made of.
type NewDocument struct {
	Value json.RawMessage `json:"value"` // an object that decodes into the table's type; up to 1 MiB
}

// DocumentChange replaces a document.
type DocumentChange struct {
	Version string          `json:"version"` // that the change is made of
	Value   json.RawMessage `json:"value"`   // as of NewDocument
}

// DeleteDocument is what it takes to delete a document.
type DeleteDocument struct {
	Version string `json:"version"` // that was seen
}
