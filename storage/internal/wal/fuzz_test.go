package wal_test

import (
	"errors"
	"hash/crc32"
	"testing"

	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// seal makes the header sums of what begins like a batch right, so that a fuzzer gets
// behind them.
func seal(data []byte) {
	u32 := func(at int) int {
		return int(data[at]) | int(data[at+1])<<8 | int(data[at+2])<<16 | int(data[at+3])<<24
	}
	for at := 0; at+64 <= len(data); at += 4096 {
		if end := at + 64 + u32(at+56)*32; end > at && end <= len(data) {
			sum := crc32.Checksum(data[at+8:end], crc32.MakeTable(crc32.Castagnoli))
			data[at+4], data[at+5], data[at+6], data[at+7] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
		}
	}
}

// FuzzOpen: whatever the segments hold, with sums that are right or not, the log opens, or
// says why not; what is read ends, in an error that is damage or in none; and what is
// appended then is there.
func FuzzOpen(f *testing.F) {
	b, w := &diskBench{waltest.NewDisk(1), small}, waltest.NewWitness()
	log := b.open(f)
	for i := range 12 {
		id := wal.Volume(i % 3)
		if !w.Claimed(id) {
			_ = w.Claim(f, log, id)
		} else {
			w.Append(f, log, w.Next(id, 900*i))
		}
	}
	names, _ := b.disk.List()
	for i, name := range names {
		f.Add(b.disk.Bytes(name), b.disk.Bytes(names[(i+1)%len(names)]), i%2 == 0)
	}
	f.Fuzz(func(t *testing.T, one, two []byte, right bool) {
		disk := waltest.NewDisk(1)
		for name, data := range map[string][]byte{"000001.log": one, "000002.log": two} {
			data = append([]byte(nil), data[:min(len(data), 64<<10)]...)
			if right {
				seal(data)
			}
			if len(data) == 0 {
				continue
			}
			file, _ := disk.Create(name)
			_, _ = file.WriteAt(data, 0)
			_ = file.Sync()
		}
		_ = disk.Sync()
		b := &diskBench{disk, small}
		b.opts.Disk = disk
		log, err := wal.OpenFile("", b.opts)
		if err != nil {
			if !errors.Is(err, wal.ErrForeign) {
				t.Fatal(err)
			}
			return
		}
		for id := range wal.Volume(4) {
			n := 0
			for _, err := range log.Read(t.Context(), id, 1) {
				if n++; n > 1<<21 {
					t.Fatal("it does not end")
				}
				if err != nil && !errors.Is(err, wal.ErrDamaged) && !errors.Is(err, wal.ErrTrimmed) {
					t.Fatal(err)
				}
			}
			claim, err := log.Claim(t.Context(), id)
			if err != nil {
				continue
			}
			rec := wal.Record{Volume: id, Epoch: claim.Epoch, Seq: claim.Last + 1, Data: []byte("data")}
			if err := log.Append(rec)[0]; err != nil {
				t.Fatal(err)
			}
			found := false
			for _, err := range log.Read(t.Context(), id, rec.Seq) {
				if err != nil {
					t.Fatal(err)
				}
				found = true
			}
			if !found {
				t.Fatal("what was appended is not there")
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
