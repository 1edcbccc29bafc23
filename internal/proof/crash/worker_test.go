package crash_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/postgres"
	"carillon/storage/storagetest"
)

// This file is a process that is there to be broken: the test binary itself,
// started again with workerDir set. It opens an engine, on real files that are
// synced, works through a script of calls in several apps at once, waits until
// what it has scheduled has run, and closes the engine. What it has done and
// seen it says on its standard output.

// The worker's orders, from the environment.
const (
	workerDir   = "CARILLON_WORKER_DIR"   // where to open the engine
	workerFrom  = "CARILLON_WORKER_FROM"  // what the wall clock shows first, as RFC 3339
	workerHeals = "CARILLON_WORKER_HEALS" // do nothing but open, and let run what is there
	workerBad   = "CARILLON_WORKER_BAD"   // the disk has errors: go on after them, and in the end die
	workerLimit = "CARILLON_WORKER_LIMIT" // how large a file may be, in bytes, once the engine is open
	workerStore = "CARILLON_WORKER_STORE" // where in PostgreSQL its log is, if it has one: the directory is a cache then
)

// workerBase is what the clock of a first worker shows when it begins.
var workerBase = time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)

// The worker's wall clock is stepped, so that a few ticks that are seconds apart
// fit into its short life: by workerStep, at most once every workerPause, and only
// after each app has had its turn, however slow the machine is.
const (
	workerStep  = 40 * time.Millisecond
	workerPause = 4 * time.Millisecond
)

// workerVolumes is how many files the apps are spread over.
const workerVolumes = 2

// The worker's log is small, so that its short life has several checkpoints, and segments
// that are made, filled, left and used again.
const (
	workerMemory  = 64 << 10
	workerSegment = 32 << 10
)

// workerApps lie in both volumes.
var workerApps = []storage.AppID{"ada", "bob", "cyd"}

// TestG1_Worker is not a test but that process.
func TestG1_Worker(t *testing.T) {
	dir := os.Getenv(workerDir)
	if dir == "" {
		t.Skip("it is run by the tests that kill it")
	}
	if err := runWorker(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// worker is that process's state.
type worker struct {
	eng     *actors.Engine
	node    *actors.Node // nil: its log is in the directory
	from    time.Time
	stepped atomic.Int64 // how far the clock is from there, in steps
	bad     bool
	heals   bool // what another has left
	ctx     context.Context
	answers sync.WaitGroup

	mu   sync.Mutex
	seen map[string]bool // what was said to have been seen
}

func runWorker(dir string) error {
	from, err := time.Parse(time.RFC3339Nano, os.Getenv(workerFrom))
	if err != nil {
		return err
	}
	w := &worker{from: from, bad: os.Getenv(workerBad) != "", heals: os.Getenv(workerHeals) != "", seen: map[string]bool{}}
	patience := 2 * time.Minute // a disk that is slow on a busy machine is not a bad one
	if w.bad {
		patience = 20 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w.ctx = ctx
	if err := w.open(dir); err != nil {
		if w.bad {
			w.say(said{Kind: saidQuit, Answer: err.Error()})
			return nil
		}
		return err
	}
	if err := limitFiles(os.Getenv(workerLimit)); err != nil {
		return err
	}
	stop := make(chan struct{})
	var others, wg sync.WaitGroup
	others.Go(func() { w.watch(stop) })
	others.Go(func() { w.step(stop) })
	watching, unwatch := context.WithCancel(ctx)
	defer unwatch()
	for _, id := range workerApps {
		others.Go(func() { w.listen(watching, id) })
	}
	if !w.heals {
		for _, id := range workerApps {
			wg.Go(func() { w.play(id) })
		}
		wg.Go(w.playGone)
		wg.Wait()
	}
	w.quiet()
	w.answers.Wait()
	unwatch()
	close(stop)
	others.Wait()
	if w.bad {
		// What a disk that is broken for good lets nobody tidy up.
		w.say(said{Kind: saidEnd})
		return syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	}
	if err := w.eng.Close(ctx); err != nil {
		return err
	}
	if w.node != nil {
		if err := w.node.Close(); err != nil {
			return err
		}
	}
	w.say(said{Kind: saidEnd})
	return nil
}

// open opens the engine, on a thread of its own, and sees to it that each
// committer has one too. On a bad disk it tries again.
func (w *worker) open(dir string) (err error) {
	runtime.LockOSThread() // for good, lest it become a committer's
	for range 3 {
		w.eng, err = w.openOn(dir, actors.Options{
			Functions: workerFunctions(w.hear), Pools: workerPools, Tables: workerTables, Volumes: workerVolumes, Limits: dispatch.Limits{Result: 64 << 20},
			Testing: actors.Testing{Clock: w.clock, Fault: storagetest.OwnThreads(), LogMemory: workerMemory, LogSegment: workerSegment},
			Logger:  slog.New(slog.DiscardHandler), ClockCheck: time.Millisecond,
		})
		if err == nil || !w.bad {
			return err
		}
	}
	return err
}

// workerTTL is that of the lease of a worker whose log is in PostgreSQL: no machine is so busy that one ends by itself.
const workerTTL = time.Minute

// openOn opens the engine on the directory or, with workerStore, on the log, once this worker owns it.
func (w *worker) openOn(dir string, opts actors.Options) (eng *actors.Engine, err error) {
	store := os.Getenv(workerStore)
	if store == "" {
		return actors.Open(dir, opts)
	}
	opts.Log, opts.Node = postgres.Log(store), storage.Node{Name: "worker", TTL: workerTTL}
	if w.node == nil {
		if w.node, err = actors.Join(w.ctx, dir, opts); err != nil {
			return nil, err
		}
	}
	return w.node.Engine(w.ctx)
}

// say writes a line of the journal, at once and with one write.
func (w *worker) say(d said) {
	d.At = w.clock()
	line, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		panic(err) // whoever listened is gone
	}
}

// do makes a call and says what came of it.
func (w *worker) do(app storage.AppID, name string, call func() (storage.JobID, string, error)) (job storage.JobID, ok bool) {
	key := string(app) + "/" + name
	w.say(said{Kind: saidDoes, Key: key})
	job, answer, err := call()
	if err != nil {
		var e *dispatch.Error
		code := "none"
		if errors.As(err, &e) {
			code = string(e.Code)
		}
		if w.ctx.Err() != nil { // it was the worker that has not waited, on a slow machine
			code = string(dispatch.CodeUnknown)
		}
		w.say(said{Kind: saidFailed, Key: key, Answer: code})
		return "", false
	}
	w.say(said{Kind: saidAcked, Key: key, Job: job, Answer: answer})
	return job, true
}

// clock is the wall clock.
func (w *worker) clock() time.Time {
	return w.from.Add(time.Duration(w.stepped.Load()) * workerStep)
}

// step steps the clock until it is told to stop.
func (w *worker) step(stop <-chan struct{}) {
	each(workerPause, stop, func() {
		for _, id := range workerApps {
			_, _ = w.app(id).Inspect(w.ctx) // its answer comes behind all that was to be done before
		}
		w.stepped.Add(1)
	})
}

// each calls do at that pace until it is told to stop.
func each(pace time.Duration, stop <-chan struct{}, do func()) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			do()
		}
	}
}

// watch says what queries show, again and again until it is told to stop: what
// anybody has seen must stay.
func (w *worker) watch(stop <-chan struct{}) {
	each(20*time.Millisecond, stop, func() {
		for _, id := range workerApps {
			v, err := w.view(id)
			if err != nil {
				continue // the disk is broken, and the calls say so
			}
			w.tell(id, &v)
		}
	})
}

// listen says of some jobs that a watch has told of them: what anybody was told must stay.
func (w *worker) listen(ctx context.Context, id storage.AppID) {
	for e, err := range w.app(id).Watch(ctx, storage.JobFilter{}) {
		if err != nil {
			return // the disk is broken, or there is no more to hear
		}
		w.mu.Lock()
		key := string(id) + "/" + string(e.Kind)
		switch what := key + string(e.Job.ID); {
		case w.seen[what] || e.Ephemeral() || !slices.Contains(toldFunctions, e.Job.Function):
		default:
			w.seen[what] = true
			w.say(said{Kind: saidTold, Key: key, Job: e.Job.ID, Answer: string(e.Job.State)})
		}
		w.mu.Unlock()
	}
}

// toldFunctions are those of the jobs that a watch tells of.
var toldFunctions = []string{longMark.Path(), tellMark.Path(), overMark.Path(), saveMark.Path(), askMark.Path()}

// tell says what of the view was not seen before.
func (w *worker) tell(id storage.AppID, v *appView) {
	w.mu.Lock()
	defer w.mu.Unlock()
	see := func(d said) {
		if what := d.Key + string(d.Job); !w.seen[what] {
			w.seen[what] = true
			w.say(d)
		}
	}
	for _, m := range v.Marks {
		see(said{Kind: saidSaw, Key: m.Key, Job: m.Job})
	}
	for _, job := range v.Jobs {
		// A dead one may be run again, or removed.
		if job.State == storage.StateSuccess || job.State == storage.StateCanceled {
			see(said{Kind: saidSaw, Key: string(id) + "/", Job: job.ID, Answer: string(job.State)})
		}
	}
}

func (w *worker) app(id storage.AppID) *actors.App {
	app, err := w.eng.App(id)
	if err != nil {
		panic(err)
	}
	return app
}

func (w *worker) view(id storage.AppID) (appView, error) {
	return viewMarks.Run(w.app(id).As(w.ctx, nil), dispatch.None{})
}

// patience is how long the worker waits for something to happen: no longer than
// it takes with a disk that works.
func (w *worker) patience() time.Duration {
	if w.bad {
		return 150 * time.Millisecond
	}
	return 10 * time.Second
}

// quiet waits until all jobs have run that are not for later, and some ticks.
func (w *worker) quiet() {
	deadline := time.Now().Add(w.patience())
	for _, id := range workerApps {
		for time.Now().Before(deadline) {
			v, err := w.view(id)
			v.left = w.heals
			if err == nil && restingApp(&v) {
				w.tell(id, &v)
				break
			}
			time.Sleep(20 * time.Millisecond) // a real process has no virtual time
		}
	}
}

// restingApp says whether the app has run what it has to, and three ticks at least.
func restingApp(v *appView) bool {
	ticks := 0
	for _, m := range v.Marks {
		if m.Trigger == tickingName {
			ticks++
		}
	}
	for _, job := range v.Jobs {
		if !job.State.Ended() && job.Trigger == "" && !v.mayWait(&job) && !strings.Contains(string(job.Args), laterName) {
			return false
		}
	}
	return ticks >= 3 || slices.ContainsFunc(v.Pauses, func(p storage.Pause) bool { return p.Of.App })
}

// limitFiles has writes behind the limit fail, and one across it be a short one.
func limitFiles(limit string) error {
	if limit == "" {
		return nil
	}
	var rlimit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &rlimit); err != nil {
		return err
	}
	if _, err := fmt.Sscan(limit, &rlimit.Cur); err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ) // which the Go runtime dies of
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &rlimit)
}
