package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"carillon/storage"
)

// served is a run of "carillon demo" inside the test.
type served struct {
	url    string // of the functions of no app yet
	stop   context.CancelFunc
	done   chan error
	client *http.Client
	out    *transcript
}

// mustServe starts the command on a free port and waits until it says where.
func mustServe(t *testing.T, ctx context.Context, dir string, args ...string) *served {
	t.Helper()
	return mustServeAs(t, ctx, "demo", dir, args...)
}

// mustServeAs starts demo or serve.
func mustServeAs(t *testing.T, ctx context.Context, command, dir string, args ...string) *served {
	t.Helper()
	return mustServeWith(t, ctx, sampleOptions(), command, dir, args...)
}

// mustServeWith starts demo or serve of a program.
func mustServeWith(t *testing.T, ctx context.Context, opts Options, command, dir string, args ...string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	t.Cleanup(stop)
	r, w := io.Pipe()
	s := &served{stop: stop, done: make(chan error, 1), client: &http.Client{Transport: &http.Transport{}}, out: new(transcript)}
	args = append([]string{command, "--data", dir, "--listen", "127.0.0.1:0"}, args...)
	go func() {
		err := Run(ctx, opts, args, strings.NewReader(""), w, io.Discard)
		w.CloseWithError(err)
		s.done <- err
	}()
	lines := bufio.NewReader(r)
	first, err := lines.ReadString('\n')
	if err != nil {
		t.Fatalf("%s said %q and ended with %v", command, first, err)
	}
	go func() { _, _ = io.Copy(s.out, lines) }()
	s.url = mustAddress(t, first) + "/v1/apps/"
	return s
}

// mustAddress finds the URL in what demo prints first.
func mustAddress(t *testing.T, line string) string {
	t.Helper()
	_, rest, ok := strings.Cut(line, " on ")
	url, _, ok2 := strings.Cut(rest, ",")
	if !ok || !ok2 || !strings.HasPrefix(strings.Replace(url, "https:", "http:", 1), "http://127.0.0.1:") {
		t.Fatalf("no address in %q", line)
	}
	return url
}

// mustStop stops the command as a signal would and waits for its end.
func (s *served) mustStop(t *testing.T) {
	t.Helper()
	s.client.CloseIdleConnections()
	s.stop()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
}

// mustCall runs a function and returns its result.
func (s *served) mustCall(t *testing.T, app, function, args string) json.RawMessage {
	t.Helper()
	result, err := callURL(s.client, s.url+app+"/functions/"+function, args)
	if err != nil {
		t.Fatalf("%s: %v", function, err)
	}
	return result
}

// callURL posts the arguments and returns the result; an answer other than 200
// is an error.
func callURL(client *http.Client, url, args string) (json.RawMessage, error) {
	resp, err := client.Post(url, "application/json", strings.NewReader(args))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	var answer struct{ Result json.RawMessage }
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, err
	}
	return answer.Result, nil
}

// transcript is text that tests read while it is written.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *transcript) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *transcript) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// TestG1_ServeKeepsItsData stops the server between scheduling and asking.
func TestG1_ServeKeepsItsData(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "on", "the", "way")
	s := mustServe(t, t.Context(), dir)
	var job struct{ JobID string }
	if err := json.Unmarshal(s.mustCall(t, "acme", "reminders:set", `{"text":"tea","afterMs":3600000}`), &job); err != nil {
		t.Fatal(err)
	}
	s.mustStop(t)
	if text := s.out.String(); !strings.Contains(text, "call reminders:set") {
		t.Errorf("demo printed %s", text)
	}
	s = mustServe(t, t.Context(), dir)
	got := s.mustCall(t, "acme", "reminders:complete", `{"jobId":"`+job.JobID+`"}`)
	if string(got) != `{"canceled":true}` {
		t.Errorf("got %s", got)
	}
	s.mustStop(t)
}

// TestG23_OneOwner demands that a second server on the same directory, and every
// offline command, is told that it is in use, and disturbs nothing.
func TestG23_OneOwner(t *testing.T) {
	dir := t.TempDir()
	s := mustServe(t, t.Context(), dir)
	want := "data directory " + dir + " is in use: is it being served already? (volume is in use); ask its server, with --server URL, where the verb can, or stop it"
	for _, args := range [][]string{
		{"demo", "--listen", "127.0.0.1:0"},
		{"check"},
		{"export", "--app", "acme"},
		{"import", "--app", "acme"},
	} {
		err := run(t.Context(), append(args, "--data", dir), strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || err.Error() != want || ExitCode(err) != 24 {
			t.Errorf("%s: got %v, code %d", args[0], err, ExitCode(err))
		}
	}
	s.mustCall(t, "acme", "counters:later", `{"key":"k","n":1,"afterMs":0}`)
	s.mustStop(t)
}

// TestAddressInUse demands an error before the data is touched.
func TestAddressInUse(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	dir := filepath.Join(t.TempDir(), "data")
	_, err = runs(t, "demo", "--data", dir, "--listen", ln.Addr().String())
	if err == nil || !strings.Contains(err.Error(), "address already in use") || ExitCode(err) != 1 {
		t.Errorf("got %v, code %d", err, ExitCode(err))
	}
	if _, err := runs(t, "check", "--data", dir); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("the data directory was made: %v", err)
	}
}

// TestDemoLeavesForeignFilesAlone: a directory that has something else in it and no store
// is refused by name, and nothing is made in it. An empty one, a store beside other
// files, and what a start that was cut off has left are taken.
func TestDemoLeavesForeignFilesAlone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		files   []string
		refused bool
	}{
		{"empty", nil, false},
		{"a file", []string{"letters.txt"}, true},
		{"a hidden file", []string{".git"}, true},
		{"two files", []string{"a.db", "volumes.txt"}, true},
		{"a volume that was being made", []string{"volume-000.db.new"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if !tt.refused {
				mustServe(t, t.Context(), dir).mustStop(t)
				if err := os.WriteFile(filepath.Join(dir, "letters.txt"), nil, 0o600); err != nil {
					t.Fatal(err)
				}
				mustServe(t, t.Context(), dir).mustStop(t)
				return
			}
			ctx, stop := context.WithCancel(t.Context())
			stop() // one that is served ends at once
			err := run(ctx, []string{"demo", "--data", dir, "--listen", "127.0.0.1:0"}, strings.NewReader(""), io.Discard, io.Discard)
			want := "data directory " + dir + " has other files, such as " + tt.files[0] + ", and no store"
			if err == nil || !strings.Contains(err.Error(), want) || ExitCode(err) != 19 {
				t.Errorf("got %v, code %d, want %s", err, ExitCode(err), want)
			}
			left, err := os.ReadDir(dir)
			if err != nil || len(left) != len(tt.files) {
				t.Errorf("the directory has %v, %v, had %v", left, err, tt.files)
			}
		})
	}
}

func TestBadAddress(t *testing.T) {
	for _, addr := range []string{"nonsense", "127.0.0.1:99999", "127.0.0.1"} {
		if _, err := runs(t, "demo", "--data", t.TempDir(), "--listen", addr); err == nil || ExitCode(err) != 1 {
			t.Errorf("%s: got %v", addr, err)
		}
	}
}

// TestServeWarns says when the address is not loopback only.
func TestServeWarns(t *testing.T) {
	for _, tt := range []struct {
		ip    net.IP
		warns bool
		host  string
	}{
		{net.IPv4(127, 0, 0, 1), false, "http://127.0.0.1:8377"},
		{net.IPv6loopback, false, "http://[::1]:8377"},
		{net.IPv4zero, true, "http://127.0.0.1:8377"},
		{net.IPv6unspecified, true, "http://127.0.0.1:8377"},
		{net.IPv4(192, 0, 2, 1), true, "http://192.0.2.1:8377"},
	} {
		var out bytes.Buffer
		s := (&program{Options: sampleOptions()}).serverFlags(flag.NewFlagSet("", flag.ContinueOnError), "data")
		s.autoCreate = true
		s.greet(&out, "http", &net.TCPAddr{IP: tt.ip, Port: 8377})
		if got := strings.Contains(out.String(), "Whoever can reach"); got != tt.warns {
			t.Errorf("%v: warns %v", tt.ip, got)
		}
		if got := strings.Count(out.String(), tt.host); got != 2 {
			t.Errorf("%v: %s is in it %d times: %s", tt.ip, tt.host, got, &out)
		}
	}
}
