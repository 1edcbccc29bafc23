package storage

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// wellFormed says whether data is JSON that every reader takes: valid, in UTF-8, and
// without half a surrogate pair, which encoding/json lets pass and others do not.
func wellFormed(data []byte) bool {
	return json.Valid(data) && utf8.Valid(data) && !halfPair(data)
}

// halfPair says whether an escape in the valid JSON names a surrogate that is no half
// of a pair.
func halfPair(data []byte) bool {
	for {
		at := bytes.IndexByte(data, '\\')
		if at < 0 {
			return false
		}
		data = data[at:]
		first, ok := escaped(data)
		switch {
		case !ok:
			data = data[2:] // such as \n or \\
		case !utf16.IsSurrogate(first):
			data = data[6:]
		default:
			if second, ok := escaped(data[6:]); !ok || utf16.DecodeRune(first, second) == utf8.RuneError {
				return true
			}
			data = data[12:]
		}
	}
}

// escaped is the code unit that data begins with as \uXXXX.
func escaped(data []byte) (rune, bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(unit), err == nil
}
