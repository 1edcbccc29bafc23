package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/dispatch"
	worker "carillon/server/remote"
	"carillon/storage"
)

const workerSecret = "a secret of workers"

// mustWorker runs an example of a worker until the test ends, and returns its URL. It is skipped without the
// language, which .ci/run installs.
func mustWorker(t *testing.T, language, file, secretFile string) string {
	t.Helper()
	path, err := exec.LookPath(language)
	if err != nil {
		t.Skipf("no %s: %v", language, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	process := exec.CommandContext(ctx, path, filepath.Join(root, "testdata", "workers", file), "0", secretFile)
	var errs bytes.Buffer
	process.Stderr = &errs
	out, err := process.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = process.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("%s says %q: %v\n%s", file, line, err, &errs)
	}
	return "http://127.0.0.1:" + port
}

// tape is a proxy before a worker that keeps what it was asked.
type tape struct {
	*httptest.Server
	mu   sync.Mutex
	asks []taped
}

type taped struct {
	header http.Header
	body   []byte
}

func mustTape(t *testing.T, address string) *tape {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	to := httputil.NewSingleHostReverseProxy(u)
	idle := &http.Transport{}
	to.Transport = idle
	r := new(tape)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, ask *http.Request) {
		body, _ := io.ReadAll(ask.Body)
		r.mu.Lock()
		r.asks = append(r.asks, taped{ask.Header.Clone(), body})
		r.mu.Unlock()
		ask.Body = io.NopCloser(bytes.NewReader(body))
		to.ServeHTTP(w, ask)
	}))
	t.Cleanup(func() {
		r.Close()
		idle.CloseIdleConnections()
	})
	return r
}

// TestWorkers drives the examples of workers, each with a server: jobs that succeed and fail, requests
// that are copies, changed, too old or not signed, and an attempt that comes while another runs.
func TestWorkers(t *testing.T) {
	for _, tt := range []struct{ language, file string }{{"node", "worker.mjs"}, {"python3", "worker.py"}} {
		t.Run(tt.language, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			secretFile := filepath.Join(dir, "secret")
			if err := os.WriteFile(secretFile, []byte(workerSecret+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			address := mustWorker(t, tt.language, tt.file, secretFile)
			between := mustTape(t, address)
			data := filepath.Join(dir, "data")
			s := mustServeWith(t, t.Context(), sampleOptions(), "serve", data, "--auto-create", "--remote", "mail:*="+between.URL, "--secret-file", secretFile)
			eventually(t, "the token is there", func() bool { return strings.Contains(s.out.String(), "is not shown again") })
			server := strings.TrimSuffix(s.url, "/v1/apps/")
			verb := func(args ...string) (string, error) {
				return runs(t, append(args, "--app", "acme", "--server", server, "--token-file", filepath.Join(data, tokenFile))...)
			}
			if out, err := runs(t, "apps", "create", "acme", "--server", server, "--token-file", filepath.Join(data, tokenFile)); err != nil {
				t.Fatal(out, err)
			}
			if out, err := verb("jobs", "schedule", "mail:send", `{"to":"ann é"}`, "--id", "one"); err != nil {
				t.Fatal(out, err)
			}
			out, err := verb("jobs", "result", "one", "--wait")
			var result struct {
				Sent, App, ID string
				Attempt       int
			}
			if err != nil || json.Unmarshal([]byte(out), &result) != nil || result.Sent != "ann é" || result.App != "acme" || result.ID != "one" || result.Attempt != 1 {
				t.Errorf("the worker has returned %s, %v", out, err)
			}
			if _, err := verb("jobs", "schedule", "mails:send", `{}`); err == nil {
				t.Error("a path beside the prefix was scheduled")
			}
			s.mustStop(t)

			between.mu.Lock()
			kept := between.asks[0]
			between.mu.Unlock()
			for name, change := range map[string]func(*taped){
				"a copy":            func(*taped) {},
				"another app":       func(a *taped) { a.body = bytes.Replace(a.body, []byte("acme"), []byte("evil"), 1) },
				"another attempt":   func(a *taped) { a.header.Set("X-Carillon-Attempt", "2") },
				"another time":      func(a *taped) { a.header.Set("X-Carillon-Timestamp", "1790000000") },
				"no body signature": func(a *taped) { a.header.Del("X-Lunora-Scheduler-Signature") },
				"no full signature": func(a *taped) { a.header.Del("X-Carillon-Signature") },
				"no JSON":           func(a *taped) { a.body = []byte("{") },
			} {
				a := taped{kept.header.Clone(), bytes.Clone(kept.body)}
				change(&a)
				a.header.Del("Content-Length")
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+worker.Path, bytes.NewReader(a.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header = a.header
				resp, err := s.client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s is answered with %d", name, resp.StatusCode)
				}
			}
			s.client.CloseIdleConnections()

			ask := func(ctx context.Context, age time.Duration, path, args string, id string, attempt int) error {
				caller, err := worker.New(worker.Options{URL: address, Secret: workerSecret, Now: func() time.Time { return time.Now().Add(-age) }})
				if err != nil {
					return err
				}
				defer caller.Close()
				_, err = caller.Call(ctx, dispatch.RemoteCall{
					App: "acme", Job: storage.JobID(id), Attempt: attempt, Path: path, Args: json.RawMessage(args), ScheduledFor: time.Now(), MaxResult: 1 << 20,
				})
				return err
			}
			wants := func(name string, err error, want string) {
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%s: %v, want %q", name, err, want)
				}
			}
			wants("of now", ask(t.Context(), 0, "mail:send", `{"to":"x"}`, "new", 1), "")
			wants("4 minutes old", ask(t.Context(), 4*time.Minute, "mail:send", `{"to":"x"}`, "fresh", 1), "")
			wants("6 minutes old", ask(t.Context(), 6*time.Minute, "mail:send", `{"to":"x"}`, "old", 1), "403: FORBIDDEN")
			wants("6 minutes ahead", ask(t.Context(), -6*time.Minute, "mail:send", `{"to":"x"}`, "ahead", 1), "403: FORBIDDEN")
			wants("a failure", ask(t.Context(), 0, "mail:fail", `{}`, "fails", 1), "500: FAILED: the mail server is down")
			wants("an unknown function", ask(t.Context(), 0, "mail:none", `{}`, "none", 1), "404: FUNCTION_NOT_FOUND")

			// Of two attempts at once one runs, until it is given up here, and the other is declined.
			ctx, giveUp := context.WithCancel(t.Context())
			both := make(chan error, 2)
			for attempt := range 2 {
				go func() { both <- ask(ctx, 0, "mail:slow", `{"ms":60000}`, "slow", attempt+1) }()
			}
			if err := <-both; !errors.Is(err, dispatch.ErrDeclined) {
				t.Errorf("an attempt beside another: %v", err)
			}
			giveUp()
			if err := <-both; !errors.Is(err, context.Canceled) {
				t.Errorf("the attempt that was given up: %v", err)
			}
		})
	}
}

// TestFlagsOfWorkers: what of them is refused.
func TestFlagsOfWorkers(t *testing.T) {
	secretFile := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secretFile, []byte(workerSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--remote mail:*=http://127.0.0.1:1":                                                          "go together",
		"--secret-file " + secretFile:                                                                 "go together",
		"--remote mail=http://127.0.0.1:1 --secret-file " + secretFile:                                "want PREFIX=URL",
		"--remote mail:* --secret-file " + secretFile:                                                 "want PREFIX=URL",
		"--remote mail:*=ftp://x --secret-file " + secretFile:                                         "not an absolute one",
		"--remote mail:*=http://169.254.169.254 --secret-file " + secretFile:                          "never dialled",
		"--remote mail:*=http://127.0.0.1:1,mail:s*=http://127.0.0.1:1 --secret-file " + secretFile:   "is remote already",
		"--remote orders:*=http://127.0.0.1:1 --secret-file " + secretFile:                            "belongs to a function of this program",
		"--origin-allow 10.0.0.0 --remote mail:*=http://127.0.0.1:1 --secret-file " + secretFile:      "origin-allow",
		"--remote mail:*=http://127.0.0.1:1 --secret-file " + filepath.Join(t.TempDir(), "not-there"): "no such file",
	} {
		err := run(t.Context(), append([]string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"}, strings.Fields(args)...), strings.NewReader(""), io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
}
