package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"sync"
)

// MaxDepth is how deeply arguments may nest arrays and objects.
const MaxDepth = 64

// blanks is what JSON calls white space.
const blanks = " \t\r\n"

// shape is what null stands for in an argument type.
type shape int

const (
	shapeScalar   shape = iota // nothing: null is refused
	shapeObject                // {}: a struct, a map, or whatever decodes itself
	shapeNullable              // nil: a slice, or a pointer to one or to a scalar
)

func shapeOf(t reflect.Type) shape {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return shapeObject
	}
	pointer := t.Kind() == reflect.Pointer
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Interface:
		return shapeObject
	case reflect.Slice:
		return shapeNullable
	}
	if pointer {
		return shapeNullable
	}
	return shapeScalar
}

// decoder decodes arguments of type A strictly: encoding/json's rules, no
// unknown field, nothing after the value, at most MaxDepth levels.
type decoder[A any] struct {
	shape shape
	plain bool
	warm  sync.Pool // of *stream, because making one costs more than a small decode
}

func newDecoder[A any]() *decoder[A] {
	t := reflect.TypeFor[A]()
	return &decoder[A]{shape: shapeOf(t), plain: plain(t)}
}

// normal returns the arguments as they are decoded and stored: absent ones and
// null become {} for every type that nil is not a value of.
func (d *decoder[A]) normal(raw json.RawMessage) json.RawMessage {
	if len(raw) > 0 && raw[0] == '{' {
		return raw
	}
	trimmed := bytes.Trim(raw, blanks)
	if len(trimmed) > 0 && string(trimmed) != "null" {
		return raw
	}
	if d.shape == shapeObject || d.shape == shapeScalar && len(trimmed) == 0 {
		return json.RawMessage("{}")
	}
	return json.RawMessage("null")
}

// decode decodes arguments in their normal form.
func (d *decoder[A]) decode(raw json.RawMessage) (args A, err error) {
	if _, nothing := any(args).(None); nothing && string(raw) == "{}" {
		return args, nil
	}
	if err := checkDepth(raw); err != nil {
		return args, err
	}
	if d.shape == shapeScalar {
		if string(bytes.Trim(raw, blanks)) == "null" {
			return args, fmt.Errorf("args: want %s, got null", wantName(reflect.TypeFor[A](), ""))
		}
		if reflect.TypeFor[A]().Kind() != reflect.Array { // which may hold objects, with fields
			if err := json.Unmarshal(raw, &args); err != nil {
				return args, explain(err)
			}
			return args, nil
		}
	}
	if d.decodeWarm(raw, &args) {
		return args, nil
	}
	var again A // in case the first try has filled half of args
	s := newStream()
	s.Reset(raw)
	if err := s.dec.Decode(&again); err != nil {
		return again, explain(err)
	}
	if len(bytes.Trim(raw[s.dec.InputOffset():], blanks)) > 0 {
		return again, errors.New("args: more than one JSON value")
	}
	return again, nil
}

// check says why arguments in their normal form do not decode, or nil.
func (d *decoder[A]) check(raw json.RawMessage) error {
	_, err := d.decode(raw)
	return err
}

// fits says whether arguments need no check that were encoded from a value of
// the type.
func (d *decoder[A]) fits(t reflect.Type) bool { return d.plain && t == reflect.TypeFor[A]() }

// maxWarm is the longest arguments a warm stream is used for, so that it keeps
// little memory.
const maxWarm = 4 << 10

// decodeWarm decodes with a stream that has decoded before, and keeps it for
// the next time. It answers false for whatever is not plainly in order: then a
// fresh stream says what is wrong.
func (d *decoder[A]) decodeWarm(raw json.RawMessage, args *A) bool {
	if len(raw) > maxWarm {
		return false
	}
	s, ok := d.warm.Get().(*stream)
	if !ok {
		s = newStream()
	}
	s.Reset(raw)
	from := s.dec.InputOffset()
	if s.dec.Decode(args) != nil || s.dec.InputOffset()-from != int64(len(raw)) || s.Len() > 0 {
		return false
	}
	s.Reset(nil)
	d.warm.Put(s)
	return true
}

// stream is a strict json.Decoder with the reader it reads from.
type stream struct {
	bytes.Reader
	dec *json.Decoder
}

func newStream() *stream {
	s := &stream{}
	s.dec = json.NewDecoder(&s.Reader)
	s.dec.DisallowUnknownFields()
	return s
}

// checkDepth bounds the nesting before anything is decoded.
func checkDepth(raw []byte) error {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			if depth++; depth > MaxDepth {
				return fmt.Errorf("args: nested deeper than %d levels", MaxDepth)
			}
		case '}', ']':
			depth--
		case '"':
			for i++; i < len(raw) && raw[i] != '"'; i++ {
				if raw[i] == '\\' {
					i++
				}
			}
		}
	}
	return nil
}
