package cmd

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
)

// TestJobsRemote looks after the dead jobs of a server that is running.
func TestJobsRemote(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	at := []string{"--app", "acme", "--server", site}
	must := func(want string, args ...string) string {
		t.Helper()
		out, err := runs(t, append([]string{"jobs"}, append(args, at...)...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Fatalf("jobs %v: got %v\n%swant %s", args, err, out, want)
		}
		return out
	}
	// The sample's triggers have a tick each that waits, this one for the night.
	must("pending", "list", "--state", "pending")
	must("there are more: --cursor ", "list", "-n", "1")
	for n, more := range map[string]bool{"1": true, "1000": false} {
		var said bytes.Buffer
		err := Run(t.Context(), sampleOptions(), append([]string{"jobs", "list", "-n", n, "-o", "jsonl"}, at...), nil, io.Discard, &said)
		if err != nil || strings.Contains(said.String(), "there are more: --cursor ") != more {
			t.Errorf("%s lines of JSON: %v, said %q", n, err, said.String())
		}
	}
	_, line, _ := strings.Cut(must("cleanup:cleanupOldMessages", "list", "--function", "cleanup:cleanupOldMessages", "--trigger", "cleanup", "--due-from", "2020-01-01T00:00:00Z"), "\n")
	id, _, _ := strings.Cut(line, " ")
	must("cleanup:cleanupOldMessages {", "show", id)
	must(`"state":"pending"`, "show", "-o", "json", "--name", id)
	must("that would be 0 jobs", "drop", "--all", "--dry-run")
	must("0 jobs are pending again", "retry", "--function", "presence:sweep")
	must("0 jobs are gone", "drop", "--ended-before", "2020-01-01T00:00:00Z", "--state", "failed", "--yes")

	for want, args := range map[string][]string{
		"want a job's id, a filter":       {"drop"},
		"a filter that chooses some jobs": {"retry", "--state", "failed"},
		"either a job's id or a filter":   {"drop", "--all", id},
		"job's id is missing":             {"show"},
		"unknown state":                   {"list", "--state", "failed,done"},
		"RFC 3339":                        {"list", "--due-from", "tomorrow"},
		"is not before":                   {"list", "--due-from", "2020-01-02T00:00:00Z", "--due-before", "2020-01-01T00:00:00Z"},
	} {
		_, err := runs(t, append([]string{"jobs"}, append(args, at...)...)...)
		if _, ok := errors.AsType[usageError](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("jobs %v: got %v, want %s", args, err, want)
		}
	}
	for want, args := range map[string][]string{
		"is pending: only a dead or held one can be retried or dropped": {"drop", id, "--yes"},
		`no job "nobody"`: {"show", "nobody"},
	} {
		_, err := runs(t, append([]string{"jobs"}, append(args, at...)...)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("jobs %v: got %v, want %s", args, err, want)
		}
	}
}
