package cmd

import (
	"io"
	"strings"
	"testing"
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
