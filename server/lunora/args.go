package lunora

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Mark opens an array that stands for a value which JSON does not have.
const Mark = "$lunora.wire$"

const (
	maxDepth  = 64
	maxDigits = 1024
)

// Arguments are what a client has sent, as JSON for a Go function: a bigint is a number, a date a text as of
// RFC 3339, bytes are base64. What JSON cannot say is refused: NaN and the infinities, undefined, maps, sets,
// errors and URLs. raw is JSON; without such values it is returned as it is. An error is an *Error.
func Arguments(raw json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(raw, []byte("lunora.wire")) && !bytes.ContainsRune(raw, '\\') {
		return raw, nil
	}
	out, _, err := plain(raw, 0)
	return out, err
}

// plain is the value without marks. changed is false if it is raw.
func plain(raw json.RawMessage, depth int) (out json.RawMessage, changed bool, err error) {
	raw = bytes.TrimSpace(raw)
	if depth > maxDepth {
		return nil, false, refuse(CodeInvalidInput, "args: they are nested deeper than %d levels", maxDepth)
	}
	switch raw[0] {
	case '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, false, refuse(CodeInvalidInput, "args: %v", err)
		}
		for name, value := range members {
			value, other, err := plain(value, depth+1)
			if err != nil {
				return nil, false, err
			}
			members[name], changed = value, changed || other
		}
		if changed {
			raw, err = json.Marshal(members)
		}
		return raw, changed, err
	case '[':
		var elements []json.RawMessage
		if err := json.Unmarshal(raw, &elements); err != nil {
			return nil, false, refuse(CodeInvalidInput, "args: %v", err)
		}
		if len(elements) > 0 && text(elements[0]) == Mark {
			out, err := marked(elements[1:])
			return out, true, err
		}
		for i, value := range elements {
			value, other, err := plain(value, depth+1)
			if err != nil {
				return nil, false, err
			}
			elements[i], changed = value, changed || other
		}
		if changed {
			raw, err = json.Marshal(elements)
		}
		return raw, changed, err
	}
	return raw, false, nil
}

// text is the text that raw is; "" if it is none.
func text(raw json.RawMessage) (s string) {
	_ = json.Unmarshal(raw, &s)
	return s
}

// marked is the value that stands behind a mark.
func marked(elements []json.RawMessage) (json.RawMessage, error) {
	if len(elements) == 0 {
		return nil, refuse(CodeInvalidInput, "args: an array has %s and nothing else", Mark)
	}
	kind := text(elements[0])
	bad := func() (json.RawMessage, error) {
		return nil, refuse(CodeInvalidInput, "args: a value of kind %.32q is not written as it has to be", kind)
	}
	switch kind {
	case "bigint", "date":
		if len(elements) != 2 {
			return bad()
		}
	case "bytes":
		if len(elements) < 2 || len(elements) > 3 {
			return bad()
		}
	default:
		return nil, refuse(CodeInvalidInput, "args: a value of kind %.32q cannot be given to a function of this program", kind)
	}
	said := text(elements[1])
	switch kind {
	case "bigint":
		digits := strings.TrimPrefix(said, "-")
		if digits == "" || len(digits) > maxDigits || strings.Trim(digits, "0123456789") != "" || digits[0] == '0' && said != "0" {
			return bad()
		}
		return json.RawMessage(said), nil
	case "date":
		ms, err := strconv.ParseInt(string(bytes.TrimSpace(elements[1])), 10, 64)
		at := time.UnixMilli(ms).UTC()
		if err != nil || at.Year() < 0 || at.Year() > 9999 {
			return bad()
		}
		return json.Marshal(at)
	default:
		if _, err := base64.StdEncoding.Strict().DecodeString(said); err != nil || strings.ContainsAny(said, "\r\n") || len(elements) == 3 && text(elements[2]) == "" {
			return bad()
		}
		return json.Marshal(said)
	}
}
