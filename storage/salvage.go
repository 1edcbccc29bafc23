package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// Loss says that a volume went on without what was committed in it. For engines.
type Loss struct {
	Volume string
	At     time.Time // when it was accepted
	What   string    // which records of the log, and why
	// Acknowledged says that a person knows of it: Warnings is silent about it.
	Acknowledged bool
}

// String is a line that names the volume, the instant and the loss.
func (l Loss) String() string {
	how := "accepted"
	if l.Acknowledged {
		how = "acknowledged, and accepted"
	}
	return fmt.Sprintf("DATA WAS LOST: %s: %s %s: %s", l.Volume, how, l.At.Format(time.RFC3339), l.What)
}

// Remains says what there is of a volume, and of it in the log. For engines.
type Remains struct {
	Volume  string
	Copied  uint64 // the file has the records up to this number
	Applied uint64 // the log's can be applied up to this one, which each opening does
	Lost    string // what cannot, and why; "" if nothing is lost
	Damaged error  // why the file cannot be used at all, or nil
}

// Salvage says what there is of a store that Open refuses, or of whose volumes some are lost
// by damage of the log: it changes nothing. If accept is set it applies to the files what can
// be read, gives up the rest for good, and writes down that it did (Losses, Check); then the
// volumes can be opened. A log that cannot be opened at all is set aside, as log.lost-1. A
// volume without a loss is left as it is, as is one whose file is damaged: only a backup
// helps it. A crash leaves it to be run again. No other may have the store open (ErrLocked).
// For engines.
func Salvage(dir string, accept bool, now time.Time) (found []Remains, err error) {
	// A file of the log that is made now is small, since Open may bound it to little.
	opts := Options{ReadOnly: !accept, LogSegment: minLogLength / 16}.withDefaults()
	release, err := kv.LockDir(dir, opts.LockTimeout)
	if err != nil {
		return nil, mapOpenError("directory", err)
	}
	defer release()
	count, err := countVolumes(dir)
	if err != nil {
		return nil, err
	}
	if count == 0 {
		return nil, fmt.Errorf("%w: no store in %s", ErrNotFound, dir)
	}
	s := &Store{opts: opts, dir: dir}
	defer func() {
		for _, v := range s.volumes {
			err = errors.Join(err, v.drop())
		}
		err = errors.Join(err, s.closeLog())
	}()
	store := uint64(0)
	for i := range count {
		v, id, err := openVolume(volumePath(dir, i), i, opts)
		if err != nil {
			return nil, err
		}
		v.relieve = func() []string { return nil }
		s.volumes = append(s.volumes, v)
		if v.db == nil {
			continue
		}
		if store != 0 && id != store {
			return nil, fmt.Errorf("%w: %s belongs to another store", ErrFormat, v.name)
		}
		store = id
	}
	unreadable, err := s.salvageLog(store, accept)
	if err != nil {
		return nil, err
	}
	for _, v := range s.volumes {
		r, err := v.salvage(s.log, unreadable, accept, now)
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.name, err)
		}
		found = append(found, r)
	}
	return found, nil
}

// salvageLog opens the log, and says why there is none that can be.
func (s *Store) salvageLog(store uint64, accept bool) (unreadable error, err error) {
	opts := s.volumes[0].opts
	s.log, unreadable = kv.OpenLog(s.dir, store, opts)
	switch {
	case unreadable == nil:
	case !errors.Is(unreadable, kv.ErrDamaged) && !errors.Is(unreadable, kv.ErrBadFile):
		return nil, mapOpenError("log", unreadable)
	default:
		s.log = kv.NoLog(s.dir, store, opts)
		if accept {
			aside, err := s.log.SetAside()
			if err != nil {
				return nil, err
			}
			unreadable = fmt.Errorf("%w; it was set aside as %s", unreadable, aside)
		}
	}
	if accept {
		if err := s.log.Make(); err != nil {
			return nil, mapOpenError("log", err)
		}
	}
	return unreadable, nil
}

// salvage is Salvage of one volume.
func (v *volume) salvage(log *kv.Log, unreadable error, accept bool, now time.Time) (Remains, error) {
	r := Remains{Volume: v.name}
	if v.db == nil {
		r.Damaged = v.backoff.refusal()
		return r, nil
	}
	why := v.db.Join(context.Background(), log, kv.Volume(v.index))
	if why != nil && !errors.Is(why, kv.ErrDamaged) && !errors.Is(why, kv.ErrBadFile) {
		return r, why
	}
	rest := v.db.Remains()
	r.Copied, r.Applied = rest.Copied, rest.Applied
	if why == nil {
		return r, nil
	}
	if unreadable != nil {
		why = unreadable
	}
	r.Lost = lostText(rest, why)
	if !accept {
		return r, nil
	}
	return r, v.db.GiveUp(context.Background(), func(tx *kv.Fresh, done bool) error { return markLoss(tx, v.name, r.Lost, done, now) })
}

// lostText says which records are lost, and why.
func lostText(r kv.Remains, why error) string {
	what := fmt.Sprintf("all that was committed behind record %d, of which the log tells nothing", r.Applied)
	switch {
	case r.Lost > 0 && r.Last > r.Applied:
		what = fmt.Sprintf("records %d to %d of the log: %d records, %d bytes of them can be told", r.Applied+1, r.Last, r.Lost, r.Bytes)
	case r.Last > r.Applied:
		what = fmt.Sprintf("what was committed behind record %d: the log begins anew", r.Applied)
	}
	return what + ": " + strings.ReplaceAll(why.Error(), "\n", ": ")
}

// metaLosses is the key of the losses that were accepted in the file.
var metaLosses = []byte("losses")

// maxLosses is how many losses a file remembers.
const maxLosses = 64

// markLoss writes down that the loss is accepted. One that is written down and not done yet is
// of a salvage that has not ended, and is this one's.
func markLoss(tx *kv.Fresh, volume, what string, done bool, now time.Time) error {
	data, err := tx.Get(kv.Meta, metaLosses)
	if err != nil {
		return err
	}
	losses, err := decodeLosses(data)
	if err != nil {
		return err
	}
	if n := len(losses.Losses); n == 0 || losses.Losses[n-1].Done {
		losses.Losses = append(losses.Losses, &proto.Loss{AtMs: msOf(now), What: what})
	}
	losses.Losses[len(losses.Losses)-1].Done = done
	losses.Losses = losses.Losses[max(0, len(losses.Losses)-maxLosses):]
	return tx.Put(kv.Meta, metaLosses, encoded(losses.MarshalVT()))
}

func decodeLosses(data []byte) (*proto.Losses, error) {
	p := &proto.Losses{Version: recordVersion}
	if data == nil {
		return p, nil
	}
	if err := unmarshal(data, p, &p.Version); err != nil {
		return nil, fmt.Errorf("losses: %w", err)
	}
	return p, nil
}

// AcknowledgeLosses writes down, durably when it returns, that a person knows of all Losses,
// and returns how many they were that it was not written of: Warnings, and the logger at the next
// Open, are silent about them from now on. Losses and their lines stay.
func (s *Store) AcknowledgeLosses() (n int, err error) {
	losses, err := s.Losses()
	if err != nil {
		return 0, err
	}
	for _, v := range s.volumes {
		news := 0
		for _, l := range losses {
			if l.Volume == v.name && !l.Acknowledged {
				news++
			}
		}
		if news == 0 {
			continue
		}
		err := v.do(0, func(tx *kv.Txn) error {
			data, err := tx.Get(kv.Meta, metaLosses)
			if err != nil {
				return err
			}
			p, err := decodeLosses(data)
			if err != nil {
				return err
			}
			for _, l := range p.Losses {
				l.Acknowledged = true
			}
			return tx.Put(kv.Meta, metaLosses, encoded(p.MarshalVT()))
		})
		if err != nil {
			return n, err
		}
		n += news
	}
	return n, nil
}

// Losses returns the losses that Salvage was told to accept, of the volumes that can be read;
// the error is of the others.
func (s *Store) Losses() (all []Loss, err error) {
	for _, v := range s.volumes {
		err = errors.Join(err, v.read(func(snap *kv.Snapshot) error {
			p, err := decodeLosses(snap.Get(kv.Meta, metaLosses))
			if err != nil {
				return err
			}
			for _, l := range p.Losses {
				all = append(all, Loss{v.name, timeOf(l.AtMs), l.What, l.Acknowledged})
			}
			return nil
		}))
	}
	return all, err
}
