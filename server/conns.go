package server

import (
	"container/list"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

// DefaultMaxConns is how many connections Serve has open at once, unless its
// listener is one of LimitConns.
const DefaultMaxConns = 4096

// LimitConns returns the listener with a bound, 1 or more, on the connections that
// are open at once. When there are so many, Serve closes the one that has been idle
// for longest in favour of a new one; while none is idle new ones wait. One remote host
// has three quarters of them at most, so that it cannot keep the others out: its next
// one takes the place of an idle one of its own, or is closed. Of fewer than four it may
// have all.
func LimitConns(ln net.Listener, most int) net.Listener {
	return &limitedListener{
		Listener: ln, open: make(chan struct{}, most), closed: make(chan struct{}), share: most - most/4, hosts: map[string]int{},
	}
}

type limitedListener struct {
	net.Listener
	open   chan struct{} // has an element for each open connection
	closed chan struct{}
	once   sync.Once
	share  int // of one remote host

	mu      sync.Mutex
	hosts   map[string]int // by remote host: its open connections, and the one that waits
	idle    list.List      // of *limitedConn, the one that has been for longest first
	waiting bool           // a new connection waits for another to be closed
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	conn, host, err := l.accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.open <- struct{}{}:
	default:
		l.wait(true)
		defer l.wait(false)
		select {
		case l.open <- struct{}{}:
		case <-l.closed:
			conn.Close()
			return nil, net.ErrClosed
		}
	}
	return &limitedConn{Conn: conn, host: host, listener: l}, nil
}

// accept accepts a connection of a host that has not its share yet.
func (l *limitedListener) accept() (net.Conn, string, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, "", err
		}
		host := hostOf(conn.RemoteAddr().String())
		if l.admit(host) {
			return conn, host, nil
		}
		conn.Close()
	}
}

// hostOf is the host that a connection from the address is counted for. Of IPv6 the first 64
// bits are one: a network of that size is what one customer has.
func hostOf(remote string) string {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return "" // not of a network: all are one
	}
	return networkOf(at.Addr())
}

func networkOf(host netip.Addr) string {
	if !host.IsValid() {
		return ""
	}
	if host = host.Unmap().WithZone(""); host.Is4() {
		return host.String()
	}
	network, err := host.Prefix(64)
	if err != nil {
		return ""
	}
	return network.String()
}

// admit counts one more connection of the host, unless it has its share and none of
// them is idle.
func (l *limitedListener) admit(host string) bool {
	l.mu.Lock()
	var drop *limitedConn
	full := l.share < cap(l.open) && l.hosts[host] >= l.share
	for e := l.idle.Front(); full && e != nil; e = e.Next() {
		if c := e.Value.(*limitedConn); c.host == host {
			drop, full = c, false
			c.busy()
			break
		}
	}
	if !full {
		l.hosts[host]++
	}
	l.mu.Unlock()
	if drop != nil {
		drop.Close()
	}
	return !full
}

// release counts one connection of the host less.
func (l *limitedListener) release(host string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts[host]--; l.hosts[host] == 0 {
		delete(l.hosts, host)
	}
}

// wait notes that a new connection waits, which the first idle one is closed for.
func (l *limitedListener) wait(waiting bool) {
	l.mu.Lock()
	l.waiting = waiting
	var drop *limitedConn
	if first := l.idle.Front(); waiting && first != nil {
		drop = first.Value.(*limitedConn)
		drop.busy()
		l.waiting = false
	}
	l.mu.Unlock()
	if drop != nil {
		drop.Close()
	}
}

// Close implements net.Listener.
func (l *limitedListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// note keeps account of which connections are idle.
func (l *limitedListener) note(c *limitedConn, state http.ConnState) {
	l.mu.Lock()
	c.busy()
	drop := state == http.StateIdle && l.waiting
	l.waiting = l.waiting && !drop
	if state == http.StateIdle && !drop {
		c.idle = l.idle.PushBack(c)
	}
	l.mu.Unlock()
	if drop {
		c.Close()
	}
}

type limitedConn struct {
	net.Conn
	host     string
	listener *limitedListener
	once     sync.Once
	idle     *list.Element // of listener.idle, and guarded like it
}

// busy takes the connection off the list of idle ones, whose lock the caller holds.
func (c *limitedConn) busy() {
	if c.idle != nil {
		c.listener.idle.Remove(c.idle)
		c.idle = nil
	}
}

// CloseWrite is that of the connection: see refusingConn.
func (c *limitedConn) CloseWrite() error { return closeWrite(c.Conn) }

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.once.Do(func() {
		<-c.listener.open
		c.listener.release(c.host)
	})
	return c.Conn.Close()
}
