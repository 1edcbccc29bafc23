package convex

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"

	"carillon/internal/brief"
)

// errNotJSON is of a text that should have been looked at before.
var errNotJSON = errors.New("not JSON")

// scanner goes through a JSON text, and writes another.
type scanner struct {
	in     []byte
	at     int
	out    []byte
	format Format
	most   int // how deeply arrays and objects may nest
}

// fault says where in a value something is wrong, and what.
type fault struct{ at, why string }

func (f *fault) Error() string {
	if f.at == "" {
		return f.why
	}
	return brief.Cut(f.at, 200) + ": " + f.why
}

// under is the error of a value that is within another, at the place.
func under(place string, err error) error {
	if f, ok := errors.AsType[*fault](err); ok {
		if len(f.at) < 1000 {
			f.at = place + f.at
		}
		return f
	}
	return err
}

// next is the first byte of what comes, behind spaces; 0 at the end.
func (s *scanner) next() byte {
	for ; s.at < len(s.in); s.at++ {
		switch c := s.in[s.at]; c {
		case ' ', '\t', '\r', '\n':
		default:
			return c
		}
	}
	return 0
}

// take says whether the byte comes, and goes behind it.
func (s *scanner) take(c byte) bool {
	if s.next() != c {
		return false
	}
	s.at++
	return true
}

// word is a number, true, false or null.
func (s *scanner) word() ([]byte, error) {
	s.next()
	n := bytes.IndexAny(s.in[s.at:], " \t\r\n,]}")
	if n < 0 {
		n = len(s.in) - s.at
	}
	w := s.in[s.at : s.at+n]
	if !json.Valid(w) {
		return nil, errNotJSON
	}
	s.at += n
	return w, nil
}

// text is a string as it is written, with its quotes.
func (s *scanner) text() ([]byte, error) {
	if s.next() != '"' {
		return nil, errNotJSON
	}
	for i := s.at + 1; i < len(s.in); i++ {
		switch s.in[i] {
		case '\\':
			i++
		case '"':
			t := s.in[s.at : i+1]
			s.at = i + 1
			return t, nil
		}
	}
	return nil, errNotJSON
}

// unquote is what a string says.
func unquote(written []byte) (string, error) {
	if !bytes.ContainsRune(written, '\\') {
		return string(written[1 : len(written)-1]), nil
	}
	var said string
	if json.Unmarshal(written, &said) != nil {
		return "", errNotJSON
	}
	return said, nil
}

// members calls fn for each member of an object, when it is before the value.
func (s *scanner) members(fn func(name string, written []byte) error) error {
	s.at++ // the brace
	for first := true; !s.take('}'); first = false {
		if !first && !s.take(',') {
			return errNotJSON
		}
		written, err := s.text()
		if err != nil {
			return err
		}
		name, err := unquote(written)
		if err != nil {
			return err
		}
		if !s.take(':') {
			return errNotJSON
		}
		if !first {
			s.out = append(s.out, ',')
		}
		if err := fn(name, written); err != nil {
			return under("."+name, err)
		}
	}
	return nil
}

// elements calls fn for each element of an array, when it is before it.
func (s *scanner) elements(fn func() error) error {
	s.at++ // the bracket
	for i := 0; !s.take(']'); i++ {
		if i > 0 {
			if !s.take(',') {
				return errNotJSON
			}
			s.out = append(s.out, ',')
		}
		if err := fn(); err != nil {
			return under("["+strconv.Itoa(i)+"]", err)
		}
	}
	return nil
}

// end says whether nothing comes any more.
func (s *scanner) end() error {
	if s.next() != 0 || s.at < len(s.in) {
		return errNotJSON
	}
	return nil
}

// isWhole says whether the number is written without a fraction and an exponent.
func isWhole(number []byte) bool { return !bytes.ContainsAny(number, ".eE") }

// exact bounds the whole numbers that a number of JavaScript has each of.
const exact = 1 << 53

// isExact says whether a number of JavaScript has the whole number.
func isExact(n int64) bool { return -exact <= n && n <= exact }
