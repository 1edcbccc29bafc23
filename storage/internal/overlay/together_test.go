package overlay_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"carillon/storage/internal/overlay"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// store is how a log, layers and a copy go together: what the engine's will be, in small.
type store struct {
	disk  *waltest.Disk
	log   *wal.File
	claim wal.Claim
	stack *overlay.Stack
	last  uint64 // record that is published

	copied  table  // the copy, which is durable
	id      uint64 // of it
	applied uint64 // record up to which the copy has all
}

// open opens the log, claims its volume, and puts on top what the copy lacks.
func (s *store) open(t *testing.T) error {
	var err error
	if s.log, err = wal.OpenFile("", wal.Options{SegmentSize: 16 << 10, MaxLength: 128 << 10, Disk: s.disk}); err != nil {
		return err
	}
	return s.reclaim(t)
}

func (s *store) reclaim(t *testing.T) error {
	var err error
	if s.claim, err = s.log.Claim(t.Context(), 0); err != nil {
		return err
	}
	s.stack = overlay.NewStack(1, s.id)
	c := s.stack.Begin()
	for rec, err := range s.log.Read(t.Context(), 0, s.applied+1) {
		if err != nil {
			return err
		}
		if s.last = rec.Seq; len(rec.Data) == 0 {
			continue
		}
		if err := c.Replay(rec.Data); err != nil {
			return err
		}
	}
	s.stack.Publish(c)
	return nil
}

// put commits one change.
func (s *store) put(key, value string) error {
	c := s.stack.Begin()
	if value == "" {
		c.Delete(0, []byte(key))
	} else {
		c.Put(0, []byte(key), []byte(value))
	}
	rec := wal.Record{Epoch: s.claim.Epoch, Seq: s.last + 1, Data: c.Record()}
	if err := s.log.Append(rec)[0]; err != nil {
		return err
	}
	s.last++
	s.stack.Publish(c)
	return nil
}

// checkpoint writes the layer to the copy and, once that is durable, trims the log.
func (s *store) checkpoint() error {
	applied, layer := s.last, s.stack.Freeze(1)
	if layer == nil {
		return nil
	}
	next := maps.Clone(s.copied)
	_ = layer.Scan(0, func(key, value []byte, deleted bool) error {
		if next[string(key)] = string(value); deleted {
			delete(next, string(key))
		}
		return nil
	})
	s.copied, s.applied = next, applied
	s.id++
	s.stack.Drop()
	return s.log.Trim(s.claim, applied)
}

// shown is all that is shown.
func (s *store) shown() table {
	shown := table{}
	c := s.stack.View().Cursor(0, newTableCursor(s.copied))
	for k, v := c.First(); k != nil; k, v = c.Next() {
		shown[string(k)] = string(v)
	}
	return shown
}

// TestG1_LogLayersAndCopy: a small store of a log, layers and a copy is killed at any disk
// call, or has some fail. After each opening, and each claim that follows an unknown
// outcome, it shows what was acknowledged, with the change of unknown outcome or without.
func TestG1_LogLayersAndCopy(t *testing.T) {
	unknown, kept := 0, 0
	for life := range uint64(40) {
		rnd := rand.New(rand.NewPCG(life, 3))
		s := &store{disk: waltest.NewDisk(life), copied: table{}}
		acked, maybe := table{}, table(nil)
		settle := func() {
			t.Helper()
			shown := s.shown()
			if maybe != nil && maps.Equal(shown, maybe) {
				acked = maybe
				kept++
			}
			if maybe = nil; !maps.Equal(shown, acked) {
				t.Fatalf("life %d: it shows %v, want %v", life, shown, acked)
			}
		}
		for range 6 { // deaths
			deadline := rnd.IntN(120) + s.disk.Calls()
			bad := rnd.IntN(4) == 0
			s.disk.SetFate(func(c waltest.Call) waltest.Fate {
				switch {
				case c.N == deadline:
					return waltest.Die
				case bad && c.N%17 == 0:
					return waltest.Fail
				}
				return waltest.Succeed
			})
			err := s.open(t)
			for n := 0; !errors.Is(err, waltest.ErrDead) && n < 500; n++ {
				switch {
				case s.log == nil:
					err = s.open(t)
				case err != nil:
					err = s.reclaim(t)
				}
				if err != nil {
					continue
				}
				settle()
				if n%25 == 24 {
					err = s.checkpoint()
					continue
				}
				key, value := fmt.Sprint(rnd.IntN(30)), fmt.Sprint(n)
				then := maps.Clone(acked)
				if then[key] = value; rnd.IntN(4) == 0 {
					value = ""
					delete(then, key)
				}
				if err = s.put(key, value); err == nil {
					acked = then
				} else if errors.Is(err, wal.ErrUnknown) {
					maybe = then
					unknown++
				} else if errors.Is(err, wal.ErrRefused) && !errors.Is(err, waltest.ErrDead) {
					err = nil
				}
			}
			s.disk = s.disk.Cut(waltest.KeepSome)
			s.log, s.stack = nil, nil
		}
		if err := s.open(t); err != nil {
			t.Fatal(err)
		}
		settle()
	}
	if unknown < 20 || kept == 0 {
		t.Errorf("%d appends of unknown outcome, of which %d were kept", unknown, kept)
	}
}
