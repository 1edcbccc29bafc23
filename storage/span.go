package storage

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"
)

// span is the stretch of keys that a query walks: of a table's documents, or
// of an index's entries.
type span struct {
	table    *tableInfo
	view     *view
	index    *indexInfo // nil: the documents themselves
	prefix   []byte     // of all keys of the table or index
	lo, hi   []byte     // the query's bounds: keys in [lo, hi)
	from, to []byte     // what is left of them behind the cursor
	reverse  bool
	print    []byte // tells cursors of this query from those of others
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// resolve turns the plan into the stretch of keys it means.
func (p *plan) resolve(t *tableInfo, v *view) (*span, error) {
	if p.err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, p.err)
	}
	if err := t.declared(v.app, false); err != nil {
		return nil, err
	}
	s := &span{table: t, view: v, reverse: p.desc}
	if !p.by {
		if len(p.eq) > 0 || p.lower != nil || p.upper != nil {
			return nil, invalid("values without an index: name one with By")
		}
		s.prefix = v.keys.documents(t.name)
		s.lo, s.hi = s.prefix, after(s.prefix)
	} else {
		if s.index = t.index(p.index); s.index == nil {
			return nil, invalid("there is no index %s; there is %s", quote(p.index), t.indexNames())
		}
		s.prefix = v.keys.indexEntries(t.name, s.index.name)
		if err := s.bound(p); err != nil {
			return nil, err
		}
		if _, err := t.ready(v.keys, v); err != nil {
			return nil, err
		}
	}
	s.from, s.to = s.lo, s.hi
	s.print = s.fingerprint()
	if p.cursor == "" {
		return s, nil
	}
	return s, s.seek(p.cursor)
}

func (t *tableInfo) indexNames() string {
	if len(t.indexes) == 0 {
		return "none"
	}
	var names []string
	for _, x := range t.indexes {
		names = append(names, x.name)
	}
	return strings.Join(names, ", ")
}

// bound narrows the span to the plan's values.
func (s *span) bound(p *plan) error {
	x := s.index
	needed := len(p.eq)
	if p.lower != nil || p.upper != nil {
		needed++
	}
	if needed > len(x.fields) {
		return invalid("index %s: values for %d fields, it has %d", x.name, needed, len(x.fields))
	}
	key := s.prefix
	for i, value := range p.eq {
		var err error
		if key, err = s.appendValue(key, i, value); err != nil {
			return err
		}
	}
	s.lo, s.hi = key, after(key)
	// A key with the bound's value goes on with more fields and an id, so all of
	// them lie between the value's key and the first key that does not begin so.
	if b := p.lower; b != nil {
		at, err := s.appendValue(key, len(p.eq), b.value)
		if err != nil {
			return err
		}
		if s.lo = at; !b.inclusive {
			s.lo = after(at)
		}
	}
	if b := p.upper; b != nil {
		at, err := s.appendValue(key, len(p.eq), b.value)
		if err != nil {
			return err
		}
		if s.hi = at; b.inclusive {
			s.hi = after(at)
		}
	}
	return nil
}

// appendValue returns key with the value of field i behind it; key itself stays as it is.
func (s *span) appendValue(key []byte, i int, value any) ([]byte, error) {
	f := &s.index.fields[i]
	v, err := f.value(value)
	if err != nil {
		return nil, invalid("index %s: field %q: %v", s.index.name, f.name, err)
	}
	return s.index.appendField(key[:len(key):len(key)], len(s.prefix), i, v)
}

// fingerprintLen is the length of a query's fingerprint in a cursor.
const fingerprintLen = 8

// fingerprint digests what makes two queries the same, wherever the app lives.
// A cursor that was tampered with is no danger: seek keeps it inside the span.
func (s *span) fingerprint() []byte {
	h := fnv.New64a()
	add := func(b []byte) {
		h.Write(binary.AppendUvarint(nil, uint64(len(b))))
		h.Write(b)
	}
	add([]byte(s.table.name))
	if s.index != nil {
		add([]byte(s.index.name))
		add([]byte(s.index.shape))
	}
	add(tail(s.lo))
	add(tail(s.hi))
	if s.reverse {
		add(nil)
	}
	return h.Sum(nil)
}

// cursorAt makes the cursor that goes on behind key.
func (s *span) cursorAt(key []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(s.print[:fingerprintLen:fingerprintLen], key[len(s.prefix):]...))
}

// seek narrows the span to what is behind the cursor.
func (s *span) seek(cursor string) error {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(raw) < fingerprintLen+documentIDLen {
		return invalid("%s is not a cursor", quote(cursor))
	}
	key := append(s.prefix[:len(s.prefix):len(s.prefix)], raw[fingerprintLen:]...)
	if string(raw[:fingerprintLen]) != string(s.print) || string(key) < string(s.lo) || string(key) >= string(s.hi) {
		return invalid("the cursor is of another query")
	}
	if s.reverse {
		s.to = key
	} else {
		s.from = append(key, 0)
	}
	return nil
}
