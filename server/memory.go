package server

import (
	"io"
	"sync/atomic"
	"time"

	"carillon/dispatch"
)

// DefaultMaxMemory is the default of Options.MaxMemory.
const DefaultMaxMemory = 128 << 20

// smallBody is how much of each body does not count for MaxMemory, so that small calls
// are answered however many large ones are under way. The number of connections
// bounds the sum of it.
const smallBody = 16 << 10

// memory is what is left for the bodies under way together, in bytes.
type memory struct{ left atomic.Int64 }

// take takes n bytes, if there are so many.
func (m *memory) take(n int64) bool {
	if n <= 0 || m.left.Add(-n) >= 0 {
		return true
	}
	m.left.Add(n)
	return false
}

// holding is what one request has taken.
type holding struct {
	memory  *memory
	clients *clients
	client  string // whose request it is
	bytes   int64
}

// grow takes what a body of n bytes needs beyond what was taken for it, which is
// for one of before bytes. The error, if there is no room, is an *dispatch.Error.
func (h *holding) grow(before, n int64) error {
	more := max(n-smallBody, 0) - max(before-smallBody, 0)
	if more == 0 {
		return nil
	}
	if err := h.clients.take(h.client, more); err != nil {
		return err
	}
	if !h.memory.take(more) {
		_ = h.clients.take(h.client, -more)
		return errNoMemory
	}
	h.bytes += more
	return nil
}

// release gives back all that the request has taken.
func (h *holding) release() {
	if h.bytes == 0 {
		return
	}
	h.memory.left.Add(h.bytes)
	_ = h.clients.take(h.client, -h.bytes)
	h.bytes = 0
}

// move has what it returns answer for all that the request has taken.
func (h *holding) move() holding {
	moved := *h
	h.bytes = 0
	return moved
}

// read reads a body of length bytes, or of any number if that is negative. What is
// taken grows with what has come in, since a client may be slow to send what it
// announces.
func (h *holding) read(r io.Reader, length int64) ([]byte, error) {
	first := int64(512)
	if length >= 0 {
		first = length + 1 // room to see the end
	}
	buf := make([]byte, 0, min(first, smallBody))
	for {
		if len(buf) == cap(buf) {
			size := 2 * int64(cap(buf))
			if length >= 0 {
				size = min(size, length+1)
			}
			if err := h.grow(int64(cap(buf)), size); err != nil {
				return nil, err
			}
			buf = append(make([]byte, 0, size), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case err == io.EOF:
			return buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// errNoMemory refuses a body that would be too much.
var errNoMemory error = &dispatch.Error{
	Code: dispatch.CodeUnavailable, Message: "too many large requests are under way: nothing was done", RetryAfter: time.Second,
}
