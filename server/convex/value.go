package convex

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"carillon/internal/brief"
)

// Bounds of what a client can hold.
const (
	maxName  = 1024 // characters of an object's name
	maxDepth = 1000 // arrays and objects within one another: clients decode them by recursion
)

// numberType is a number as it is written.
var numberType = reflect.TypeFor[json.Number]()

// Value is the JSON of a value of the type as a client decodes it in the format. Of type nil it is by its
// JSON alone. An error says where the value has something that the client cannot hold, and why; it may be
// told to the client.
func Value(raw json.RawMessage, t reflect.Type, format Format) (json.RawMessage, error) {
	s := &scanner{in: raw, out: make([]byte, 0, len(raw)+len(raw)/8), format: format, most: maxDepth}
	err := s.value(shapeOf(t), 0)
	if err == nil {
		err = s.end()
	}
	return s.out, err
}

func (s *scanner) value(of *shape, depth int) error {
	if depth > s.most {
		return &fault{why: fmt.Sprintf("it is nested deeper than %d levels", s.most)}
	}
	switch s.next() {
	case '{':
		s.out = append(s.out, '{')
		err := s.members(func(name string, written []byte) error {
			if err := checkName(name); err != nil {
				return err
			}
			s.out = append(append(s.out, written...), ':')
			return s.value(of.member(name), depth+1)
		})
		s.out = append(s.out, '}')
		return err
	case '[':
		s.out = append(s.out, '[')
		err := s.elements(func() error { return s.value(of.element(), depth+1) })
		s.out = append(s.out, ']')
		return err
	case '"':
		written, err := s.text()
		if err == nil && of.of() == octets {
			s.bytes(written)
			return nil
		}
		s.out = append(s.out, written...)
		return err
	}
	w, err := s.word()
	switch {
	case err != nil:
		return err
	case w[0] == 'n' && of.of() == octets && !of.null:
		s.bytes([]byte(`""`)) // a nil slice has no bytes
	case w[0] == 'n' || w[0] == 't' || w[0] == 'f':
		s.out = append(s.out, w...)
	default:
		return s.number(w, of.of())
	}
	return nil
}

// bytes writes base64, which is given with its quotes.
func (s *scanner) bytes(written []byte) {
	if s.format == Plain {
		s.out = append(s.out, written...)
		return
	}
	s.out = append(append(append(s.out, `{"$bytes":`...), written...), '}')
}

func (s *scanner) number(w []byte, of form) error {
	if !isWhole(w) || of == float {
		s.out = append(s.out, w...)
		return nil
	}
	n, err := strconv.ParseInt(string(w), 10, 64)
	switch {
	case err == nil && of != bigint && isExact(n):
		s.out = append(s.out, w...)
	case err == nil:
		s.integer(n)
	case of == byValue && isFloat(w):
		s.out = append(s.out, w...)
	default:
		return &fault{why: "the number " + brief.Cut(string(w), 64) + " is beyond the 64 bits that a BigInt has here"}
	}
	return nil
}

// integer writes a BigInt.
func (s *scanner) integer(n int64) {
	if s.format == Plain {
		s.out = append(strconv.AppendInt(append(s.out, '"'), n, 10), '"')
		return
	}
	s.out = append(s.out, `{"$integer":"`...)
	s.out = base64.StdEncoding.AppendEncode(s.out, binary.LittleEndian.AppendUint64(nil, uint64(n)))
	s.out = append(s.out, `"}`...)
}

// isFloat says whether the whole number is written as encoding/json writes a float64, so that one is it.
func isFloat(w []byte) bool {
	f, err := strconv.ParseFloat(string(w), 64)
	return err == nil && strconv.FormatFloat(f, 'f', -1, 64) == string(w)
}

// checkName refuses names that clients refuse or lose.
func checkName(name string) error {
	switch {
	case strings.HasPrefix(name, "$"):
		return &fault{why: "names that begin with $ are the client's own"}
	case name == "__proto__":
		return &fault{why: "JavaScript has the name for itself"}
	case len(name) > maxName:
		return &fault{why: fmt.Sprintf("the name is longer than %d characters", maxName)}
	}
	for _, c := range name {
		if c < ' ' || c >= 0x7f {
			return &fault{why: fmt.Sprintf("the name has the character %q, and a client takes ASCII only", c)}
		}
	}
	return nil
}
