package timing

import (
	"time"

	"golang.org/x/sys/unix"
)

// Suspended is how long the machine has been suspended since it was booted: by so
// much the wall runs ahead of monotonic time though it was not set.
func Suspended() time.Duration {
	var boot, mono unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot) != nil || unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono) != nil {
		return 0
	}
	return time.Duration(boot.Nano() - mono.Nano())
}
