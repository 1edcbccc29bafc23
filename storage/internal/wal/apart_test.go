package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
	"carillon/storage/storagetest"
)

// apartFiles are the files of the disk that have records which were moved apart.
func apartFiles(b *diskBench) (names []string) {
	all, _ := b.disk.List()
	for _, name := range all {
		if strings.HasSuffix(name, ".apart") {
			names = append(names, name)
		}
	}
	return names
}

// TestG24_ALostVolumesRecordsAreMovedApart: a volume that is not trimmed fills the log. Once
// its records were moved apart the others go on without end, through crashes, in segments that
// are used again. Its records are all there, take no more than they are, and go when they are
// trimmed.
func TestG24_ALostVolumesRecordsAreMovedApart(t *testing.T) {
	b, w := newBench(t), waltest.NewWitness()
	b.opts.MaxLength = 4 * int64(b.opts.SegmentSize)
	log := b.open(t)
	spoil(t, log, w, 0, 1, 1)
	w.Append(t, log, w.Next(1, 9000)) // two segments have some
	for err := error(nil); !errors.Is(err, wal.ErrFull); {
		err = w.Append(t, log, w.Next(0, 100))[0]
		w.TrimBy(t, log, 0, 1)
	}
	for round := range 3 {
		if err := log.MoveApart(1); err != nil {
			t.Fatal(err)
		}
		for range 40 {
			if err := w.Append(t, log, w.Next(0, 5000))[0]; err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			w.TrimBy(t, log, 0, 1)
		}
		w.CheckAll(t, log)
		if volumes, length := log.Oldest(); length > b.opts.MaxLength || len(volumes) != 1 || volumes[0] != 0 {
			t.Errorf("round %d: a log of %d bytes is held back by %v", round, length, volumes)
		}
		names := apartFiles(b)
		if len(names) != 1 || len(b.disk.Bytes(names[0])) > 16<<10 {
			t.Errorf("round %d: 3 records of 9 KB are in %v", round, names)
		}
		b.Crash(t)
		log = b.open(t)
		w.Reopened()
		w.CheckAll(t, log)
		if err := errors.Join(w.Claim(t, log, 0), w.Append(t, log, w.Next(0, 100))[0]); err != nil {
			t.Fatal(err)
		}
		w.TrimBy(t, log, 0, 1)
	}
	if err := w.Claim(t, log, 1); err != nil { // it is whole again
		t.Fatal(err)
	}
	w.Append(t, log, w.Next(1, 100))
	w.CheckAll(t, log)
	if volumes, _ := log.Oldest(); len(volumes) != 2 && len(apartFiles(b)) != 1 {
		t.Errorf("its new records are in a segment: %v", volumes)
	}
	if err := log.MoveApart(1); err != nil { // and lost again
		t.Fatal(err)
	}
	spoil(t, log, w, 0)
	if names := apartFiles(b); len(names) != 1 {
		t.Errorf("moved once more, it is in %v", names)
	}
	w.CheckAll(t, log)
	w.TrimBy(t, log, 1, 1)
	w.CheckAll(t, log)
	w.TrimBy(t, log, 1, 0)
	spoil(t, log, w, 0)
	if names := apartFiles(b); len(names) != 0 {
		t.Errorf("all was trimmed, and there are %v", names)
	}
	b.Crash(t)
	log = b.open(t)
	w.Reopened()
	w.CheckAll(t, log)
	spoil(t, log, w, 0, 1)
	w.TrimBy(t, log, 1, 0)
	spoil(t, log, w, 0)
	if names := apartFiles(b); len(names) != 0 { // that they are gone may not have been durable
		t.Errorf("all was trimmed, and again there are %v", names)
	}
}

// playApart is a life in which volume 1 is lost, and moved apart twice, while the others fill
// the log, are trimmed, and write over what they have left.
func playApart(t *testing.T, b *diskBench, w *waltest.Witness) (dead bool) {
	b.opts.Disk = b.disk
	log, err := wal.OpenFile("", b.opts)
	if err != nil {
		return errors.Is(err, waltest.ErrDead)
	}
	died := func(err error) bool {
		dead = dead || errors.Is(err, waltest.ErrDead)
		return dead
	}
	for _, id := range []wal.Volume{0, 1} {
		if died(w.Claim(t, log, id)) {
			return true
		}
	}
	for i := range 24 {
		var recs []wal.Record
		for id := range wal.Volume(2) {
			if !w.Claimed(id) && died(w.Claim(t, log, id)) {
				return true
			}
			if w.Claimed(id) && (id == 0 || i < 3 || i == 13) {
				recs = append(recs, w.Next(id, 3000*(i%3)))
			}
		}
		for _, err := range w.Append(t, log, recs...) {
			if died(err) {
				return true
			}
		}
		if i == 5 || i == 14 {
			if died(log.MoveApart(1)) {
				return true
			}
		}
		w.TrimBy(t, log, 0, 1)
	}
	return died(log.Close())
}

// TestG24_RecordsMovedApartAtEveryCrash: the process is killed, or the power fails, at every
// call of the disk while records are moved apart, and what they leave is used again: all that
// was acknowledged is there, and stays.
func TestG24_RecordsMovedApartAtEveryCrash(t *testing.T) {
	lives := func(fate func(waltest.Call) waltest.Fate, seed uint64) (*diskBench, *waltest.Witness, bool) {
		b, w := newBench(t), waltest.NewWitness()
		b.opts.Spare = 1
		b.disk = waltest.NewDisk(seed)
		b.disk.Fate = fate
		dead := playApart(t, b, w)
		return b, w, dead
	}
	b, _, _ := lives(nil, 1)
	n := b.disk.Calls()
	for k := 1; k <= n; k++ {
		for _, death := range storagetest.Some(3, deaths) {
			b, w, dead := lives(at(k, 1, waltest.Die), uint64(k))
			if !dead {
				t.Fatalf("call %d: it has outlived its death", k)
			}
			b.disk = death.cut(b.disk)
			log := b.open(t)
			w.Reopened()
			w.CheckAll(t, log)
			if err := log.MoveApart(1); err != nil { // as the next owner will
				t.Fatal(err)
			}
			w.CheckAll(t, log)
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			verify(t, b, w)
		}
		for _, many := range []int{1, 3} {
			b, w, _ := lives(at(k, many, waltest.Fail), uint64(k))
			b.disk = b.disk.Cut(waltest.KeepSome)
			verify(t, b, w)
		}
	}
	t.Logf("%d calls", n)
}

// movedApart is a log in which the only records of volume 1 are apart: 5 of them, and their
// segments have been used again.
func movedApart(t *testing.T) (*diskBench, *waltest.Witness) {
	b, w := newBench(t), waltest.NewWitness()
	b.opts.Spare = 1
	log := b.open(t)
	spoil(t, log, w, 0, 1, 1, 1, 1, 1)
	if err := log.MoveApart(1); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		spoil(t, log, w, 0)
		w.TrimBy(t, log, 0, 1)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if names := apartFiles(b); len(names) != 1 {
		t.Fatalf("there are %v", names)
	}
	b.disk = b.disk.Copy()
	return b, w
}

// TestG37_EveryByteOfAFileMovedApart: with any byte of the file changed, or any block of it
// unreadable, cut off or removed, the volume shows all or says where the damage is, and no other one has any.
func TestG37_EveryByteOfAFileMovedApart(t *testing.T) {
	b, _ := movedApart(t)
	name := apartFiles(b)[0]
	want, err := read(t, b.open(t), 1, 1)
	if err != nil || len(want) != 5 {
		t.Fatal(len(want), err)
	}
	b.disk = b.disk.Copy()
	try := func(what string, must bool, harm func(*waltest.Disk)) {
		t.Helper()
		f, w := movedApart(t)
		harm(f.disk)
		for life := range 2 { // it is told again
			log := f.open(t)
			got, err := read(t, log, 1, 1)
			for i := range got {
				if !bytes.Equal(got[i].Data, want[i].Data) || got[i].Epoch != want[i].Epoch {
					t.Fatalf("%s: record %d is another one", what, i+1)
				}
			}
			if must || len(got) < len(want) || err != nil {
				wantDamage(t, err)
			}
			w.Check(t, log, 0)
			w.Reopened()
			if err := w.Claim(t, log, 0); err != nil {
				t.Fatal(err)
			}
			for range 4 + life {
				spoil(t, log, w, 0)
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
		}
		log := f.open(t)
		_, err := read(t, log, 1, 1)
		if err == nil {
			return
		}
		if err := log.Salvage(1); err != nil && !errors.Is(err, wal.ErrRefused) { // data alone is looked at by reads
			t.Fatalf("%s: %v", what, err)
		}
		c := mustClaim(t, log, 1)
		log.Trim(c, c.Last-1)
		w.Reopened()
		spoil(t, log, w, 0)
		if names := apartFiles(f); len(names) > 0 {
			t.Errorf("%s: salvaged, and there is %v", what, names)
		}
		log.Close()
		if recs, err := read(t, f.open(t), 1, c.Last); err != nil || len(recs) != 1 {
			t.Errorf("%s: salvaged, it shows %d, %v", what, len(recs), err)
		}
	}
	data := b.disk.Bytes(name)
	end := len(bytes.TrimRight(data, "\x00"))
	for at := 0; at < end; at += 1 + 6*(at/300) {
		try(fmt.Sprint("byte ", at), true, func(d *waltest.Disk) { d.Spoil(name, func(data []byte) { data[at] ^= 4 }) })
	}
	for bad := int64(0); bad < int64(len(data)); bad += 4096 {
		try(fmt.Sprint("block ", bad), bad == 0, func(d *waltest.Disk) {
			d.Unreadable = func(file string, at, size int64) bool { return file == name && at < bad+4096 && at+size > bad }
		})
	}
	try("removed", true, func(d *waltest.Disk) { _ = d.Remove(name) })
}

// TestG24_DamageGoesApartToo: what is damaged in the segments is so in the file that the records are moved to,
// and no more.
func TestG24_DamageGoesApartToo(t *testing.T) {
	for what, harm := range map[string]func(*waltest.Disk){
		"data":  func(d *waltest.Disk) { d.Spoil("000001.log", func(data []byte) { data[3*4096+150] ^= 1 }) },
		"entry": func(d *waltest.Disk) { d.Spoil("000001.log", func(data []byte) { data[3*4096+20] ^= 1 }) },
		"block": func(d *waltest.Disk) {
			d.Unreadable = func(file string, at, size int64) bool {
				return file == "000001.log" && at < 4*4096 && at+size > 3*4096
			}
		},
	} {
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		spoil(t, log, w, 1, 1, 1, 1, 1, 1, 0) // the fourth batch has record 4 of volume 1
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		b.disk = b.disk.Copy()
		harm(b.disk)
		log = b.open(t)
		w.Reopened()
		seen := func() string {
			t.Helper()
			recs, err := read(t, log, 1, 1)
			wantDamage(t, err)
			_, behind := read(t, log, 1, uint64(len(recs))+2)
			last, n, bytes := log.Behind(1, uint64(len(recs)))
			return fmt.Sprint(len(recs), behind, last, n, bytes)
		}
		want := seen()
		if err := log.MoveApart(1); err != nil {
			t.Fatal(err)
		}
		for life := range 3 {
			if got := seen(); got != want {
				t.Errorf("%s: life %d: it was %s, moved apart it is %s", what, life, want, got)
			}
			for i := range 10 {
				spoil(t, log, w, 0)
				if i > 0 {
					w.TrimBy(t, log, 0, 1)
				}
			}
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			b.disk = b.disk.Copy()
			log = b.open(t)
			w.Reopened()
		}
	}
}

// TestG24_MovedApartWhileOthersAppend: what is appended, trimmed, read and claimed meanwhile
// is not harmed, and a Close waits.
func TestG24_MovedApartWhileOthersAppend(t *testing.T) {
	for range 20 {
		b, w := newBench(t), waltest.NewWitness()
		log := b.open(t)
		spoil(t, log, w, 0, 1, 2)
		var wg sync.WaitGroup
		for id := range wal.Volume(3) {
			wg.Go(func() {
				for range 5 {
					if err := log.MoveApart(id); err != nil && !errors.Is(err, wal.ErrClosed) {
						t.Error(err)
					}
				}
			})
		}
		for range 10 {
			spoil(t, log, w, 0, 1, 2)
			w.TrimBy(t, log, 0, 1)
			w.TrimBy(t, log, 1, 3)
			w.CheckAll(t, log)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		b.disk = b.disk.Cut(waltest.KeepSome)
		w.Reopened()
		w.CheckAll(t, b.open(t))
	}
}
