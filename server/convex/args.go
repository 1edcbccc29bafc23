package convex

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"carillon/internal/brief"
)

// Arguments are what a client has sent as a value of the type, as JSON that encoding/json decodes. Of
// type nil it is by its JSON alone. raw is JSON. An error says where something cannot be what was meant, and
// why; it may be told to the client.
func Arguments(raw json.RawMessage, t reflect.Type, format Format) (json.RawMessage, error) {
	s := &scanner{in: raw, out: make([]byte, 0, len(raw)), format: format, most: maxDepth}
	err := s.argument(shapeOf(t), 0)
	if err == nil {
		err = s.end()
	}
	return s.out, err
}

func (s *scanner) argument(of *shape, depth int) error {
	if depth > s.most {
		return &fault{why: fmt.Sprintf("it is nested deeper than %d levels", s.most)}
	}
	switch s.next() {
	case '{':
		return s.object(of, depth)
	case '[':
		s.out = append(s.out, '[')
		err := s.elements(func() error { return s.argument(of.element(), depth+1) })
		s.out = append(s.out, ']')
		return err
	case '"':
		written, err := s.text()
		if n, ok := decimal(written); err == nil && ok && s.format == Plain && of.of() == bigint {
			written = n
		}
		s.out = append(s.out, written...)
		return err
	}
	w, err := s.word()
	if err != nil {
		return err
	}
	if whole := of.of() == bigint || of.of() == integer; whole && s.format != Plain && isWhole(w) {
		if n, err := strconv.ParseInt(string(w), 10, 64); err != nil && w[0] != 'n' && w[0] != 't' && w[0] != 'f' || !isExact(n) {
			return &fault{why: "JavaScript rounds numbers beyond ±2⁵³, such as " + brief.Cut(string(w), 64) + ": send a BigInt"}
		}
	}
	s.out = append(s.out, w...)
	return nil
}

// object is an object, or a value that has no form of its own in JSON, which is one with one name that
// begins with $.
func (s *scanner) object(of *shape, depth int) error {
	start := len(s.out)
	s.out = append(s.out, '{')
	n, tagged := 0, ""
	err := s.members(func(name string, written []byte) error {
		n++
		if n > 1 && tagged != "" || n > 1 && strings.HasPrefix(name, "$") {
			return &fault{why: "names that begin with $ are the client's own"}
		}
		if strings.HasPrefix(name, "$") {
			tagged = name
			s.out = s.out[:start]
			return s.tagged(name, of)
		}
		s.out = append(append(s.out, written...), ':')
		return s.argument(of.member(name), depth+1)
	})
	if tagged == "" {
		s.out = append(s.out, '}')
	}
	return err
}

// tagged is a value that is written as {name: base64}.
func (s *scanner) tagged(name string, of *shape) error {
	switch name {
	case "$integer", "$bytes", "$float":
	default:
		return &fault{why: "names that begin with $ are the client's own, and it has none of this name here"}
	}
	if s.next() != '"' {
		return &fault{why: "it is no base64"}
	}
	written, err := s.text()
	if err != nil {
		return err
	}
	said, err := unquote(written)
	if err != nil {
		return err
	}
	data, err := base64.StdEncoding.Strict().DecodeString(said)
	switch {
	case err != nil || strings.ContainsAny(said, "\r\n"):
		return &fault{why: "it is no base64"}
	case name == "$bytes":
		if of.of() != octets && of.of() != byValue {
			return &fault{why: "bytes are no value of it"}
		}
		s.out = append(append(append(s.out, '"'), said...), '"')
		return nil
	case len(data) != 8:
		return &fault{why: fmt.Sprintf("it has %d bytes, want 8", len(data))}
	}
	bits := binary.LittleEndian.Uint64(data)
	if name == "$integer" {
		if of.of() == float {
			return &fault{why: "a BigInt is no value of it: send a number"}
		}
		s.out = strconv.AppendInt(s.out, int64(bits), 10)
		return nil
	}
	f := math.Float64frombits(bits)
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return &fault{why: fmt.Sprintf("%v is no value that JSON has", f)}
	case f != 0 || !math.Signbit(f):
		return &fault{why: "only NaN, infinities and -0 are written so"}
	}
	s.out = append(s.out, "-0"...)
	return nil
}

// decimal is the whole number that the string, given with its quotes, has.
func decimal(written []byte) ([]byte, bool) {
	if len(written) < 3 {
		return nil, false
	}
	n := written[1 : len(written)-1]
	return n, isWhole(n) && (n[0] == '-' || n[0] >= '0' && n[0] <= '9') && json.Valid(n)
}
