package cmd

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/actors"
)

// operated is a run of "carillon serve" inside the test, whose notice is over when the test says so.
type operated struct {
	site    string // once it is known
	metrics string // likewise
	stop    context.CancelFunc
	done    chan error
	out     *bufio.Reader
	log     *bufio.Reader
	notice  chan time.Duration // that it waits for
	over    chan time.Time     // ends it
}

// mustOperate runs serve and waits until it listens.
func mustOperate(t *testing.T, opts Options, dir string, args ...string) *operated {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	s := &operated{stop: stop, done: make(chan error, 1), notice: make(chan time.Duration, 1), over: make(chan time.Time)}
	if opts.Getenv == nil {
		opts.Getenv = func(string) string { return "" }
	}
	p := &program{opts, func(d time.Duration) <-chan time.Time {
		s.notice <- d
		return s.over
	}}
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	do := p.serve(flags)
	if err := flags.Parse(append([]string{"--data", dir, "--listen", "127.0.0.1:0", "--open-loopback", "--auto-create"}, args...)); err != nil {
		t.Fatal(err)
	}
	out, outEnd := io.Pipe()
	log, logEnd := io.Pipe()
	s.out, s.log = bufio.NewReader(out), bufio.NewReader(log)
	go func() {
		err := do(ctx, Stdio{strings.NewReader(""), outEnd, logEnd, p.Name, &p.Engine})
		outEnd.Close()
		logEnd.Close()
		s.done <- err
	}()
	line, err := s.log.ReadString('\n')
	metrics, addr, ok := strings.Cut(strings.TrimSpace(line), " listen=")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v, and ended with %v", line, err, <-s.done)
	}
	go func() { _, _ = io.Copy(io.Discard, s.log) }()
	s.site, s.metrics = "http://"+addr, "http://"+metrics[strings.LastIndex(metrics, "=")+1:]
	return s
}

// mustBeReady waits until it says where it is.
func (s *operated) mustBeReady(t *testing.T) {
	t.Helper()
	if line, err := s.out.ReadString('\n'); err != nil || !strings.Contains(line, s.site) {
		t.Fatalf("it said %q, %v", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, s.out) }()
}

// mustEnd waits for its end.
func (s *operated) mustEnd(t *testing.T) {
	t.Helper()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
}

// mustSay demands an answer, on a connection of its own.
func mustSay(t *testing.T, url string, status int, text string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || !strings.Contains(string(body), text) {
		t.Errorf("%s: %d %s, %v, want %d %s", url, resp.StatusCode, body, err, status, text)
	}
}

// TestServeFromStartToEnd: while the store is opened it is alive and not ready; when it was told
// to stop it is not ready, and serves for as long as the notice says; then it is gone.
func TestServeFromStartToEnd(t *testing.T) {
	opts := sampleOptions()
	opts.Engine.LockTimeout = time.Minute
	dir := t.TempDir()
	before, err := actors.Open(dir, actors.Options{Functions: opts.Engine.Functions, Tables: opts.Engine.Tables, Pools: opts.Engine.Pools, Program: opts.Engine.Program, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := mustOperate(t, opts, dir, "--drain-notice", "1h")
	mustSay(t, s.site+"/livez", 200, `"ok"`)
	mustSay(t, s.site+"/readyz", 503, `"starting"`)
	mustSay(t, s.site+"/v1/apps", 503, "the server is starting")
	if err := before.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.mustBeReady(t)
	mustSay(t, s.site+"/readyz", 200, `"ok"`)
	s.stop()
	select {
	case got := <-s.notice:
		if got != time.Hour {
			t.Errorf("it waits for %v, want that of the flag", got)
		}
	case err := <-s.done:
		t.Fatalf("it has ended without a notice: %v", err)
	}
	mustSay(t, s.site+"/livez", 200, `"ok"`)
	mustSay(t, s.site+"/readyz", 503, `"draining"`)
	mustSay(t, s.site+"/v1/apps", 200, "apps")
	s.over <- time.Time{}
	s.mustEnd(t)
}

// TestServeIsStoppedWhileItOpens: there is nothing to wait for then, and nothing to greet with.
func TestServeIsStoppedWhileItOpens(t *testing.T) {
	opts := sampleOptions()
	opts.Engine.LockTimeout = time.Minute
	dir := t.TempDir()
	before, err := actors.Open(dir, actors.Options{Functions: opts.Engine.Functions, Tables: opts.Engine.Tables, Pools: opts.Engine.Pools, Program: opts.Engine.Program, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s := mustOperate(t, opts, dir, "--drain-notice", "1h")
	s.stop()
	if err := before.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	go func() {
		if _, ok := <-s.notice; ok {
			close(s.over) // a notice that is not wanted ends, too
		}
	}()
	defer close(s.notice)
	if text, err := io.ReadAll(s.out); err != nil || string(text) != "stopped; what was not due yet runs after the next start\n" {
		t.Errorf("it said %q, %v", text, err)
	}
	s.mustEnd(t)
}

// TestMetricsHaveAnAddressOfTheirOwn from before there is a store until the server has ended; and
// an address that is taken is an error before anything is made.
func TestMetricsHaveAnAddressOfTheirOwn(t *testing.T) {
	opts := sampleOptions()
	opts.Server.BasePath = "/x"
	s := mustOperate(t, opts, filepath.Join(t.TempDir(), "data"), "--drain-notice", "1h", "--metrics-listen", "127.0.0.1:0")
	s.mustBeReady(t)
	mustSay(t, s.metrics+"/livez", 200, `"ok"`)
	mustSay(t, s.metrics+"/readyz", 200, `"ok"`)
	mustSay(t, s.metrics+"/metrics", 200, "carillon_apps ")
	mustSay(t, s.metrics+"/v1/apps", 404, "/readyz and /metrics")
	dir := filepath.Join(t.TempDir(), "another")
	if _, err := runs(t, "serve", "--data", dir, "--listen", "127.0.0.1:0", "--metrics-listen", strings.TrimPrefix(s.metrics, "http://")); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("an address that is taken: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	s.stop()
	<-s.notice
	mustSay(t, s.metrics+"/readyz", 503, `"draining"`)
	s.over <- time.Time{}
	s.mustEnd(t)
}

// TestTheLogIsAsAsked: in its format, from its level on, and with what is wrong refused.
func TestTheLogIsAsAsked(t *testing.T) {
	for _, tt := range []struct {
		format, level, want string // of a line of info; "": there is none
		refused             string
	}{
		{"text", "info", `level=INFO msg=hi app=acme`, ""},
		{"json", "debug", `"level":"INFO","msg":"hi","app":"acme"}`, ""},
		{"json", "warn", "", ""},
		{"text", "error", "", ""},
		{"xml", "info", "", "--log-format is \"xml\", want text or json"},
		{"text", "INFO", "", "--log-level is \"INFO\", want debug, info, warn or error"},
		{"text", "", "", "--log-level is \"\""},
	} {
		var out bytes.Buffer
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		s := (&program{Options: sampleOptions()}).serverFlags(flags, "data")
		if err := flags.Parse([]string{"--log-format", tt.format, "--log-level", tt.level}); err != nil {
			t.Fatal(err)
		}
		logger, err := s.logger(&out)
		if tt.refused != "" {
			if ExitCode(err) != 2 || !strings.HasPrefix(err.Error(), tt.refused) {
				t.Errorf("%s %s: %v, want %s", tt.format, tt.level, err, tt.refused)
			}
			continue
		}
		logger.Info("hi", "app", "acme")
		if !strings.Contains(out.String(), tt.want) || (out.Len() == 0) != (tt.want == "") {
			t.Errorf("%s %s: %s, want %s", tt.format, tt.level, &out, tt.want)
		}
	}
	opts := sampleOptions()
	opts.Engine.Logger = slog.New(slog.DiscardHandler)
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	if s := (&program{Options: opts}).serverFlags(flags, "data"); flags.Lookup("log-level") != nil {
		t.Error("a program with a logger of its own has flags of another")
	} else if logger, err := s.logger(io.Discard); err != nil || logger != opts.Engine.Logger {
		t.Errorf("it logs to %v, %v", logger, err)
	}
}

// TestServeTwice: one program's registry may be served again, by the same process.
func TestServeTwice(t *testing.T) {
	opts := sampleOptions()
	for range 2 {
		s := mustOperate(t, opts, filepath.Join(t.TempDir(), "data"))
		s.mustBeReady(t)
		s.stop()
		s.mustEnd(t)
	}
}

// TestServeRefusesBadTimes before anything is made.
func TestServeRefusesBadTimes(t *testing.T) {
	for _, args := range [][]string{{"--drain-notice", "-1s"}, {"--drain-notice", "soon"}, {"--drain", "-1s"}} {
		dir := filepath.Join(t.TempDir(), "data")
		var out, errs bytes.Buffer
		err := run(t.Context(), append([]string{"serve", "--data", dir, "--listen", "127.0.0.1:0"}, args...), strings.NewReader(""), &out, &errs)
		if ExitCode(err) != 2 || !strings.Contains(err.Error(), args[0]) || out.Len()+errs.Len() > 0 {
			t.Errorf("%v: %v, %s%s", args, err, &out, &errs)
		}
		if _, err := runs(t, "check", "--data", dir); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("%v: the directory was made", args)
		}
	}
}
