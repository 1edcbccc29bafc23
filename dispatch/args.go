package dispatch

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"carillon/internal/brief"
	"carillon/internal/strictjson"
	"carillon/storage"
)

// Limits bounds what crosses a function's border, in bytes of JSON.
type Limits struct {
	Args   int // of one call; default 1 MiB
	Result int // of one call; default 1 MiB

	stored *StoredArgs // of the run, inside its border
}

// DefaultLimit is the default of both limits.
const DefaultLimit = 1 << 20

// WithDefaults returns the limits with the defaults in the place of zeros.
func (l Limits) WithDefaults() Limits {
	if l.Args <= 0 {
		l.Args = DefaultLimit
	}
	if l.Result <= 0 {
		l.Result = DefaultLimit
	}
	return l
}

// checkSize refuses what is over a limit, for good; Connect calls that
// resource_exhausted.
func checkSize(path, what string, size, limit int) error {
	if size <= limit {
		return nil
	}
	return &Error{
		Code: CodeResourceExhausted, Path: path,
		Message: fmt.Sprintf("%s: %d bytes, the limit is %d", what, size, limit), permanent: true,
	}
}

// encodeArgs encodes arguments, and refuses text that is not UTF-8. The error is an
// *Error.
func encodeArgs(path string, args any) (json.RawMessage, error) {
	switch args := args.(type) {
	case nil, None:
		return json.RawMessage("{}"), nil
	case json.RawMessage:
		return bytes.Clone(args), nil
	}
	raw, err := json.Marshal(args)
	if err == nil && bytes.Contains(raw, []byte(`\ufffd`)) {
		raw, err = strictjson.Encode(args) // what is not UTF-8 has been replaced, perhaps
	}
	if err != nil {
		return nil, &Error{Code: CodeInvalidArgument, Path: path, Message: "args: cannot be encoded: " + strictjson.Text(err), Err: err, permanent: true}
	}
	return raw, nil
}

// badArgs is the error of arguments that do not fit the function at path.
func badArgs(path string, err error) *Error {
	return &Error{Code: CodeInvalidArgument, Path: path, Message: brief.Cut(err.Error(), MaxMessage), Err: err, permanent: true}
}

// resultError is that a handler's result cannot leave its function. The type marks
// it, so that nothing a handler returns can be taken for it.
type resultError struct {
	error
	why storage.NotKept
}

// encodeResult encodes a handler's result within the limit. The error is a resultError.
func encodeResult[R any](result R, limits Limits) (json.RawMessage, error) {
	if _, nothing := any(result).(None); nothing {
		return json.RawMessage("null"), nil
	}
	raw, err := json.Marshal(result)
	if err != nil {
		return nil, resultError{
			Permanent(fmt.Errorf("encode the result: %w", err)), storage.NotKept{Reason: "it cannot be encoded: " + strictjson.Text(err)},
		}
	}
	if !utf8.Valid(raw) { // of a json.RawMessage, which is passed on as it is
		return nil, resultError{Permanent(errors.New("encode the result: not UTF-8")), storage.NotKept{Bytes: len(raw), Reason: "it is not UTF-8"}}
	}
	if err := checkSize("", "result", len(raw), limits.Result); err != nil {
		return nil, resultError{err, storage.NotKept{Bytes: len(raw), Reason: fmt.Sprintf("it is larger than %d bytes", limits.Result)}}
	}
	return raw, nil
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
