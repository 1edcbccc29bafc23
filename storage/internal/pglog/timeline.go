package pglog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"carillon/storage/internal/osdir"
)

// history is the server that a log was seen on: a promotion begins a timeline above all before.
type history struct {
	system   uint64 // that initdb has made, with all its standbys
	timeline int
}

// ahead says why a server of another history is of no use, "" if it is.
func (h history) ahead(s history) string {
	switch {
	case h.system == 0:
	case h.system != s.system:
		return fmt.Sprintf("it is system %d, and the log was on %d", s.system, h.system)
	case s.timeline < h.timeline:
		return fmt.Sprintf("it is on timeline %d, and %d was seen: it is an old primary", s.timeline, h.timeline)
	}
	return ""
}

// remembered reads what is in the file, nothing if there is none or if that is of no use: a file
// that was torn says no more than none.
func remembered(path string) (h history, err error) {
	if path == "" {
		return h, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return h, err
	}
	if n, _ := fmt.Sscanf(string(text), "system %d timeline %d\n", &h.system, &h.timeline); n != 2 {
		return history{}, nil
	}
	return h, nil
}

// remember has the file say what is seen, durably.
func (h history) remember(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "system %d timeline %d\n", h.system, h.timeline)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return osdir.Sync(filepath.Dir(path))
}
