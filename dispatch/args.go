package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Limits bounds what crosses a function's border, in bytes of JSON.
type Limits struct {
	Args   int // of one call; default 1 MiB
	Result int // of one call; default 1 MiB
}

// DefaultLimit is the default of both limits.
const DefaultLimit = 1 << 20

func (l Limits) withDefaults() Limits {
	if l.Args <= 0 {
		l.Args = DefaultLimit
	}
	if l.Result <= 0 {
		l.Result = DefaultLimit
	}
	return l
}

// checkSize refuses what is over a limit; Connect calls that resource_exhausted.
func checkSize(path, what string, size, limit int) error {
	if size <= limit {
		return nil
	}
	return &Error{
		Code: CodeResourceExhausted, Path: path,
		Message: fmt.Sprintf("%s: %d bytes, the limit is %d", what, size, limit),
	}
}

// encodeArgs encodes arguments. The error is an *Error.
func encodeArgs(path string, args any) (json.RawMessage, error) {
	switch args := args.(type) {
	case nil, None:
		return json.RawMessage("{}"), nil
	case json.RawMessage:
		return bytes.Clone(args), nil
	}
	raw, err := json.Marshal(args)
	if err != nil {
		return nil, &Error{Code: CodeInvalidArgument, Path: path, Message: "args: cannot be encoded: " + plainJSON(err), Err: err}
	}
	return raw, nil
}

// badArgs is the error of arguments that do not fit the function at path.
func badArgs(path string, err error) *Error {
	return &Error{Code: CodeInvalidArgument, Path: path, Message: cut(err.Error(), MaxMessage), Err: err, badArgs: true}
}

// explain says in JSON's words, naming the field, why arguments do not decode.
func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong):
		got := wrong.Value
		if rest, ok := strings.CutPrefix(got, "bool"); ok {
			got = "boolean" + rest
		}
		text := fmt.Sprintf("want %s, got %s", wantName(wrong.Type, got), cut(got, 64))
		if wrong.Field != "" {
			text = fmt.Sprintf("field %s: %s", quote(wrong.Field), text)
		}
		return fmt.Errorf("args: %s", text)
	case errors.As(err, &syntax):
		return fmt.Errorf("args: not JSON at byte %d: %s", syntax.Offset, syntax.Error())
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("args: not JSON: unexpected end")
	}
	return fmt.Errorf("args: %s", plainJSON(err))
}

// plainJSON is the text of an error of encoding/json without the package's name.
func plainJSON(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// wantName is JSON's name for what decodes into a Go type. A number that does
// not fit is told the type's range.
func wantName(t reflect.Type, got string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice, reflect.Array:
		if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
			return "base64 string"
		}
		return "array"
	case reflect.Interface:
		return "value"
	case reflect.Float32, reflect.Float64:
		return "number"
	}
	if strings.HasPrefix(got, "number") {
		return "integer of type " + t.Kind().String()
	}
	return "number"
}

// encodeResult encodes a handler's result within the limit.
func encodeResult[R any](result R, limits Limits) (json.RawMessage, error) {
	if _, nothing := any(result).(None); nothing {
		return json.RawMessage("null"), nil
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	return raw, checkSize("", "result", len(raw), limits.Result)
}

// decodeResult is the caller's end of a run: the typed result, or the *Error.
func decodeResult[R any](path string, raw json.RawMessage, err error) (R, error) {
	var result R
	if err != nil {
		return result, AsError(err)
	}
	if _, ok := any(result).(None); ok || len(raw) == 0 {
		return result, nil
	}
	if err := json.Unmarshal(raw, &result); err != nil {
		return result, &Error{Code: CodeInternal, Path: path, Message: internalMessage, Err: fmt.Errorf("decode the result: %w", err)}
	}
	return result, nil
}
