package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"carillon/actors"
	"carillon/client"
	"carillon/dispatch"
	"carillon/server"
	"carillon/storage"
)

// checkDirectory says whether there is a store in the directory, which nothing makes.
func checkDirectory(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "volume-000.db"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s is no data directory: %w", dir, storage.ErrNotFound)
	}
	return err
}

// openDirectory answers the routes of a server for a data directory that is not served. The
// engine begins nothing by itself. With reads it changes nothing, and the directory may be
// any program's.
func openDirectory(std Stdio, dir string, reads bool) (*place, error) {
	if err := checkDirectory(dir); err != nil {
		return nil, err
	}
	opts := *std.engine
	opts.Still, opts.ReadOnly, opts.AdoptEmpty = true, reads, true
	opts.Logger = slog.New(slog.DiscardHandler) // what is wrong is answered
	if opts.Functions == nil {
		opts.Functions = dispatch.NewRegistry()
	}
	eng, err := actors.Open(dir, opts)
	if err != nil {
		return nil, openError(std, dir, err)
	}
	operator := &server.Operator{Name: "command", AllApps: true, Scopes: server.Scopes()}
	handler := server.New(eng, server.Options{
		Operator: func(*http.Request) (*server.Operator, error) { return operator, nil },
		Logger:   opts.Logger,
	})
	ln := &pipes{dialed: make(chan net.Conn), closed: make(chan struct{})}
	served := &http.Server{Handler: handler, ReadHeaderTimeout: requestTimeout}
	var gone sync.WaitGroup
	gone.Go(func() { _ = served.Serve(ln) })
	transport := &http.Transport{DialContext: ln.dial}
	at := &place{site: dir}
	at.shut = func() {
		transport.CloseIdleConnections()
		_ = served.Close()
		gone.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		_ = eng.Close(ctx) // what was answered is durable
	}
	if at.Client, err = client.New("http://127.0.0.1", client.Options{HTTP: &http.Client{Transport: transport}, Attempts: 1, NoKeys: true}); err != nil {
		at.shut()
		return nil, err
	}
	return at, nil
}

// pipes is a listener within the process.
type pipes struct {
	dialed chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.dialed <- far:
		return near, nil
	case <-p.closed:
	case <-ctx.Done():
	case <-time.After(requestTimeout):
	}
	return nil, errors.Join(net.ErrClosed, near.Close(), far.Close())
}

// Accept implements net.Listener.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.dialed:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr implements net.Listener.
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
