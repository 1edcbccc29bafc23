package osdir

import (
	"os"

	"golang.org/x/sys/unix"
)

// Datasync makes data durable without the file's times. A call that a signal has cut
// short is made again, as os.File.Sync does it.
func Datasync(f *os.File) error {
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
