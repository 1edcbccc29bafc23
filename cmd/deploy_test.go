package cmd

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestUnitIsHardened: systemd itself judges what the service may do, from 0 to 100, and how much of it
// the command does not need.
func TestUnitIsHardened(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze")
	}
	out, err := exec.CommandContext(t.Context(), tool, "security", "--offline=true", "--threshold=20", "--no-pager", filepath.Join(root, "deploy", "carillon.service")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Overall exposure level for carillon.service") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestAssetsRunWhatThereIs: each verb, flag and variable that an asset names is one of the command.
func TestAssetsRunWhatThereIs(t *testing.T) {
	p := &program{Options: sampleOptions()}
	tree := p.tree(Stdio{name: "carillon", engine: &p.Engine})
	verb := func(name string) *cobra.Command {
		c, _, err := tree.Find([]string{name})
		if err != nil || c == tree {
			t.Fatalf("no verb %s: %v", name, err)
		}
		return c
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/carillon serve --data %S/carillon$`)
	if unit := mustRead(t, filepath.Join("deploy", "carillon.service")); !line.MatchString(unit) || !strings.Contains(unit, "\nStateDirectory=carillon\n") || !strings.Contains(unit, "\nStartLimitIntervalSec=0\n") {
		t.Error("the unit does not serve the directory that it may write, or gives up")
	}
	flags := regexp.MustCompile(` --([a-z-]+)`)
	node := regexp.MustCompile(`(?m)^ExecStart=\nExecStart=/usr/bin/carillon serve (.*)$`).FindStringSubmatch(mustRead(t, "deploy/node.conf"))
	if node == nil || !strings.Contains(node[1], "--node %l --cache %S/carillon/") {
		t.Fatal("deploy/node.conf does not replace the line of the unit, or has its copies where the unit may not write")
	}
	for _, m := range flags.FindAllStringSubmatch(" "+node[1], -1) {
		if verb("serve").Flags().Lookup(m[1]) == nil {
			t.Errorf("deploy/node.conf: serve has no --%s", m[1])
		}
	}
	variables := regexp.MustCompile(`\bCARILLON_([A-Z_]+)(?:=|, value:)`)
	for asset, most := range map[string]int{"deploy/carillon.service": 3, "deploy/node.conf": 3, "deploy/Dockerfile": 1, "docs/deploying.md": 4} {
		found := variables.FindAllStringSubmatch(mustRead(t, asset), -1)
		if len(found) < most {
			t.Errorf("%s names %d variables, want %d", asset, len(found), most)
		}
		for _, m := range found {
			flag := strings.ReplaceAll(strings.ToLower(m[1]), "_", "-")
			if verb("serve").Flags().Lookup(flag) == nil && verb("healthcheck").Flags().Lookup(flag) == nil {
				t.Errorf("%s names %s, which is of no flag", asset, m[0])
			}
		}
	}
	lines := regexp.MustCompile("(?m)(?:^\\$ |`)carillon ([a-z][^`\n]*)").FindAllStringSubmatch(mustRead(t, "docs/deploying.md"), -1)
	if len(lines) < 5 {
		t.Errorf("docs/deploying.md has only %d lines of the command", len(lines))
	}
	for _, line := range lines {
		c, _, err := tree.Find(strings.Fields(line[1]))
		if err != nil || c == tree {
			t.Errorf("docs/deploying.md: no verb of %s", line[0])
			continue
		}
		for _, m := range flags.FindAllStringSubmatch(line[1], -1) {
			if c.Flags().Lookup(m[1]) == nil {
				t.Errorf("docs/deploying.md: %s has no --%s", c.CommandPath(), m[1])
			}
		}
	}
}
