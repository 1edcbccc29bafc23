package pglog

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestAServerIsTriedAgain: attempts begin 50 ms after a server was lost at the latest, and come
// every 2 s at least; while it is wanted, every 250 ms. One that hangs holds up no other.
func TestAServerIsTriedAgain(t *testing.T) {
	errGone := errors.New("gone")
	for name, tt := range map[string]struct {
		wanted bool
		hangs  bool
		most   time.Duration // between the server's return and the first attempt that finds it
	}{
		"unwanted": {most: 2 * time.Second},
		"wanted":   {wanted: true, most: 250 * time.Millisecond},
		"hangs":    {wanted: true, hangs: true, most: 250 * time.Millisecond},
	} {
		for _, away := range []time.Duration{0, 40 * time.Millisecond, 3 * time.Second, 17 * time.Second, time.Minute} {
			t.Run(name+"/"+away.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					began := time.Now()
					var tries, late atomic.Int64
					asked := make(chan struct{}, 1)
					if tt.wanted {
						stop := make(chan struct{})
						defer close(stop)
						go func() {
							for {
								select {
								case asked <- struct{}{}:
								case <-stop:
									return
								}
							}
						}()
					}
					got, ok := redial(t.Context(), asked, func(ctx context.Context) (time.Duration, error) {
						if tries.Add(1); time.Since(began) >= away {
							return time.Since(began), nil
						}
						if tt.hangs {
							<-ctx.Done()
						}
						return 0, errGone
					}, func(time.Duration) { late.Add(1) })
					if most := min(tt.most, max(50*time.Millisecond, 4*away)); !ok || got < away || got > away+most {
						t.Errorf("a server that is away for %v is found after %v: %t", away, got, ok)
					}
					if bound := int64(away/(125*time.Millisecond)) + 6; tries.Load() > bound || late.Load() > 0 {
						t.Errorf("%d attempts in %v, %d late", tries.Load(), away, late.Load())
					}
				})
			})
		}
	}
}

// TestTryingEnds: with the log, also where an attempt is under way; what it has brought is given back.
func TestTryingEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var late atomic.Int64
		if _, ok := redial(ctx, nil, func(ctx context.Context) (int, error) { <-ctx.Done(); return 1, nil }, func(int) { late.Add(1) }); ok || late.Load() == 0 {
			t.Errorf("it has %d connections that are not closed", late.Load())
		}
	})
}
