package storage

import (
	"errors"
	"fmt"
	"strings"

	"carillon/storage/internal/kv"
)

// This file keeps room in the log. A volume holds its oldest record back until its file has
// it, and keeps the latest of them even then (V5): one that is quiet would hold back all that
// the others have written since.

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

// relieve has the volumes that hold a long log back go on in it, and returns their names.
func (s *Store) relieve() (holders []string) {
	for _, i := range s.log.Holders() {
		if int(i) < len(s.volumes) {
			holders = append(holders, s.volumes[i].name)
			s.volumes[i].refresh()
		}
	}
	return holders
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

// unburden brings the files of all volumes up to date.
func (s *Store) unburden() error {
	for _, v := range s.volumes {
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
