package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"carillon/storage/internal/osdir"
)

// Disk is the directory of a file log. Tests have one that fails.
type Disk interface {
	// Lock keeps every other Lock of the directory out until unlock is called; if shared is
	// set, only those that are not shared. ErrLocked if it is held.
	Lock(shared bool) (unlock func() error, err error)
	List() ([]string, error)
	Create(name string) (DiskFile, error) // an error if it is there
	Open(name string, readOnly bool) (DiskFile, error)
	Rename(from, to string) error
	Remove(name string) error
	Sync() error // makes names durable
}

// DiskFile is a file of a Disk.
type DiskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)
	// Present says whether the file has its name still, and the size or more: ErrReplaced.
	Present(size int64) error
	Sync() error     // makes data and size durable
	Datasync() error // makes data durable that was written into blocks which the file has
}

// dir is a Disk: a directory of the system's.
type dir string

type osFile struct {
	*os.File
	info os.FileInfo // of when it was opened
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Present(size int64) error {
	info, err := os.Stat(f.Name())
	if errors.Is(err, os.ErrNotExist) || err == nil && (!os.SameFile(info, f.info) || info.Size() < size) {
		return fmt.Errorf("%w: %s", ErrReplaced, filepath.Base(f.Name()))
	}
	return err
}

func (f osFile) Datasync() error { return osdir.Datasync(f.File) }

func (d dir) path(name string) string { return filepath.Join(string(d), name) }

func (d dir) open(name string, flag int) (DiskFile, error) {
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return osFile{f, info}, nil
}

func (d dir) Create(name string) (DiskFile, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (d dir) Open(name string, readOnly bool) (DiskFile, error) {
	if readOnly {
		return d.open(name, os.O_RDONLY)
	}
	return d.open(name, os.O_RDWR)
}

func (d dir) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }
func (d dir) Remove(name string) error     { return os.Remove(d.path(name)) }
func (d dir) Sync() error                  { return osdir.Sync(string(d)) }

func (d dir) List() ([]string, error) {
	entries, err := os.ReadDir(string(d))
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// lockName is the file that is locked. It is never removed.
const lockName = "lock"

func (d dir) Lock(shared bool) (unlock func() error, err error) {
	flag := os.O_CREATE | os.O_RDWR
	if shared {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(d.path(lockName), flag, 0o600)
	if shared && errors.Is(err, os.ErrNotExist) {
		// A process that was killed had only made the directory. No process has the log open.
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	if err := osdir.LockFile(f, shared); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil // closing unlocks
}
