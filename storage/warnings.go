package storage

import (
	"errors"
	"fmt"
	"time"

	"carillon/storage/internal/kv"
)

// Warnings returns what needs a person though all apps are served; nil if nothing does. Each
// error names a volume: one whose changes stay in the log only, since they cannot be written to
// its file, and are refused when layers or log are full; or one that goes on without what was
// lost, until that is acknowledged (AcknowledgeLosses).
func (s *Store) Warnings() error {
	var errs []error
	for _, v := range s.volumes {
		errs = append(errs, v.warning())
	}
	losses, _ := s.Losses() // of a volume that cannot be read Health tells
	for _, l := range losses {
		if !l.Acknowledged {
			errs = append(errs, errors.New(l.String()))
		}
	}
	return errors.Join(errs...)
}

func (v *volume) warning() error {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if v.db == nil {
		return nil // Health says why
	}
	stall := v.db.Stalled()
	if stall == nil {
		return nil
	}
	return fmt.Errorf("%s cannot be written since %s, and its changes stay in the log: %w", v.name, stall.Since.UTC().Format(time.RFC3339), stall.Err)
}

// stalled is told how the volume's checkpoints go on after one that failed. The first of a
// row, and the one that works at last, are a line of the log each.
func (v *volume) stalled(stall *kv.Stall) {
	switch {
	case stall == nil:
		v.logger.Info("volume file is written again", "volume", v.name)
		v.backoff.again()
	case stall.Tries == 1:
		v.logger.Error("volume file cannot be written: its changes stay in the log", "volume", v.name, "err", stall.Err)
	}
}
