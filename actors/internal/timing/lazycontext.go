package timing

import (
	"context"
	"sync"
	"time"
)

// LazyContext is the context of a mutation's handler: over at its deadline, when
// the turn is, when the caller's is, or when the engine is closed. Few handlers look
// at theirs, so the timer and the places among the parents' children, which cost as
// much as a short handler itself, are made for the first that waits.
type LazyContext struct {
	parent   context.Context
	engine   context.Context
	deadline time.Time

	mu    sync.Mutex
	made  context.Context // by the first Done
	stop  context.CancelCauseFunc
	over  error // of one that was over before it was made, and why
	cause error
}

// NewLazyContext makes a context within parent, whose values it has, that is over
// at the deadline at the latest, and when engine is.
func NewLazyContext(parent, engine context.Context, deadline time.Time) *LazyContext {
	if at, ok := parent.Deadline(); ok && at.Before(deadline) {
		deadline = at
	}
	return &LazyContext{parent: parent, engine: engine, deadline: deadline}
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
		base, end := context.WithCancelCause(c.parent)
		unlink := context.AfterFunc(c.engine, func() { end(context.Cause(c.engine)) })
		made, release := context.WithDeadline(base, c.deadline)
		c.made, c.stop = made, func(cause error) {
			unlink()
			end(cause)
			release()
		}
	default:
		made, end := context.WithCancelCause(context.WithoutCancel(c.parent))
		end(c.cause)
		c.made, c.stop = made, func(error) {}
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
	case c.engine.Err() != nil:
		c.over, c.cause = c.engine.Err(), context.Cause(c.engine)
	case !time.Now().Before(c.deadline):
		c.over, c.cause = context.DeadlineExceeded, context.DeadlineExceeded
	}
	return c.over
}

// Why is the cause for which the context is over, or nil.
func (c *LazyContext) Why() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err() == nil:
		return nil
	case c.over != nil:
		return c.cause
	}
	return context.Cause(c.made)
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

// Cancel ends the context for that cause, if it is not over; nil is context.Canceled.
func (c *LazyContext) Cancel(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made != nil {
		c.stop(cause)
		return
	}
	if cause == nil {
		cause = context.Canceled
	}
	if c.err() == nil {
		c.over, c.cause = context.Canceled, cause
	}
}
