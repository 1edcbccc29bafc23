package kv_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// BenchmarkReplay opens a log, and joins a volume, with the longest tail that there may be: a
// volume has all the memory of a store, its checkpoints fail, and it was written to until it
// had no room. Small records have a block of the log each, as those of a lone caller do.
func BenchmarkReplay(b *testing.B) {
	for _, tt := range []struct {
		name         string
		writes, keys int // of a record; and of all
	}{
		{"records of one key", 1, 1},
		{"records of one new key", 1, 1 << 30},
		{"records of 1000 keys, the same", 1000, 1000},
		{"records of 1000 keys, some of many", 1000, 300_000},
	} {
		b.Run(tt.name, func(b *testing.B) {
			dir := b.TempDir()
			path := filepath.Join(dir, "volume.db")
			log, err := wal.OpenFile(dir, wal.Options{NoSync: true})
			err = errors.Join(err, kv.Create(path, func(*kv.Fresh) error { return nil }))
			if err != nil {
				b.Fatal(err)
			}
			made := false
			db, err := kv.Open(path, kv.Options{NoSync: true, Fault: func(string) error {
				if made {
					return errInjected
				}
				return nil
			}})
			if err == nil {
				err = errors.Join(db.Join(b.Context(), log, 0), db.Claim(b.Context(), 64<<20))
			}
			if err != nil {
				b.Fatal(err)
			}
			made = true
			records, next := 0, 0
			for ; err == nil; records++ {
				err = db.Update(func(tx *kv.Txn) (err error) {
					for range tt.writes {
						err = errors.Join(err, tx.Put(kv.Data, fmt.Appendf(nil, "%08d", next%tt.keys), nil))
						next += 7
					}
					return err
				})
			}
			if !errors.Is(err, kv.ErrNoRoom) {
				b.Fatal(err)
			}
			if err := errors.Join(db.Abandon(), log.Close()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				log, err := wal.OpenFile(dir, wal.Options{ReadOnly: true})
				if err != nil {
					b.Fatal(err)
				}
				db, err := kv.Open(path, kv.Options{ReadOnly: true})
				if err == nil {
					err = errors.Join(db.Join(b.Context(), log, 0), db.Abandon(), log.Close())
				}
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(records-1), "records")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/open")
		})
	}
}
