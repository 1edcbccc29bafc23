package server

import (
	"cmp"
	"net/http"
	"time"

	"carillon/server/api"
	"carillon/storage"
)

func (h *handler) listNodes(_ http.ResponseWriter, r *request) (int, any, error) {
	s, err := h.eng.Standing(r.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Nodes(s), nil
}

func (h *handler) listShards(_ http.ResponseWriter, r *request) (int, any, error) {
	s, err := h.eng.Standing(r.Context())
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Shards(s), nil
}

// Nodes is what GET /v1/nodes answers of the standing.
func Nodes(s storage.Standing) []api.Node {
	owns := map[string]int{}
	for i := range s.Shards {
		owns[s.Shards[i].Owner]++
	}
	nodes := []api.Node{}
	for _, n := range s.Nodes {
		node := api.Node{
			Name: n.Name, Incarnation: n.Incarnation, State: api.NodeStandby, Shards: owns[n.Incarnation],
			Address: n.Address, Release: n.Release, SilentMs: n.Silent.Milliseconds(),
		}
		switch lease := n.TTL - n.Silent; {
		case n.Retired:
			node.State = api.NodeRetired
		case n.Leaving:
			node.State = api.NodeLeaving
		case lease <= 0:
			node.State = api.NodeSilent
		default:
			node.LeaseMs = max(1, lease.Milliseconds())
			if n.Lag >= 0 {
				node.LagMs = new(n.Lag.Milliseconds())
			}
			if node.Shards > 0 {
				node.State = api.NodeOwner
			}
		}
		nodes = append(nodes, node)
	}
	return nodes
}

// Shards is what GET /v1/shards answers of the standing.
func Shards(s storage.Standing) []api.Shard {
	names := map[string]string{}
	for i := range s.Nodes {
		names[s.Nodes[i].Incarnation] = s.Nodes[i].Name
	}
	shards := []api.Shard{}
	for _, sh := range s.Shards {
		shards = append(shards, api.Shard{
			Shard: sh.Shard, Owner: sh.Owner, Node: cmp.Or(names[sh.Owner], sh.Owner), Epoch: sh.Epoch, Taken: sh.Taken.Round(time.Millisecond), Why: sh.Why,
			Last: sh.Last, Unfolded: sh.Last - min(sh.Folded, sh.Last),
		})
	}
	return shards
}
