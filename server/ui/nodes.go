package ui

import "carillon/server/api"

// nodesData is the nodes that share the log of the store.
type nodesData struct {
	Nodes  []api.Node
	Shards []api.Shard
	Latest api.Shard // that was taken last, if there is any
}

func nodes(r *Request) (*Answer, error) {
	var d nodesData
	var err error
	if d.Nodes, err = ask[[]api.Node](r, Call{Route: "GET /v1/nodes"}); err != nil {
		return nil, err
	}
	if d.Shards, err = ask[[]api.Shard](r, Call{Route: "GET /v1/shards"}); err != nil {
		return nil, err
	}
	for _, s := range d.Shards {
		if s.Taken.After(d.Latest.Taken) {
			d.Latest = s
		}
	}
	return r.show("nodes", "Nodes", nil, d), nil
}
