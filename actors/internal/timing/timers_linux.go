package timing

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// timerfd is a timer of the kernel that is waited for like a connection: it ends
// the poller's wait at its instant, and not at the next whole millisecond.
type timerfd struct {
	fd   int // File.Fd would take the file out of the poller
	file *os.File
}

// virtualAfter is how far the runtime's clock is from the kernel's if it is not a
// clock at all: in the virtual time of testing/synctest, which no timer of the
// kernel's follows.
const virtualAfter = time.Minute

func newTimerSource() (timerSource, error) {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return nil, err
	}
	if time.Since(time.Unix(now.Unix())).Abs() > virtualAfter {
		return nil, errors.ErrUnsupported
	}
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &timerfd{fd, os.NewFile(uintptr(fd), "timerfd")}, nil
}

func (t *timerfd) set(d time.Duration) {
	// The only errors are those of arguments that cannot be, or of a closed file.
	_ = unix.TimerfdSettime(t.fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil)
}

func (t *timerfd) wait() error {
	var fired [8]byte // how often; once is as good as many times
	_, err := t.file.Read(fired[:])
	return err
}

func (t *timerfd) close() { t.file.Close() }
