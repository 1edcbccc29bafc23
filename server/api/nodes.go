package api

import "time"

// NodeState is what a node does.
type NodeState string

// The states of a node.
const (
	NodeOwner   NodeState = "owner"   // it owns shards, and answers
	NodeStandby NodeState = "standby" // it follows the log, to take over
	NodeLeaving NodeState = "leaving" // it was told to stop
	NodeSilent  NodeState = "silent"  // its lease has ended, and no other has taken over yet
	NodeRetired NodeState = "retired" // another node has taken over, or may
)

// Enum returns all of them.
func (NodeState) Enum() []string {
	return enum(NodeOwner, NodeStandby, NodeLeaving, NodeSilent, NodeRetired)
}

// Node is one start of a node that shares the log of the store with others.
type Node struct {
	Name        string    `json:"name"`        // the same at each start
	Incarnation string    `json:"incarnation"` // tells this start from all others
	State       NodeState `json:"state"`
	Shards      int       `json:"shards"`            // that it owns
	Address     string    `json:"address,omitempty"` // where clients find it, if it says so
	Release     string    `json:"release,omitempty"` // of its program
	LeaseMs     int64     `json:"leaseMs"`           // left of its lease, unless it beats again; 0: none
	SilentMs    int64     `json:"silentMs"`          // since its latest beat
	LagMs       *int64    `json:"lagMs,omitempty"`   // by its latest beat, since its copies had all that the log has; none: it has said nothing, or its lease has ended
}

// Shard is a part of a store whose log several nodes share, with some of its apps.
type Shard struct {
	Shard    int       `json:"shard"`           // from 0 on
	Owner    string    `json:"owner,omitempty"` // the incarnation of a node; none: it was released
	Node     string    `json:"node,omitempty"`  // its name
	Epoch    uint64    `json:"epoch"`           // how often the shard has had an owner
	Taken    time.Time `json:"taken"`           // when its latest owner took it
	Why      string    `json:"why"`             // that one could: "free", "released", "expired", "again"
	Last     uint64    `json:"last"`            // number of its latest record
	Unfolded uint64    `json:"unfolded"`        // of its latest records, which the checkpoint does not have: what a new copy reads of the log
}
