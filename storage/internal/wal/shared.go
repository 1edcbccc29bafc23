package wal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Shared is a Log that several nodes reach, each of which reads a copy of its own. Of one
// incarnation of a node it may be asked by many goroutines. A volume of it is a shard.
type Shared interface {
	Log

	// ID tells the log from every other one.
	ID() uint64
	// Shards is how many shards there are, from 0 on. It does not change.
	Shards() int

	// Fold lays the rows over the checkpoint of the shard, which then has what the records up
	// to and with the sequence number say. They are what these records have changed since the
	// last fold, in the order of their keys, each key once, as it is now or was then.
	Fold(c Claim, upTo uint64, rows iter.Seq2[Row, error]) error

	// Load reads a shard: begin, then row for each row of its checkpoint, in the order of their
	// keys, then record for each record behind it. If a trim overtakes it, it begins again. It
	// returns the number of the last record.
	Load(ctx context.Context, v Volume, begin func() error, row func(key, value []byte) error, record func(Record) error) (last uint64, err error)

	// Join makes the log that of a new incarnation of a node, which owns nothing and is alive
	// from now on. From then on Claim takes shards for it, and only those whose owner is none,
	// itself, or was retired since it has not beaten for its TTL: ErrOwned else. A log that
	// has not joined claims whatever there is.
	Join(ctx context.Context, n Node) error
	// Beat says that the incarnation is alive. ErrRetired: it was retired, has lost all that
	// it owned and can do no more than to join anew. After any other error it may have beaten.
	Beat(ctx context.Context) error
	// Leave says that the incarnation is leaving or, once it has released what it owned, gone.
	// Release gives up all its shards, which others may claim at once.
	Leave(ctx context.Context) error
	Release(ctx context.Context) error
	// Standing is all nodes that are known and the shards, as of one moment.
	Standing(ctx context.Context) (Standing, error)
}

// MaxKey is how many bytes a key of a checkpoint may have: a row of an index of PostgreSQL has
// 2,704 at most.
const MaxKey = 2560

// Row is one key of a checkpoint.
type Row struct {
	Key, Value []byte
	Deleted    bool // the key is taken away
}

// Node is what a node says of itself when it joins.
type Node struct {
	Name    string        // the same at each start
	Address string        // where its clients find it; "": nowhere
	Release string        // of the program
	TTL     time.Duration // of its lease: without a beat for that long it may be retired
}

// Standing is who owns what.
type Standing struct {
	Nodes  []NodeState  // by name, the latest incarnation first
	Shards []ShardState // by number; those that were never claimed are left out
}

// NodeState is an incarnation of a node.
type NodeState struct {
	Node
	Incarnation string        // "a/5f0c…": it tells this start from all others
	Silent      time.Duration // since its latest beat, on the log's clock
	Leaving     bool
	Retired     bool
}

// ShardState is a shard.
type ShardState struct {
	Shard  Volume
	Epoch  uint64
	Owner  string // incarnation; "" if it was released
	Taken  time.Time
	Why    string // of the latest takeover: "free", "released", "expired", "again"
	Folded uint64
	Last   uint64 // number of the latest record
}

// Answers of a shared log.
var (
	// ErrOwned says that the shard's owner is alive.
	ErrOwned = fmt.Errorf("%w: its owner is alive", ErrRefused)
	// ErrRetired says that another node has taken this incarnation for dead.
	ErrRetired = errors.New("this incarnation of the node was retired")
)
