package storage_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carillon/storage"
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

// scriptStep is one durable call.
type scriptStep struct {
	app storage.AppID
	do  func(tx *storage.Tx) error
	// special is a call of the store instead of a transaction; applied says
	// whether it has happened, when its answer left that open.
	special func(s *storage.Store) error
	applied func(s *storage.Store) (bool, error)
	// wait: the answers of all calls so far are awaited before the next.
	wait bool
}

// scriptNow is the scheduler's time in call k of the script.
func scriptNow(k int) time.Time { return testNow.Add(time.Duration(k) * time.Second) }

// script is what the worker does. Every transaction also writes down in a
// document which call it was.
func script() (steps []scriptStep) {
	tx := func(app storage.AppID, wait bool, do func(tx *storage.Tx) error) {
		steps = append(steps, scriptStep{app: app, wait: wait, do: do})
	}
	insert := func(tx *storage.Tx, id storage.JobID, due time.Time) error {
		_, err := storage.InsertJob(tx.Writer(), storage.Job{ID: id, Function: "a:b", Args: []byte(`{"n":1}`), Due: due})
		return err
	}
	claim := func(tx *storage.Tx, id storage.JobID) (storage.Job, error) {
		job, ok, err := tx.Writer().System().Get(id)
		if err != nil || !ok {
			return job, fmt.Errorf("job %s: %v, %w", id, ok, err)
		}
		if ok, err = tx.Claim(&job); !ok {
			err = fmt.Errorf("claim %s: %v, %w", id, ok, err)
		}
		return job, err
	}
	end := func(tx *storage.Tx, id storage.JobID, end storage.End) error {
		jobs, err := tx.Claimed()
		if err != nil {
			return err
		}
		for _, job := range jobs {
			if job.ID == id {
				_, err := tx.EndAttempt(job, end)
				return err
			}
		}
		return fmt.Errorf("job %s is not claimed", id)
	}
	cancel := func(tx *storage.Tx, id storage.JobID) error {
		answer, err := storage.CancelJob(tx.Writer(), id)
		if err == nil && !answer.Canceled {
			err = fmt.Errorf("cancel %s: %+v", id, answer)
		}
		return err
	}
	oops := &storage.JobError{Code: "internal", Message: "oops"}

	// The app comes into being with its first change.
	tx("a", true, func(tx *storage.Tx) error {
		_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: "bell"})
		return errors.Join(err, insert(tx, "", testNow.Add(time.Hour)))
	})
	// These are handed over together, and share commits as it happens.
	for i := range 6 {
		app := storage.AppID([]string{"a", "b"}[i%2])
		tx(app, i == 5, func(tx *storage.Tx) error {
			for j := range 3 {
				if err := insert(tx, storage.JobID(fmt.Sprintf("job%d-%d", i, j)), testNow.Add(time.Duration(i)*time.Second)); err != nil {
					return err
				}
			}
			_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: fmt.Sprint("clapper", i), Count: i})
			return err
		})
	}
	// A claim, and every way for it to end.
	tx("a", true, func(tx *storage.Tx) error {
		for _, id := range []storage.JobID{"job0-0", "job0-1", "job0-2", "job2-0"} {
			if _, err := claim(tx, id); err != nil {
				return err
			}
		}
		return nil
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-0", storage.End{State: storage.StateSuccess, StartedAt: testNow})
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-1", storage.End{State: storage.StatePending, Due: testNow.Add(time.Minute), Error: oops})
	})
	tx("a", false, func(tx *storage.Tx) error {
		return end(tx, "job0-2", storage.End{State: storage.StateFailed, Error: oops})
	})
	tx("a", true, func(tx *storage.Tx) error { return cancel(tx, "job2-0") })
	tx("b", false, func(tx *storage.Tx) error { return cancel(tx, "job1-0") })
	tx("b", true, func(tx *storage.Tx) error { return cancel(tx, "job3-1") })
	// The dead come back, or go for good.
	tx("a", true, func(tx *storage.Tx) error {
		ok, err := tx.RetryDead("job0-2")
		if err == nil && !ok {
			err = errors.New("no dead job")
		}
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		job, err := claim(tx, "job0-2")
		if err != nil {
			return err
		}
		_, err = tx.EndAttempt(job, storage.End{State: storage.StateFailed, Error: oops})
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		ok, err := tx.DropDead("job0-2")
		if err == nil && !ok {
			err = errors.New("no dead job")
		}
		return err
	})
	tx("a", true, func(tx *storage.Tx) error {
		n, err := tx.PurgeHistory(time.Time{}, 1, 10)
		if err == nil && n != 1 {
			err = fmt.Errorf("purged %d", n)
		}
		return err
	})
	// A nested transaction that joins, and one that is dropped.
	tx("b", true, func(tx *storage.Tx) error {
		err := storage.Nested(tx.Writer(), func(w storage.Writer) error {
			_, err := dingbats.Insert(w, Dingbat{Name: "joined"})
			return err
		})
		if err := storage.Nested(tx.Writer(), func(w storage.Writer) error {
			if _, err := dingbats.Insert(w, Dingbat{Name: "dropped"}); err != nil {
				return err
			}
			return errDropped
		}); !errors.Is(err, errDropped) {
			return err
		}
		return err
	})
	// A tick ends, and the trigger moves on to its next, in one commit (G20).
	tx("a", false, func(tx *storage.Tx) error { return tick(tx.Writer(), testNow) })
	tx("a", true, func(tx *storage.Tx) error {
		job, err := claim(tx, storage.TickID("toll", testNow))
		if err != nil {
			return err
		}
		_, err = tx.EndAttempt(job, storage.End{State: storage.StateSuccess, StartedAt: testNow})
		return errors.Join(err, tick(tx.Writer(), testNow.Add(time.Hour)))
	})
	// Enough to split pages and to make the file grow.
	tx("a", true, func(tx *storage.Tx) error {
		for i := range 300 {
			if err := insert(tx, "", testNow.Add(time.Duration(i%7)*time.Minute)); err != nil {
				return err
			}
		}
		return nil
	})
	tx("a", true, func(tx *storage.Tx) error {
		for d, err := range dingbats.Query(tx.Writer()).By("by_name").From("clapper0").To("clapper4").All() {
			if err != nil {
				return err
			}
			if err := dingbats.Patch(tx.Writer(), d.ID, func(d *Dingbat) error { d.Count += 100; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	// An app moves, and another goes.
	holds := func(s *storage.Store, id storage.AppID) (bool, error) {
		apps, err := s.Apps()
		return slices.Contains(apps, id), err
	}
	steps = append(steps, scriptStep{
		wait: true,
		special: func(s *storage.Store) error {
			var b bytes.Buffer
			if err := s.Export(context.Background(), "b", &b); err != nil {
				return err
			}
			return s.Import(context.Background(), "c", &b)
		},
		applied: func(s *storage.Store) (bool, error) { return holds(s, "c") },
	}, scriptStep{
		wait:    true,
		special: func(s *storage.Store) error { return s.Delete("b") },
		applied: func(s *storage.Store) (bool, error) {
			held, err := holds(s, "b")
			return !held, err
		},
	})
	tx("b", true, func(tx *storage.Tx) error { return insert(tx, "anew", testNow) })
	tx("c", true, func(tx *storage.Tx) error { return cancel(tx, "job5-2") })
	return steps
}

// stepMark is the name of the document that says which call was the last.
const stepMark = "step"

// readMark is the last call of the script that the app has.
func readMark(r storage.Reader) (int, error) {
	d, _, err := dingbats.Query(r).By("by_name").Eq(stepMark).First()
	return d.Value.Count, err
}

func writeMark(tx *storage.Tx, k int) error {
	d, ok, err := dingbats.Query(tx.Writer()).By("by_name").Eq(stepMark).First()
	if err != nil {
		return err
	}
	if !ok {
		_, err := dingbats.Insert(tx.Writer(), Dingbat{Name: stepMark, Count: k})
		return err
	}
	return dingbats.Patch(tx.Writer(), d.ID, func(d *Dingbat) error { d.Count = k; return nil })
}

// player works through the script.
type player struct {
	s      *storage.Store
	apps   map[storage.AppID]*storage.App
	ack    func(k int)
	answer chan error
}

var errGaveUp = errors.New("gave up")

// app returns the app, opening it at its first use.
func (p *player) app(id storage.AppID) (*storage.App, error) {
	if a := p.apps[id]; a != nil {
		return a, nil
	}
	a, err := p.s.App(id)
	if err == nil {
		p.apps[id] = a
	}
	return a, err
}

// hand hands call k over.
func (p *player) hand(k int, step scriptStep) error {
	a, err := p.app(step.app)
	if err != nil {
		return err
	}
	tx := a.Begin(scriptNow(k))
	if err := errors.Join(step.do(tx), writeMark(tx, k)); err != nil {
		tx.Rollback(nil)
		return err
	}
	return tx.Commit(func(err error) { p.answer <- err })
}

// play does the calls and reports each acknowledgement, in order.
func (p *player) play(steps []scriptStep) error {
	acked := 0
	for i, step := range steps {
		k := i + 1
		if step.special != nil {
			if err := step.special(p.s); err != nil {
				return fmt.Errorf("call %d: %w", k, err)
			}
			acked = k
			p.ack(k)
			p.apps = map[storage.AppID]*storage.App{}
			continue
		}
		if err := p.hand(k, step); err != nil {
			return fmt.Errorf("call %d: %w", k, err)
		}
		for step.wait && acked < k {
			if err := <-p.answer; err != nil {
				return fmt.Errorf("call %d: %w", acked+1, err)
			}
			acked++
			p.ack(acked)
		}
	}
	return nil
}

// playOn does the calls one by one on a disk that has errors: after each it
// finds out whether the call has happened, and repeats it if not.
func (p *player) playOn(steps []scriptStep) error {
	for i, step := range steps {
		k := i + 1
		for tries := 0; ; tries++ {
			if tries == 10 {
				return errGaveUp
			}
			done, err := p.try(k, step)
			if done {
				p.ack(k)
				break
			}
			if err == nil {
				continue // it certainly did not happen
			}
			if !errors.Is(err, storage.ErrUnavailable) {
				return fmt.Errorf("call %d: %w", k, err)
			}
		}
	}
	return nil
}

// try does call k and says whether it has happened. The error is one of finding that out.
func (p *player) try(k int, step scriptStep) (done bool, err error) {
	if step.special != nil {
		if err := step.special(p.s); err == nil {
			p.apps = map[storage.AppID]*storage.App{}
			return true, nil
		} else if !badDisk(err) {
			return false, err
		}
		return step.applied(p.s)
	}
	err = p.hand(k, step)
	if err == nil {
		err = <-p.answer
	}
	if err == nil {
		return true, nil
	}
	if !badDisk(err) {
		return false, err
	}
	a, err := p.app(step.app)
	if err != nil {
		return false, err
	}
	if err := a.Reload(); err != nil {
		// The committer tries to open the file again when it is asked for something.
		a.Begin(scriptNow(k)).Rollback(func(err error) { p.answer <- err })
		<-p.answer
		return false, err
	}
	snap, err := a.Snapshot(scriptNow(k))
	if err != nil {
		return false, err
	}
	defer snap.Close()
	mark, err := readMark(snap.Reader())
	return mark == k, err
}

// badDisk says whether the error is one that a broken disk may lead to.
func badDisk(err error) bool {
	return errors.Is(err, storage.ErrUnknownOutcome) || errors.Is(err, storage.ErrUnavailable) || errors.Is(err, storage.ErrNotApplied)
}

// disk are the calls that change a file.
var disk = []string{"pwrite64", "fdatasync", "fsync", "ftruncate"}

// idleCalls is how many of each of them the committer's thread makes in vain
// before its first commit. strace counts by thread: so a count up to the number
// that opening a store takes means opening, and one above idleCalls the committer.
const idleCalls = 100

// threads sees to it that opening and committing have a thread each. The hook is
// asked on the committer's goroutine before its first commit.
func threads() (fault func(string) error) {
	runtime.LockOSThread()
	var once sync.Once
	return func(string) error {
		once.Do(func() {
			runtime.LockOSThread()
			fd, err := syscall.Open("/dev/null", syscall.O_WRONLY, 0)
			if err != nil {
				panic(err)
			}
			for range idleCalls {
				_, _ = syscall.Pwrite(fd, []byte{0}, 0)
				_ = syscall.Fdatasync(fd)
				_ = syscall.Fsync(fd)
				_ = syscall.Ftruncate(fd, 0)
			}
		})
		return nil
	}
}

// playScript is the worker.
func playScript(dir string, bad bool) error {
	opts := storage.Options{Volumes: 1, Tables: []storage.Schema{dingbats}, Fault: threads()}
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
	return b.String()
}

// crasher runs the worker under strace and verifies what it leaves behind.
type crasher struct {
	t      *testing.T
	steps  []scriptStep
	states []string
}

func newCrasher(t *testing.T) *crasher {
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("strace is not installed: crashes at disk calls are not tested")
	}
	c := &crasher{t: t, steps: script()}
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
			if err := p.hand(k, step); err != nil {
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
	log    string // of strace
}

// run runs the worker under strace with the options.
func (c *crasher) run(bad bool, options ...string) (r result) {
	c.t.Helper()
	r.dir = filepath.Join(c.t.TempDir(), "store")
	r.log = r.dir + ".log"
	args := append([]string{"-f", "-qq", "-o", r.log, "-e", "trace=" + strings.Join(disk, ",")}, options...)
	cmd := exec.CommandContext(c.t.Context(), "strace", append(args, os.Args[0])...)
	cmd.Env = workerEnv("script", "CARILLON_STORAGE_DIR="+r.dir)
	if bad {
		cmd.Env = append(cmd.Env, "CARILLON_STORAGE_ERRORS=1")
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case strings.Contains(stderr.String(), "ptrace(") || strings.Contains(stderr.String(), "Operation not permitted"):
		c.t.Skipf("strace may not trace: crashes at disk calls are not tested: %s", &stderr)
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
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

// count is how many calls of each kind opening the store and the committer make.
func (c *crasher) count() (opening, committing map[string]int) {
	c.t.Helper()
	r := c.run(false)
	c.verify(r, "")
	log, err := os.ReadFile(r.log)
	if err != nil {
		c.t.Fatal(err)
	}
	byThread := map[string]map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^(\d+) +(\w+)\(`).FindAllStringSubmatch(string(log), -1) {
		if byThread[m[1]] == nil {
			byThread[m[1]] = map[string]int{}
		}
		byThread[m[1]][m[2]]++
	}
	opening, committing = map[string]int{}, map[string]int{}
	for _, calls := range byThread {
		for _, call := range disk {
			switch n := calls[call]; {
			case calls["fsync"] >= idleCalls:
				committing[call] += n - idleCalls
			default:
				opening[call] += n
			}
		}
	}
	if len(byThread) != 2 || opening["pwrite64"] >= idleCalls {
		c.t.Fatalf("threads made these disk calls: %v, want one that opens and one that commits", byThread)
	}
	return opening, committing
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
	// What was handed over together may have been written though it was not acknowledged.
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
	mustInsert(c.t, tx.Writer(), storage.Job{})
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
		c.t.Errorf("%s: %d doomed apps were not swept away", what, n)
	}
	os.RemoveAll(r.dir)
}

// full says whether every disk call is to be tried, and not a sample.
func full() bool { return os.Getenv("CARILLON_CRASH") == "full" }

// points calls do for the counts of the call at which something is to happen:
// all of them, or about as many as wanted, first and last included.
func points(opening, committing, want int, do func(when int)) (n int) {
	var all []int
	for i := range opening {
		all = append(all, i+1)
	}
	for i := range committing {
		all = append(all, idleCalls+i+1)
	}
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
	opening, committing := c.count()
	t.Logf("opening makes %v, the script %v disk calls", opening, committing)
	for _, call := range disk {
		killed := 0
		n := points(opening[call], committing[call], 8, func(when int) {
			what := fmt.Sprintf("killed at %s %d", call, when)
			r := c.run(false, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", call, when))
			if r.killed {
				killed++
			} else if r.acked != len(c.steps) {
				t.Errorf("%s: not killed, but ended at ack %d", what, r.acked)
			}
			c.verify(r, what)
		})
		t.Logf("%s: killed at %d of %d points", call, killed, n)
		if killed < n*9/10 {
			t.Errorf("%s: only %d of %d runs were killed", call, killed, n)
		}
	}
}

// TestG6_EveryDiskCallFails: each disk call in turn returns an error, once, or
// from then on. Nothing is acknowledged that is not there (G1, G6); after a
// single error the work is done all the same, and what is down stays whole.
func TestG6_EveryDiskCallFails(t *testing.T) {
	c := newCrasher(t)
	opening, committing := c.count()
	for _, tt := range []struct{ call, errno string }{
		{"fdatasync", "EIO"}, {"fsync", "EIO"}, {"pwrite64", "ENOSPC"}, {"pwrite64", "EIO"}, {"ftruncate", "ENOSPC"},
	} {
		for _, from := range []string{"", "+"} {
			gaveUp := 0
			n := points(opening[tt.call], committing[tt.call], 2, func(when int) {
				what := fmt.Sprintf("%s %d%s returns %s", tt.call, when, from, tt.errno)
				r := c.run(true, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d%s", tt.call, tt.errno, when, from))
				if r.gaveUp {
					gaveUp++
				}
				if r.killed || r.gaveUp == (r.acked == len(c.steps)) || r.gaveUp && from == "" {
					t.Errorf("%s: ended at ack %d, gave up: %v, killed: %v", what, r.acked, r.gaveUp, r.killed)
				}
				c.verify(r, what)
			})
			t.Logf("%s%s returns %s: %d points, gave up at %d", tt.call, from, tt.errno, n, gaveUp)
		}
	}
}
