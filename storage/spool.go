package storage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// spoolMemory is how many bytes of a spool are kept in memory.
const spoolMemory = 1 << 20

// spool keeps what an export or a backup reads of the files until it is written to the caller's
// writer, so that no snapshot is open while that one blocks. What is more than
// spoolMemory lies in a nameless file of the store's directory.
type spool struct {
	dir    string
	memory bytes.Buffer
	file   *os.File // nil while memory suffices
	named  bool     // the file could not be made nameless
}

// spoolName is the pattern of a spool's name, while it has one.
const spoolName = "spool-*.tmp"

// removeSpools removes what a crash has left in the directory, as far as it can. There is no
// other owner.
func removeSpools(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if spool, _ := filepath.Match(spoolName, e.Name()); spool {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file != nil {
		return s.file.Write(p)
	}
	if s.memory.Len()+len(p) <= spoolMemory {
		return s.memory.Write(p)
	}
	f, err := os.CreateTemp(s.dir, spoolName)
	if err != nil {
		return 0, err
	}
	s.file = f
	// Nameless at once where the system can, so that a crash leaves nothing.
	s.named = os.Remove(f.Name()) != nil
	return f.Write(p)
}

// copyTo writes what was spooled to w.
func (s *spool) copyTo(ctx context.Context, w io.Writer) error {
	if _, err := w.Write(s.memory.Bytes()); err != nil || s.file == nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	chunk := make([]byte, 64<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.file.Read(chunk)
		if n > 0 {
			if _, err := w.Write(chunk[:n]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("spool: %w", err)
		}
	}
}

func (s *spool) close() {
	if s.file == nil {
		return
	}
	s.file.Close()
	if s.named {
		_ = os.Remove(s.file.Name())
	}
}
