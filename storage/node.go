package storage

import (
	"context"
	"time"
)

// Node is what a node says of itself to the others that have the log in common.
type Node struct {
	// Name is the same at each start, and no other node has it: 1 to 64 of A-Z a-z 0-9 _ - and
	// ".". It must be given.
	Name string
	// Address is where clients find the node, at most 256 bytes. Default "": nowhere.
	Address string
	// Release is that of the program, at most 64 bytes. Default "".
	Release string
	// TTL is for how long the node owns what it owns without a sign of life; it gives one each
	// second, and five times as often at least. 1 s to 1 min. Default 5 s.
	TTL time.Duration
}

// Bounds of a Node.
const (
	maxNodeName    = 64
	maxNodeAddress = 256
	maxNodeRelease = 64

	minTTL     = time.Second
	maxTTL     = time.Minute
	defaultTTL = 5 * time.Second
)

// check says what is wrong with the node of a shared log.
func (n Node) check(bad func(format string, args ...any)) {
	if !nameOK(n.Name, "_-.") || len(n.Name) > maxNodeName {
		bad("Node.Name is %s, want 1 to %d of A-Z a-z 0-9 _ - .", quote(n.Name), maxNodeName)
	}
	if len(n.Address) > maxNodeAddress {
		bad("Node.Address has %d bytes, want at most %d", len(n.Address), maxNodeAddress)
	}
	if len(n.Release) > maxNodeRelease {
		bad("Node.Release has %d bytes, want at most %d", len(n.Release), maxNodeRelease)
	}
	if n.TTL < minTTL || n.TTL > maxTTL {
		bad("Node.TTL is %v, want %v to %v", n.TTL, minTTL, maxTTL)
	}
}

// Lease says whether this node may still take itself for the owner of its store. For engines.
type Lease interface {
	// Held returns nil while it may: what was read before that is not out of date.
	Held() error
	// Term ends when Held returns nil no more, with that as the cause. There may be another one
	// later, while the lease is not lost.
	Term() context.Context
	// Lost is closed when the lease is over for good: another node may own the store.
	Lost() <-chan struct{}
}

// Lease is the lease under which the store is owned; nil without Options.Log. For engines.
func (s *Store) Lease() Lease {
	if s.standby == nil {
		return nil
	}
	return s.lease
}

// Lost is closed when another node has taken the store over, or may have: the lease has been
// lost, or a commit was fenced. No change is applied from then on, and the answers are as true as
// ever: ErrUnavailable for one that certainly was not applied. Close the store, and ask the
// Standby for the next one. Without Options.Log it is nil. For engines.
func (s *Store) Lost() <-chan struct{} { return s.lost }

// lose has no volume be written any more, since another node owns one of them, or may.
func (s *Store) lose(cause error) {
	s.losing.Do(func() {
		s.lease.End(cause)
		for _, v := range s.volumes {
			v.backoff.lose(cause)
		}
		close(s.lost)
	})
}
