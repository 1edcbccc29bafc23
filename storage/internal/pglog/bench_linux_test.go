package pglog_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"carillon/storage/internal/pglog"
	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// BenchmarkAppend appends records of 300 bytes, of several callers with a shard each. One caller
// is compared with what an INSERT of as many bytes takes on the same server.
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
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			log, err := pglog.Open(context.Background(), fmt.Sprintf("%s&schema=bench%d", address, schemas.Add(1)), pglog.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			claims := make([]wal.Claim, callers)
			for i := range claims {
				if claims[i], err = log.Claim(context.Background(), wal.Volume(i)); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			var all sync.WaitGroup
			for i := range claims {
				all.Go(func() {
					for n := range uint64(b.N) {
						if n%uint64(callers) != uint64(i) {
							continue
						}
						claims[i].Last++
						rec := wal.Record{Volume: claims[i].Volume, Epoch: claims[i].Epoch, Seq: claims[i].Last, Data: data}
						if err := log.Append(rec)[0]; err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
		})
	}
}
