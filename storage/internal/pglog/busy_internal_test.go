package pglog

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"carillon/storage/internal/wal"
)

// dialing is a log whose connections fn makes.
func dialing(t *testing.T, fn func(context.Context) (net.Conn, error)) *Log {
	t.Helper()
	is, err := parse("postgres://127.0.0.1/?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	is.config.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) { return fn(ctx) }
	l := newLog(is, Options{}.withDefaults())
	l.me = "a/1"
	t.Cleanup(l.end)
	return l
}

// TestConnectionsAreBounded: maxBusy are in use at a time, and a beat, and what gives the shards up,
// wait for none of them.
func TestConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int64
		l := dialing(t, func(ctx context.Context) (net.Conn, error) {
			dials.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		begin := func(n int, fn func() error) {
			for range n {
				all.Go(func() {
					if err := fn(); !errors.Is(err, wal.ErrRefused) {
						t.Error(err)
					}
				})
			}
			synctest.Wait()
		}
		begin(3*maxBusy, func() error { _, err := l.ask(ctx, "clock", nil); return err })
		if n := dials.Load(); n != maxBusy {
			t.Errorf("%d connections are made at once, want %d", n, maxBusy)
		}
		dials.Store(0)
		begin(1, func() error { return l.Beat(ctx) })
		begin(1, func() error { return l.Leave(ctx) })
		begin(1, func() error { return l.Release(ctx) })
		if n := dials.Load(); n != 3 {
			t.Errorf("%d of a beat, a leave and a release wait for others", 3-n)
		}
		cancel()
		if all.Wait(); len(l.places) > 0 {
			t.Errorf("%d connections are never given back", len(l.places))
		}
	})
}

// TestServerThatIsFullIsNotAway: where it has no connection left, what has one goes on, and
// the next attempt is made when it is wanted.
func TestServerThatIsFullIsNotAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		l := dialing(t, func(context.Context) (net.Conn, error) {
			dials++
			client, server := net.Pipe()
			go func() {
				_, _ = server.Read(make([]byte, 4096))
				_, _ = server.Write([]byte("E\x00\x00\x00\x20SFATAL\x00VFATAL\x00C53300\x00Mfull\x00\x00"))
				_ = server.Close()
			}()
			return client, nil
		})
		for range 3 {
			_, err := l.take(t.Context())
			if !errors.Is(err, wal.ErrRefused) || errors.Is(err, ErrAway) || !full(err) {
				t.Errorf("the answer of a server that is full is %v", err)
			}
		}
		if l.away != nil || dials != 3 || len(l.places) > 0 {
			t.Errorf("after %d attempts it is away: %v; %d are in use", dials, l.away, len(l.places))
		}
	})
}
