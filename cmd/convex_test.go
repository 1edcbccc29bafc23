package cmd

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
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
func mustConvexSite(t *testing.T, args ...string) (s *served, address, token string) {
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
	s = mustServeWith(t, t.Context(), opts, "serve", dir, append(args, "--auto-create")...)
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
	if n := strings.Count(out, "ok "); n < 36 {
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
	for _, want := range []string{"sku: 'teapot'", "5n 3", "\ntea\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not print %s:\n%s", want, out)
		}
	}
	s.mustStop(t)
}

// TestNPMConvexReactOverTLS drives the unmodified convex/react, with hooks, over wss, and calls over https: the
// server's certificate is of an authority that Node is told of.
func TestNPMConvexReactOverTLS(t *testing.T) {
	if os.Getenv(nodeClients) == "" {
		mustNode(t, "", "")
	}
	tlsServer := httptest.NewTLSServer(nil) // which has one for 127.0.0.1
	own := tlsServer.TLS.Certificates[0]
	tlsServer.Close()
	secret, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: own.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("NODE_EXTRA_CA_CERTS", cert)
	s, address, _ := mustConvexSite(t, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(address, "https://") {
		t.Fatal(address)
	}
	out := mustNode(t, "react.mjs", "", address)
	if n := strings.Count(out, "ok "); n < 10 {
		t.Errorf("only %d checks:\n%s", n, out)
	}
	s.mustStop(t)
}

// lossyProxy is between a client and a server that may be killed.
type lossyProxy struct {
	ln   net.Listener
	deaf atomic.Bool // nothing of what the server says comes through
	all  sync.WaitGroup

	mu      sync.Mutex
	backend string
	conns   map[net.Conn]bool
}

func mustLossyProxy(t *testing.T) *lossyProxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &lossyProxy{ln: ln, conns: map[net.Conn]bool{}}
	p.all.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			p.all.Go(func() { p.serve(conn) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		p.cut()
		p.all.Wait()
	})
	return p
}

func (p *lossyProxy) serve(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	backend := p.backend
	p.mu.Unlock()
	server, err := net.Dial("tcp", backend)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
	}()
	p.all.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if p.deaf.Load() {
			continue
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends all connections.
func (p *lossyProxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close()
	}
}

// TestG40_NPMConvexLive drives the unmodified reactive client over a proxy that drops answers, and kills the
// server under its open queries.
func TestG40_NPMConvexLive(t *testing.T) {
	if os.Getenv(nodeClients) == "" {
		mustNode(t, "", "")
	}
	binary, dir := mustBuild(t), filepath.Join(t.TempDir(), "data")
	client := mustClient(t)
	proxy := mustLossyProxy(t)
	var p *process
	start := func() {
		p = mustStart(t, binary, dir)
		at, _ := url.Parse(p.url)
		proxy.mu.Lock()
		proxy.backend = at.Host
		proxy.mu.Unlock()
	}
	start()
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/deaf":
			proxy.deaf.Store(true)
		case "/cut":
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
				jobs, err := query[[]sample.JobRow](client, p, "jobs:list", `{"function":"reminders:fire","state":"pending"}`)
				if err == nil && len(jobs) == 5 {
					break
				}
				if time.Now().After(deadline) {
					http.Error(w, fmt.Sprint("the mutation has not come: ", len(jobs), err), 500)
					return
				}
			}
			proxy.cut()
			proxy.deaf.Store(false)
		case "/kill":
			p.kill()
			start()
		}
	}))
	defer control.Close()
	out := mustNode(t, "live.mjs", "", "http://"+proxy.ln.Addr().String()+"/v1/apps/demo", control.URL)
	if n := strings.Count(out, "ok "); n < 19 {
		t.Errorf("only %d checks:\n%s", n, out)
	}
	p.kill()
}
