package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// DefaultMaxConns is how many connections Serve has open at once, unless its
// listener is one of LimitConns.
const DefaultMaxConns = 4096

// LimitConns returns the listener with a bound, 1 or more, on the connections that
// are open at once. When there are so many, Serve closes the one that has been idle
// for longest in favour of a new one; while none is idle new ones wait.
func LimitConns(ln net.Listener, most int) net.Listener {
	return &limitedListener{Listener: ln, open: make(chan struct{}, most), closed: make(chan struct{})}
}

type limitedListener struct {
	net.Listener
	open   chan struct{} // has an element for each open connection
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	idle    list.List // of *limitedConn, the one that has been for longest first
	waiting bool      // a new connection waits for another to be closed
}

// Accept implements net.Listener.
func (l *limitedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
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
	return &limitedConn{Conn: conn, listener: l}, nil
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
	c.once.Do(func() { <-c.listener.open })
	return c.Conn.Close()
}
