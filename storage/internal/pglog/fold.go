package pglog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"carillon/storage/internal/wal"

	"github.com/jackc/pgx/v5"
)

// Fold lays the rows over the checkpoint of the shard, which then has what the records up to
// and with the sequence number say. The rows are what these records have changed since the
// last fold, in the order of their keys, each key once, with the value that it has now or had
// then: a later value is put in its place by its own record, which a reader of the checkpoint reads too.
//
// A statement has 1 MiB of keys and values, or one row, and is refused once the shard is claimed
// by another, or wal.ErrTailLost if the server has lost the record of that number, which was
// acknowledged. After an error the checkpoint may have some of the rows, and stands where it did;
// a fold of the same rows mends it. ErrUnknown says that the claim is spent.
func (l *Log) Fold(c wal.Claim, upTo uint64, rows iter.Seq2[wal.Row, error]) error {
	h, err := l.inForce(c)
	if err != nil {
		return err
	}
	h.fold.Lock() // a statement of a fold sees all that came before
	defer h.fold.Unlock()
	if err := l.within(h, upTo); err != nil {
		return err
	}
	p := piece{log: l, shard: int64(c.Volume), upTo: int64(upTo), held: h}
	var before []byte
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(row.Key) == 0 || len(row.Key) > wal.MaxKey || before != nil && bytes.Compare(before, row.Key) >= 0 {
			return fmt.Errorf("%w: %.20x behind %.20x", wal.ErrKeys, row.Key, before)
		}
		before = bytes.Clone(row.Key)
		if err := p.add(before, row); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	return p.run("folded")
}

// within says that the claim has appended, or found, a record of the number.
func (l *Log) within(h *held, upTo uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if upTo > h.last {
		return wal.ErrOrder
	}
	return nil
}

// fenced runs a statement that yields a row if the claim is the latest of its shard.
func (l *Log) fenced(h *held, name string, args []any, into ...any) error {
	ok, err := l.ask(context.Background(), name, args, into...)
	if err == nil && !ok {
		err = wal.ErrFenced
	}
	if err != nil && (isUnknown(err) || errors.Is(err, wal.ErrFenced)) {
		l.spend(h) // a statement of unknown outcome may still be on its way
	}
	return err
}

// piece gathers rows of a fold for a statement.
type piece struct {
	log          *Log
	shard, upTo  int64
	held         *held
	keys, values [][]byte
	gone         [][]byte
	size         int
}

func (p *piece) add(key []byte, row wal.Row) error {
	size := len(row.Key) + len(row.Value)
	if p.size > 0 && p.size+size > maxPiece {
		if err := p.flush(); err != nil {
			return err
		}
	}
	p.size += size
	if row.Deleted {
		p.gone = append(p.gone, key)
		return nil
	}
	p.keys = append(p.keys, key)
	p.values = append(p.values, append([]byte{}, row.Value...)) // an empty value is not NULL
	return nil
}

func (p *piece) flush() error {
	if len(p.keys) > 0 {
		if err := p.run("foldput", p.keys, p.values); err != nil {
			return err
		}
	}
	if len(p.gone) > 0 {
		if err := p.run("folddelete", p.gone); err != nil {
			return err
		}
	}
	p.keys, p.values, p.gone, p.size = nil, nil, nil, 0
	return nil
}

// run runs a statement of the fold. Where it finds no row though the claim is the latest one, the
// server lacks the record up to which the fold is.
func (p *piece) run(name string, args ...any) error {
	var got, trimmed, folded int64
	err := p.log.fenced(p.held, name, append([]any{p.shard, p.held.id[:], p.upTo}, args...), &got)
	if !errors.Is(err, wal.ErrFenced) {
		return err
	}
	if latest, e := p.log.ask(context.Background(), "standat", []any{p.shard, p.held.id[:]}, &trimmed, &folded); latest && e == nil {
		return fmt.Errorf("%w: shard %d has had record %d", wal.ErrTailLost, p.shard, p.upTo)
	}
	return err
}

// Trim is wal.Log's. It takes records away from the lowest on, some at a time, but for the
// last one and takeovers. wal.ErrNotFolded says that a fold has to come before.
func (l *Log) Trim(c wal.Claim, upTo uint64) error {
	h, err := l.inForce(c)
	if err != nil {
		return err
	}
	if err := l.within(h, upTo); err != nil {
		return err
	}
	h.fold.Lock()
	defer h.fold.Unlock()
	id, shard := h.id[:], int64(c.Volume)
	var trimmed, folded int64
	if err := l.fenced(h, "standat", []any{shard, id}, &trimmed, &folded); err != nil {
		return err
	}
	if int64(upTo) > folded {
		return fmt.Errorf("%w: shard %d is folded up to record %d", wal.ErrNotFolded, c.Volume, folded)
	}
	for trimmed < int64(upTo) {
		trimmed = min(trimmed+int64(l.opts.TrimRows), int64(upTo))
		var got int64
		if err := l.fenced(h, "trim", []any{shard, id, trimmed}, &got); err != nil {
			return err
		}
	}
	return nil
}

// Load reads the shard: begin, then row for each row of its checkpoint, in the order of their
// keys, then record for each record behind it. If a trim overtakes it, it begins again. It
// returns the number of the last record. It holds no lock, and needs no claim; the slices are
// the callee's. An error of a callback ends it, and so does a server that sends nothing for
// AnswerTimeout.
func (l *Log) Load(ctx context.Context, v wal.Volume, begin func() error, row func(key, value []byte) error, record func(wal.Record) error) (last uint64, err error) {
	for {
		if err := begin(); err != nil {
			return 0, err
		}
		if last, err = l.checkpoint(ctx, v, row); err != nil {
			return 0, err
		}
		last, err = l.follow(ctx, v, last, record)
		if !errors.Is(err, wal.ErrTrimmed) {
			return last, err
		}
	}
}

// follow calls record with each record behind last.
func (l *Log) follow(ctx context.Context, v wal.Volume, last uint64, record func(wal.Record) error) (uint64, error) {
	for rec, err := range l.Read(ctx, v, last+1) {
		if err == nil {
			err = record(rec)
		}
		if err != nil {
			return 0, err
		}
		last = rec.Seq
	}
	return last, nil
}

// checkpoint reads the rows and the number of the record up to which they have all, as of one
// moment.
func (l *Log) checkpoint(ctx context.Context, v wal.Volume, row func(key, value []byte) error) (upTo uint64, err error) {
	c, err := l.take(ctx)
	if err != nil {
		return 0, err
	}
	err = c.timed(ctx, l.opts.AnswerTimeout, func() error {
		tx, err := c.BeginTx(context.Background(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return err
		}
		rows, err := c.query("position", int64(v))
		if err != nil {
			return err
		}
		var folded int64
		if _, err := rowOf(rows, &folded); err != nil {
			return err
		}
		upTo = uint64(folded)
		if rows, err = c.query("point", int64(v)); err != nil {
			return err
		}
		for rows.Next() {
			var key, value []byte
			if err := rows.Scan(&key, &value); err != nil {
				return err
			}
			c.limit.Stop() // it is the server's, for each row
			if err := row(key, value); err != nil {
				return err
			}
			c.limit.Reset(l.opts.AnswerTimeout)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return tx.Commit(context.Background())
	})
	l.give(c, err) // with an error it is closed, and with it the transaction
	return upTo, err
}
