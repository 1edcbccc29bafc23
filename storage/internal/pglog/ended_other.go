//go:build !linux

package pglog

import "net"

// readable is not known here.
func readable(net.Conn) bool { return false }
