package metrics_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/server/metrics"
)

// TestMetricsOfANode: a node tells whether it owns the store, also while it has no engine.
func TestMetricsOfANode(t *testing.T) {
	m, n := metrics.New(), metrics.Node{Lease: 4500 * time.Millisecond, Unfolded: 7, LostTails: 3}
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
	has("owner 0", "takeovers_total 0", "lease_seconds 4.5", "lost_tails_total 3", "unfolded_records 7")
	n.Owner, n.Takeovers = true, 1
	n.Epoch, n.Why = 4, "expired"
	has("owner 1", "takeovers_total 1", `epoch{why="expired"} 4`)
}

// TestMetricsOfNoEngine: a node that has lost its store tells nothing of it, and so of no volume that is down.
func TestMetricsOfNoEngine(t *testing.T) {
	eng, err := actors.Open(t.TempDir(), actors.Options{Functions: dispatch.NewRegistry(), Volumes: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = eng.Close(context.Background()) })
	m := metrics.New()
	for _, watched := range []*actors.Engine{eng, nil} {
		m.Watch(watched, nil)
		if _, text := mustScrape(t, m.Handler(), "/metrics", ""); strings.Contains(string(text), "carillon_volumes_down") != (watched != nil) {
			t.Errorf("of %p: %s", watched, text)
		}
	}
}
