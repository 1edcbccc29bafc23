package storage

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"carillon/proto"
	"carillon/storage/internal/kv"
)

// EraID names a clock era of a store. A later era has a greater one. 0 is none.
// What comes from another store bears ids that this one does not know. For engines.
type EraID uint64

// Era is a stretch of time in which the wall clock was not stepped, as far as the
// engine could tell. Package storage keeps the list, and the era of each instant
// that counts from a reading of the clock; what follows from them is the engine's.
// For engines.
type Era struct {
	ID     EraID
	Began  time.Time     // what the wall showed at its beginning
	Last   time.Time     // what the wall had come to show in it, or what was written down last; zero while it lasts
	Offset time.Duration // the sum of the steps so far
	Step   time.Duration // the one that began the era; 0: it began with an opening of the store
}

// keptEras is how many eras a store remembers.
const keptEras = 64

// clockState is what each volume stores of the clock.
type clockState struct {
	eras   []Era
	record []byte
}

// id is the era that lasts, 0 if there is none.
func (c *clockState) id() EraID {
	if c == nil || len(c.eras) == 0 {
		return 0
	}
	return c.eras[len(c.eras)-1].ID
}

// stepped says whether a step of the clock is on record.
func (c *clockState) stepped() bool {
	return c != nil && slices.ContainsFunc(c.eras, func(e Era) bool { return e.Step != 0 })
}

// Eras returns the eras on record, the one that lasts last. It must not be changed.
func (s *Store) Eras() []Era {
	if c := s.clock.Load(); c != nil {
		return c.eras
	}
	return nil
}

// NextEra is the id of the era after the last one on record.
func (s *Store) NextEra() EraID { return s.clock.Load().id()>>eraSalt<<eraSalt + 1<<eraSalt | s.salt }

// eraSalt is how many bits of an EraID tell stores apart.
const eraSalt = 16

// BeginEra puts the eras on record, of which the last one lasts from now on; those
// beyond the latest 64 are forgotten. It does not block: a volume learns of it in
// the commit of its next change set, and so never knows less than what it holds.
// Calls of it must not overlap.
func (s *Store) BeginEra(eras []Era) {
	eras = eras[max(0, len(eras)-keptEras):]
	p := proto.Clock{Version: recordVersion}
	for _, e := range eras {
		p.Eras = append(p.Eras, &proto.Era{
			Id: uint64(e.ID), BeganMs: msOf(e.Began), LastMs: msOf(e.Last),
			OffsetMs: e.Offset.Milliseconds(), StepMs: e.Step.Milliseconds(),
		})
	}
	s.clock.Store(&clockState{eras, encoded(p.MarshalVT())})
}

// readClock reads what a volume knows of the clock.
func readClock(snap *kv.Snapshot) (*clockState, error) {
	data := snap.Get(kv.Meta, metaClock)
	if data == nil {
		return nil, nil
	}
	var p proto.Clock
	if err := unmarshal(data, &p, &p.Version); err != nil {
		return nil, fmt.Errorf("clock: %w", err)
	}
	c := &clockState{record: append([]byte{}, data...)}
	for _, e := range p.Eras {
		c.eras = append(c.eras, Era{
			ID: EraID(e.Id), Began: timeOf(e.BeganMs), Last: timeOf(e.LastMs),
			Offset: time.Duration(e.OffsetMs) * time.Millisecond, Step: time.Duration(e.StepMs) * time.Millisecond,
		})
	}
	return c, nil
}

// noteInstant records the latest instant that was written down in the era that
// lasts, 0 if none was, in a transaction of the file; and the era itself, if that
// is news to the file.
func (v *volume) noteInstant(tx *kv.Txn, c *clockState, ms int64) error {
	known, err := tx.Get(kv.Meta, metaEra)
	if err != nil {
		return err
	}
	// The file's own mark counts: ours may be of a commit that failed.
	mark := int64(getU64(tx.Base(), metaHighWater))
	if id := c.id(); EraID(decodeU64(known)) != id {
		mark = 0 // it is of another era
		if ms == 0 {
			ms = msOf(c.eras[len(c.eras)-1].Began)
		}
		if err := errors.Join(tx.Put(kv.Meta, metaEra, u64(uint64(id))), tx.Put(kv.Meta, metaClock, c.record)); err != nil {
			return err
		}
	}
	if ms <= mark {
		return nil
	}
	v.mark.Store(&instantMark{c.id(), ms})
	return tx.Put(kv.Meta, metaHighWater, u64(uint64(ms)))
}

// instantMark is the latest instant committed in a volume, in ms, and its era.
type instantMark struct {
	era EraID
	ms  int64
}

func readMark(snap *kv.Snapshot) *instantMark {
	return &instantMark{EraID(getU64(snap, metaEra)), int64(getU64(snap, metaHighWater))}
}

// HighWater is the latest instant that was committed in the era that lasts; the
// zero time if none was.
func (s *Store) HighWater() time.Time {
	ms := int64(0)
	for _, v := range s.volumes {
		if mark := v.mark.Load(); mark.era == s.clock.Load().id() {
			ms = max(ms, mark.ms)
		}
	}
	return timeOf(ms)
}

// EraMark names what has been done about all eras up to one. For engines.
type EraMark string

// The marks.
const (
	EraAccepted  EraMark = "accepted" // a person has said that the clock is right
	EraSettled   EraMark = "settled"  // it has run for long enough to be believed
	EraRolledOut EraMark = "swept"    // every app has been brought in line with it
)

func (m EraMark) key() []byte { return []byte("era-" + m) }

// Mark returns up to which era that has been done, 0 for none.
func (s *Store) Mark(m EraMark) (id EraID, err error) {
	err = s.volumes[0].read(func(snap *kv.Snapshot) error {
		id = EraID(getU64(snap, m.key()))
		return nil
	})
	return id, err
}

// SetMark remembers, durably when it returns, that it has been done up to the era. Entries of
// the audit log are written in the same commit.
func (s *Store) SetMark(m EraMark, id EraID, by ...AuditEntry) error {
	return s.volumes[0].do(0, func(tx *kv.Txn) error {
		return errors.Join(s.volumes[0].noteInstant(tx, s.clock.Load(), 0), tx.Put(kv.Meta, m.key(), u64(uint64(id))), s.volumes[0].auditAll(tx, by))
	})
}

// ClockNotes says of each step of the clock that was noticed after the era
// accepted, a line each, what happened; of many, of the latest ten. For engines.
func ClockNotes(eras []Era, accepted EraID) (notes []string) {
	for _, e := range eras {
		if e.Step == 0 || e.ID <= accepted {
			continue
		}
		way := "forward"
		if e.Step < 0 {
			way = "back"
		}
		notes = append(notes, fmt.Sprintf("the wall clock was set %s by %v, to %s", way, e.Step.Abs(), e.Began.Format(time.RFC3339)))
	}
	return notes[max(0, len(notes)-10):]
}
