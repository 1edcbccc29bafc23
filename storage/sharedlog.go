package storage

import (
	"context"
	"time"

	"carillon/storage/internal/wal"
)

// SharedLog is a log that several nodes reach: package storage/postgres has one. OpenShared has types of
// this package alone, so that no other makes one. For engines.
type SharedLog interface {
	// Migrate makes the log with so many shards, 0 being 64, if there is none, or brings one that an
	// earlier release has made up to date, which keeps the shards that it has. Nodes that have it open
	// may go on meanwhile.
	Migrate(ctx context.Context, shards int) (SharedState, error)
	// Check says what the log is, without a change, or why it cannot be used.
	Check(ctx context.Context) (SharedState, error)
	// Verify reads all that the log has, and names what is wrong with it, 100 faults at most. Nodes may be at
	// work meanwhile. It takes about a second for each hundred MiB, and migrates as OpenShared does.
	Verify(ctx context.Context) (faults []string, err error)
	// OpenShared migrates the log if it needs that, and opens it.
	OpenShared(ctx context.Context) (wal.Shared, error)
}

// looks is what has a Standing. Of a SharedLog it makes, migrates and writes nothing, so that a role will do which may only read.
type looks interface {
	Standing(ctx context.Context) (wal.Standing, error)
}

// keepsBeside is a SharedLog that keeps what it has seen of its server in a directory of the node.
type keepsBeside interface{ In(dir string) SharedLog }

// SharedState is what a shared log is. For engines.
type SharedState struct {
	ID      uint64 // tells it from every other one
	Shards  int    // fixed when it was made
	Version int    // of what it is made of; each release knows its own and those before
}

// Standing is which nodes share a log, and which of them owns what, as of one moment. For engines.
type Standing struct {
	Nodes  []NodeState  // by name, the latest incarnation of each first
	Shards []ShardState // by number; those that were never owned are left out
}

// NodeState is one start of a node, from its joining on. For engines.
type NodeState struct {
	Name        string        // the same at each start
	Incarnation string        // tells this start from all others: "a/5f0c…"
	Address     string        // where clients find it; "": nowhere
	Release     string        // of its program
	TTL         time.Duration // of its lease
	Silent      time.Duration // since its latest beat, on the log's clock
	Lag         time.Duration // by its latest beat, since its copies had all that the log has; negative: it has not said
	Leaving     bool          // it gives up what it owns, or has
	Retired     bool          // another node has found it silent for longer than its TTL: it owns nothing
}

// ShardState is a shard of a shared log. For engines.
type ShardState struct {
	Shard  int
	Epoch  uint64    // how often it has had an owner
	Owner  string    // incarnation of the node; "": none, it was released
	Taken  time.Time // when the owner took it
	Why    string    // it could: "free", "released", "expired", or "again" by the same node
	Folded uint64    // number of the latest record that is in the checkpoint
	Last   uint64    // number of the latest record
}

// StandingOf asks a log that there is; nothing is made, migrated or written. For engines.
func StandingOf(ctx context.Context, log SharedLog) (s Standing, err error) {
	if l, ok := log.(looks); ok {
		return standingOf(ctx, l)
	}
	shared, err := log.OpenShared(ctx)
	if err != nil {
		return s, err
	}
	defer func() { _ = shared.Close() }() // nothing was written
	return standingOf(ctx, shared)
}

func standingOf(ctx context.Context, log looks) (s Standing, err error) {
	is, err := log.Standing(ctx)
	if err != nil {
		return s, err
	}
	for i := range is.Nodes {
		n := &is.Nodes[i]
		s.Nodes = append(s.Nodes, NodeState{n.Name, n.Incarnation, n.Address, n.Release, n.TTL, n.Silent, n.Lag, n.Leaving, n.Retired && !n.Gone})
	}
	for _, sh := range is.Shards {
		s.Shards = append(s.Shards, ShardState{int(sh.Shard), sh.Epoch, sh.Owner, sh.Taken, sh.Why, sh.Folded, sh.Last})
	}
	return s, nil
}
