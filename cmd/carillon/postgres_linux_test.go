package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cmd"
	"carillon/dispatch"
	"carillon/internal/pgtest"
	"carillon/storage"

	"go.uber.org/goleak"
)

// postgresql is the server of all tests.
var postgresql pgtest.Server

func TestMain(m *testing.M) {
	if os.Getenv("CARILLON_TEST_COMMAND") != "" {
		main() // in a process of its own
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		postgresql.Stop()
		os.Exit(code)
	}))
}

// schemas counts those that were asked for.
var schemas atomic.Int64

// mustSchema is the address of a log that there is not yet.
func mustSchema(t *testing.T) string {
	t.Helper()
	return postgresql.Address(t) + fmt.Sprintf("&schema=command%d", schemas.Add(1))
}

// runs runs a command line, and returns what it has printed and its exit code.
func runs(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var stdout bytes.Buffer
	err := cmd.Run(t.Context(), options(), args, strings.NewReader(""), &stdout, &stdout)
	if err != nil {
		stdout.WriteString(err.Error())
	}
	return stdout.String(), cmd.ExitCode(err)
}

// TestStoreInPostgreSQL: the log is made once, keeps its shards, and is checked; what only looks makes nothing.
func TestStoreInPostgreSQL(t *testing.T) {
	at := mustSchema(t)
	for _, tt := range []struct {
		line, want string
		code       int
	}{
		{"store check", "there is no log", 1},
		{"nodes --store", "there is no log", 1},
		{"shards --store", "there is no log", 1},
		{"store migrate --shards 0", "--shards is 0, want 1 to 4096", 2},
		{"store migrate --shards 4097", "--shards is 4097, want 1 to 4096", 2},
		{"store migrate --shards 8", "ok, shards: 8, version", 0},
		{"store migrate", "ok, shards: 8, version", 0},
		{"store check", "ok, shards: 8, version", 0},
		{"check --data", "ok, shards: 8, version", 0},
		{"nodes --server 127.0.0.1:1 --store", "want either --store, or --server or --data", 2},
	} {
		out, code := runs(t, append(strings.Fields(tt.line), at)...)
		if !strings.Contains(out, tt.want) || code != tt.code {
			t.Errorf("carillon %s: exit code %d, %s\nwant %d and %q", tt.line, code, out, tt.code, tt.want)
		}
	}
}

// TestStoreMovesIntoALog: a store in a directory is moved into a log and back, with all that is in it; not while a node is
// at work, nor over another store.
func TestStoreMovesIntoALog(t *testing.T) {
	store, dir := postgresql.Address(t)+"&schema=moves", t.TempDir()
	data := filepath.Join(dir, "data")
	engine := options().Engine
	late := dispatch.InternalMutation[dispatch.None, dispatch.None]("moves:late")
	late.Handle(engine.Functions, func(*dispatch.MutationCtx, dispatch.None) (dispatch.None, error) { return dispatch.None{}, nil })
	eng, err := actors.Open(data, engine)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []storage.AppID{"acme", "globex"} {
		app, err := eng.App(id)
		if err == nil {
			_, err = app.Scheduler(t.Context()).RunAfter(time.Hour, late.With(dispatch.None{}), dispatch.ID(storage.JobID("of-"+id)))
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := eng.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line, want string
		code       int
	}{
		{"store export " + store + " " + dir + "/back", "there is no log", 1},
		{"store import " + dir + "/none " + store, "is no data directory", 15},
		{"store import " + data + " " + store + " --shards 0", "--shards is 0", 2},
		{"store import " + data, "address of the log is missing", 2},
		{"store import " + data + " " + store + " --shards 4", "ok, apps: 2, rows: ", 0},
		{"store check " + store, "ok, shards: 4", 0},
		{"store import " + data + " " + store, "exists", 16},
		{"store export " + store + " " + data, "exists", 16},
		{"store export " + store + " " + dir + "/back", "ok, apps: 2, rows: ", 0},
		{"jobs list --app globex --data " + dir + "/back", "of-globex", 0},
	} {
		out, code := runs(t, strings.Fields(tt.line)...)
		if !strings.Contains(out, tt.want) || code != tt.code {
			t.Errorf("carillon %s: exit code %d, %s\nwant %d and %q", tt.line, code, out, tt.code, tt.want)
		}
	}
	a := mustNode(t, store, "a")
	if out, code := runs(t, "store", "export", store, filepath.Join(dir, "late")); code == 0 || !strings.Contains(out, "node a is at work") {
		t.Errorf("beside a node: exit code %d, %s", code, out)
	}
	signal(t, a, syscall.SIGTERM)
	_ = a.Wait() // it is no matter here how it ends
}

// node is a process that serves.
type node struct {
	*exec.Cmd
	url string
}

// mustNode starts the node with the name, and returns when it stands by. It is killed with the test.
func mustNode(t *testing.T, store, name string) *node {
	t.Helper()
	cache := filepath.Join(t.TempDir(), name)
	n := &node{Cmd: exec.Command(os.Args[0], "serve", "--store", store, "--node", name, "--cache", cache, "--lease", "3s", "--listen", "127.0.0.1:0", "--auto-create")}
	n.Env = append(os.Environ(), "CARILLON_TEST_COMMAND=1")
	var log bytes.Buffer
	n.Stderr = &log
	out, err := n.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = n.Process.Kill()
		_ = n.Wait()
		if t.Failed() {
			t.Logf("node %s: %s", name, &log)
		}
	})
	lines := bufio.NewReader(out)
	line, err := lines.ReadString('\n')
	_, rest, ok := strings.Cut(line, "stands by as node "+name+" on ")
	if !ok {
		t.Fatalf("node %s begins with %q, %v", name, line, err)
	}
	n.url, _, _ = strings.Cut(rest, ",")
	go func() { _, _ = io.Copy(io.Discard, lines) }() // ends with the process
	return n
}

// ask asks the node, and returns the status, the body and the header with the owner.
func (n *node) ask(t *testing.T, method, path, body string) (status int, answer, owner string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), resp.Header.Get("Carillon-Owner")
}

// client keeps no connection, which would outlive the test.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}

// within waits until it is so.
func within(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(15 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within 15 s", what)
		}
	}
}

func signal(t *testing.T, n *node, s syscall.Signal) {
	t.Helper()
	if err := n.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// TestNodesTakeOver: of two nodes one serves; when it is paused the other one has what it acknowledged, and the first serves
// nothing when it goes on; when the other is told to stop the first takes over.
func TestNodesTakeOver(t *testing.T) {
	store := mustSchema(t)
	if out, code := runs(t, "store", "migrate", store, "--shards", "4"); code != 0 {
		t.Fatal(out)
	}
	ready := func(n *node) func() bool {
		return func() bool { status, _, _ := n.ask(t, "GET", "/readyz", ""); return status == 200 }
	}
	const ping, list = "/v1/apps/acme/functions/presence:ping", "/v1/apps/acme/functions/presence:list"
	call := func(n *node, path, body string) (answer string) { // a node on a busy machine may do without its lease for a moment
		t.Helper()
		within(t, path+" is answered", func() bool {
			var status int
			status, answer, _ = n.ask(t, "POST", path, body)
			return status == 200
		})
		return answer
	}
	users := func(n *node, want string) {
		t.Helper()
		if answer := call(n, list, `{}`); !strings.Contains(answer, want) {
			t.Errorf("who is here: %s, want %s", answer, want)
		}
	}
	a := mustNode(t, store, "a")
	within(t, "a owns the store", ready(a))
	b := mustNode(t, store, "b")
	within(t, "b knows the owner", func() bool { _, _, owner := b.ask(t, "POST", ping, `{"userId":"eve"}`); return owner == a.url })
	if status, answer, _ := b.ask(t, "GET", "/readyz", ""); status != 503 || !strings.Contains(answer, `"standby"`) {
		t.Errorf("b is ready: %d %s", status, answer)
	}
	call(a, ping, `{"userId":"ann"}`)
	for _, line := range []string{"nodes --store", "shards --store"} {
		if out, code := runs(t, append(strings.Fields(line), store, "-o", "jsonl")...); code != 0 || strings.Count(out, "\n") < map[string]int{"nodes --store": 2, "shards --store": 4}[line] {
			t.Errorf("%s: %s", line, out)
		}
	}
	signal(t, a, syscall.SIGSTOP)
	within(t, "b owns the store", ready(b))
	users(b, "ann")
	if out, _ := runs(t, "shards", "--store", store); strings.Count(out, "expired") != 4 {
		t.Errorf("after a was stopped: %s", out)
	}
	signal(t, a, syscall.SIGCONT)
	within(t, "a knows that it has lost the store", func() bool { _, _, owner := a.ask(t, "POST", ping, `{"userId":"eve"}`); return owner == b.url })
	call(b, ping, `{"userId":"bob"}`)
	signal(t, b, syscall.SIGTERM)
	within(t, "a owns the store again", ready(a))
	users(a, "bob")
	if err := b.Wait(); err != nil {
		t.Errorf("b was told to stop: %v", err)
	}
	if out, _ := runs(t, "shards", "--store", store); strings.Count(out, "released") != 4 {
		t.Errorf("after b has left: %s", out)
	}
}

// TestBenchInPostgreSQL: a workload runs with the log in a database.
func TestBenchInPostgreSQL(t *testing.T) {
	out, code := runs(t, "bench", "--only", "W1a", "--scale", "0.001", "--shards", "1", "--store", postgresql.Address(t))
	if code != 0 || !strings.Contains(out, "\nW1a ") {
		t.Errorf("exit code %d, %s", code, out)
	}
}
