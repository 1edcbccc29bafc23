package cmd

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestServersHaveMetrics: of the functions that were called, and of the engine.
func TestServersHaveMetrics(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	resp, err := s.client.Get(strings.TrimSuffix(s.url, "/v1/apps/") + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), `carillon_handler_seconds_count{function="presence:ping",kind="mutation"} 1`) || !strings.Contains(string(text), "carillon_apps 1") {
		t.Errorf("%d %v: %s", resp.StatusCode, err, text)
	}
	s.mustStop(t)
}
