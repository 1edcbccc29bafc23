package storage

import (
	"errors"
	"fmt"
	"strings"

	"carillon/storage/internal/kv"
)

// This file keeps room in the log. A volume holds its oldest record back until its file has
// it, and keeps the latest of them even then (V5): one that is quiet, or lost, would hold back
// all that the others have written since.

// Uncopied is how many records of the log the files do not have yet. Of a store that was
// closed it is none; after a crash the next Open reads them again.
func (s *Store) Uncopied() (records uint64) {
	for _, v := range s.volumes {
		v.mu.RLock()
		if v.db != nil {
			records += v.db.Uncopied()
		}
		v.mu.RUnlock()
	}
	return records
}

// relieve has the volumes that hold a long log back go on in it, and returns their names. The
// records of one that is lost are moved out of it.
func (s *Store) relieve() (holders []string) {
	for _, i := range s.log.Holders() {
		if int(i) >= len(s.volumes) {
			continue
		}
		v := s.volumes[i]
		holders = append(holders, v.name)
		switch {
		case !v.backoff.isLost():
			v.refresh()
		case !v.refreshed.Swap(true):
			go func() {
				_ = v.moveApart()
				v.refreshed.Store(false)
			}()
		}
	}
	return holders
}

// moveApart has the log keep the records of the volume, which is lost, in a file of their own.
func (v *volume) moveApart() error {
	err := v.log.MoveApart(kv.Volume(v.index))
	if err != nil {
		err = fmt.Errorf("volume %s is lost, and its records cannot be moved out of the log: %w", v.name, err)
		v.logger.Error("the log is held back", "err", err)
	}
	return err
}

// refresh has the volume write a record that changes nothing, and its file be brought up to
// date.
func (v *volume) refresh() {
	if v.refreshed.Swap(true) {
		return
	}
	v.submit(&changeSet{
		app: new(App),
		special: func(tx *kv.Txn) error {
			v.db.Press() // what is held back may be a change, and there be no room for a record
			return v.raiseEpoch(tx)
		},
		done: func(error) { v.refreshed.Store(false) },
	})
}

// own makes this process the owner of all volumes. A log that is full may be so of what
// their files can be given.
func (s *Store) own() error {
	each := func(fn func(*volume) error) error {
		for _, v := range s.volumes {
			err := fn(v)
			if errors.Is(err, kv.ErrFull) {
				if err := s.unburden(); err != nil {
					return err
				}
				err = fn(v)
			}
			if errors.Is(err, kv.ErrFull) {
				return s.fullError(err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	err := each(func(v *volume) error { return v.claim(s.opts.LogMemory / len(s.volumes)) })
	if err != nil {
		return err
	}
	return each(func(v *volume) error { return v.own(s.opts.Program) })
}

// unburden brings the files of all volumes up to date, and moves the records of those that
// are lost out of the log.
func (s *Store) unburden() error {
	for _, v := range s.volumes {
		if v.backoff.isLost() {
			if err := v.moveApart(); err != nil {
				return err
			}
		}
		if v.db != nil {
			if err := v.ownError(v.db.Checkpoint()); err != nil {
				return err
			}
		}
	}
	return nil
}

// fullError says which volumes it is for which the log is full.
func (s *Store) fullError(cause error) error { return fullError(s.relieve(), cause) }

func fullError(holders []string, cause error) error {
	if len(holders) == 0 {
		return cause
	}
	return fmt.Errorf("%w: it is kept until it has been copied to %s", cause, strings.Join(holders, ", "))
}
