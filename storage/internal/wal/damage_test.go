package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
	"carillon/storage/storagetest"
)

// read reads all of a volume.
func read(t *testing.T, log wal.Log, id wal.Volume, from uint64) (recs []wal.Record, err error) {
	t.Helper()
	for rec, err := range log.Read(t.Context(), id, from) {
		if err != nil {
			return recs, err
		}
		recs = append(recs, rec)
	}
	return recs, nil
}

// wantDamage fails the test unless the error names a file and an offset.
func wantDamage(t *testing.T, err error) {
	t.Helper()
	if d, ok := errors.AsType[*wal.Damage](err); !ok || d.File == "" || !errors.Is(err, wal.ErrDamaged) {
		t.Errorf("%v, want a damage that names its place", err)
	}
}

// TestG37_EveryByteOfALogFlipped: with any byte of a log changed, a volume shows all that
// was acknowledged or says where the damage is; it does not end early, and shows nothing
// that was not written. Only the records of the very last batch may be missing without a
// word, if the log was not closed: that cannot be told from a crash.
func TestG37_EveryByteOfALogFlipped(t *testing.T) {
	for _, closed := range []bool{false, true} {
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		for i := range 6 {
			var recs []wal.Record
			for id := range wal.Volume(3) {
				if i == 0 {
					if err := w.Claim(t, log, id); err != nil {
						t.Fatal(err)
					}
				}
				if i != 4 || id == 1 {
					recs = append(recs, w.Next(id, 50+700*i*int(id)))
				}
			}
			w.Append(t, log, recs...)
		}
		if closed {
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		}
		b.disk = b.disk.Copy()
		want := map[wal.Volume][]wal.Record{}
		for id := range wal.Volume(3) {
			want[id], _ = read(t, b.open(t), id, 1)
			b.disk = b.disk.Copy()
		}
		names, _ := b.disk.List()
		flips, damaged, short := 0, 0, 0
		for _, name := range names {
			end := len(bytes.TrimRight(b.disk.Bytes(name), "\x00"))
			for at := 0; at < end; at++ {
				if at%4096 > 200 && (at%3 != 0 || !storagetest.All() && at%47 != 0) {
					continue
				}
				flipped := b.disk.Copy()
				flipped.Spoil(name, func(data []byte) { data[at] ^= byte(1 << (at % 8)) })
				f := &diskBench{flipped, b.opts}
				log := f.open(t)
				flips++
				for id, want := range want {
					got, err := read(t, log, id, 1)
					if len(got) > len(want) {
						t.Fatalf("%s: byte %d: volume %d shows %d records of %d", name, at, id, len(got), len(want))
					}
					for i := range got {
						if !bytes.Equal(got[i].Data, want[i].Data) || got[i].Epoch != want[i].Epoch {
							t.Fatalf("%s: byte %d: volume %d shows another record %d", name, at, id, i+1)
						}
					}
					switch {
					case err != nil:
						damaged++
						wantDamage(t, err)
					case len(got) == len(want):
					case closed || len(got) < len(want)-1:
						t.Fatalf("%s: byte %d: volume %d ends after %d records of %d", name, at, id, len(got), len(want))
					default:
						short++
					}
				}
				log.Close()
			}
		}
		if flips < 1000 || damaged < 500 || closed != (short == 0) {
			t.Errorf("%d flips, %d damages, %d volumes end early", flips, damaged, short)
		}
		t.Logf("closed %v: %d flips, %d damages, %d volumes end early", closed, flips, damaged, short)
	}
}

// TestG37_AnyBlockOfALogUnreadable: with any block of a log that cannot be read, be it
// used or not, the log says so when it is opened, or a volume shows all that was
// acknowledged or says where the damage is. None ends early, closed or not.
func TestG37_AnyBlockOfALogUnreadable(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	log := b.open(t)
	spoil(t, log, w, 0, 1, 2)
	for i := range 15 {
		if i == 9 {
			w.TrimBy(t, log, 0, 0)
			w.TrimBy(t, log, 1, 0)
			w.TrimBy(t, log, 2, 0)
		}
		w.Append(t, log, w.Next(0, 5000*(i%2)), w.Next(wal.Volume(1+i%2), 100))
	}
	b.disk = b.disk.Copy()
	want := map[wal.Volume][]wal.Record{}
	log = b.open(t)
	for id := range wal.Volume(3) {
		want[id], _ = read(t, log, id, w.Trimmed(id)+1)
	}
	names, _ := b.disk.List()
	refused, damaged, shown := 0, 0, 0
	for _, name := range names {
		for bad := int64(0); bad < int64(b.opts.SegmentSize); bad += 4096 {
			f := &diskBench{b.disk.Copy(), b.opts}
			f.disk.Unreadable = func(file string, at, size int64) bool {
				return file == name && at < bad+4096 && at+size > bad
			}
			f.opts.Disk = f.disk
			log, err := wal.OpenFile("", f.opts)
			if err != nil {
				refused++
				wantDamage(t, err)
				continue
			}
			for id, want := range want {
				got, err := read(t, log, id, w.Trimmed(id)+1)
				if err != nil {
					damaged++
					wantDamage(t, err)
				} else if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%s, block at %d: volume %d shows %d records, want %d", name, bad, id, len(got), len(want))
				} else {
					shown++
				}
			}
			if err := log.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if refused == 0 || damaged == 0 || shown == 0 {
		t.Errorf("%d refused, %d volumes damaged, %d shown", refused, damaged, shown)
	}
	t.Logf("%d segments: %d times refused, %d volumes damaged, %d shown", len(names), refused, damaged, shown)
}

// spoil appends batches with one record each, of these volumes: a claim if none is in force.
func spoil(t *testing.T, log wal.Log, w *waltest.Witness, ids ...wal.Volume) {
	t.Helper()
	for _, id := range ids {
		if !w.Claimed(id) {
			if err := w.Claim(t, log, id); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := w.Append(t, log, w.Next(id, 100))[0]; err != nil {
			t.Fatal(err)
		}
	}
}

// TestG24_DamageOfALogIsThatOfItsVolumes: a record that is damaged stops the volume whose
// it is. A batch that cannot be read stops those which may have had a record in it, and no
// other; and they stay stopped, though the rest of the log goes on for ever.
func TestG24_DamageOfALogIsThatOfItsVolumes(t *testing.T) {
	// Batches: 0-2 claims, 3 volume 0, 4 volume 1, 5 volume 0. Volume 2 is quiet.
	for _, tt := range []struct {
		what    string
		at      int // offset in batch 3
		damaged map[wal.Volume]bool
	}{
		{"data", 64 + 32 + 10, map[wal.Volume]bool{0: true}},
		{"header", 20, map[wal.Volume]bool{0: true, 2: true}},
		{"entry", 64 + 10, map[wal.Volume]bool{0: true, 2: true}},
	} {
		t.Run(tt.what, func(t *testing.T) {
			b, w := newBench(t), waltest.NewWitness()
			b.opts.SegmentSize = 32 << 10
			log := b.open(t)
			spoil(t, log, w, 0, 1, 2, 0, 1, 0)
			b.disk = b.disk.Copy()
			b.disk.Spoil("000001.log", func(data []byte) { data[3*4096+tt.at] ^= 1 })
			check := func() {
				t.Helper()
				for id := range wal.Volume(3) {
					recs, err := read(t, log, id, w.Trimmed(id)+1)
					if !tt.damaged[id] {
						w.Check(t, log, id)
						continue
					}
					wantDamage(t, err)
					if id == 0 && len(recs) != 1 || id == 2 && len(recs) != 1 {
						t.Errorf("volume %d shows %d records before the damage", id, len(recs))
					}
					_, err = log.Claim(t.Context(), id)
					if id == 2 {
						wantDamage(t, err) // how many it has cannot be told
					}
				}
			}
			log = b.open(t)
			w.Reopened()
			check()
			for i := range 50 {
				spoil(t, log, w, 1)
				if i > 0 {
					w.TrimBy(t, log, 1, 1)
				}
			}
			check()
			b.Crash(t)
			log = b.open(t)
			w.Reopened()
			check()
		})
	}
}

// TestG37_ALostSegmentIsDamage: a segment that is missing, or empty, or cut off, is known
// to be missing if a later one is there.
func TestG37_ALostSegmentIsDamage(t *testing.T) {
	for _, how := range []string{"removed", "empty", "zeroed", "cut off"} {
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		spoil(t, log, w, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		b.disk = b.disk.Copy()
		if how == "removed" {
			b.disk.Remove("000002.log")
		} else {
			b.disk.Spoil("000002.log", func(data []byte) { clear(data) })
			if how != "zeroed" {
				b.disk.Truncate("000002.log", map[string]int{"empty": 0, "cut off": 4096}[how])
			}
		}
		log = b.open(t)
		recs, err := read(t, log, 0, 1)
		if len(recs) != 3 {
			t.Errorf("%s: %d records before the damage", how, len(recs))
		}
		wantDamage(t, err)
		w.Check(t, log, 1)
		if recs, err := read(t, log, 0, 8); err != nil || len(recs) == 0 {
			t.Errorf("%s: behind the damage: %d records, %v", how, len(recs), err)
		}
	}
}

// TestG23_LogsAreToldApart: a log is open once, and a segment of another one is refused.
func TestG23_LogsAreToldApart(t *testing.T) {
	b := newBench(t)
	log := b.open(t)
	spoil(t, log, waltest.NewWitness(), 0, 0)
	if _, err := wal.OpenFile("", b.opts); !errors.Is(err, wal.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	opts := b.opts
	opts.ID++
	if _, err := wal.OpenFile("", opts); !errors.Is(err, wal.ErrForeign) {
		t.Errorf("opened as another log: %v", err)
	}
	if err := b.open(t).Close(); err != nil {
		t.Error(err) // what was refused has locked nothing
	}
}

// TestG1_WhatALogGaveUpDoesNotComeBack: a batch whose sync has failed is decided not to be
// in the log by the claim that follows, and is not read from the disk ever after, though
// it is whole there: neither behind a shorter batch, nor from a segment that was given up.
func TestG1_WhatALogGaveUpDoesNotComeBack(t *testing.T) {
	for _, at := range []int{1, 2, 3} { // batches before it: in a segment, as its last, as the first of one
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		spoil(t, log, w, 0)
		for range at {
			spoil(t, log, w, 0)
		}
		b.FailNext(true)
		rec := w.Next(0, 3000)
		if err := w.Append(t, log, rec)[0]; !errors.Is(err, wal.ErrUnknown) {
			t.Fatal(err)
		}
		b.Heal()
		if err := w.Claim(t, log, 0); err != nil {
			t.Fatal(err)
		}
		recs, _ := read(t, log, 0, 1)
		for _, r := range recs {
			if bytes.Equal(r.Data, rec.Data) {
				t.Fatal("the log shows what it could not sync")
			}
		}
		b.disk = b.disk.Cut(waltest.KeepAll)
		log = b.open(t)
		w.Reopened()
		w.CheckAll(t, log)
		spoil(t, log, w, 0, 0)
		b.disk = b.disk.Cut(waltest.KeepAll)
		w.CheckAll(t, b.open(t))
	}
}

// TestG1_StaleBatchesAreNotTakenForNew: what an earlier use of a segment has left, whole
// and with good sums, is no part of the log.
func TestG1_StaleBatchesAreNotTakenForNew(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	log := b.open(t)
	for i := range 60 {
		for range 10 + i%13 { // segments are used again within a life
			spoil(t, log, w, 0)
			w.TrimBy(t, log, 0, 1)
		}
		b.disk = b.disk.Cut(waltest.KeepAll)
		log = b.open(t)
		w.Reopened()
		w.CheckAll(t, log)
	}
	names, _ := b.disk.List()
	if len(names) > 5 {
		t.Errorf("60 lives of records that were trimmed are in %d segments: %v", len(names), names)
	}
}

// TestG23_ASpareSegmentThatVanished: what is written to it would be gone with the process.
func TestG23_ASpareSegmentThatVanished(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	log := b.open(t)
	for range 13 { // four to a segment
		spoil(t, log, w, 0)
		w.TrimBy(t, log, 0, 0)
	}
	if err := b.disk.Remove("000001.log"); err != nil {
		t.Fatal(err)
	}
	for range 12 {
		if err := w.Append(t, log, w.Next(0, 100))[0]; err != nil {
			if !errors.Is(err, wal.ErrReplaced) {
				t.Error(err)
			}
			b.disk = b.disk.Kill()
			w.CheckAll(t, b.open(t))
			return
		}
	}
	t.Error("it was not noticed")
}

// TestG1_ASegmentIsNeededUntilTheDiskSaysItIsNot: a segment that was trimmed is written
// over when a batch that says so is durable. A power cut before that finds it as it was.
func TestG1_ASegmentIsNeededUntilTheDiskSaysItIsNot(t *testing.T) {
	for seed := range uint64(20) {
		b, w := newBench(t), waltest.NewWitness()
		b.disk = waltest.NewDisk(seed)
		log := b.open(t)
		spoil(t, log, w, 0)
		for range 11 { // four to a segment
			spoil(t, log, w, 0)
		}
		w.TrimBy(t, log, 0, 1)
		b.disk.SetFate(func(c waltest.Call) waltest.Fate {
			if c.Name == "datasync" {
				return waltest.Die
			}
			return waltest.Succeed
		})
		w.Append(t, log, w.Next(0, 9000))
		b.disk = b.disk.Cut(waltest.KeepSome)
		log = b.open(t)
		w.CheckAll(t, log)
		if recs, err := read(t, log, 0, 1); len(recs) < 12 && !errors.Is(err, wal.ErrTrimmed) {
			t.Errorf("%d records, %v", len(recs), err)
		}
	}
}
