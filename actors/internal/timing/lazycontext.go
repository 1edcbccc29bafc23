package timing

import (
	"context"
	"sync"
	"time"
)

// LazyContext is the context of a mutation's handler: over at its deadline, when
// the turn is, or when the caller's is. Few handlers look at theirs, so the timer
// and the place among the parent's children, which cost as much as a short
// handler itself, are made for the first who waits.
type LazyContext struct {
	parent   context.Context
	deadline time.Time

	mu    sync.Mutex
	made  context.Context // by the first Done
	stop  context.CancelFunc
	over  error // of one that was over before it was made, and why
	cause error
}

func NewLazyContext(parent context.Context, deadline time.Time) *LazyContext {
	if at, ok := parent.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	return &LazyContext{parent: parent, deadline: deadline}
}

// Deadline implements context.Context.
func (c *LazyContext) Deadline() (time.Time, bool) { return c.deadline, true }

// Done implements context.Context.
func (c *LazyContext) Done() <-chan struct{} {
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
func (c *LazyContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err()
}

// err is Err for who has the lock. What it has said once it says ever after.
func (c *LazyContext) err() error {
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
func (c *LazyContext) Value(key any) any {
	c.mu.Lock()
	made := c.made
	c.mu.Unlock()
	if made != nil {
		return made.Value(key)
	}
	return c.parent.Value(key)
}

// Cancel ends the context, if it is not over.
func (c *LazyContext) Cancel() {
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
