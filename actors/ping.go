package actors

import (
	"context"
	"fmt"

	"github.com/asynkron/protoactor-go/actor"
)

// Ping returns nil when the actors that all apps need have answered: what hands out apps, what
// wakes them, and what gives permits. It is for a watchdog: an error says that one of them has
// not answered when ctx ended, so that nothing would be served or begun. A volume that is down, a full
// disk and a handler that is stuck are no error here (Health): another process would have them, too.
func (e *Engine) Ping(ctx context.Context) error {
	if e.closing.Load() {
		return errShutdown()
	}
	for name, pid := range map[string]*actor.PID{"broker": e.broker.self, "directory": e.directory.self, "waker": e.waker.self} {
		answered := make(chan struct{})
		e.sys.tell(pid, &ping{func() { close(answered) }})
		select {
		case <-answered:
		case <-ctx.Done():
			return asError(fmt.Errorf("the %s has not answered: %w", name, ctx.Err()))
		}
	}
	return nil
}

// ping is a message that each shared actor takes.
type ping struct{ answer func() }
