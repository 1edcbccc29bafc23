package kv_test

import (
	"fmt"
	"testing"

	"carillon/storage/internal/kv"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// BenchmarkOpenCopy makes the copy of a shard of 100,000 rows of about 270 bytes anew.
func BenchmarkOpenCopy(b *testing.B) {
	const rows = 100_000
	shared := waltest.NewMemory().Open(b).(wal.Shared)
	claim, err := shared.Claim(b.Context(), nodeShard)
	if err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 240)
	err = shared.Fold(claim, claim.Last, func(yield func(wal.Row, error) bool) {
		for i := range rows {
			if !yield(wal.Row{Key: fmt.Appendf(nil, "%ctable/%020d", kv.Data, i), Value: value}, nil) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		db, rebuilt, err := kv.OpenCopy(b.Context(), b.TempDir()+"/volume.db", kv.Over(shared, kv.Options{}), nodeShard, nil, kv.Options{})
		if err != nil || rebuilt == nil {
			b.Fatal(rebuilt, err)
		}
		if err := db.Abandon(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
}
