package memlog

import (
	"context"
	"sync"
	"time"

	"carillon/storage"
	"carillon/storage/internal/wal"
	"carillon/storage/internal/wal/waltest"
)

// Log is a log in memory: a storage.SharedLog. Its methods may be called from any goroutine.
type Log struct {
	memory *waltest.Memory

	mu    sync.Mutex
	nodes []*node
	cut   map[string]bool
}

// New returns an empty log with so many shards, 1 or more.
func New(shards int) *Log {
	l := &Log{memory: waltest.NewMemory(), cut: map[string]bool{}}
	l.memory.Count = shards
	return l
}

// Cut has the nodes of that name, also when they join later, not reach the log until Heal: what
// they ask for is refused at once, and not done.
func (l *Log) Cut(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut[name] = true
	l.apply()
}

// Heal ends what Cut and Unknown have begun.
func (l *Log) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.cut)
	l.apply()
	l.memory.Heal()
}

// apply cuts those nodes off that are cut.
func (l *Log) apply() {
	for _, n := range l.nodes {
		n.Node.Cut(l.cut[n.name])
	}
}

// Unknown has the next append, or claim, of any node end without an answer; kept says whether it
// is in the log all the same.
func (l *Log) Unknown(kept bool) { l.memory.FailNext(kept) }

// Pass has so much time pass on the log's clock alone: nodes seem to have been silent for longer.
func (l *Log) Pass(d time.Duration) { l.memory.Pass(d) }

// Lose takes away the latest records of a shard, as a failover to an asynchronous standby does. The
// shard has more than n.
func (l *Log) Lose(shard, n int) { l.memory.Lose(wal.Volume(shard), n) }

// Migrate implements storage.SharedLog. There is nothing to make.
func (l *Log) Migrate(ctx context.Context, _ int) (storage.SharedState, error) { return l.Check(ctx) }

// Check implements storage.SharedLog.
func (l *Log) Check(context.Context) (storage.SharedState, error) {
	return storage.SharedState{ID: l.memory.Node().ID(), Shards: l.memory.Count, Version: 1}, nil
}

// Verify implements storage.SharedLog: memory is sound.
func (l *Log) Verify(context.Context) ([]string, error) { return nil, nil }

// OpenShared implements storage.SharedLog.
func (l *Log) OpenShared(context.Context) (wal.Shared, error) {
	return &node{Node: l.memory.Node(), log: l}, nil
}

// node is the log as one node has it.
type node struct {
	*waltest.Node
	log  *Log
	name string // once it has joined; under log.mu
}

// Join is wal.Shared's.
func (n *node) Join(ctx context.Context, as wal.Node) error {
	n.log.mu.Lock()
	if n.name == "" {
		n.log.nodes = append(n.log.nodes, n)
	}
	n.name = as.Name
	n.log.apply()
	n.log.mu.Unlock()
	return n.Node.Join(ctx, as)
}
