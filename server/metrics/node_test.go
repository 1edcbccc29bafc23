package metrics_test

import (
	"strings"
	"testing"
	"time"

	"carillon/server/metrics"
)

// TestMetricsOfANode: a node tells whether it owns the store, also while it has no engine.
func TestMetricsOfANode(t *testing.T) {
	m, n := metrics.New(), metrics.Node{Lease: 4500 * time.Millisecond, Unfolded: 7}
	has := func(lines ...string) {
		t.Helper()
		_, text := mustScrape(t, m.Handler(), "/metrics", "")
		for _, line := range lines {
			if !strings.Contains(string(text), "\ncarillon_node_"+line+"\n") {
				t.Errorf("want carillon_node_%s in %s", line, text)
			}
		}
	}
	if _, text := mustScrape(t, m.Handler(), "/metrics", ""); strings.Contains(string(text), "carillon_node") {
		t.Errorf("without a node: %s", text)
	}
	m.WatchNode(func() metrics.Node { return n })
	has("owner 0", "takeovers_total 0", "lease_seconds 4.5", "unfolded_records 7")
	n.Owner, n.Takeovers = true, 1
	has("owner 1", "takeovers_total 1")
}
