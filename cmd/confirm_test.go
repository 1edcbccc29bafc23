package cmd

import (
	"strings"
	"testing"
)

// TestWhatCannotBeUndoneNeedsYes where there is no terminal to ask at.
func TestWhatCannotBeUndoneNeedsYes(t *testing.T) {
	dir := t.TempDir()
	mustSeed(t, dir, "acme")
	for _, line := range []string{
		"jobs cancel --all --app acme", "jobs drop --all --app acme", "jobs drop x --app acme", "groups cancel 1 --app acme",
		"crons delete x --app acme", "apps delete acme", "tokens revoke x",
	} {
		_, err := runs(t, append(strings.Fields(line), "--data", dir)...)
		if ExitCode(err) != 2 || !strings.Contains(err.Error(), "--yes says that it is meant") {
			t.Errorf("%s without a terminal: %v", line, err)
		}
	}
	if _, err := runs(t, "apps", "delete", "acme", "--yes", "--data", dir); err != nil {
		t.Errorf("with --yes: %v", err)
	}
}
