package pglog

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/s2"
)

// How the data of a record is in its row: the first byte says it. A takeover has none.
const (
	plain      = 1
	compressed = 2 // an s2 block
)

// packLeast is the size in bytes from which a record is compressed.
const packLeast = 64

// errForm says that a row was not made by us, or by a later release.
var errForm = errors.New("form of a record is not known")

// pack returns the row of a record's data, which is not empty.
func pack(data []byte) []byte {
	if len(data) >= packLeast {
		row := make([]byte, 1+s2.MaxEncodedLen(len(data)))
		row[0] = compressed
		if row = row[:1+len(s2.Encode(row[1:], data))]; len(row) <= len(data) {
			return row
		}
	}
	return append([]byte{plain}, data...)
}

// unpack returns the data of a row.
func unpack(row []byte) (data []byte, err error) {
	switch {
	case len(row) == 0:
		return nil, nil
	case row[0] == plain:
		return row[1:], nil
	case row[0] != compressed:
		return nil, fmt.Errorf("%w: %d", errForm, row[0])
	}
	n, err := s2.DecodedLen(row[1:])
	if err == nil && n > maxRecord {
		err = fmt.Errorf("it would have %d bytes", n)
	}
	if err != nil {
		return nil, err
	}
	return s2.Decode(nil, row[1:])
}
