package actors

import (
	"context"
	"sync"
	"time"
)

// lateContext is the context of a mutation's handler: over at its deadline, when
// the turn is, or when the caller's is. Few handlers look at theirs, so the timer
// and the place among the parent's children, which cost as much as a short
// handler itself, are made for the first who waits.
type lateContext struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex
	made  context.Context // by the first Done
	stop  context.CancelFunc
	over  error // of one that was over before it was made, and why
	cause error
}

func newLateContext(parent context.Context, deadline time.Time) *lateContext {
	if at, ok := parent.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	return &lateContext{parent: parent, deadline: deadline}
}

// Deadline implements context.Context.
func (c *lateContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *lateContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.made != nil:
	case c.err() == nil:
		c.made, c.stop = context.WithDeadline(c.parent, c.deadline)
	default:
		made, end := context.WithCancelCause(context.WithoutCancel(c.parent))
		end(c.cause)
		c.made, c.stop = made, func() {}
	}
	return c.made.Done()
}

// Err implements context.Context.
func (c *lateContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err()
}

// err is Err for who has the lock. What it has said once it says ever after.
func (c *lateContext) err() error {
	switch {
	case c.over != nil:
	case c.made != nil:
		return c.made.Err()
	case c.parent.Err() != nil:
		c.over, c.cause = c.parent.Err(), context.Cause(c.parent)
	case !time.Now().Before(c.deadline):
		c.over, c.cause = context.DeadlineExceeded, context.DeadlineExceeded
	}
	return c.over
}

// Value implements context.Context. Once there is a context to wait for it is
// asked, so that those made of it know it for their parent.
func (c *lateContext) Value(key any) any {
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	if made != nil {
		return made.Value(key)
	}
	return c.parent.Value(key)
}

// cancel ends the context, if it is not over.
func (c *lateContext) cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != nil {
		c.stop()
		return
	}
	if c.err() == nil {
		c.over, c.cause = context.Canceled, context.Canceled
	}
}
