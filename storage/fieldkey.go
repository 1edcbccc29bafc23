package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"time"
)

// fieldKind says how a field is laid out in an index key. The layouts keep
// order: a key is less than another, byte by byte, exactly if its value is.
// None is the beginning of another of its kind, so several fields in a row sort
// by the first, then the second, and so on.
//
// The name of a kind is part of an index's shape on disk: another layout needs
// another name.
type fieldKind string

const (
	kindString fieldKind = "string" // bytes, 0 as 0 0xff, closed by 0 0
	kindInt    fieldKind = "int"    // 8 bytes, sign bit flipped
	kindUint   fieldKind = "uint"   // 8 bytes
	// The two float kinds have one layout, but a decimal number in a document
	// is not the same number in both, so they are two.
	kindFloat32 fieldKind = "float32"
	kindFloat64 fieldKind = "float64"
	kindBool    fieldKind = "bool" // 1 byte
	kindTime    fieldKind = "time" // seconds as int, nanoseconds in 4 bytes
)

var (
	errNotANumber = errors.New("not a number (NaN) has no place in an order")
	timeType      = reflect.TypeFor[time.Time]()
)

// fieldType is the type of an indexed field. A pointer's nil sorts before
// every value it can point to.
type fieldType struct {
	kind     fieldKind
	nullable bool
	typ      reflect.Type // the field's own, with its pointer
	elem     reflect.Type // without it
}

// fieldTypeOf says how a field of type t is laid out, or why it cannot be.
func fieldTypeOf(t reflect.Type) (fieldType, error) {
	f := fieldType{typ: t, elem: t}
	if t.Kind() == reflect.Pointer {
		f.nullable, f.elem = true, t.Elem()
	}
	switch f.elem.Kind() {
	case reflect.String:
		f.kind = kindString
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		f.kind = kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		f.kind = kindUint
	case reflect.Float32:
		f.kind = kindFloat32
	case reflect.Float64:
		f.kind = kindFloat64
	case reflect.Bool:
		f.kind = kindBool
	default:
		if f.elem != timeType {
			return fieldType{}, fmt.Errorf("a %v cannot be indexed: want a string, a number, a bool, a time.Time or a pointer to one", t)
		}
		f.kind = kindTime
	}
	return f, nil
}

// shape spells the type for an index's shape on disk. A type that writes its
// own JSON is not taken for one that does not.
func (f fieldType) shape() string {
	s := string(f.kind)
	if f.kind != kindTime && ownJSON(f.elem) {
		s += "(own)"
	}
	if f.nullable {
		s = "*" + s
	}
	return s
}

// append adds the key of v, a value of the field's type, to b.
func (f fieldType) append(b []byte, v reflect.Value) ([]byte, error) {
	if f.nullable {
		if v.IsNil() {
			return append(b, 0), nil
		}
		b, v = append(b, 1), v.Elem()
	}
	switch f.kind {
	case kindString:
		return appendString(b, v.String()), nil
	case kindInt:
		return appendInt(b, v.Int()), nil
	case kindUint:
		return binary.BigEndian.AppendUint64(b, v.Uint()), nil
	case kindFloat32, kindFloat64:
		return appendFloat(b, v.Float())
	case kindBool:
		if v.Bool() {
			return append(b, 1), nil
		}
		return append(b, 0), nil
	case kindTime:
		return appendTime(b, v.Interface().(time.Time)), nil
	}
	panic("storage: field kind " + string(f.kind) + " has no layout")
}

func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		b = append(b, s[i])
		if s[i] == 0 {
			b = append(b, 0xff)
		}
	}
	return append(b, 0, 0)
}

func appendInt(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)^1<<63)
}

// appendFloat lays out positive numbers by their bits, which ascend with them,
// and negative ones below, by their complement.
func appendFloat(b []byte, x float64) ([]byte, error) {
	if math.IsNaN(x) {
		return b, errNotANumber
	}
	if x == 0 {
		x = 0 // -0 equals 0 and must have its key
	}
	bits := math.Float64bits(x)
	if bits>>63 == 1 {
		bits = ^bits
	} else {
		bits |= 1 << 63
	}
	return binary.BigEndian.AppendUint64(b, bits), nil
}

// appendTime lays out the instant: the same in every zone.
func appendTime(b []byte, t time.Time) []byte {
	b = appendInt(b, t.Unix())
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// value makes what a caller hands to a query a value of the field's type. It
// takes that type itself, what a pointer field points to, nil for a pointer
// field, and a plain string, bool, int or float64 wherever the Go constant it
// may have been written as would fit.
func (f fieldType) value(arg any) (reflect.Value, error) {
	if arg == nil {
		if f.nullable {
			return reflect.Zero(f.typ), nil
		}
		return reflect.Value{}, fmt.Errorf("want a %v, got nil", f.typ)
	}
	v := reflect.ValueOf(arg)
	if v.Type() == f.typ {
		return v, nil
	}
	if v.Type() != f.elem {
		var ok bool
		if v, ok = f.constant(v); !ok {
			return reflect.Value{}, fmt.Errorf("want a %v, got %s", f.typ, describe(arg))
		}
	}
	if !f.nullable {
		return v, nil
	}
	p := reflect.New(f.elem)
	p.Elem().Set(v)
	return p, nil
}

// constant converts a value of a predeclared type as Go converts a constant:
// not if it does not fit.
func (f fieldType) constant(v reflect.Value) (reflect.Value, bool) {
	zero := reflect.Zero(f.elem)
	switch v.Type() {
	case reflect.TypeFor[string]():
		return to(v, f.elem, f.kind == kindString)
	case reflect.TypeFor[bool]():
		return to(v, f.elem, f.kind == kindBool)
	case reflect.TypeFor[int]():
		switch f.kind {
		case kindInt:
			return to(v, f.elem, !zero.OverflowInt(v.Int()))
		case kindUint:
			return to(v, f.elem, v.Int() >= 0 && !zero.OverflowUint(uint64(v.Int())))
		case kindFloat32, kindFloat64:
			return to(v, f.elem, true)
		}
	case reflect.TypeFor[float64]():
		if f.kind == kindFloat32 || f.kind == kindFloat64 {
			return to(v, f.elem, !zero.OverflowFloat(v.Float()))
		}
	}
	return v, false
}

func to(v reflect.Value, t reflect.Type, ok bool) (reflect.Value, bool) {
	if !ok {
		return v, false
	}
	return v.Convert(t), true
}

// describe names a value's type, and the value too where it alone can be wrong.
func describe(arg any) string {
	switch arg.(type) {
	case int, float64:
		return fmt.Sprintf("%T %v", arg, arg)
	}
	return fmt.Sprintf("%T", arg)
}
