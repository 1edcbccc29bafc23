package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/wal"
)

// openShared is Open of a store whose log is Options.Log.
func openShared(dir string, opts Options) (*Store, error) {
	st, err := Join(context.Background(), dir, opts)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	s, err := st.own(context.Background(), func(err error) error { return st.refusal(began, err) })
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	st.sole = true
	return s, nil
}

// refusal is why a node that has wanted to own the store since then asks no more, if it does not, after an attempt
// with that error. It asks on while the owner may have crashed: until that has beaten, or its TTL is over.
func (st *Standby) refusal(began time.Time, err error) error {
	if time.Since(began) < st.opts.LockTimeout {
		return nil
	}
	if !errors.Is(err, wal.ErrOwned) {
		return err
	}
	st.turn <- struct{}{}
	l := st.looked
	st.leave()
	switch {
	case l.owned && l.silent >= l.at.Sub(began):
		return nil
	case l.owned:
		return fmt.Errorf("%w: node %s owns the store (Join waits until it does not)", ErrLocked, l.name)
	}
	return fmt.Errorf("%w: another node owns the store", ErrLocked)
}
