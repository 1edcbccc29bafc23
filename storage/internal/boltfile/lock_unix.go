//go:build unix

package boltfile

import (
	"errors"
	"os"
	"syscall"
)

// SyncDir makes the names in the directory durable, which bbolt never does.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// tryLockDir locks the directory itself, unless the lock is held.
func tryLockDir(dir string) (release func() error, held bool, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f.Close, false, nil
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, true, f.Close()
	}
	return nil, false, errors.Join(err, f.Close())
}

// unlock gives back the lock of a file that is mapped, which closing it does not.
func unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
