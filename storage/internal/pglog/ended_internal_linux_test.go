package pglog

import (
	"net"
	"testing"
	"time"
)

// TestALookAtAConnectionWaitsForNoReader: while something reads from a connection that says
// nothing, it is seen whether it has ended.
func TestALookAtAConnectionWaitsForNoReader(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	reads, release, looked := make(chan struct{}), make(chan struct{}), make(chan bool, 1)
	over := make(chan error)
	go func() {
		over <- raw.Read(func(uintptr) bool {
			close(reads)
			<-release
			return true
		})
	}()
	<-reads
	go func() { looked <- readable(c) }()
	select {
	case yes := <-looked:
		if yes {
			t.Error("a connection that says nothing has ended")
		}
	case <-time.After(5 * time.Second):
		t.Error("the look waits for the reader")
	}
	close(release)
	if err := <-over; err != nil {
		t.Error(err)
	}
}
