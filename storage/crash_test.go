package storage_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"carillon/storage"
	"carillon/storage/storagetest"
)

// This file kills a process at each of its disk calls, and has each of them
// fail. The process is the test binary itself, as worker "script": it makes a
// store, works through a script of durable calls, and says "ack k" when call k
// was acknowledged. strace counts the calls and does the damage.

func init() {
	workers["script"] = func() error {
		return playScript(os.Getenv("CARILLON_STORAGE_DIR"), os.Getenv("CARILLON_STORAGE_ERRORS") != "")
	}
}

// playScript is the worker.
func playScript(dir string, bad bool) error {
	runtime.LockOSThread() // for good, lest it become the committer's
	opts := storage.Options{
		Volumes: 1, Tables: []storage.Schema{dingbats}, Fault: storagetest.OwnThreads(),
		LogMemory: 64 << 10, LogSegment: 16 << 10, // checkpoints, and segments of the log, come and go
	}
	s, err := storage.Open(dir, opts)
	for tries := 0; err != nil && bad; tries++ {
		if tries == 3 {
			fmt.Println("gave up: ", err)
			return nil
		}
		s, err = storage.Open(dir, opts)
	}
	if err != nil {
		return err
	}
	p := &player{s: s, apps: map[storage.AppID]*storage.App{}, answer: make(chan error, 1000), ack: func(k int) {
		// One write each: what was said is said, whatever happens next.
		os.Stdout.WriteString("ack " + strconv.Itoa(k) + "\n")
	}}
	if !bad {
		return errors.Join(p.play(script()), s.Close())
	}
	err = p.playOn(script())
	if errors.Is(err, errGaveUp) {
		fmt.Println("gave up")
		err = nil
	}
	return errors.Join(err, s.Close())
}

// stateOf spells all that the store shows, but for ids that are not chosen.
func stateOf(tb testing.TB, s *storage.Store) string {
	tb.Helper()
	var b strings.Builder
	for _, id := range mustApps(tb, s) {
		app, err := s.App(id)
		if err != nil {
			tb.Fatal(err)
		}
		fmt.Fprintf(&b, "app %s, %d pending, %d finished\n", id, app.Pending(), app.History())
		mustRead(tb, app, func(r storage.Reader) {
			for job, err := range r.System().All(storage.JobFilter{}) {
				if err != nil {
					tb.Fatal(err)
				}
				if found, ok, err := r.System().Get(job.ID); err != nil || !ok || found.ID != job.ID {
					tb.Errorf("job %s is listed but not found: %v, %v", job.ID, ok, err)
				}
				if _, _, minted := storage.HomeOf(job.ID); minted {
					job.ID = "minted"
				}
				b.WriteString(jobText(job) + "\n")
			}
			for d, err := range dingbats.Query(r).All() {
				if err != nil {
					tb.Fatal(err)
				}
				fmt.Fprintf(&b, "%+v\n", d.Value)
			}
			b.WriteString(strings.Join(triggerTexts(tb, r), "\n"))
		})
	}
	page, err := s.AuditLog(storage.AuditFilter{Limit: 1000})
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range page.Entries {
		fmt.Fprintf(&b, "audit: %+v\n", e)
	}
	return b.String()
}

// crasher runs the worker under strace and verifies what it leaves behind.
type crasher struct {
	t      *testing.T
	strace storagetest.Strace
	steps  []scriptStep
	states []string
}

func newCrasher(t *testing.T) *crasher {
	c := &crasher{t: t, strace: storagetest.FindStrace(t), steps: script()}
	s := mustOpen(t, t.TempDir(), withDingbats)
	c.states = append(c.states, stateOf(t, s))
	p := &player{s: s, apps: map[storage.AppID]*storage.App{}, answer: make(chan error, 1000), ack: func(int) {}}
	for i := range c.steps {
		step := c.steps[i]
		step.wait = true
		k := i + 1
		if step.special != nil {
			if err := step.special(s); err != nil {
				t.Fatalf("call %d: %v", k, err)
			}
			p.apps = map[storage.AppID]*storage.App{}
		} else {
			if err := p.submit(k, step); err != nil {
				t.Fatalf("call %d: %v", k, err)
			}
			if err := <-p.answer; err != nil {
				t.Fatalf("call %d: %v", k, err)
			}
		}
		c.states = append(c.states, stateOf(t, s))
	}
	return c
}

// result is what became of a worker.
type result struct {
	dir    string
	acked  int
	killed bool
	gaveUp bool
}

// run runs the worker under strace with the options.
func (c *crasher) run(bad bool, part storagetest.Part, options ...string) (r result) {
	c.t.Helper()
	r.dir = filepath.Join(c.t.TempDir(), "store")
	options = append(part.Only(r.dir), options...)
	cmd := c.strace.Command(c.t.Context(), options, os.Args[0])
	cmd.Env = workerEnv("script", "CARILLON_STORAGE_DIR="+r.dir)
	if bad {
		cmd.Env = append(cmd.Env, "CARILLON_STORAGE_ERRORS=1")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case storagetest.Refused(stderr.String()):
		c.t.Skipf("strace may not trace: crashes at disk calls are not tested: %s", &stderr)
	case storagetest.Killed(err):
		r.killed = true
	case err != nil:
		c.t.Fatalf("the worker under strace %v: %v\n%s%s", options, err, &stdout, &stderr)
	}
	for lines := bufio.NewScanner(&stdout); lines.Scan(); {
		if k, ok := strings.CutPrefix(lines.Text(), "ack "); ok {
			n, err := strconv.Atoi(k)
			if err != nil || n != r.acked+1 {
				c.t.Fatalf("strace %v: the worker says %q behind ack %d", options, lines.Text(), r.acked)
			}
			r.acked = n
		} else if strings.HasPrefix(lines.Text(), "gave up") {
			r.gaveUp = true
		}
	}
	return r
}

// parts of the store have disk calls of their own.
var parts = []storagetest.Part{storagetest.Log, storagetest.Files}

// count is how many calls of each kind that concern a part of the store opening it, the
// committer and its checkpoints make.
func (c *crasher) count() map[storagetest.Part]storagetest.Counts {
	c.t.Helper()
	log := filepath.Join(c.t.TempDir(), "log")
	c.verify(c.run(false, storagetest.Whole, storagetest.Count(log)...), "")
	all := map[storagetest.Part]storagetest.Counts{}
	for _, part := range parts {
		counts, err := storagetest.ReadCounts(log, part)
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Logf("disk calls of the %s: %+v", part, counts)
		all[part] = counts
	}
	return all
}

// verify opens what the worker left behind and compares it with what it said.
func (c *crasher) verify(r result, what string) {
	c.t.Helper()
	opts := withDingbats
	opts.Volumes, opts.NoSync = 1, true
	s, err := storage.Open(r.dir, opts)
	if err != nil {
		c.t.Fatalf("%s: after ack %d the store cannot be opened: %v", what, r.acked, err)
	}
	defer mustClose(c.t, s)
	if err := s.Check(); err != nil {
		c.t.Errorf("%s: after ack %d: check: %v", what, r.acked, err)
	}
	// What was submitted together may have been written though it was not acknowledged.
	last := r.acked
	if last < len(c.steps) {
		last++
		for !c.steps[last-1].wait {
			last++
		}
	}
	got := stateOf(c.t, s)
	if i := slices.Index(c.states[r.acked:last+1], got); i < 0 {
		was := slices.Index(c.states, got)
		c.t.Errorf("%s: after ack %d the store is in the state after call %d, want %d to %d:\n%.2000s", what, r.acked, was, r.acked, last, got)
	}
	for k := r.acked; k > 0; k-- {
		if c.steps[k-1].special == nil {
			if at := s.HighWater(); at.Before(scriptNow(k)) || at.After(scriptNow(last)) {
				c.t.Errorf("%s: G15: after ack %d the high-water mark is %v, want %v or a little later", what, r.acked, at, scriptNow(k))
			}
			break
		}
	}
	// The next owner can work.
	app, err := s.App("next")
	if err != nil {
		c.t.Fatal(err)
	}
	tx := app.Begin(scriptNow(1000))
	mustInsert(c.t, tx.JobWriter(), storage.Job{})
	mustCommit(c.t, tx)
	for range 100 {
		if n := doomed(c.t, s); n == 0 {
			break
		}
		settled := make(chan error, 1)
		app.Begin(scriptNow(1000)).Rollback(func(err error) { settled <- err })
		<-settled
	}
	if n := doomed(c.t, s); n != 0 {
		c.t.Errorf("%s: %d doomed apps were not collected", what, n)
	}
	mustClose(c.t, s)
	os.RemoveAll(r.dir)
}

// full says whether every disk call is to be tried, and not a sample.
func full() bool { return os.Getenv("CARILLON_CRASH") == "full" }

// points calls do for the counts of the call at which something is to happen:
// all of them, or about as many as wanted, first and last included.
func points(all []int, want int, do func(when int)) (n int) {
	step := 1
	if !full() && len(all) > want {
		step = len(all) / want
	}
	for i := 0; i < len(all); i += step {
		do(all[i])
		n++
	}
	return n
}

// TestG1_KilledAtEveryDiskCall: a process killed before any of its disk calls
// leaves a store that opens, passes the check, and holds all that was
// acknowledged; of what was not, each call is there as a whole or not at all,
// and in order (G2, G7, G15). Run with CARILLON_CRASH=full for every call
// instead of a sample.
func TestG1_KilledAtEveryDiskCall(t *testing.T) {
	c := newCrasher(t)
	counts := c.count()
	for _, part := range parts {
		for _, call := range storagetest.DiskCalls {
			killed := 0
			n := points(counts[part].Points(call), 6, func(when int) {
				what := fmt.Sprintf("killed at %s %d of the %s", call, when, part)
				r := c.run(false, part, storagetest.Kill(call, when)...)
				if r.killed {
					killed++
				} else if r.acked != len(c.steps) {
					t.Errorf("%s: not killed, but ended at ack %d", what, r.acked)
				}
				c.verify(r, what)
			})
			t.Logf("%s of the %s: killed at %d of %d points", call, part, killed, n)
			// A busy machine has more calls share a commit, so that the last points may
			// lie behind the end of a run.
			if killed < n/2 {
				t.Errorf("%s of the %s: only %d of %d runs were killed", call, part, killed, n)
			}
		}
	}
}

// TestG6_EveryDiskCallFails: each disk call in turn returns an error, once, or
// from then on, in the log, or in the volume file. Nothing is acknowledged that is not there
// (G1, G6); after a single error the work is done all the same, and what is down stays whole.
// Of a commit whose sync has failed nothing is shown: its segment is given up.
func TestG6_EveryDiskCallFails(t *testing.T) {
	c := newCrasher(t)
	counts := c.count()
	for _, tt := range []struct{ call, errno string }{
		{"fdatasync", "EIO"}, {"fsync", "EIO"}, {"pwrite64", "ENOSPC"}, {"pwrite64", "EIO"}, {"ftruncate", "ENOSPC"},
	} {
		for i := range 2 * len(parts) {
			from, part, gaveUp := []string{"", "+"}[i%2], parts[i/2], 0
			n := points(counts[part].Points(tt.call), 2, func(when int) {
				what := fmt.Sprintf("%s %d%s of the %s returns %s", tt.call, when, from, part, tt.errno)
				r := c.run(true, part, storagetest.Fail(tt.call, "error="+tt.errno, when, from != "")...)
				if r.gaveUp {
					gaveUp++
				}
				if r.killed || r.gaveUp == (r.acked == len(c.steps)) || r.gaveUp && from == "" {
					t.Errorf("%s: ended at ack %d, gave up: %v, killed: %v", what, r.acked, r.gaveUp, r.killed)
				}
				c.verify(r, what)
			})
			t.Logf("%s%s of the %s returns %s: %d points, gave up at %d", tt.call, from, part, tt.errno, n, gaveUp)
		}
	}
}
