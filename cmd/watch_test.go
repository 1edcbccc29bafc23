package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"carillon/client"
	"carillon/server/api"
)

// cutter is a proxy of connections that can be cut.
type cutter struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns []net.Conn
	gone  sync.WaitGroup
}

func mustCutter(t *testing.T, to string) *cutter {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: ln, to: to}
	c.gone.Go(func() {
		for {
			near, err := ln.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.conns = append(c.conns, near, far)
			c.mu.Unlock()
			for _, pair := range [][2]net.Conn{{near, far}, {far, near}} {
				c.gone.Go(func() {
					_, _ = io.Copy(pair[0], pair[1])
					_ = pair[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		ln.Close()
		c.cut()
		c.gone.Wait()
	})
	return c
}

// cut breaks all connections.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

// TestJobsWatchGoesOnAfterACut: what happens after the connection was lost is printed, what was
// printed before is not told again, and the end of the context is no error.
func TestJobsWatchGoesOnAfterACut(t *testing.T) {
	s := mustServe(t, t.Context(), filepath.Join(t.TempDir(), "data"))
	site, _, _ := strings.Cut(s.url, "/v1/")
	if _, err := runs(t, "apps", "create", "acme", "--server", site); err != nil {
		t.Fatal(err)
	}
	between := mustCutter(t, strings.TrimPrefix(site, "http://"))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"jobs", "watch", "--app", "acme", "--tag", "seen", "-o", "jsonl", "--server", between.Addr().String()}, strings.NewReader(""), in, io.Discard)
		in.CloseWithError(err)
		ended <- err
	}()
	lines := bufio.NewScanner(out)
	mustRead := func(want api.EventKind, id string) {
		t.Helper()
		if !lines.Scan() {
			t.Fatalf("it ended: %v", lines.Err())
		}
		var line eventLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatal(err)
		}
		if line.Event != want || id != "" && (line.JobEvent == nil || line.ID != id) {
			t.Fatalf("got %s, want %s of %q", lines.Text(), want, id)
		}
	}
	schedule := func(id string) {
		t.Helper()
		if _, err := runs(t, "jobs", "schedule", "counters:bump", `{"key":"k"}`, "--id", id, "--tag", "seen", "--after", "1h", "--app", "acme", "--server", site); err != nil {
			t.Fatal(err)
		}
	}
	mustRead(api.EventReset, "")
	mustRead(api.EventReady, "")
	schedule("one")
	mustRead(api.EventScheduled, "one")
	between.cut()
	schedule("two")
	mustRead(api.EventScheduled, "two")
	stop()
	if err := <-ended; err != nil {
		t.Errorf("stopped: %v", err)
	}
	s.mustStop(t)
}

// TestWatchKnowsWhatHasEnded: by the snapshot and by events, and again after another snapshot.
func TestWatchKnowsWhatHasEnded(t *testing.T) {
	w := &watch{out: io.Discard, err: io.Discard, form: formTable, open: map[uint64]bool{}}
	for i, step := range []struct {
		event string
		open  int
		whole bool
	}{
		{`{"Kind":"reset"}`, 0, false},
		{`{"Kind":"job","seq":1,"job":{"state":"pending"}}`, 1, false},
		{`{"Kind":"job","seq":2,"job":{"state":"success","endedAt":"2026-01-01T00:00:00Z"}}`, 1, false},
		{`{"Kind":"ready"}`, 1, true},
		{`{"Kind":"scheduled","seq":3,"job":{"state":"pending"}}`, 2, true},
		{`{"Kind":"progressed","seq":3,"progress":{"done":1,"total":2,"note":"half"}}`, 2, true},
		{`{"Kind":"ended","seq":3,"left":true,"job":{"state":"failed","endedAt":"2026-01-01T00:00:00Z"}}`, 1, true},
		{`{"Kind":"retried","seq":3,"job":{"state":"pending"}}`, 2, true},
		{`{"Kind":"started","seq":3,"left":true,"job":{"state":"running"}}`, 1, true},
		{`{"Kind":"lagged","Reason":"too slow"}`, 0, false},
		{`{"Kind":"job","seq":1,"job":{"state":"pending"}}`, 1, false},
		{`{"Kind":"ready"}`, 1, true},
		{`{"Kind":"purged","seq":1,"job":{"state":"pending"}}`, 0, true},
	} {
		var e struct {
			Kind   api.EventKind
			Reason string
			api.JobEvent
		}
		if err := json.Unmarshal([]byte(step.event), &e); err != nil {
			t.Fatal(err)
		}
		if err := w.show(&client.Event{Kind: e.Kind, JobEvent: e.JobEvent, Reason: e.Reason}); err != nil {
			t.Fatal(err)
		}
		if len(w.open) != step.open || w.whole != step.whole {
			t.Errorf("after %d, %s: %d open, whole %t", i, step.event, len(w.open), w.whole)
		}
	}
}
