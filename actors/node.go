package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

// Node is a node of a cluster: it follows the log that Options.Log names, and has an engine while it owns the
// store. Its methods may be called from any goroutine.
//
//	node, err := actors.Join(ctx, "cache", opts)
//	for {
//		eng, err := node.Engine(ctx) // waits until this node owns the store
//		…
//		<-eng.Lost() // or this node is told to stop
//		err = eng.Close(ctx)
//	}
//	err = node.Close()
type Node struct {
	standby *storage.Standby
	opts    Options
	plans   []storage.Trigger
}

// Join joins the log as the node that Options.Node says, and brings the copies of all shards in dir up to date,
// which it makes if there are none: it blocks until they are. What is wrong with options, functions, tables or
// triggers is said first, as by Open. The other errors are those of storage.Join.
func Join(ctx context.Context, dir string, opts Options) (*Node, error) {
	opts = opts.withDefaults()
	plans, err := opts.check()
	if err != nil {
		return nil, err
	}
	standby, err := storage.Join(ctx, dir, opts.storage())
	if err != nil {
		return nil, fmt.Errorf("join from %s: %w", dir, err)
	}
	return &Node{standby: standby, opts: opts, plans: plans}, nil
}

// Engine waits until this node owns the store, and opens the engine on it, which takes up at once what is due or
// was interrupted. There is one at a time: close it before you ask for the next, and when Engine.Lost says
// that another node may have taken over. Closing it gives the store up to the other nodes at once. Errors: those
// of storage.Standby.Own, or of Open.
func (n *Node) Engine(ctx context.Context) (*Engine, error) {
	store, err := n.standby.Own(ctx)
	if err != nil {
		return nil, err
	}
	return openOn(store, n.opts, n.plans)
}

// Standing returns the nodes that share the log and who owns its shards, as of one moment. It waits for the log.
func (n *Node) Standing(ctx context.Context) (storage.Standing, error) {
	return standingOf(n.standby.Standing(ctx))
}

// Lag is how long ago it was seen last that the copies of this node have all that the log has: a fraction of a
// second, unless the log or the disk is away.
func (n *Node) Lag() time.Duration { return n.standby.Lag() }

// LostTails is how many times this node has found that the log has lost records which it had, of one shard each: a
// failover to an asynchronous standby of PostgreSQL may. The audit log of the store has them once this node owns it.
func (n *Node) LostTails() int64 { return n.standby.LostTails() }

// Close leaves the log. Close the engine before: without that it ends as after a crash. It waits for the log for a
// second. A second Close returns nil.
func (n *Node) Close() error { return n.standby.Close() }

// leaseOf is what the engine asks whether it may answer for the store; nil: it always may.
func (o *Options) leaseOf(store *storage.Store) lease {
	if o.Testing.Lease != nil {
		return o.Testing.Lease
	}
	if l := store.Lease(); l != nil {
		return l
	}
	return nil
}

// Leave tells the other nodes that this one is about to give the store up, so that they look often whether it has, and has the
// log's checkpoint say all that there is, for which it waits until ctx ends. Calls are served and jobs run meanwhile, so that
// the next owner has less to read. Close comes next. Without Options.Log it does nothing.
func (e *Engine) Leave(ctx context.Context) { e.store.Leave(ctx) }

// Shared says whether the log of the store is one that other nodes share.
func (e *Engine) Shared() bool { return e.opts.Testing.Standing != nil || e.opts.Log != nil }

// Standing returns the nodes that share the log of the store and who owns its shards, as of one moment, or
// nothing if no others share it. It waits for the log.
func (e *Engine) Standing(ctx context.Context) (storage.Standing, error) {
	if e.opts.Testing.Standing != nil {
		return standingOf(e.opts.Testing.Standing(ctx))
	}
	return standingOf(e.store.Standing(ctx))
}

func standingOf(s storage.Standing, err error) (storage.Standing, error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		err = &dispatch.Error{Code: dispatch.CodeUnavailable, Message: "the log of the store does not answer", Err: err}
	}
	return s, err
}
