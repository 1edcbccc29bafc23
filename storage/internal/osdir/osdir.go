package osdir

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// ErrLocked says that a lock is held by another process, or another owner in this one.
var ErrLocked = errors.New("in use")

// Make makes the directory, and those above it as needed, so that their names are durable.
func Make(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := Make(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return Sync(parent)
}

// Lock keeps every other process, and every other caller in this one, from passing Lock of
// the directory until release is called. Files are made under this lock, since they have
// none before they have their name. ErrLocked if it is held for longer than the timeout.
func Lock(dir string, timeout time.Duration) (release func() error, err error) {
	err = Await(timeout, func() (err error) {
		release, err = lockDir(dir)
		return err
	})
	return release, err
}

// lockRetry is how often a lock that is held is tried again.
const lockRetry = 10 * time.Millisecond

// Await tries a lock each 10 ms until it is not ErrLocked, for as long as the timeout:
// once if that is 0. An owner that is closing gives its lock back a moment later.
func Await(timeout time.Duration, lock func() error) error {
	for deadline := time.Now().Add(timeout); ; time.Sleep(lockRetry) {
		if err := lock(); !errors.Is(err, ErrLocked) || !time.Now().Before(deadline) {
			return err
		}
	}
}
