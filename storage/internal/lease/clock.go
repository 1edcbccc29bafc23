package lease

import "time"

// stamp is a moment on the clocks there are.
type stamp struct {
	boot time.Duration // since the machine was booted; 0 where that is not known
	at   time.Time     // of the monotonic clock, and of the wall
}

// clock reads the clocks. Invariant: boot is not nil.
type clock struct{ boot func() time.Duration }

func (c clock) now() stamp { return stamp{boot: c.boot(), at: time.Now()} }

// since is how much has passed since the stamp, by the clock that says the most.
func (c clock) since(s stamp) time.Duration {
	now := c.now()
	return max(now.boot-s.boot, now.at.Sub(s.at), now.at.Round(0).Sub(s.at.Round(0)))
}

// noBoot is the boot-time clock where there is none.
func noBoot() time.Duration { return 0 }
