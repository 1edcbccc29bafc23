// Package inturn marks the context of a mutation, so that the engine can refuse a
// call that would wait for the very turn it is made in.
package inturn

import "context"

// Context marks a mutation's context, and all that derive from it, as inside the
// turn of the app.
type Context struct {
	context.Context
	App string
}

type key struct{ app string }

// Value answers In and passes every other question on.
func (c *Context) Value(asked any) any {
	if k, ok := asked.(key); ok && k.app == c.App {
		return true
	}
	return c.Context.Value(asked)
}

// In says whether ctx comes from a mutation of the app, so that asking for
// the app's turn again would wait for itself.
func In(ctx context.Context, app string) bool { return ctx.Value(key{app}) != nil }
