package kv_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
)

// BenchmarkReplay opens a log and joins a volume that has it all to replay: small records, each
// in a block of its own, as those of a lone caller are, of one key or of ever new ones.
func BenchmarkReplay(b *testing.B) {
	const records = 20_000
	for _, keys := range []int{1, records} {
		b.Run(fmt.Sprint(records, " records of ", keys, " keys"), func(b *testing.B) {
			dir := b.TempDir()
			path := filepath.Join(dir, "volume.db")
			log, err := wal.OpenFile(dir, wal.Options{NoSync: true})
			err = errors.Join(err, kv.Create(path, func(*kv.Fresh) error { return nil }))
			if err != nil {
				b.Fatal(err)
			}
			block := make(chan struct{})
			db, err := kv.Open(path, kv.Options{NoSync: true, Fault: func(string) error { <-block; return errInjected }})
			if err == nil {
				err = errors.Join(db.Join(b.Context(), log, 0), db.Claim(b.Context(), 1<<30))
			}
			if err != nil {
				b.Fatal(err)
			}
			for n := range records {
				err := db.Update(func(tx *kv.Txn) error {
					return tx.Put(kv.Data, fmt.Appendf(nil, "key %08d", n%keys), make([]byte, 64))
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			close(block)
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
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/records, "ns/record")
		})
	}
}
