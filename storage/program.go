package storage

import (
	"errors"
	"fmt"

	"carillon/storage/internal/kv"
)

// maxProgram bounds the name of a program, in bytes.
const maxProgram = 64

func checkProgram(name string) error {
	if !nameOK(name, "_-./") || len(name) > maxProgram {
		return invalid("Program is %s, want 1 to %d of A-Z a-z 0-9 _ - . /", quote(name), maxProgram)
	}
	return nil
}

// Program returns the name of the program whose store it is, "" if it has none. Of a
// store whose first volume is lost the others know it.
func (s *Store) Program() (name string, err error) {
	for _, v := range s.volumes {
		err = v.read(func(snap *kv.Snapshot) error {
			name = string(snap.Get(kv.Meta, metaProgram))
			return nil
		})
		if err == nil {
			return name, nil
		}
	}
	return "", err
}

// SetProgram gives the store to the program, whichever had it before, durably when it
// returns. From then on only Open with this Program, or with none, opens it.
func (s *Store) SetProgram(name string) error {
	if err := checkProgram(name); err != nil {
		return err
	}
	var errs []error
	for _, v := range s.volumes {
		errs = append(errs, v.do(0, func(tx *kv.Txn) error { return tx.Put(kv.Meta, metaProgram, []byte(name)) }))
	}
	return errors.Join(errs...)
}

// checkOwner refuses a store that Options.Program must not open. It changes nothing.
func (s *Store) checkOwner() error {
	if err := s.checkMoved(); err != nil {
		return err
	}
	if s.opts.Program == "" {
		return nil
	}
	switch name, err := s.Program(); {
	case err != nil || name == s.opts.Program:
		return err
	case name != "":
		return fmt.Errorf("%w: it is that of %s, not of %s", ErrProgram, name, s.opts.Program)
	case !s.opts.AdoptEmpty:
		return nil
	}
	for _, v := range s.volumes {
		err := v.read(func(snap *kv.Snapshot) error {
			if id, _ := snap.Cursor(kv.Apps).First(); id != nil {
				return fmt.Errorf("%w: it has apps and bears no name, so %s does not take it on", ErrProgram, s.opts.Program)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
