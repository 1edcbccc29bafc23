package baseline

import (
	"errors"
	"io"
	"os"
	"path/filepath"
)

const (
	// blockSize is what an append is padded to, as that of a log would be.
	blockSize = 4096
	// zerosSize is how long the file is. At its end the appends begin anew, as a log
	// does that recycles its segments.
	zerosSize = 8 << 20
)

// Zeros is a plain file whose blocks have all been written once: an append changes
// neither its length nor where its blocks lie.
type Zeros struct {
	file *os.File
	size int64
	at   int64
	buf  []byte
}

// OpenZeros makes the file in dir and fills it.
func OpenZeros(dir string) (*Zeros, error) { return openZeros(dir, zerosSize) }

func openZeros(dir string, size int64) (*Zeros, error) {
	file, err := os.OpenFile(filepath.Join(dir, "zeros"), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	z := &Zeros{file: file, size: size}
	if _, err := io.CopyN(file, zeroes{}, size); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return z, nil
}

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Append writes the data, padded to the block, behind what was appended before. It
// is durable when Append returns nil. The data is at most as long as the file.
func (z *Zeros) Append(data []byte) error {
	padded := (len(data) + blockSize - 1) / blockSize * blockSize
	if z.at+int64(padded) > z.size {
		z.at = 0
	}
	z.buf = append(z.buf[:0], data...)
	z.buf = append(z.buf, make([]byte, padded-len(data))...)
	if _, err := z.file.WriteAt(z.buf, z.at); err != nil {
		return err
	}
	z.at += int64(padded)
	return syncData(z.file)
}

// Close closes the file.
func (z *Zeros) Close() error { return z.file.Close() }
