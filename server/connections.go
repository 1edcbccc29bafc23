package server

import "sync"

// Connections are those of clients that last, each under a credential: the WebSockets of
// npm convex. The host tells them what Options.Identify would say otherwise from now on. The
// zero value is ready for Options.Connections, of one handler or of several. Any goroutine may call.
type Connections struct {
	mu    sync.Mutex
	asked chan struct{} // closed by the next Recheck; nil: no connection waits for it
}

// Recheck has Options.Identify, or Operator, be asked soon for each connection who its client is:
// the host calls it once a credential is revoked, or has become another's. It does not block; a
// connection is asked for in a goroutine of its own, so that hundreds may be at once. Without it
// a connection is asked for before it is told anything, which is enough for what it is told.
func (c *Connections) Recheck() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil {
		close(c.asked)
		c.asked = nil
	}
}

// next is closed by the next Recheck.
func (c *Connections) next() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked == nil {
		c.asked = make(chan struct{})
	}
	return c.asked
}
