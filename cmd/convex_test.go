package cmd

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"carillon/dispatch"
)

// nodeClients is the variable with the folder in which "npm ci" was run with the files of
// testdata/clients/convex, as .ci/run does it.
const nodeClients = "CARILLON_NODE_CLIENTS"

// mustNode runs a module of testdata/clients/convex beside the packages, or text as one, with the arguments.
// Without the folder the test is skipped.
func mustNode(t *testing.T, module, text string, args ...string) string {
	t.Helper()
	packages := os.Getenv(nodeClients)
	if packages == "" {
		t.Skipf("no %s: run npm ci --ignore-scripts in a copy of testdata/clients/convex, and name it", nodeClients)
	}
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(packages, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "src"), os.DirFS(filepath.Join(root, "testdata", "clients", "convex"))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "src", module)
	if text != "" {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	node := exec.CommandContext(t.Context(), "node", append([]string{path}, args...)...)
	var out bytes.Buffer
	node.Stdout, node.Stderr = &out, &out
	if err := node.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", module, err, &out)
	}
	return out.String()
}

// mustConvexSite serves the sample app, whose clients may be anonymous, ann, or what a JWT would be. It
// returns the address for npm convex and the operator's token.
func mustConvexSite(t *testing.T) (s *served, address, token string) {
	t.Helper()
	opts := sampleOptions()
	opts.Server.Identify = func(r *http.Request) (*dispatch.Identity, error) {
		switch subject := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); subject {
		case "":
			return nil, nil
		case "ann", "bob":
			return &dispatch.Identity{Subject: subject}, nil
		}
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "this token is not good")
	}
	dir := filepath.Join(t.TempDir(), "data")
	s = mustServeWith(t, t.Context(), opts, "serve", dir, "--auto-create")
	eventually(t, "the token is there", func() bool { return strings.Contains(s.out.String(), "is not shown again") })
	text, err := os.ReadFile(filepath.Join(dir, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	return s, s.url + "demo", strings.TrimSpace(string(text))
}

// TestNPMConvexOverHTTP drives the unmodified npm package.
func TestNPMConvexOverHTTP(t *testing.T) {
	if os.Getenv(nodeClients) == "" {
		mustNode(t, "", "")
	}
	s, address, token := mustConvexSite(t)
	out := mustNode(t, "http.mjs", "", address, token)
	if n := strings.Count(out, "ok "); n < 33 {
		t.Errorf("only %d checks:\n%s", n, out)
	}
	s.mustStop(t)
}

// TestNPMConvexPage follows the page for users word by word, but for the port.
func TestNPMConvexPage(t *testing.T) {
	if os.Getenv(nodeClients) == "" {
		mustNode(t, "", "")
	}
	s, address, token := mustConvexSite(t)
	text := "const jwt = \"ann\", operatorToken = process.argv[2];\n" + strings.Join(fenced(t, "docs/clients.md", "js"), "\n")
	out := mustNode(t, "page.mjs", strings.ReplaceAll(text, "http://127.0.0.1:8377/v1/apps/demo", address), token)
	for _, want := range []string{"sku: 'teapot'", "5n 3"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %s:\n%s", want, out)
		}
	}
	s.mustStop(t)
}
