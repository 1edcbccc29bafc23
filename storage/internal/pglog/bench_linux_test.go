package pglog_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// BenchmarkAppend appends records of 300 bytes, of several callers with a shard each. One caller
// is compared with what an INSERT of as many bytes takes on the same server, and 64 shards with 8.
func BenchmarkAppend(b *testing.B) {
	address := postgres.Address(b)
	data := []byte(strings.Repeat("record ", 43))
	b.Run("bare", func(b *testing.B) {
		c, err := pgx.Connect(context.Background(), address)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close(context.Background())
		if _, err := c.Exec(context.Background(), `CREATE TABLE IF NOT EXISTS bare (seq bigserial PRIMARY KEY, data bytea)`); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := c.Exec(context.Background(), `INSERT INTO bare (data) VALUES ($1)`, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, shards := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", shards), func(b *testing.B) { appends(b, address, shards, data, 1) })
	}
	// As many change sets of 64 callers: a volume puts those of its own into one record.
	for _, shards := range []int{8, 64} {
		of := 64 / shards
		b.Run(fmt.Sprintf("sets=64/shards=%d", shards), func(b *testing.B) {
			appends(b, address, shards, []byte(strings.Repeat(string(data), of)), of)
		})
	}
}

// appends appends to the shards at the same time; each record counts as so many.
func appends(b *testing.B, address string, shards int, data []byte, counts int) {
	log, err := pglog.Open(context.Background(), fmt.Sprintf("%s&schema=bench%d", address, schemas.Add(1)), pglog.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer log.Close()
	claims := make([]wal.Claim, shards)
	for i := range claims {
		if claims[i], err = log.Claim(context.Background(), wal.Volume(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	var all sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	for _, c := range claims {
		all.Go(func() {
			for left.Add(-int64(counts)) > -int64(counts) {
				c.Last++
				if err := log.Append(wal.Record{Volume: c.Volume, Epoch: c.Epoch, Seq: c.Last, Data: data})[0]; err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}
