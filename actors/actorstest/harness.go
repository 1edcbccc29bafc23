package actorstest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// Harness is an engine under test, in its bubble. Its methods are for the
// test's own goroutine unless they say otherwise.
type Harness struct {
	// Engine is the engine that is open. Restart and Crash replace it.
	Engine *actors.Engine

	tb    testing.TB
	dir   string
	opts  actors.Options
	life  *life
	abort func() error
	step  atomic.Int64 // how far the wall clock was stepped, in nanoseconds
	slept atomic.Int64 // and for how long the machine was suspended, which moves the wall, too
}

// Run opens an engine on a new directory, in a bubble, runs test, and closes the
// engine after a full check. Of the options a few have other defaults here: one
// volume, no syncing, a ClockCheck of an hour, so that months pass in no time, a
// logger that writes to t from level Warn on. The wall clock is the bubble's,
// beginning at midnight of 2000-01-01 UTC, plus the steps of StepClock; a Testing.Clock
// in the options is read instead of the bubble's. With a Log in the options, which must be one of
// package memlog, Crash does not wait for the node's TTL.
func Run(t *testing.T, opts actors.Options, test func(h *Harness)) {
	t.Helper()
	RunIn(t, t.TempDir(), opts, test)
}

// RunIn is Run on a directory that is there, and may hold what an engine has
// left: that of a backup, say, or of a process that was killed.
func RunIn(t *testing.T, dir string, opts actors.Options, test func(h *Harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &Harness{tb: t, dir: dir, opts: opts}
		h.opts.Volumes = cmp.Or(h.opts.Volumes, 1)
		on := storagetest.On(dir, storage.Options{Log: h.opts.Log, Node: h.opts.Node, Volumes: h.opts.Volumes, ReadOnly: h.opts.ReadOnly})
		h.opts.Log, h.opts.Node = on.Log, on.Node
		h.opts.Testing.NoSync = true
		h.opts.ClockCheck = cmp.Or(h.opts.ClockCheck, time.Hour)
		h.opts.Logger = cmp.Or(h.opts.Logger, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
		read := h.opts.Testing.Clock
		if read == nil {
			read = time.Now
		}
		h.opts.Testing.Clock = func() time.Time { return read().Add(time.Duration(h.step.Load() + h.slept.Load())) }
		h.opts.Testing.Suspended = func() time.Duration { return time.Duration(h.slept.Load()) }
		h.open()
		defer h.end()
		test(h)
	})
}

// TB is the test, for what is built upon a Harness.
func (h *Harness) TB() testing.TB { return h.tb }

// Dir is the directory that the engine is open on.
func (h *Harness) Dir() string { return h.dir }

// App returns the app of that name.
func (h *Harness) App(id storage.AppID) *actors.App {
	h.tb.Helper()
	app, err := h.Engine.App(id)
	if err != nil {
		h.tb.Fatalf("app %s: %v", id, err)
	}
	return app
}

// Context is the context of the test inside the bubble. That of the test
// outside must not be used in the bubble.
func (h *Harness) Context() context.Context { return h.tb.Context() }

// Caller returns the anonymous host of the app: what references are run with.
func (h *Harness) Caller(id storage.AppID) dispatch.Caller {
	h.tb.Helper()
	return h.CallerAs(id, nil)
}

// CallerAs returns the host of the app, as the identity.
func (h *Harness) CallerAs(id storage.AppID, identity *dispatch.Identity) dispatch.Caller {
	h.tb.Helper()
	return h.App(id).As(h.Context(), identity)
}

// Scheduler returns the host's scheduler of the app.
func (h *Harness) Scheduler(id storage.AppID) *actors.HostScheduler {
	h.tb.Helper()
	return h.App(id).Scheduler(h.tb.Context())
}

// Call runs a public function for a client and returns its result as JSON.
func (h *Harness) Call(id storage.AppID, path, args string) (string, error) {
	h.tb.Helper()
	out, err := h.App(id).Call(h.tb.Context(), path, json.RawMessage(args), nil)
	return string(out), err
}

// Read runs fn on what the app has committed: documents need no query to be
// looked at. The test fails if the app cannot be read.
func (h *Harness) Read(app storage.AppID, fn func(db storage.Reader)) {
	h.tb.Helper()
	err := h.App(app).Read(h.tb.Context(), func(db storage.Reader) error {
		fn(db)
		return nil
	})
	if err != nil {
		h.tb.Fatalf("app %s: read: %v", app, err)
	}
}

// Documents returns all documents of the table that the app has, in the order
// they were inserted. The test fails if they cannot be read.
func Documents[T any](h *Harness, app storage.AppID, table *storage.Table[T]) (docs []storage.Doc[T]) {
	h.tb.Helper()
	h.Read(app, func(db storage.Reader) {
		for doc, err := range table.Query(db).All() {
			if err != nil {
				h.tb.Fatalf("app %s: %v", app, err)
			}
			docs = append(docs, doc)
		}
	})
	return docs
}

// Job returns the job; the test fails if there is none.
func (h *Harness) Job(app storage.AppID, id storage.JobID) storage.Job {
	h.tb.Helper()
	job, ok, err := h.Scheduler(app).Get(id)
	if err != nil || !ok {
		h.tb.Fatalf("app %s: job %s: known %v, %v", app, id, ok, err)
	}
	return job
}

// Jobs returns all jobs of the app in the states, or in any if none is given.
func (h *Harness) Jobs(app storage.AppID, states ...storage.State) []storage.Job {
	h.tb.Helper()
	jobs, err := h.jobs(app, storage.JobFilter{States: states})
	if err != nil {
		h.tb.Fatalf("app %s: list jobs: %v", app, err)
	}
	return jobs
}

func (h *Harness) jobs(app storage.AppID, filter storage.JobFilter) (jobs []storage.Job, err error) {
	h.tb.Helper()
	filter.Limit = 1000
	for {
		page, err := h.Scheduler(app).List(filter)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, page.Jobs...)
		if page.Next == "" {
			return jobs, nil
		}
		filter.Cursor = page.Next
	}
}

// Inspect is what the app's SchedulerActor holds. It does not wake the app.
func (h *Harness) Inspect(app storage.AppID) actors.Inspection {
	h.tb.Helper()
	i, err := h.App(app).Inspect(h.tb.Context())
	if err != nil {
		h.tb.Fatalf("app %s: inspect: %v", app, err)
	}
	return i
}

// Now is what the wall clock shows.
func (h *Harness) Now() time.Time { return h.opts.Testing.Clock().Round(0).UTC() }

// Settle lets the engine do all that it can do now. Time stands still.
func (h *Harness) Settle() { synctest.Wait() }

// Advance lets time pass, and the engine do all that becomes due on the way and
// at the end of it.
func (h *Harness) Advance(d time.Duration) {
	synctest.Wait()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.life.dead:
	}
	synctest.Wait()
}

// AdvanceTo is Advance until the wall clock shows t. It does nothing if it
// shows t already, or later.
func (h *Harness) AdvanceTo(t time.Time) { h.Advance(max(t.Sub(h.Now()), 0)) }

// drainSteps bounds Drain. It waits a millisecond at first and a minute in the
// end, so that it gives up after days of virtual time.
const drainSteps = 5000

// Drain lets time pass until no job is due and nothing is under way, in any app.
// A job that waits for a later instant, such as that of a retry, is not due, and one that is
// paused does not count.
func (h *Harness) Drain() {
	h.tb.Helper()
	for i := range drainSteps {
		synctest.Wait()
		busy := h.busy()
		if busy == "" {
			return
		}
		if i == drainSteps-1 {
			h.tb.Fatalf("drain: %s is busy without end", busy)
		}
		time.Sleep(min(time.Millisecond<<min(i/8, 20), time.Minute))
	}
}

// busy names an app that has something due or under way, or is "".
func (h *Harness) busy() storage.AppID {
	h.tb.Helper()
	ids, err := h.Engine.Apps()
	if err != nil {
		h.tb.Fatalf("drain: %v", err)
	}
	now := h.Now()
	for _, id := range ids {
		i := h.Inspect(id)
		if i.Asleep {
			if !i.AlarmAt.IsZero() && !i.AlarmAt.After(now) {
				return id
			}
			continue
		}
		if i.TurnHeld || i.Queue > 0 || i.Running > 0 || i.Leaving+i.Stuck > 0 {
			return id
		}
		if h.pendingNow(id, now) {
			return id
		}
	}
	return ""
}

// pendingNow says whether a job of the app is due that is not paused.
func (h *Harness) pendingNow(id storage.AppID, now time.Time) bool {
	h.tb.Helper()
	f := storage.JobFilter{States: []storage.State{storage.StatePending}, Limit: 1}
	for {
		page, err := h.Scheduler(id).List(f)
		if err != nil {
			h.tb.Fatalf("drain: app %s: %v", id, err)
		}
		for _, job := range page.Jobs {
			if job.Due.After(now) {
				return false
			}
			if job.Wait != storage.WaitPaused {
				return true
			}
		}
		if page.Next == "" {
			return false
		}
		f.Limit, f.Cursor = 0, page.Next
	}
}

// StepClock steps the wall clock by d, which may be negative, while monotonic
// time stands still: what a correction of the clock looks like. The engine notices
// within Options.ClockCheck of virtual time: a test that steps the clock sets it.
func (h *Harness) StepClock(d time.Duration) {
	synctest.Wait()
	h.step.Add(int64(d))
	synctest.Wait()
}

// Suspend has the machine suspended for d: the wall clock moves on, monotonic time
// stands still. The engine notices as it does a step of the clock.
func (h *Harness) Suspend(d time.Duration) {
	synctest.Wait()
	h.slept.Add(int64(d))
	synctest.Wait()
}

// Hang blocks the handler that calls it until its context is over, and then ends
// its goroutine: a handler for Crash to cut off in the middle. It is for
// handlers' goroutines.
func Hang(ctx context.Context) {
	<-ctx.Done()
	runtime.Goexit()
}

// end checks the engine that is left and closes it.
func (h *Harness) end() {
	if h.life.over() {
		return
	}
	if h.tb.Failed() {
		// A test that has failed may have left anything behind: end it without
		// waiting, so that its own message is the one that is read.
		h.kill()
		return
	}
	if h.close() {
		time.Sleep(time.Hour) // what has not returned then never will, and the bubble says where it hangs
	}
}

// close drains and closes the engine after a check. What does not end is cut off
// after an hour of virtual time. Handlers that are stuck by then are left behind.
func (h *Harness) close() (left bool) {
	h.tb.Helper()
	synctest.Wait()
	if !h.Engine.Closing() { // as one that has lost its lease is, of its own accord
		h.check("before closing")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	err := h.Engine.Close(ctx)
	left = errors.Is(err, actors.ErrHandlers)
	if err != nil && (!left || strings.Contains(err.Error(), "\n")) {
		h.tb.Errorf("close: %v", err)
	}
	return left
}

func (h *Harness) check(when string) {
	h.tb.Helper()
	err := h.Engine.Check()
	if err != nil {
		// A volume that is just being reopened cannot be checked.
		synctest.Wait()
		err = h.Engine.Check()
	}
	if err != nil {
		h.tb.Errorf("check %s: %v", when, err)
	}
}

// open opens the directory.
func (h *Harness) open() {
	h.tb.Helper()
	h.life = newLife(h.opts.Testing.Fault)
	opts := h.opts
	opts.Testing.Fault = h.life.fault
	opts.Testing.Opened = func(abort func() error) {
		if h.abort = abort; h.opts.Testing.Opened != nil {
			h.opts.Testing.Opened(abort)
		}
	}
	eng, err := actors.Open(h.dir, opts)
	if err != nil {
		h.tb.Fatalf("open: %v", err)
	}
	h.Engine = eng
	h.check("after opening")
}

// Restart closes the engine as a deployment does, and opens the directory again.
func (h *Harness) Restart() {
	h.tb.Helper()
	h.close()
	h.open()
	synctest.Wait()
}

// Reconfigure is Restart with other options: other functions, above all. The
// clock stays.
func (h *Harness) Reconfigure(change func(*actors.Options)) {
	h.tb.Helper()
	h.close()
	change(&h.opts)
	h.open()
	synctest.Wait()
}

// String names the harness in messages.
func (h *Harness) String() string { return fmt.Sprintf("engine in %s", h.dir) }
