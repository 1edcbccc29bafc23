package cmd

import (
	"errors"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"carillon/dispatch"
	"carillon/server"
)

// TestServeMakesAToken: at the first start one is made, printed, and left in a file that its owner
// alone can read and the commands take; at the next there is none to print.
func TestServeMakesAToken(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	s := mustServeAs(t, t.Context(), "serve", dir)
	site, _, _ := strings.Cut(s.url, "/v1/")
	path := filepath.Join(dir, tokenFile)
	eventually(t, "the token is there", func() bool { return strings.Contains(s.out.String(), "is not shown again") })
	if out, err := runs(t, "apps", "create", "acme", "--server", site, "--token-file", path); err != nil || out != "made acme\n" {
		t.Fatalf("apps create: %s, %v", out, err)
	}
	s.mustCall(t, "acme", "presence:ping", `{"userId":"ann"}`)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	first := strings.TrimSpace(string(text))
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	eventually(t, "the token is printed", func() bool { return strings.Contains(s.out.String(), first) })

	crons := func(args ...string) error {
		_, err := runs(t, append([]string{"crons", "list", "--app", "acme", "--server", site}, args...)...)
		return err
	}
	if err := crons(); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("without a token: %v", err)
	}
	if err := crons("--token-file", path); err != nil {
		t.Errorf("with the file: %v", err)
	}
	t.Chdir(filepath.Dir(dir)) // where serve was started, as far as its default goes
	if err := crons(); err != nil {
		t.Errorf("beside the data: %v", err)
	}

	// Of a server, and of the directory when it is not served.
	at := []string{"--server", site}
	tokens := func(args ...string) string {
		t.Helper()
		out, err := runs(t, append([]string{"tokens"}, append(args, at...)...)...)
		if err != nil {
			t.Fatalf("tokens %v: %v", args, err)
		}
		return strings.TrimSpace(out)
	}
	ann := tokens("create", "ann", "--apps", "acme, globex", "--scopes", "read,write", "--expires", "1h")
	if err := crons("--token", ann); err != nil {
		t.Errorf("with a token that was made: %v", err)
	}
	if _, err := runs(t, "tokens", "list", "--server", site, "--token", ann); ExitCode(err) != dispatch.CodePermissionDenied.ExitCode() {
		t.Errorf("one without the scope admin: %v", err)
	}
	_, err = runs(t, "tokens", "list", "--data", dir)
	if ExitCode(err) != dispatch.CodeUnavailable.ExitCode() || !strings.Contains(err.Error(), "--server URL") {
		t.Errorf("of a directory that is served: %v", err)
	}
	id := strings.Split(ann, "_")[1]
	for _, want := range []string{id + "  ann    [acme globex]  read,write", "first", "all apps"} {
		if list := tokens("list"); !strings.Contains(list, want) || strings.Contains(list, ann) {
			t.Errorf("the list does not have %q: %s", want, list)
		}
	}
	tokens("revoke", id, "--yes")
	if err := crons("--token", ann); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("with a token that was revoked: %v", err)
	}
	s.mustStop(t)

	at = []string{"--data", dir}
	bob := tokens("create", "bob", "--all-apps", "--scopes", "read", "--expires", "0")
	tokens("revoke", strings.Split(first, "_")[1], "--yes")
	before := contentOf(t, dir)
	if list := tokens("list"); !strings.Contains(list, "bob") || !maps.Equal(contentOf(t, dir), before) {
		t.Errorf("to list them has changed the directory, or is %s", list)
	}
	if _, err := runs(t, "tokens", "revoke", "none", "--yes", "--data", dir); ExitCode(err) != dispatch.CodeNotFound.ExitCode() {
		t.Errorf("one that there is not: %v", err)
	}
	s = mustServeAs(t, t.Context(), "serve", dir, "--rate", "1000", "--trusted-proxies", "10.0.0.0/8, 2001:db8::/32")
	site, _, _ = strings.Cut(s.url, "/v1/")
	if err := crons("--token", bob); err != nil {
		t.Errorf("with a token that was made offline: %v", err)
	}
	if err := crons("--token", first); ExitCode(err) != dispatch.CodeUnauthenticated.ExitCode() {
		t.Errorf("with the first, revoked offline: %v", err)
	}
	s.mustStop(t)
	if out := s.out.String(); strings.Contains(out, "carillon_") {
		t.Errorf("a token is printed again: %s", out)
	}
	if out, err := runs(t, "check", "--data", dir); err != nil {
		t.Errorf("check: %v, %s", err, out)
	}
	for _, args := range []string{
		"create", "create x --scopes read", "create x --all-apps", "create x --apps a --all-apps --scopes read",
		"create x --all-apps --scopes read --expires -1s", "create x y", "revoke", "list x",
	} {
		if _, err := runs(t, append([]string{"tokens"}, strings.Fields(args)...)...); ExitCode(err) != 2 {
			t.Errorf("tokens %s: %v", args, err)
		}
	}
}

// TestOperatorGate: without a token only an open server lets in, and only what did not come by
// a proxy; with one that is not good no server does.
func TestOperatorGate(t *testing.T) {
	tokens := func(r *http.Request) (*server.Operator, error) {
		if r.Header.Get("Authorization") == "Bearer good" {
			return &server.Operator{Name: "ann"}, nil
		}
		return nil, dispatch.Errorf(dispatch.CodeUnauthenticated, "not good")
	}
	for _, tt := range []struct {
		open                  bool
		header, value, bearer string
		want                  string // who is let in, or the code
	}{
		{true, "", "", "", "host"},
		{true, "", "", "Bearer good", "ann"},
		{true, "", "", "Bearer bad", "unauthenticated"},
		{true, "", "", "Basic x", "unauthenticated"},
		{true, "Forwarded", "for=192.0.2.1", "", "permission_denied"},
		{true, "forwarded", "", "", "permission_denied"},
		{true, "X-Forwarded-For", "192.0.2.1", "", "permission_denied"},
		{true, "x-forwarded-host", "a", "", "permission_denied"},
		{true, "X-Forwarded-Anything", "a", "", "permission_denied"},
		{true, "Via", "1.1 proxy", "", "permission_denied"},
		{true, "Via", "1.1 proxy", "Bearer good", "ann"},
		{false, "", "", "", "unauthenticated"},
		{false, "", "", "Bearer ", "unauthenticated"},
		{false, "", "", "Bearer good", "ann"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/apps/acme/crons", nil)
		if tt.header != "" {
			r.Header.Set(tt.header, tt.value)
		}
		if tt.bearer != "" {
			r.Header.Set("Authorization", tt.bearer)
		}
		op, err := operatorGate(tokens, tt.open)(r)
		got := ""
		if err != nil {
			got = string(dispatch.AsError(err).Code)
		} else {
			got = op.Name
		}
		if got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

// TestOpenLoopbackIsForThisMachine: where others can reach it, a server is not open, and does
// not begin.
func TestOpenLoopbackIsForThisMachine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("whsec_"+strings.Repeat("k", 32)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runs(t, "serve", "--data", dir, "--open-loopback", "--listen", "0.0.0.0:0"); ExitCode(err) != 2 || !strings.Contains(err.Error(), "others than this machine") {
		t.Errorf("it began: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it has made the directory: %v", err)
	}
	for _, args := range []string{"--rate -1", "--trusted-proxies 10.0.0.0/33", "--trusted-proxies 10.0.0.1", "--rate x", "--webhook https://ops.example.com/", "--webhook-secret x", "--webhook http://ops.example.com/ --webhook-secret " + secret} {
		if _, err := runs(t, append([]string{"serve", "--data", dir}, strings.Fields(args)...)...); ExitCode(err) != 2 {
			t.Errorf("serve %s: %v", args, err)
		}
	}
	for addr, want := range map[net.Addr]bool{
		&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}: true, &net.TCPAddr{IP: net.IPv6loopback}: true,
		&net.TCPAddr{IP: net.IPv4zero}: false, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)}: false, &net.UnixAddr{Name: "socket"}: false,
	} {
		if got := isLoopback(addr); got != want {
			t.Errorf("%v: %v", addr, got)
		}
	}
}

// TestAuditRemote lists what was changed without a server and by one.
func TestAuditRemote(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	mustSeed(t, dir, "acme")
	if out, err := runs(t, "tokens", "create", "ann", "--all-apps", "--scopes", "read", "--data", dir); err != nil {
		t.Fatal(err, out)
	}
	s := mustServe(t, t.Context(), dir)
	site, _, _ := strings.Cut(s.url, "/v1/")
	if out, err := runs(t, "clock", "accept", "--server", site); err != nil {
		t.Fatal(err, out)
	}
	out, err := runs(t, "audit", "--server", site)
	lines := strings.Split(out, "\n")
	if err != nil || len(lines) != 4 || !strings.Contains(lines[1], "127.0.0.1") || !strings.Contains(lines[1], "POST clock/accept") || !strings.Contains(lines[2], "command") {
		t.Errorf("got %v, %q", err, out)
	}
	if out, err := runs(t, "audit", "--server", site, "--operator", "command", "--n", "1", "-o", "json"); err != nil || strings.Count(out, `"action":"tokens"`) != 1 {
		t.Errorf("got %v, %q", err, out)
	}
	if _, err := runs(t, "audit", "--server", site, "--from", "now"); ExitCode(err) == 0 {
		t.Error("an instant that is none is taken")
	}
}

// contentOf is what the files below the directory have.
func contentOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		all[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
