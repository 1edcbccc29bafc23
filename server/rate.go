package server

import (
	"container/list"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"carillon/dispatch"
)

// maxRated is how many clients the rates are known of: those that have asked last.
const maxRated = 16384

// rates bounds how often each client asks: so many times a second, and as many at once.
type rates struct {
	every time.Duration // 0: no bound
	burst time.Duration // how far ahead of now the next turn of a client may be

	mu       sync.Mutex
	byClient map[string]*list.Element
	recent   list.List // of *rated, the one that has asked last first
}

// rated is a client, and when its next request would have its turn if they came evenly.
type rated struct {
	client string
	next   time.Time
}

func (r *rates) init(perSecond int) {
	if perSecond > 0 {
		r.every = time.Second / time.Duration(perSecond)
		r.burst = time.Second - r.every
		r.byClient = map[string]*list.Element{}
	}
}

// take is 0 if the client may ask now, or how long it has to wait.
func (r *rates) take(client string, now time.Time) (wait time.Duration) {
	if r.every == 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byClient[client]
	if e == nil {
		if r.recent.Len() >= maxRated {
			delete(r.byClient, r.recent.Remove(r.recent.Back()).(*rated).client)
		}
		e = r.recent.PushFront(&rated{client: client})
		r.byClient[client] = e
	}
	r.recent.MoveToFront(e)
	c := e.Value.(*rated)
	if c.next.Before(now) {
		c.next = now
	}
	if ahead := c.next.Sub(now); ahead > r.burst {
		return ahead - r.burst
	}
	c.next = c.next.Add(r.every)
	return 0
}

// rated refuses a request of a client that asks too often.
func (h *handler) rated(client string) *dispatch.Error {
	wait := h.rates.take(client, time.Now())
	if wait == 0 {
		return nil
	}
	err := dispatch.Errorf(dispatch.CodeResourceExhausted, "more than %d requests in a second: nothing was done", h.opts.RequestsPerSecond)
	err.RetryAfter = wait
	return err
}

// clientOf is whom a request is counted for.
func clientOf(r *http.Request, trusted []netip.Prefix) string {
	return networkOf(addressOf(r, trusted))
}

// addressOf is where a request comes from: the peer, or if that is a trusted proxy the last
// hop that is none. What is before that hop it has made up itself, for all that is known.
func addressOf(r *http.Request, trusted []netip.Prefix) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	client := peer.Addr().Unmap()
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(client) }) {
			break
		}
		addr, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(hop), "[]"))
		if err != nil {
			break
		}
		client = addr.Unmap()
	}
	return client
}
