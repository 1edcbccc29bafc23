package wal_test

import (
	"errors"
	"slices"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// TestG24_SalvageAcceptsTheLoss: a volume that is damaged can be given up, and no other.
// It goes on with numbers and epochs that no lost record had, also after a crash, and when
// the segment with the damage is gone.
func TestG24_SalvageAcceptsTheLoss(t *testing.T) {
	for _, tt := range []struct {
		segment int
		damaged []wal.Volume
	}{
		{16 << 10, []wal.Volume{0}},       // the directory of the next segment shows that 2 is whole
		{32 << 10, []wal.Volume{0, 2, 7}}, // there is none: 7 may have been there
	} {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.SegmentSize = tt.segment
		log := b.open(t)
		spoil(t, log, w, 0, 1, 2, 0, 1, 0, 0, 0)
		b.disk = b.disk.Copy()
		b.disk.Spoil("000001.log", func(data []byte) { data[3*4096+20] ^= 1 }) // a record of volume 0; 2 is quiet
		log = b.open(t)
		w.Reopened()
		claims := map[wal.Volume]wal.Claim{}
		for _, id := range []wal.Volume{0, 1, 2, 7} {
			_, err := read(t, log, id, 1)
			if !slices.Contains(tt.damaged, id) {
				if err := log.Salvage(id); !errors.Is(err, wal.ErrRefused) {
					t.Errorf("volume %d is not damaged: %v", id, err)
				}
				continue
			}
			wantDamage(t, err)
			if err := log.Salvage(id); err != nil {
				t.Fatal(err)
			}
			c := mustClaim(t, log, id)
			if last := w.Next(id, 1).Seq - 1; c.Last <= max(last, 8) || c.Epoch <= 8 {
				t.Errorf("volume %d goes on with %d of epoch %d, it had %d", id, c.Last, c.Epoch, last)
			}
			if err := log.Append(wal.Record{Volume: id, Epoch: c.Epoch, Seq: c.Last + 1, Data: []byte("new")})[0]; err != nil {
				t.Fatal(err)
			}
			claims[id] = c
		}
		check := func() {
			t.Helper()
			for id, c := range claims {
				if recs, err := read(t, log, id, c.Last); err != nil || len(recs) < 2 || string(recs[1].Data) != "new" {
					t.Errorf("volume %d: %v, %v", id, recs, err)
				}
			}
			w.Check(t, log, 1)
		}
		check()
		for range 2 {
			b.Crash(t)
			log = b.open(t)
			w.Reopened()
			check()
			for id := range claims {
				if err := log.Trim(mustClaim(t, log, id), claims[id].Last-1); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 30 {
				spoil(t, log, w, 1)
				if i > 0 {
					w.TrimBy(t, log, 1, 1)
				}
			}
			check()
		}
	}
}

func mustClaim(t *testing.T, log wal.Log, id wal.Volume) wal.Claim {
	t.Helper()
	c, err := log.Claim(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
