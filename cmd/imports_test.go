package cmd

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// order is the one way that imports flow: a package may import what stands
// before it, and what is in its own directory.
var order = []string{"internal", "proto", "cron", "storage", "dispatch", "actors", "server", "client", "cmd"}

// ground are the packages that import none of ours.
var ground = []string{"internal", "proto", "cron"}

// homes says where a third party lives. Nobody else imports it.
var homes = map[string]string{
	"go.etcd.io/bbolt":                   "storage",
	"github.com/asynkron/protoactor-go":  "actors",
	"github.com/robfig/cron":             "cron",
	"google.golang.org/protobuf":         "proto storage",
	"github.com/klauspost/compress":      "storage",
	"github.com/tidwall/btree":           "storage",
	"github.com/jackc/pgx":               "storage", // of which storage/internal/pglog alone: see below
	"github.com/go-json-experiment/json": "internal",
	"github.com/rs/cors":                 "server",
	"github.com/coder/websocket":         "server",
	"go.opentelemetry.io":                "server", // of which server/otel alone
	"github.com/modelcontextprotocol":    "client", // of which client/mcp alone: the test of server/metrics
	"github.com/santhosh-tekuri":         "",       // tests
	"github.com/pb33f":                   "",       // tests
	"go.yaml.in":                         "",       // tests
	"github.com/coreos/go-oidc":          "cmd",    // of which cmd/oidc alone: see below
	"github.com/prometheus":              "server", // of which server/metrics alone: its test
	"github.com/spf13":                   "cmd",
}

// listed is what "go list" says of a package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestImportsFlowOneWay fails on a back edge between the module's packages, and
// on a third party outside its home. Tests of a package are bound by the first
// rule only, and an external test may use what its package is used by.
func TestImportsFlowOneWay(t *testing.T) {
	packages := mustList(t)
	for _, tops := range order {
		if tops != "cmd" && !slices.ContainsFunc(packages, func(p listed) bool { return top(p.ImportPath) == tops }) {
			t.Errorf("there is no package %s", tops)
		}
	}
	for _, p := range packages {
		from := slices.Index(order, top(p.ImportPath))
		if from < 0 {
			t.Errorf("%s has no place in the order %s", p.ImportPath, strings.Join(order, " -> "))
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports) {
			if to := slices.Index(order, top(imported)); to > from {
				t.Errorf("%s imports %s, which stands behind it", p.ImportPath, imported)
			} else if to >= 0 && to != from && slices.Contains(ground, order[from]) {
				t.Errorf("%s imports %s, though it stands on the ground", p.ImportPath, imported)
			}
		}
		for _, imported := range p.Imports {
			if home, ok := homeOf(imported); ok && !slices.Contains(strings.Fields(home), order[from]) {
				t.Errorf("%s imports %s, whose home is %s", p.ImportPath, imported, home)
			}
		}
	}
}

// TestEngineAndServerLinkNothingOfTheCommand: who embeds the engine, or serves it, links
// nothing that only the command needs, nor what speaks to PostgreSQL; and the command has what verifies tokens of OpenID
// Connect, or speaks to PostgreSQL, only if the program asks for it.
func TestEngineAndServerLinkNothingOfTheCommand(t *testing.T) {
	for packages, forbidden := range map[string][]string{
		"carillon/actors carillon/server carillon/server/webhook": {"github.com/spf13/", "github.com/coreos/", "github.com/go-jose/", "golang.org/x/oauth2", "github.com/modelcontextprotocol/", "github.com/jackc/", "carillon/cmd"},
		"carillon/cmd": {"github.com/jackc/", "github.com/coreos/", "github.com/go-jose/", "golang.org/x/oauth2", "github.com/modelcontextprotocol/", "carillon/client/mcp", "carillon/cmd/oidc", "carillon/cmd/carillon/sample"},
	} {
		out, err := exec.CommandContext(t.Context(), "go", append([]string{"list", "-deps"}, strings.Fields(packages)...)...).Output()
		if err != nil {
			t.Fatal(err)
		}
		linked := strings.Fields(string(out))
		if len(linked) < 100 {
			t.Errorf("%s: only %d packages are linked", packages, len(linked))
		}
		for _, path := range linked {
			if slices.ContainsFunc(forbidden, func(begin string) bool { return strings.HasPrefix(path, begin) }) {
				t.Errorf("%s: links %s", packages, path)
			}
		}
	}
}

// top is the directory of the module's root that the package is in, "" for a
// package that is not of the module.
func top(path string) string {
	rest, ok := strings.CutPrefix(path, "carillon/")
	if !ok {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

func homeOf(path string) (home string, ok bool) {
	for party, home := range homes {
		if path == party || strings.HasPrefix(path, party+"/") {
			return home, true
		}
	}
	return "", false
}

// mustList returns every package of the module.
func mustList(t *testing.T) []listed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "carillon/...")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, &stderr)
	}
	var packages []listed
	dec := json.NewDecoder(bytes.NewReader(out))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
