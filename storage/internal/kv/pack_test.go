package kv_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// mustLog opens the log of a store in dir.
func mustLog(tb testing.TB, dir string) *kv.Log {
	tb.Helper()
	log, err := kv.OpenLog(dir, 7, kv.Options{NoSync: true})
	if err == nil {
		err = log.Make()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { log.Close() })
	return log
}

// noise is what cannot be compressed.
func noise(size int) []byte {
	b, rnd := make([]byte, size), rand.NewChaCha8([32]byte{1})
	_, _ = rnd.Read(b)
	return b
}

// TestG1_ARecordIsReadAsItWasAppended: whether it was compressed or not, from the log that
// has it and from one that is opened anew; what is large and says one thing takes little room.
func TestG1_ARecordIsReadAsItWasAppended(t *testing.T) {
	text := func(size int) []byte { return bytes.Repeat([]byte("one thing "), size/10+1)[:size] }
	records := [][]byte{
		text(1), text(1499), text(1500), text(1501), text(300_000), text(3 << 20),
		noise(1499), noise(1500), noise(300_000), append(noise(2000), text(2000)...), text(20),
	}
	for _, r := range records {
		r[0] = 1 // as the version of a record
	}
	dir := t.TempDir()
	log := mustLog(t, dir)
	claim, err := log.Claim(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	before := log.Stats().Bytes
	for i, r := range records {
		rec := wal.Record{Volume: 3, Epoch: claim.Epoch, Seq: claim.Last + 1 + uint64(i), Data: bytes.Clone(r)}
		given := []wal.Record{rec}
		if err := log.Append(given...)[0]; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(given[0].Data, r) {
			t.Errorf("record %d was changed", i)
		}
	}
	if n := log.Stats().Bytes - before; n > 2<<20 {
		t.Errorf("they take %d bytes of the log", n)
	}
	for life := range 2 {
		i := 0
		for rec, err := range log.Read(t.Context(), 3, claim.Last+1) {
			if err != nil || !bytes.Equal(rec.Data, records[i]) {
				t.Fatalf("life %d: record %d is %d bytes, %v, want %d", life, i, len(rec.Data), err, len(records[i]))
			}
			i++
		}
		if i != len(records) {
			t.Errorf("life %d: there are %d records", life, i)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		log = mustLog(t, dir)
	}
}

// TestG37_ARecordThatCannotBeUnpacked: it is damage, as is one that would be larger than any
// record, and one of that size is not taken, however little room it took.
func TestG37_ARecordThatCannotBeUnpacked(t *testing.T) {
	log := mustLog(t, t.TempDir())
	for volume, data := range [][]byte{{0xb2}, {0xb2, 0x05, 0xff, 0xff}, {0xb2, 0x81, 0x80, 0x80, 0x20, 0x00}} {
		v := kv.Volume(volume)
		claim, err := log.Claim(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		if err := log.Append(wal.Record{Volume: v, Epoch: claim.Epoch, Seq: claim.Last + 1, Data: data})[0]; err != nil {
			t.Fatal(err)
		}
		var found error
		for _, err := range log.Read(t.Context(), v, claim.Last+1) {
			found = err
		}
		if !errors.Is(found, kv.ErrDamaged) || !strings.Contains(found.Error(), "is not compressed as it should be") {
			t.Errorf("%x: %v", data, found)
		}
		large := wal.Record{Volume: v, Epoch: claim.Epoch, Seq: claim.Last + 2, Data: make([]byte, log.MaxRecord()+1)}
		if err := log.Append(large)[0]; !errors.Is(err, kv.ErrRefused) {
			t.Errorf("a record that is too large: %v", err)
		}
	}
}

// TestG1_WhatIsPackedIsReplayed: what a volume has in its log only, compressed, is shown when
// it is opened again.
func TestG1_WhatIsPackedIsReplayed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "volume.db")
	if err := kv.Create(path, func(*kv.Fresh) error { return nil }); err != nil {
		t.Fatal(err)
	}
	want := table{"text": strings.Repeat("one thing ", 1000), "noise": string(noise(10_000)), "small": "1"}
	for life := range 3 {
		log := mustLog(t, dir)
		db, err := kv.Open(path, kv.Options{NoSync: true})
		if err == nil {
			if err = db.Join(t.Context(), log, 0); err == nil {
				err = db.Claim(t.Context(), 16*share) // so that nothing is copied, and all is replayed
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		if life == 0 {
			for k, v := range want {
				if err := db.Update(func(tx *kv.Txn) error { return tx.Put(kv.Data, []byte(k), []byte(v)) }); err != nil {
					t.Fatal(err)
				}
			}
		}
		pin, err := db.Begin()
		if err != nil {
			t.Fatal(err)
		}
		if got := pinned(t, pin); len(got) != len(want) || got["text"] != want["text"] || got["noise"] != want["noise"] || got["small"] != "1" {
			t.Errorf("life %d: it shows %d rows", life, len(got))
		}
		pin.Close()
		if err := errors.Join(db.Abandon(), log.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
