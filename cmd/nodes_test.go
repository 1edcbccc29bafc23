package cmd

import (
	"context"
	"io"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/memlog"
)

// TestNodesOfADirectory: what asks for nodes is told that a data directory has none.
func TestNodesOfADirectory(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	for _, verb := range []string{"nodes", "shards"} {
		if out, err := runs(t, verb, "--data", dir); err != nil || !strings.Contains(out, "there are no nodes") {
			t.Errorf("%s: %s, %v", verb, out, err)
		}
		if out, err := runs(t, verb, "--data", dir, "-o", "json"); err != nil || out != "[]\n" {
			t.Errorf("%s: %s, %v", verb, out, err)
		}
	}
}

// TestOptionsWithoutLog: a program that has no log in a database has no verb for it, and says so.
func TestOptionsWithoutLog(t *testing.T) {
	for line, want := range map[string]string{
		"store migrate postgres://db/carillon": "unknown command",
		"store check postgres://db/carillon":   "no log but in a data directory",
		"nodes --store postgres://db/carillon": "unknown flag: --store",
	} {
		err := Run(t.Context(), Options{}, strings.Fields(line), strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) || ExitCode(err) != 2 {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	opts := Options{Log: sampleOptions().Log}
	if err := Run(t.Context(), opts, []string{"store", "migrate"}, strings.NewReader(""), io.Discard, io.Discard); ExitCode(err) != 2 {
		t.Errorf("without an address: %v", err)
	}
}

// TestNodeIsToldToStopWhileItJoins: which is no failure of it.
func TestNodeIsToldToStopWhileItJoins(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, errs strings.Builder
	args := []string{"serve", "--store", "postgres://127.0.0.1:1/none", "--node", "a", "--cache", t.TempDir(), "--listen", "127.0.0.1:0"}
	if err := run(ctx, args, strings.NewReader(""), &out, &errs); err != nil {
		t.Errorf("%v, it printed %s", err, &out)
	}
}

// TestReleaseOfANode: a version that is longer than a node's may be is cut, and the node is not refused for it.
func TestReleaseOfANode(t *testing.T) {
	before := release
	defer func() { release = before }()
	release = strings.Repeat("v", 60)
	if got := nodeRelease(); got != builtFrom()[:min(64, len(builtFrom()))] {
		t.Errorf("of %s it is %s", builtFrom(), got)
	}
	release = strings.Repeat("v", 65)
	node := storage.Node{Name: "a", Release: nodeRelease()}
	if err := (storage.Options{Log: memlog.New(1), Node: node}).Check(); err != nil {
		t.Error(err)
	}
}
