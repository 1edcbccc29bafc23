package cmd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/dispatch"
)

// TestAppCommands: the commands make, list, show, pause, export, import and delete apps of a
// server, which makes none because a client calls it.
func TestAppCommands(t *testing.T) {
	dir := t.TempDir()
	s := mustServeAs(t, t.Context(), "serve", filepath.Join(dir, "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	at := []string{"--server", site, "--token-file", filepath.Join(dir, "data", tokenFile)}
	eventually(t, "the token is there", func() bool { return strings.Contains(s.out.String(), "is not shown again") })
	run := func(args ...string) (string, error) { return runs(t, append(args, at...)...) }
	want := func(text string, args ...string) {
		t.Helper()
		if out, err := run(args...); err != nil || !strings.Contains(out, text) {
			t.Errorf("%v: %q, %v, want %q", args, out, err, text)
		}
	}
	refused := func(code int, args ...string) {
		t.Helper()
		if out, err := run(args...); ExitCode(err) != code {
			t.Errorf("%v: %q, %v, want exit code %d", args, out, err, code)
		}
	}
	notFound := dispatch.CodeNotFound.ExitCode()
	refused(notFound, "apps", "show", "acme")
	want("made acme", "apps", "create", "acme")
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	want("acme", "apps", "list", "--contains", "cm")
	want("volume", "apps", "show", "acme")
	want("the app is paused by first: moving", "apps", "pause", "acme", "--reason", "moving")
	want("paused", "apps", "list", "--prefix", "a")
	want("acme", "apps", "resume", "acme")
	file := filepath.Join(dir, "acme.app")
	want("", "export", "--app", "acme", "--out", file)
	want("imported copy", "import", "--app", "copy", "--in", file)
	refused(dispatch.CodeAlreadyExists.ExitCode(), "import", "--app", "copy", "--in", file)
	refused(notFound, "export", "--app", "none", "--out", filepath.Join(dir, "none.app"))
	if _, err := os.Stat(filepath.Join(dir, "none.app")); !os.IsNotExist(err) {
		t.Errorf("an export that was refused leaves a file: %v", err)
	}
	refused(2, "apps", "delete", "acme")
	refused(2, "apps", "create")
	refused(2, "apps", "create", "a/b")
	want("deleted acme", "apps", "delete", "acme", "--yes")
	want("copy", "apps", "list", "-n", "1")
	if _, err := callURL(s.client, s.url+"acme/functions/presence:ping", `{"userId":"ann"}`); err == nil || !strings.Contains(err.Error(), "an operator makes it") {
		t.Errorf("a client's call of an app that is not there: %v", err)
	}
}
