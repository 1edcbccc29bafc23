package waltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"carillon/storage/internal/wal"
)

var _ wal.Shared = (*memoryLog)(nil)

// MemoryShards is how many shards a Memory says it has.
const MemoryShards = 64

// ID is wal.Shared's.
func (l *memoryLog) ID() uint64 { return l.m.id }

// Shards is wal.Shared's.
func (l *memoryLog) Shards() int { return MemoryShards }

// Fold is wal.Shared's. Each row is taken by itself, as by a statement of its own.
func (l *memoryLog) Fold(c wal.Claim, upTo uint64, rows iter.Seq2[wal.Row, error]) error {
	if err := l.folding(c, func(*memoryVolume) {}); err != nil {
		return err
	}
	var before []byte
	for row, err := range rows {
		switch {
		case err != nil:
			return err
		case len(row.Key) == 0 || len(row.Key) > wal.MaxKey || before != nil && bytes.Compare(before, row.Key) >= 0:
			return fmt.Errorf("%w: %.20x behind %.20x in a fold", wal.ErrRefused, row.Key, before)
		}
		before = bytes.Clone(row.Key)
		err := l.folding(c, func(v *memoryVolume) {
			if row.Deleted {
				delete(v.point, string(row.Key))
			} else {
				v.point[string(row.Key)] = bytes.Clone(row.Value)
			}
		})
		if err != nil {
			return err
		}
	}
	var order error
	err := l.folding(c, func(v *memoryVolume) {
		if upTo > v.last() {
			order = wal.ErrOrder
		} else {
			v.folded = max(v.folded, upTo)
		}
	})
	return errors.Join(err, order)
}

// folding runs fn if the claim is in force.
func (l *memoryLog) folding(c wal.Claim, fn func(*memoryVolume)) error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	v := l.m.volumes[c.Volume]
	switch {
	case l.closed:
		return wal.ErrClosed
	case v == nil || v.spent || v.epoch != c.Epoch:
		return wal.ErrFenced
	}
	fn(v)
	return nil
}

// Load is wal.Shared's.
func (l *memoryLog) Load(ctx context.Context, id wal.Volume, begin func() error, row func(key, value []byte) error, record func(wal.Record) error) (last uint64, err error) {
	for {
		if err := begin(); err != nil {
			return 0, err
		}
		point, last, err := l.checkpoint(id)
		if err != nil {
			return 0, err
		}
		for _, key := range slices.Sorted(maps.Keys(point)) {
			if err := row([]byte(key), point[key]); err != nil {
				return 0, err
			}
		}
		again := false
		for rec, err := range l.Read(ctx, id, last+1) {
			if again = errors.Is(err, wal.ErrTrimmed); again {
				break
			}
			if err == nil {
				err = record(rec)
			}
			if err != nil {
				return 0, err
			}
			last = rec.Seq
		}
		if !again {
			return last, nil
		}
	}
}

// checkpoint returns the rows and the number of the record up to which they have all. What
// was trimmed and not folded is lost.
func (l *memoryLog) checkpoint(id wal.Volume) (rows map[string][]byte, upTo uint64, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	v := l.m.volumes[id]
	switch {
	case l.closed:
		return nil, 0, wal.ErrClosed
	case v == nil:
		return nil, 0, nil
	case v.first > v.folded+1:
		return nil, 0, fmt.Errorf("%w: records %d to %d are in no checkpoint", wal.ErrDamaged, v.folded+1, v.first-1)
	}
	rows = map[string][]byte{}
	for key, value := range v.point {
		rows[key] = bytes.Clone(value)
	}
	return rows, v.folded, nil
}

// Join is wal.Shared's. A Memory has no members: each Claim takes what there is.
func (l *memoryLog) Join(context.Context, wal.Node) error { return nil }

// Beat is wal.Shared's.
func (l *memoryLog) Beat(context.Context) error { return nil }

// Leave is wal.Shared's.
func (l *memoryLog) Leave(context.Context) error { return nil }

// Release is wal.Shared's.
func (l *memoryLog) Release(context.Context) error { return nil }

// Standing is wal.Shared's.
func (l *memoryLog) Standing(context.Context) (s wal.Standing, err error) {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if l.closed {
		return s, wal.ErrClosed
	}
	for _, id := range slices.Sorted(maps.Keys(l.m.volumes)) {
		v := l.m.volumes[id]
		s.Shards = append(s.Shards, wal.ShardState{Shard: id, Epoch: v.epoch, Folded: v.folded, Last: v.last()})
	}
	return s, nil
}
