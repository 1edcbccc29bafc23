package osdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// Sync does nothing: Windows writes the names of files down by itself, and has no call
// for it.
func Sync(string) error { return nil }

// LockFile locks the file, shared with others that share it or not, until it is closed.
// ErrLocked if that is not possible now.
func LockFile(f *os.File, shared bool) error {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if !shared {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return fmt.Errorf("%w: %s", ErrLocked, filepath.Base(f.Name()))
	}
	return err
}

// Unlock does nothing: closing the file gives back its lock.
func Unlock(*os.File) {}

// lockName is locked in the place of its directory, which Windows cannot lock.
const lockName = "carillon.lock"

// lockDir locks the lock file of the directory.
func lockDir(dir string) (release func() error, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := LockFile(f, false); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil // closing unlocks
}
