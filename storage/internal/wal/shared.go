package wal

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"strings"
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
	// last fold, in the order of their keys, each key once, as it is now or was then: ErrKeys
	// else. Trim needs a fold up to where it trims: ErrNotFolded else.
	Fold(c Claim, upTo uint64, rows iter.Seq2[Row, error]) error

	// Load reads a shard: begin, then row for each row of its checkpoint, in the order of their
	// keys, then record for each record behind it. If a trim overtakes it, it begins again. It
	// returns the number of the last record. The slices are the callee's.
	Load(ctx context.Context, v Volume, begin func() error, row func(key, value []byte) error, record func(Record) error) (last uint64, err error)

	// Join makes the log that of a new incarnation of a node, which owns nothing and is alive
	// from now on. The one that it was before, if any, is retired by that, and its claims are
	// spent. From then on Claim takes shards for it, and only those whose owner is none,
	// itself, or was retired since it has not beaten for its TTL: ErrOwned else. Claim answers
	// ErrRetired, which is ErrRefused then, to one that was retired itself. A log that has not
	// joined claims whatever there is.
	Join(ctx context.Context, n Node) error
	// Beat says that the incarnation is alive. ErrRetired: it was retired, or the log has lost
	// claims of it, so that it has lost all that it owned and can do no more than to join anew. It is
	// ErrTailLost, too, if the log has lost records that were acknowledged to it.
	// After any other error it may have beaten.
	Beat(ctx context.Context) error
	// Follows says that the copies of this node had all of the log at that time. Each beat tells how long ago that is. It
	// does not block.
	Follows(at time.Time)
	// Leave says that the incarnation is leaving or, where it owns nothing, gone: it was
	// retired by itself then. Release spends its claims and gives up all its shards, which
	// others may claim at once: what it shows of them is not up to date from then on.
	Leave(ctx context.Context) error
	Release(ctx context.Context) error
	// Forget takes away the incarnations that have not beaten for KeptFor and own nothing. So does Join.
	Forget(ctx context.Context) error
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
	Name    string        // the same at each start: 1 to 64 letters, digits, '.', '-' and '_'
	Address string        // where its clients find it, of 256 bytes at most; "": nowhere
	Release string        // of the program, of 128 bytes at most
	TTL     time.Duration // of its lease, 100 ms to 1 h: without a beat for that long it may be retired
}

// Check says what is wrong with a node, as ErrRefused.
func (n Node) Check() error {
	what := ""
	switch {
	case len(n.Name) < 1 || len(n.Name) > 64:
		what = fmt.Sprintf("a name has 1 to 64 bytes, not %d", len(n.Name))
	case strings.ContainsFunc(n.Name, func(r rune) bool { return !strings.ContainsRune(nameBytes, r) }):
		what = fmt.Sprintf("a name has letters, digits, '.', '-' and '_', and is not %q", n.Name)
	case len(n.Address) > 256:
		what = fmt.Sprintf("an address has 256 bytes at most, not %d", len(n.Address))
	case len(n.Release) > 128:
		what = fmt.Sprintf("a release has 128 bytes at most, not %d", len(n.Release))
	case n.TTL < 100*time.Millisecond || n.TTL > time.Hour:
		what = fmt.Sprintf("a TTL is 100 ms to 1 h, not %v", n.TTL)
	default:
		return nil
	}
	return fmt.Errorf("%w: node: %s", ErrRefused, what)
}

const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"

// NewIncarnation draws what tells one start of the node from all others.
func (n Node) NewIncarnation() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it does not fail
	return fmt.Sprintf("%s/%x", n.Name, id)
}

// KeptFor is for how long a node that is gone, or does not beat, and owns nothing, is known.
const KeptFor = 24 * time.Hour

// Standing is who owns what.
type Standing struct {
	At     time.Time    // on the log's clock
	Nodes  []NodeState  // by name, the latest incarnation first
	Shards []ShardState // by number; those that were never claimed are left out
}

// NodeState is an incarnation of a node.
type NodeState struct {
	Node
	Incarnation string        // "a/5f0c…": it tells this start from all others
	Silent      time.Duration // since its latest beat, on the log's clock
	Lag         time.Duration // by its latest beat, since its copies had all of the log; Unsaid: it has not said
	Leaving     bool
	Retired     bool // for good: another node may own what it owned
	Gone        bool // retired by itself, when it owned nothing
}

// Unsaid is the lag of a node that has not said any: it makes its first copies, or is of an earlier release.
const Unsaid = time.Duration(-1)

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
	// ErrTailLost says that records which were acknowledged are gone from the end of a shared
	// log, as after a failover to an asynchronous standby. It is ErrDamaged. What was built upon
	// them is of no use.
	ErrTailLost = fmt.Errorf("%w: records at its end, which were acknowledged, are gone", ErrDamaged)
	// ErrRetired says that another node has taken this incarnation for dead.
	ErrRetired = errors.New("this incarnation of the node was retired")
	// ErrNotJoined says that the log was not joined.
	ErrNotJoined = fmt.Errorf("%w: the log was not joined", ErrRefused)
	// ErrNotFolded says that a trim would take away what no checkpoint has.
	ErrNotFolded = fmt.Errorf("%w: the checkpoint does not have it", ErrRefused)
	// ErrKeys says that the rows of a fold are not in the order of their keys, each once, or
	// that a key has no byte or more than MaxKey.
	ErrKeys = fmt.Errorf("%w: keys of a fold", ErrRefused)
)
