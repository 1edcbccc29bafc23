package storage

import (
	"encoding/binary"
	"fmt"
	"strings"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// tableCheck is what checkDocuments learns of one table.
type tableCheck struct {
	record    *proto.Table
	documents int
	entries   map[string]int // by index
}

// checkDocuments verifies one app's documents, indexes and what it says of
// them. Every document has one entry in every index that is built, or is noted as
// left out of it; of the tables in schema, at the right place.
func (n keyspace) checkDocuments(snap *kv.Snapshot, schema map[string]*tableInfo) (errs []error) {
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...)))
	}
	tables := map[string]*tableCheck{}
	table := func(name string) *tableCheck {
		if tables[name] == nil {
			tables[name] = &tableCheck{entries: map[string]int{}}
		}
		return tables[name]
	}
	each := func(t tag, fn func(key, value []byte)) {
		for k, v := range n.all(snap, t) {
			if err := damageOf(v); err != nil {
				errs = append(errs, err)
				continue
			}
			fn(k, v)
		}
	}
	assigned := uint64(0)
	if c, err := decodeCounts(snap.Get(kv.Data, n.prefix(tagMeta))); err == nil { // checkJobs says if not
		assigned = c.seq
	}
	each(tagSchema, func(key, value []byte) {
		name := string(tail(key))
		record, err := decodeTable(value)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("table %s: %w", name, err))
			return
		case !tableNameOK(name) || len(record.Indexes) == 0:
			bad("schema of table %s with %d indexes", quote(name), len(record.Indexes))
		}
		table(name).record = record
	})
	each(tagDocument, func(key, value []byte) {
		name, id, _ := strings.Cut(string(tail(key)), "\x00")
		if err := checkDocumentID(name, id); err != nil || !tableNameOK(name) {
			bad("key of a document %q", tail(key))
			return
		}
		t := table(name)
		t.documents++
		if seq := documentSeq(id); seq > assigned {
			bad("table %s: document %s has number %d, above the last assigned, %d", name, id, seq, assigned)
		}
		if !wellFormed(value) || value[0] != '{' || len(value) > maxDocumentLen {
			bad("table %s: document %s is not a JSON object of at most %d bytes", name, id, maxDocumentLen)
			return
		}
		if declared := schema[name]; declared != nil && t.record != nil {
			errs = append(errs, n.checkEntries(snap, declared, t.record, id, value)...)
		}
	})
	each(tagIndex, func(key, value []byte) {
		name, rest, _ := strings.Cut(string(tail(key)), "\x00")
		index, entry, _ := strings.Cut(rest, "\x00")
		if len(entry) < documentIDLen {
			bad("key of an index entry %q", tail(key))
			return
		}
		on := indexIn(table(name).record, index)
		switch id := documentOf(key); {
		case on == nil:
			bad("table %s: entry of index %s, which is not in its schema", name, index)
		case on.State == proto.IndexState_INDEX_STATE_DROPPING:
		case len(value) > 0:
			bad("table %s: index %s: entry of document %s has a value", name, index, id)
		case snap.Get(kv.Data, n.document(name, id)) == nil:
			bad("table %s: index %s: entry of document %s, which is not there", name, index, id)
		case on.State == proto.IndexState_INDEX_STATE_BUILDING && id > on.BuiltTo:
			bad("table %s: index %s: entry of document %s, but it is built to %s", name, index, id, on.BuiltTo)
		}
		table(name).entries[index]++
	})
	each(tagMisfit, func(key, value []byte) {
		name, rest, _ := strings.Cut(string(tail(key)), "\x00")
		index, id, _ := strings.Cut(rest, "\x00")
		on := indexIn(table(name).record, index)
		switch {
		case on == nil:
			bad("table %s: index %s, which is not in its schema, leaves out document %s", name, index, id)
		case on.State == proto.IndexState_INDEX_STATE_DROPPING:
		case snap.Get(kv.Data, n.document(name, id)) == nil:
			bad("table %s: index %s leaves out document %s, which is not there", name, index, id)
		case on.State == proto.IndexState_INDEX_STATE_BUILDING && id > on.BuiltTo, len(value) > 0:
			bad("table %s: index %s leaves out document %s, with the value %q, and is built to %s", name, index, id, value, on.BuiltTo)
		}
		table(name).entries[index]++
	})
	for name, t := range tables {
		for _, on := range t.record.GetIndexes() {
			if got := t.entries[on.Name]; on.State == proto.IndexState_INDEX_STATE_BUILT && got != t.documents {
				bad("table %s: index %s has %d entries for %d documents", name, on.Name, got, t.documents)
			}
		}
	}
	return errs
}

// checkEntries looks for the document in the declared indexes that are built.
func (n keyspace) checkEntries(snap *kv.Snapshot, t *tableInfo, record *proto.Table, id string, data []byte) (errs []error) {
	bad := func(err error) {
		errs = append(errs, fmt.Errorf("%w: table %s: document %s: %w", ErrCorrupt, t.name, id, err))
	}
	projection := t.project(data)
	for _, x := range t.indexes {
		if !x.builtIn(record) {
			continue
		}
		key, unfit := x.place(n, t.name, id, data, projection)
		switch {
		case snap.Get(kv.Data, key) != nil:
		case unfit != nil:
			bad(fmt.Errorf("index %s does not say that it leaves it out: %w", x.name, unfit))
		default:
			bad(fmt.Errorf("it is not in index %s at its place", x.name))
		}
	}
	return errs
}

// indexIn returns what the record says of the index, nil if nothing.
func indexIn(record *proto.Table, index string) *proto.TableIndex {
	for _, on := range record.GetIndexes() {
		if on.Name == index {
			return on
		}
	}
	return nil
}

// documentSeq is the sequence number inside a document id.
func documentSeq(id string) uint64 {
	raw, err := sortable.DecodeString(strings.ToUpper(id))
	if err != nil || len(raw) < 6 {
		return 0
	}
	return binary.BigEndian.Uint64(append([]byte{0, 0}, raw[:6]...))
}
