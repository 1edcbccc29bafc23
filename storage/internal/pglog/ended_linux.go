package pglog

import (
	"net"
	"syscall"
)

// readable says whether the connection has bytes, or its end, to be read, without reading them.
func readable(c net.Conn) (yes bool) {
	if inner, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = inner.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return true // it is closed
	}
	// Not Read: a read of pgx's may wait in the background, since a write once took long.
	err = raw.Control(func(fd uintptr) {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = err != syscall.EAGAIN && err != syscall.EINTR
	})
	return yes || err != nil
}
