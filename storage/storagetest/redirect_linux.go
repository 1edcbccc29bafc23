package storagetest

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// Redirect has what this process writes to the file at path, which it has open once, go to the
// device instead, until the returned function is called: /dev/full takes nothing, /dev/null
// loses it and cannot be synced.
func Redirect(tb testing.TB, path, device string) (restore func()) {
	tb.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range fds {
		var fd int
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err != nil || to != path {
			continue
		}
		if _, err := fmt.Sscan(e.Name(), &fd); err != nil {
			tb.Fatal(err)
		}
		saved, err := syscall.Dup(fd)
		if err != nil {
			tb.Fatal(err)
		}
		dev, err := syscall.Open(device, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(syscall.Dup3(dev, fd, syscall.O_CLOEXEC), syscall.Close(dev))
		}
		if err != nil {
			tb.Fatal(err)
		}
		return func() {
			if err := errors.Join(syscall.Dup3(saved, fd, syscall.O_CLOEXEC), syscall.Close(saved)); err != nil {
				tb.Error(err)
			}
		}
	}
	tb.Fatalf("%s is not open", path)
	return nil
}
