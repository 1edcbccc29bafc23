package pglog

import (
	"context"
	"errors"
	"fmt"

	"carillon/storage/internal/wal"
)

// Answers of Check.
var (
	// ErrNone says that there is no log.
	ErrNone = errors.New("there is no log")
	// ErrEarlier says that the schema was made by an earlier release, and lacks steps.
	ErrEarlier = errors.New("schema of the log was made by an earlier release")
)

// State is what a log is.
type State struct {
	Store   uint64 // its id
	Shards  int
	Version int // of the schema
}

// Check says what the log at the address is, and whether this release can use it and the server keeps
// what a log promises. It changes nothing, and blocks as Open does.
func Check(ctx context.Context, address string) (s State, err error) {
	err = look(ctx, address, func(_ *conn, is State) error { s = is; return nil })
	return s, err
}

// Standing is Log.Standing of the log at the address, which is checked as by Check. It needs no right but SELECT.
func Standing(ctx context.Context, address string) (s wal.Standing, err error) {
	err = look(ctx, address, func(c *conn, _ State) error {
		s, err = c.standing(ctx, Options{}.withDefaults().AnswerTimeout)
		return err
	})
	return s, err
}

// connected calls fn with a connection to the place of a log at the address, whatever is there.
func connected(ctx context.Context, address string, fn func(c *conn, schema string) error) error {
	target, err := parse(address)
	if err != nil {
		return err
	}
	l := newLog(target, Options{}.withDefaults())
	defer l.end()
	c, err := l.connect(ctx, l.opts.ConnectTimeout, 0)
	if err != nil {
		return err
	}
	defer c.close()
	if err := fn(c, target.schema); err != nil {
		return fmt.Errorf("schema %s of PostgreSQL: %w", target.schema, err)
	}
	return nil
}

// look calls fn with a connection to the log at the address, of which this release knows all.
func look(ctx context.Context, address string, fn func(*conn, State) error) error {
	return connected(ctx, address, func(c *conn, schema string) error {
		s := State{}
		err := c.timed(ctx, Options{}.withDefaults().AnswerTimeout, func() error {
			var there bool
			if err := c.QueryRow(ctx, metaThere, schema).Scan(&there); err != nil {
				return err
			}
			if !there {
				return ErrNone
			}
			var store int64
			err := c.QueryRow(ctx, `SELECT version, store, shards FROM meta`).Scan(&s.Version, &store, &s.Shards)
			s.Store = uint64(store)
			return err
		})
		switch {
		case err != nil:
			return err
		case s.Version > len(migrations):
			return fmt.Errorf("%w: its version is %d, this one has %d", ErrLater, s.Version, len(migrations))
		case s.Version < len(migrations):
			return fmt.Errorf("%w: its version is %d, this one has %d", ErrEarlier, s.Version, len(migrations))
		}
		return fn(c, s)
	})
}
