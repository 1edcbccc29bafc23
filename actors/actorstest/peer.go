package actorstest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Peer starts an HTTP server inside the bubble, that stands for a service which
// handlers call, and returns the client that reaches it by every http URL.
// Nothing of it is a network, so time passes as it does for the engine: a
// handler of the peer that sleeps for an hour takes none, and a client's timeout
// is exact. The server ends with the test.
//
// A real connection would stop the time: a goroutine that waits for a network
// is not one that waits for time, as far as a bubble can tell.
func (h *Harness) Peer(handler http.Handler) *http.Client {
	wires := &wires{arriving: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: handler}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = srv.Serve(wires) // ends with ErrServerClosed
	}()
	transport := &http.Transport{DialContext: wires.dial}
	h.tb.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = srv.Close()
		<-served
	})
	return &http.Client{Transport: transport}
}

// wires is a net.Listener for connections within the process.
type wires struct {
	arriving chan net.Conn
	once     sync.Once
	closed   chan struct{}
}

func (w *wires) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case w.arriving <- theirs:
		return ours, nil
	case <-w.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (w *wires) Accept() (net.Conn, error) {
	select {
	case conn := <-w.arriving:
		return conn, nil
	case <-w.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (w *wires) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

// Addr implements net.Listener.
func (w *wires) Addr() net.Addr { return &net.UnixAddr{Name: "peer", Net: "bubble"} }
