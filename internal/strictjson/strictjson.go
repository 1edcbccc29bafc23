// Package strictjson decodes and encodes JSON as dispatch's border to the outside
// world does: what is ambiguous is refused, and an error says what is wrong in
// JSON's words.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	"carillon/internal/brief"
)

// strictOptions are the rules of encoding/json, with its leniencies taken away:
// two texts that people read differently never decode alike.
var strictOptions = jsonv2.JoinOptions(
	jsonv1.DefaultOptionsV1(),
	jsontext.AllowDuplicateNames(false),
	jsontext.AllowInvalidUTF8(false), // lone surrogates are none
	jsonv2.MatchCaseInsensitiveNames(false),
	jsonv2.RejectUnknownMembers(true),
	jsonv1.UnmarshalArrayFromAnyLength(false),
	jsonv2.WithUnmarshalers(jsonv2.UnmarshalFromFunc(decodeNumber)),
)

// exactOptions are those of encoding/json, but text that is not UTF-8 is an error and
// not replaced, which would make one value of many.
var exactOptions = jsonv2.JoinOptions(jsonv1.DefaultOptionsV1(), jsontext.AllowInvalidUTF8(false))

// Encode is json.Marshal, but text that is not UTF-8 is an error.
func Encode(v any) ([]byte, error) { return jsonv2.Marshal(v, exactOptions) }

// Decode decodes one JSON value of the outside world: by the rules of
// encoding/json, but of UTF-8 only and without half a surrogate pair, with names in
// their own case, none twice and none unknown, as many elements as a Go array has, and nothing
// after the value. The
// error says what is wrong in JSON's words and may be told to the sender.
func Decode(raw []byte, into any) error {
	err := jsonv2.Unmarshal(raw, into, strictOptions)
	if err == nil {
		return nil
	}
	var wrong *jsonv1.UnmarshalTypeError
	var syntax *jsonv1.SyntaxError
	switch {
	case errors.As(err, &wrong):
		got := wrong.Value
		if rest, ok := strings.CutPrefix(got, "bool"); ok {
			got = "boolean" + rest
		}
		text := fmt.Sprintf("want %s, got %s", Want(wrong.Type, got), brief.Cut(got, 64))
		if got == "array" && wrong.Type.Kind() == reflect.Array {
			text = fmt.Sprintf("want array of %d elements, got another number of them", wrong.Type.Len())
		}
		if wrong.Field != "" {
			text = fmt.Sprintf("field %s: %s", brief.Quote(wrong.Field), text)
		}
		return errors.New(text)
	case errors.As(err, &syntax):
		return errors.New(notJSON(raw, syntax))
	}
	return errors.New(Text(err))
}

// notJSON says what is wrong with a text that is no JSON value, or has a name twice.
func notJSON(raw []byte, syntax error) string {
	_, err := jsontext.NewDecoder(bytes.NewReader(raw)).ReadValue()
	var at *jsontext.SyntacticError
	switch {
	case err == nil:
		return "more than one JSON value"
	case !errors.As(err, &at) || errors.Is(err, io.ErrUnexpectedEOF):
		return "not JSON: unexpected end"
	case errors.Is(at.Err, jsontext.ErrDuplicateName):
		return fmt.Sprintf("field %s stands twice", brief.Quote(at.JSONPointer.LastToken()))
	}
	return fmt.Sprintf("not JSON at byte %d: %v", at.ByteOffset+1, syntax)
}

// decodeNumber decodes the standard library's Number, which the strict decoder
// takes for any other string.
func decodeNumber(dec *jsontext.Decoder, n *json.Number) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	return json.Unmarshal(value, n)
}

// Text is the text of an error of encoding/json without the package's name.
func Text(err error) string { return strings.TrimPrefix(err.Error(), "json: ") }

// Want is JSON's name for what decodes into a Go type. A number that does
// not fit is told the type's range.
func Want(t reflect.Type, got string) string {
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
