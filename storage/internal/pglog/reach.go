package pglog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5/pgconn"
)

// How a server that is away is tried again.
const (
	leastPause = 50 * time.Millisecond
	mostPause  = 2 * time.Second
	// askedPause is the least time between attempts while the server is wanted.
	askedPause = 250 * time.Millisecond
	// attemptTimeout bounds an attempt, for each host: they overlap, so at most 8 are on their way.
	attemptTimeout = 2 * time.Second
)

// ErrAway says that the server cannot be reached, or does not answer. Nothing was sent.
var ErrAway = fmt.Errorf("%w: PostgreSQL is away", wal.ErrRefused)

// reach returns a new connection. While the server is away it returns ErrAway at once, and
// has the next attempt made soon.
func (l *Log) reach(ctx context.Context) (*conn, error) {
	if err := l.goneAway(); err != nil {
		return nil, err
	}
	c, err := l.connect(ctx, l.opts.ConnectTimeout, 0)
	switch {
	case l.ending.Err() != nil && err != nil:
		return nil, wal.ErrClosed
	case err == nil || ctx.Err() != nil || full(err):
		return c, refused(err)
	}
	l.leave(err)
	return nil, l.want(err)
}

// full says that the server is there, and has no connection left.
func full(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.Code == tooManyConnections
}

// tooManyConnections is too_many_connections.
const tooManyConnections = "53300"

// goneAway is ErrAway while the server is away, and nil else.
func (l *Log) goneAway() error {
	l.mu.Lock()
	why := l.away
	l.mu.Unlock()
	if why == nil {
		return nil
	}
	return l.want(why)
}

// want has the next attempt made soon, and returns ErrAway.
func (l *Log) want(why error) error {
	select {
	case l.asked <- struct{}{}:
	default:
	}
	return fmt.Errorf("%w: %w", ErrAway, why)
}

// leave says that the server is away, and begins to try again.
func (l *Log) leave(why error) {
	l.mu.Lock()
	idle := l.idle
	l.idle = nil // of a server that is away, or that was promoted away from
	if !l.closed && l.away == nil {
		l.away = why
		l.workers.Go(l.comeBack)
	}
	l.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}

// comeBack tries until the server is there, or the log was closed.
func (l *Log) comeBack() {
	var attempts atomic.Int64 // each begins with another host: the one before may be dead and say nothing
	c, ok := redial(l.ending, l.asked, func(ctx context.Context) (*conn, error) {
		c, err := l.connect(ctx, min(l.opts.ConnectTimeout, attemptTimeout), int(attempts.Add(1)))
		if err != nil && ctx.Err() == nil {
			l.mu.Lock()
			l.away = err
			l.mu.Unlock()
		}
		return c, err
	}, (*conn).close)
	if !ok {
		return
	}
	l.mu.Lock()
	l.away = nil
	l.mu.Unlock()
	l.keep(c, nil)
}

// redial makes attempts until one succeeds, or ctx has ended. The pauses between them double
// from leastPause to mostPause, by chance shorter, so that not all nodes come at once; while
// asked yields they are askedPause at most. An attempt that has no end yet holds up no other
// one; those that are late are given to late.
func redial[C any](ctx context.Context, asked <-chan struct{}, attempt func(context.Context) (C, error), late func(C)) (got C, ok bool) {
	var under sync.WaitGroup
	defer under.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	came := make(chan C)
	for pause := leastPause; ; pause = min(2*pause, mostPause) {
		next := time.NewTimer(pause/2 + rand.N(pause/2))
		soon := time.NewTimer(min(pause, askedPause))
		for waits, wanted := true, asked; waits; {
			select {
			case got = <-came:
				return got, true
			case <-ctx.Done():
				return got, false
			case <-next.C:
				waits = false
			case <-wanted:
				wanted = nil
				next = soon
			}
		}
		under.Go(func() {
			c, err := attempt(ctx)
			if err != nil {
				return
			}
			select {
			case came <- c:
			case <-ctx.Done():
				late(c)
			}
		})
	}
}
