package server

import (
	"net/http"
	"sync"
	"time"

	"carillon/dispatch"
)

// Defaults of Options.MaxClientRequests and Options.MaxClientMemory.
const (
	DefaultMaxClientRequests = 2048
	DefaultMaxClientMemory   = 64 << 20
)

// clients bounds what each client has under way. It knows of those only that have something.
type clients struct {
	mostRequests int
	mostBytes    int64

	mu sync.Mutex
	by map[string]*client
}

type client struct {
	requests int
	bytes    int64 // of Options.MaxMemory
}

func (c *clients) init(requests int, bytes int64) {
	c.mostRequests, c.mostBytes, c.by = requests, bytes, map[string]*client{}
}

// enter counts one more request of the client until leave is called, unless it has as many as it
// may have.
func (c *clients) enter(name string) *dispatch.Error {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.by[name]
	switch {
	case of == nil:
		of = &client{}
		c.by[name] = of
	case of.requests >= c.mostRequests:
		err := dispatch.Errorf(dispatch.CodeResourceExhausted, "%d requests of this client are under way, as many as there may be (MaxClientRequests): nothing was done", of.requests)
		err.RetryAfter = time.Second
		return err
	}
	of.requests++
	return nil
}

func (c *clients) leave(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.by[name]
	if of.requests--; of.requests == 0 {
		delete(c.by, name)
	}
}

// take takes n bytes for a request of the client that is under way, unless it would have more than
// it may have. A negative n gives back.
func (c *clients) take(name string, n int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	of := c.by[name]
	if n > 0 && of.bytes+n > c.mostBytes {
		err := dispatch.Errorf(dispatch.CodeResourceExhausted, "too many large requests of this client are under way, whose limit is %d bytes (MaxClientMemory): nothing was done", c.mostBytes)
		err.RetryAfter = time.Second
		return err
	}
	of.bytes += n
	return nil
}

// hold is what the request takes, which has to be released before it ends.
func (h *handler) hold(r *http.Request) holding {
	return holding{memory: &h.memory, clients: &h.clients, client: clientOf(r, h.opts.TrustedProxies)}
}
