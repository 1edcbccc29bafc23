//go:build unix

package osdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Sync makes the names in the directory durable.
func Sync(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// LockFile locks the file, shared with others that share it or not, until it is closed.
// ErrLocked if that is not possible now.
func LockFile(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: %s", ErrLocked, filepath.Base(f.Name()))
	}
	return err
}

// Unlock gives back the lock of a file that is mapped, which closing it does not.
func Unlock(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// lockDir locks the directory itself.
func lockDir(dir string) (release func() error, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := LockFile(f, false); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
