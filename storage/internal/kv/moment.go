package kv

import (
	"context"
	"errors"
	"fmt"

	"carillon/storage/internal/overlay"
)

// Spaces is how many spaces there are, from 0 on.
const Spaces = spaces

// Place is how far a volume has come: what it shows is its records up to there.
type Place struct {
	Seq   uint64 // of the latest record
	Chain uint32 // checksum of all records, which the next one bears
}

// Moment pins all of the volumes as of one moment: what was shown in any of them before a
// change of another one was made is in it, if that change is. It does not wait for Updates.
// The caller closes the Pins.
func Moment(dbs []*DB) (pins []*Pin, places []Place, err error) {
	pins, places = make([]*Pin, len(dbs)), make([]Place, len(dbs))
	defer func() {
		for _, pin := range pins {
			if err != nil && pin != nil {
				pin.Close()
			}
		}
	}()
	for {
		for i, db := range dbs {
			if pins[i] != nil {
				continue
			}
			if err := db.open(); err != nil {
				return pins, nil, err
			}
			below, err := db.file.Begin()
			if err != nil {
				return pins, nil, err
			}
			pins[i] = &Pin{db: db, pin: below}
		}
		look(dbs, pins, places)
		fits := true
		for i, pin := range pins {
			if !pin.snap.view.Accepts(pin.pin.ID()) { // a checkpoint came between
				pin.Close()
				pins[i], fits = nil, false
			}
		}
		if fits {
			return pins, places, nil
		}
	}
}

// look takes the views of all volumes while none shows a change. It is the only one that
// locks more than one volume, and does not wait meanwhile.
func look(dbs []*DB, pins []*Pin, places []Place) {
	for _, db := range dbs {
		db.mu.Lock()
	}
	for i, db := range dbs {
		pins[i].snap.view = db.stack.View()
		places[i] = Place{db.last, db.chain}
	}
	for _, db := range dbs {
		db.mu.Unlock()
	}
}

// ErrGone says that the log does not have all that came behind a Place, or that the Place is
// not of its history.
var ErrGone = errors.New("the log does not go on from there")

// Since calls fn with the records between two places of a volume, but for takeover records,
// until it returns an error. After ErrGone, what fn was called with is of no use.
func (l *Log) Since(ctx context.Context, volume Volume, from, to Place, fn func(seq uint64, record []byte) error) error {
	if from == to {
		return nil
	}
	for rec, err := range l.Read(ctx, volume, from.Seq+1) {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			return fmt.Errorf("%w: %w", ErrGone, logError(err))
		case rec.Seq > to.Seq:
			return ErrGone
		}
		from.Seq = rec.Seq
		if len(rec.Data) > 0 {
			if overlay.Behind(rec.Data) != from.Chain {
				return fmt.Errorf("%w: record %d is of another history", ErrGone, rec.Seq)
			}
			from.Chain = overlay.Chain(rec.Data)
			if err := fn(rec.Seq, rec.Data); err != nil {
				return err
			}
		}
		if from == to {
			return nil
		}
	}
	return ErrGone
}

// Scan calls fn with each change of a record that Since has given. The bytes are the record's.
func Scan(record []byte, fn func(space Space, key, value []byte, deleted bool)) error {
	return overlay.Scan(record, spaces, overlay.Behind(record), func(space int, key, value []byte, deleted bool) {
		fn(Space(space), key, value, deleted)
	})
}
