package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Node is what a node of a cluster tells of itself.
type Node struct {
	Owner     bool          // it owns the store
	Takeovers int64         // how often it has taken the store over, since the process began
	Lease     time.Duration // left of its lease, when it was looked at last
	Lag       time.Duration // since its copies were seen to have all that the log has
	LostTails int64         // how often the log was found to have lost records that this node had, of one shard
	Unfolded  uint64        // records of all shards that no checkpoint has: what a node without a copy reads of the log
	Epoch     uint64        // the highest of a shard; 0: none was ever owned
	Why       string        // the shard that was taken last could be, by whichever node
}

var (
	nodeOwner     = metric("node_owner", "1 if this node owns the store, 0 while it stands by.")
	nodeTakeovers = metric("node_takeovers_total", "How often this node has taken the store over.")
	nodeLease     = metric("node_lease_seconds", "What was left of this node's lease when it was looked at last; 0 if it has none.")
	nodeLag       = metric("node_lag_seconds", "Since the copies of this node were seen to have all that the log has.")
	nodeLostTails = metric("node_lost_tails_total", "How often the log was found to have lost records that this node had, of one shard each.")
	nodeUnfolded  = metric("node_unfolded_records", "Records of the shared log that no checkpoint has.")
	nodeEpoch     = metric("node_epoch", "The highest epoch of a shard, how often that has had an owner, by why one could be taken last.", "why")
)

// WatchNode has the metrics be of a node, too, also while it has no engine. stats is called for each scrape and must not
// block.
func (m *Metrics) WatchNode(stats func() Node) { m.node.Store(&stats) }

// collectNode tells of the node, if there is one.
func (m *Metrics) collectNode(to chan<- prometheus.Metric) {
	stats := m.node.Load()
	if stats == nil {
		return
	}
	n, owner := (*stats)(), 0.0
	if n.Owner {
		owner = 1
	}
	to <- prometheus.MustNewConstMetric(nodeOwner, prometheus.GaugeValue, owner)
	to <- prometheus.MustNewConstMetric(nodeTakeovers, prometheus.CounterValue, float64(n.Takeovers))
	to <- prometheus.MustNewConstMetric(nodeLease, prometheus.GaugeValue, n.Lease.Seconds())
	to <- prometheus.MustNewConstMetric(nodeLag, prometheus.GaugeValue, n.Lag.Seconds())
	to <- prometheus.MustNewConstMetric(nodeLostTails, prometheus.CounterValue, float64(n.LostTails))
	to <- prometheus.MustNewConstMetric(nodeUnfolded, prometheus.GaugeValue, float64(n.Unfolded))
	if n.Epoch > 0 {
		to <- prometheus.MustNewConstMetric(nodeEpoch, prometheus.GaugeValue, float64(n.Epoch), n.Why)
	}
}
