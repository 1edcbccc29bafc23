package dispatch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"

	"carillon/internal/strictjson"
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

// decoder decodes arguments of type A strictly: encoding/json's rules, but names
// in their own case, none twice and none unknown, UTF-8 only, nothing after the
// value, at most MaxDepth levels.
type decoder[A any] struct {
	shape  shape
	plain  bool
	strict bool // also of what is stored
}

func newDecoder[A any](info Info) *decoder[A] {
	t := reflect.TypeFor[A]()
	return &decoder[A]{shape: shapeOf(t), plain: plain(t), strict: info.StrictArgs}
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
	if d.shape == shapeScalar && string(bytes.Trim(raw, blanks)) == "null" {
		return args, fmt.Errorf("args: want %s, got null", strictjson.Want(reflect.TypeFor[A](), ""))
	}
	if err := strictjson.Decode(raw, &args); err != nil {
		return args, fmt.Errorf("args: %w", err)
	}
	return args, nil
}

// decodeStored decodes arguments of a job that do not fit exactly, because of the
// error, by the rules of encoding/json alone: fields that the type does not have are
// left out. The error is that same one if they do not fit even so.
func (d *decoder[A]) decodeStored(raw json.RawMessage, stored *StoredArgs, exact error) (args A, err error) {
	if d.strict || checkDepth(raw) != nil || d.shape == shapeScalar && string(bytes.Trim(raw, blanks)) == "null" {
		return args, exact
	}
	if err := json.Unmarshal(raw, &args); err != nil {
		return args, exact
	}
	stored.Ignored = exact
	return args, nil
}

func (d *decoder[A]) typ() reflect.Type { return reflect.TypeFor[A]() }

// check says why arguments in their normal form do not decode, or nil.
func (d *decoder[A]) check(raw json.RawMessage) error {
	_, err := d.decode(raw)
	return err
}

// fits says whether arguments need no check that were encoded from a value of
// the type.
func (d *decoder[A]) fits(t reflect.Type) bool { return d.plain && t == reflect.TypeFor[A]() }

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
