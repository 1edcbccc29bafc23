//go:build !linux

package lease

import "time"

// bootTime is not known here: a suspend shows in the wall.
func bootTime() time.Duration { return noBoot() }
