package actors

import (
	"context"
	"time"

	"carillon/storage"
)

// Testing is what tests put in the place of the world around an engine, all of it in
// one field of Options. The zero value is the world as it is.
type Testing struct {
	// Standing is what Engine.Standing asks. Default: the log of the store, if others share it.
	Standing func(context.Context) (storage.Standing, error)
	// Clock reads the wall clock. Default time.Now.
	Clock func() time.Time
	// Suspended is how long the machine has been suspended since it was booted, by
	// which the wall clock runs ahead of the monotonic one though it was not set.
	// Default: what the system says.
	Suspended func() time.Duration
	// Fault is storage.Options.Fault: it is asked at each point of the path to the disk
	// for an error to fail with. Default none.
	Fault func(point string) error
	// Survey is called before the counters of all apps are read for Engine.Survey. Default none.
	Survey func()
	// NoSync is unsafe: a power cut may lose the last commits, or a volume. Default false.
	NoSync bool
	// LogMemory and LogSegment are those of storage.Options. Default: theirs.
	LogMemory, LogSegment int
	// Claims is how many claimed jobs of all apps may wait to be started before an app may
	// have a few only. Default 4,096.
	Claims int
	// ClaimBytes is what the claimed jobs of one app that wait to be started may have of
	// arguments and identities. Default 8 MiB.
	ClaimBytes int
	// Lease is what the engine asks whether it may answer for its store. Default: that of the
	// store, which has one if it shares its log with other nodes.
	Lease interface {
		Held() error
		Term() context.Context
		Lost() <-chan struct{}
	}
	// Opened is called by Open, when the engine is open, with what stops it as a crash
	// would: nothing is drained, nothing more is committed, and what was not durable is
	// lost. That returns when nothing of the engine runs. Default none.
	Opened func(abort func() error)
}
