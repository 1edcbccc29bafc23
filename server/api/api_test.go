package api_test

import (
	"os/exec"
	"strings"
	"testing"
)

// P1: the package needs the standard library only.
func TestNothingOfTheEngineIsImported(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "carillon/server/api")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(string(out)); len(got) != 1 || got[0] != "carillon/server/api" {
		t.Errorf("it imports %q", got)
	}
}
