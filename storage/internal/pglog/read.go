package pglog

import (
	"context"
	"fmt"
	"iter"

	"carillon/storage/internal/wal"
)

// Read is wal.Log's. It reads pages of some hundred records, each by one statement, so that
// no snapshot is held for longer.
func (l *Log) Read(ctx context.Context, v wal.Volume, from uint64) iter.Seq2[wal.Record, error] {
	return func(yield func(wal.Record, error) bool) {
		for next := max(from, 1); ; {
			n, more, err := l.page(ctx, v, next, yield)
			if err != nil {
				yield(wal.Record{}, err)
			}
			if err != nil || !more {
				return
			}
			next += n
		}
	}
}

// page yields the n records of a page. more says that there may be others, and that yield
// wants them.
func (l *Log) page(ctx context.Context, v wal.Volume, from uint64, yield func(wal.Record, error) bool) (n uint64, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	c, err := l.take(ctx)
	if err != nil {
		return 0, false, err
	}
	var recs []wal.Record
	size := 0
	err = c.timed(ctx, l.opts.AnswerTimeout, func() error {
		rows, err := c.query("read", int64(v), int64(from), pageRows)
		if err != nil {
			return err
		}
		defer rows.Close()
		for size < pageBytes && rows.Next() {
			var seq, epoch, trimmed int64
			var claim, data []byte
			if err := rows.Scan(&seq, &epoch, &claim, &data, &trimmed); err != nil {
				return err
			}
			size += len(data)
			rec := wal.Record{Volume: v, Epoch: uint64(epoch), Seq: uint64(seq), Data: data}
			copy(rec.Fence[:], claim)
			recs = append(recs, rec)
			// The last record, and takeovers, are there though they were trimmed.
			if want := from + uint64(len(recs)) - 1; want <= uint64(trimmed) {
				return fmt.Errorf("%w: shard %d to %d, record %d is asked for", wal.ErrTrimmed, v, trimmed, want)
			} else if uint64(seq) != want {
				return fmt.Errorf("%w: shard %d lacks record %d", wal.ErrDamaged, v, want)
			}
		}
		more = size >= pageBytes || len(recs) == pageRows
		rows.Close()
		return rows.Err()
	})
	l.give(c, err)
	if err != nil {
		return 0, false, err
	}
	for _, rec := range recs {
		if rec.Data, err = unpack(rec.Data); err != nil {
			return 0, false, fmt.Errorf("%w: shard %d, record %d: %w", wal.ErrDamaged, v, rec.Seq, err)
		}
		if !yield(rec, nil) {
			return 0, false, nil
		}
	}
	return uint64(len(recs)), more, nil
}
