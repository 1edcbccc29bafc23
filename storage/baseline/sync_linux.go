package baseline

import (
	"errors"
	"os"
	"syscall"
)

// syncData has the data of the file on the disk. The length of the file does not
// change, and so its metadata need not follow.
func syncData(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
