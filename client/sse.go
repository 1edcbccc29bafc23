package client

import (
	"bufio"
	"bytes"
	"fmt"
	"io"

	"carillon/server/api"
)

// maxEvent bounds an event of a stream, in bytes, and a line of one.
const maxEvent = 256 << 10

// frame is one server-sent event.
type frame struct {
	name string // "" is a message
	data []byte // without the line break at its end
	last string // id of the stream behind this event: of the latest event that had one
}

// frames reads a text/event-stream.
type frames struct {
	text  *bufio.Reader
	begun bool
	after bool   // the last byte was a CR, of which an LF may be a part
	last  string // id of the latest event that had one
}

func newFrames(r io.Reader, last string) *frames {
	return &frames{text: bufio.NewReaderSize(r, 32<<10), last: last}
}

// next returns the next event that has data. One that the stream ends within is left out, with its id.
func (f *frames) next() (frame, error) {
	event, data := frame{last: f.last}, []byte(nil)
	some, size := false, 0
	for {
		line, err := f.line()
		if err != nil {
			return frame{}, err
		}
		if size += len(line); size > maxEvent {
			return frame{}, tooLong()
		}
		if len(line) == 0 {
			f.last = event.last
			if some {
				event.data = data
				return event, nil
			}
			event.name, size = "", 0
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			event.name = string(value)
		case "data":
			if some {
				data = append(data, '\n')
			}
			some, data = true, append(data, value...)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				event.last = string(value)
			}
		}
	}
}

// line returns the next line, which ends with LF, CR, or both, without that.
func (f *frames) line() ([]byte, error) {
	if !f.begun {
		f.begun = true
		if mark, _ := f.text.Peek(3); string(mark) == "\ufeff" {
			_, _ = f.text.Discard(3)
		}
	}
	var line []byte
	for {
		b, err := f.text.ReadByte()
		if err != nil {
			return nil, err
		}
		lf := b == '\n' && f.after
		f.after = b == '\r'
		switch {
		case lf: // of the line before
		case b == '\n' || b == '\r':
			return line, nil
		case len(line) == maxEvent:
			return nil, tooLong()
		default:
			line = append(line, b)
		}
	}
}

func tooLong() *Error {
	return &Error{Code: api.CodeResourceExhausted, Message: fmt.Sprintf("an event has more than %d bytes, which is the client's limit", maxEvent)}
}
