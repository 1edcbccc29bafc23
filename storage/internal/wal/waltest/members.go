package waltest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"carillon/storage/internal/wal"
)

var _ wal.Shared = (*Node)(nil)

// memoryNode is an incarnation of a node.
type memoryNode struct {
	wal.Node
	joined, beat           time.Time
	lag                    time.Duration
	leaving, retired, gone bool
}

// Restart is what a restart of the server means: for one TTL no node is retired.
func (m *Memory) Restart() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		n.beat = time.Now()
	}
}

// Pass has so much time pass for the nodes' latest beats, on the log's clock alone.
func (m *Memory) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, n := range m.nodes {
		n.beat = n.beat.Add(-d)
	}
}

// Virtual says that leases on the log are counted in the time of testing/synctest.
func (l *Node) Virtual() bool { return true }

// ID is wal.Shared's.
func (l *Node) ID() uint64 { return l.m.id }

// Shards is wal.Shared's.
func (l *Node) Shards() int { return l.m.Count }

// own makes the volume the node's, or says why it may not. The caller holds m.mu.
func (l *Node) own(v *memoryVolume) error {
	if l.me == "" {
		v.owner, v.taken, v.why = "", time.Now(), "again"
		return nil
	}
	if l.m.nodes[l.me].retired {
		return fmt.Errorf("%w: %w", wal.ErrRefused, wal.ErrRetired)
	}
	why := "expired"
	switch owner := l.m.nodes[v.owner]; {
	case v.owner == l.me:
		why = "again"
	case v.epoch == 0:
		why = "free"
	case v.owner == "":
		why = "released"
	case owner.retired:
	case time.Since(owner.beat) < owner.TTL:
		return wal.ErrOwned
	default:
		owner.retired = true // in what the beat writes
	}
	v.owner, v.taken, v.why = l.me, time.Now(), why
	return nil
}

// ask has a call take its time, and calls fn with the incarnation, nil if it has not joined.
func (l *Node) ask(ctx context.Context, fn func(*memoryNode) error) error {
	if l.m.Delay > 0 { // a timer of no time waits until nothing else goes on, in a bubble
		select {
		case <-ctx.Done():
		case <-time.After(l.m.Delay):
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", wal.ErrRefused, err)
	}
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	if err := l.away(); err != nil {
		return err
	}
	return fn(l.m.nodes[l.me])
}

// Join is wal.Shared's.
func (l *Node) Join(ctx context.Context, n wal.Node) error {
	if err := n.Check(); err != nil {
		return err
	}
	return l.ask(ctx, func(before *memoryNode) error {
		if before != nil {
			before.retired = true
		}
		l.spend()
		l.m.forget()
		l.me = n.NewIncarnation()
		l.m.nodes[l.me] = &memoryNode{Node: n, joined: time.Now(), beat: time.Now(), lag: wal.Unsaid}
		return nil
	})
}

// Forget is wal.Shared's.
func (l *Node) Forget(ctx context.Context) error {
	return l.ask(ctx, func(*memoryNode) error {
		l.m.forget()
		return nil
	})
}

// forget takes away the nodes that were silent for long and own nothing. The caller holds mu.
func (m *Memory) forget() {
	owns := map[string]bool{}
	for _, v := range m.volumes {
		owns[v.owner] = true
	}
	maps.DeleteFunc(m.nodes, func(id string, n *memoryNode) bool {
		return !owns[id] && time.Since(n.beat) >= wal.KeptFor
	})
}

// spend has the node's claims be of no use any more. The caller holds m.mu.
func (l *Node) spend() {
	clear(l.claims)
	for _, v := range l.m.volumes {
		v.spent = v.spent || v.holder == l
	}
}

// member calls fn for an incarnation that was not retired.
func (l *Node) member(ctx context.Context, fn func(*memoryNode)) error {
	return l.ask(ctx, func(n *memoryNode) error {
		switch {
		case n == nil:
			return wal.ErrNotJoined
		case n.retired:
			return wal.ErrRetired
		}
		fn(n)
		return nil
	})
}

// Beat is wal.Shared's.
func (l *Node) Beat(ctx context.Context) error {
	var lost error
	err := l.member(ctx, func(n *memoryNode) {
		n.beat = time.Now()
		if at := l.follows.Load(); at != nil {
			n.lag = time.Since(*at)
		}
		for id := range l.claims {
			switch v := l.m.volumes[id]; {
			case v.holder != l:
				lost = cmp.Or(lost, wal.ErrRetired)
			case v.last() < l.seen[id]:
				lost = fmt.Errorf("%w: %w", wal.ErrRetired, wal.ErrTailLost)
			}
		}
		if n.retired = lost != nil; n.retired {
			l.spend()
		}
	})
	return cmp.Or(lost, err)
}

// Follows is wal.Shared's.
func (l *Node) Follows(at time.Time) { l.follows.Store(&at) }

// Leave is wal.Shared's.
func (l *Node) Leave(ctx context.Context) error {
	return l.member(ctx, func(n *memoryNode) {
		n.leaving, n.gone = true, true
		for _, v := range l.m.volumes {
			n.gone = n.gone && v.owner != l.me
		}
		n.retired = n.gone
	})
}

// Release is wal.Shared's.
func (l *Node) Release(ctx context.Context) error {
	return l.ask(ctx, func(n *memoryNode) error {
		if n == nil {
			return wal.ErrNotJoined
		}
		l.spend()
		for _, v := range l.m.volumes {
			if v.owner == l.me {
				v.owner = ""
			}
		}
		return nil
	})
}

// Standing is wal.Shared's.
func (l *Node) Standing(ctx context.Context) (s wal.Standing, err error) {
	err = l.ask(ctx, func(*memoryNode) error {
		s.At = time.Now()
		for id, n := range l.m.nodes {
			s.Nodes = append(s.Nodes, wal.NodeState{
				Node: n.Node, Incarnation: id, Silent: s.At.Sub(n.beat), Lag: n.lag, Leaving: n.leaving, Retired: n.retired, Gone: n.gone,
			})
		}
		slices.SortFunc(s.Nodes, func(a, b wal.NodeState) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), l.m.nodes[b.Incarnation].joined.Compare(l.m.nodes[a.Incarnation].joined))
		})
		for id, v := range l.m.volumes {
			if v.epoch > 0 {
				s.Shards = append(s.Shards, wal.ShardState{
					Shard: id, Epoch: v.epoch, Owner: v.owner, Taken: v.taken, Why: v.why, Folded: v.folded, Last: v.last(),
				})
			}
		}
		slices.SortFunc(s.Shards, func(a, b wal.ShardState) int { return cmp.Compare(a.Shard, b.Shard) })
		return nil
	})
	return s, err
}

// Fold is wal.Shared's.
func (l *Node) Fold(c wal.Claim, upTo uint64, rows iter.Seq2[wal.Row, error]) error {
	change := func(fn func(*memoryVolume) error) error {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		v := l.m.volumes[c.Volume]
		switch err := l.away(); {
		case err != nil:
			return err
		case !l.holds(v, c.Volume, c.Epoch):
			return wal.ErrFenced
		case upTo > v.last():
			return wal.ErrOrder
		}
		return fn(v)
	}
	time.Sleep(l.m.Delay)
	if err := change(func(*memoryVolume) error { return nil }); err != nil {
		return err
	}
	var before []byte
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(row.Key) == 0 || len(row.Key) > wal.MaxKey || bytes.Compare(before, row.Key) >= 0 {
			return fmt.Errorf("%w: %.20x behind %.20x", wal.ErrKeys, row.Key, before)
		}
		before = bytes.Clone(row.Key)
		err := change(func(v *memoryVolume) error {
			if row.Deleted {
				delete(v.point, string(row.Key))
			} else {
				v.point[string(row.Key)] = append([]byte{}, row.Value...)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return change(func(v *memoryVolume) error {
		v.folded = max(v.folded, upTo)
		return nil
	})
}

// Load is wal.Shared's.
func (l *Node) Load(ctx context.Context, v wal.Volume, begin func() error, row func(key, value []byte) error, record func(wal.Record) error) (last uint64, err error) {
	for {
		if err := begin(); err != nil {
			return 0, err
		}
		var point map[string][]byte
		err := l.ask(ctx, func(*memoryNode) error {
			last = 0
			v := l.m.volumes[v]
			switch {
			case v == nil:
				return nil
			case v.first > v.folded+1:
				return fmt.Errorf("%w: records %d to %d are in no checkpoint", wal.ErrDamaged, v.folded+1, v.first-1)
			}
			point, last = maps.Clone(v.point), v.folded
			return nil
		})
		if err != nil {
			return 0, err
		}
		for _, key := range slices.Sorted(maps.Keys(point)) {
			if err := row([]byte(key), bytes.Clone(point[key])); err != nil {
				return 0, err
			}
		}
		if last, err = l.follow(ctx, v, last, record); !errors.Is(err, wal.ErrTrimmed) {
			return last, err
		}
	}
}

// follow calls record with each record behind last.
func (l *Node) follow(ctx context.Context, v wal.Volume, last uint64, record func(wal.Record) error) (uint64, error) {
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
