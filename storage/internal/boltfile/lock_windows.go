package boltfile

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// SyncDir does nothing: Windows writes the names of files down by itself, and has
// no call for it.
func SyncDir(string) error { return nil }

// lockFile is locked in the place of its directory, which Windows cannot lock.
const lockFile = "carillon.lock"

// tryLockDir locks the lock file of the directory, unless the lock is held.
func tryLockDir(dir string) (release func() error, held bool, err error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, false, err
	}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped))
	if err == nil {
		return f.Close, false, nil // closing unlocks
	}
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return nil, true, f.Close()
	}
	return nil, false, errors.Join(err, f.Close())
}

// unlock does nothing: closing the file gives back its lock.
func unlock(*os.File) {}
