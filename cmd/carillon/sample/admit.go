package sample

import (
	"context"
	"sync"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Bounds of the apps that come into being because they are called: the sample asks
// no caller who they are. A server of your own rather looks its tenants up.
const (
	// MaxApps is for actors.Options.MaxApps.
	MaxApps = 10_000
	// newApps may come into being at once, and one more after each newAppEvery.
	newApps     = 200
	newAppEvery = 100 * time.Millisecond
)

// Admit returns a hook for actors.Options.Admit. It admits every app that exists, and
// new ones at a bounded pace.
func Admit() func(context.Context, storage.AppID, bool) error {
	var mu sync.Mutex
	var full time.Time // when newApps may come at once again
	return func(_ context.Context, _ storage.AppID, exists bool) error {
		if exists {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if full.Before(now) {
			full = now
		}
		if full.Sub(now) > (newApps-1)*newAppEvery {
			return &dispatch.Error{
				Code: dispatch.CodeResourceExhausted, Message: "too many new apps at once: try again in a second", RetryAfter: time.Second,
			}
		}
		full = full.Add(newAppEvery)
		return nil
	}
}
