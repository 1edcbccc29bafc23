package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"carillon/server/api"
)

// repeat says after what a request is sent once more.
type repeat int

const (
	// never is for actions, which are no transactions, and for bodies that are gone once sent.
	never repeat = iota
	// ifNotDone is for changes that must not be made twice, or whose second time has another
	// answer: they are repeated if it is certain that the first time nothing was done.
	ifNotDone
	// always is for what changes nothing, what has an idempotency key, and what sets something
	// to what it would be set to again.
	always
)

var errAttemptTimeout = errors.New("the attempt has taken longer than AttemptTimeout")

// after says whether the request is sent once more that has failed so.
func (r repeat) after(e *Error) bool {
	over := e.Code == api.CodeUnavailable || e.Code == api.CodeResourceExhausted && e.RetryAfter > 0 // soon, perhaps
	switch r {
	case always:
		return over || e.Code == api.CodeUnknown
	case ifNotDone: // the server says so, or was not reached
		return over && (e.own || e.Status == 0)
	}
	return false
}

// repeated makes attempts until one succeeds, or the error is one that is not repeated after.
func (c *Client) repeated(ctx context.Context, how repeat, attempt func(context.Context) *Error) *Error {
	var last *Error
	for n := 1; ; n++ {
		if ctx.Err() != nil {
			return ended(ctx, last)
		}
		err := attempt(ctx)
		if err == nil {
			return nil
		}
		err.Attempts, last = n, err
		if err.Status == 0 && ctx.Err() != nil {
			return ended(ctx, err)
		}
		wait, ok := c.backoff(n, err.RetryAfter)
		if !ok || n == c.opts.Attempts || !how.after(err) || !sleep(ctx, wait) && ctx.Err() == nil {
			return err
		}
	}
}

// backoff is the wait after the nth attempt in a row that has failed. ok is false if the server asks
// for a longer one than is waited for.
func (c *Client) backoff(n int, asked time.Duration) (wait time.Duration, ok bool) {
	if asked > c.opts.MaxBackoff {
		return 0, false
	}
	wait = c.opts.MaxBackoff
	if n < 32 && c.opts.Backoff < c.opts.MaxBackoff>>(n-1) {
		wait = c.opts.Backoff << (n - 1)
	}
	if wait > 1 {
		wait -= rand.N(wait / 2)
	}
	return max(wait, asked), true
}

// sleep waits. It returns false if the context ends, or would before the wait is over: then
// it returns at once.
func sleep(ctx context.Context, wait time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return false
	}
	pause(ctx, wait)
	return ctx.Err() == nil
}

// pause waits, or until the context ends.
func pause(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
