package crash_test

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/internal/proof"
	"carillon/storage"
)

const failSteps = 80 // of a life

// failApp is the app of a life; another one shares its volume.
const failApp, failOther = storage.AppID("acme"), storage.AppID("other")

// failTask is what a job of a life does.
type failTask struct {
	Takes time.Duration `json:"takes"`
	Deaf  bool          `json:"deaf"`  // to the cancel of its context
	Fails int           `json:"fails"` // so many attempts
}

// failEffect is what a scheduled mutation leaves behind.
type failEffect struct {
	Job storage.JobID `json:"job"`
}

var (
	failTable   = storage.NewTable[failEffect]("failEffects")
	failAct     = dispatch.InternalAction[failTask, dispatch.None]("fail:act")
	failDo      = dispatch.InternalMutation[failTask, dispatch.None]("fail:do")
	failPut     = dispatch.InternalMutation[dispatch.None, dispatch.None]("fail:put")
	failEffects = dispatch.InternalQuery[dispatch.None, []failEffect]("fail:effects")
)

// failLife is the life of an engine whose commits fail.
type failLife struct {
	h      *actorstest.Harness
	tally  *proof.Tally
	seed   int
	rnd    *rand.Rand
	disk   failDisk
	seen   map[string]int // of everything worth a test, how often it came about
	trace  []string
	ops    sync.WaitGroup
	killed bool

	mu      sync.Mutex
	engines int // opened so far
	broken  bool
	jobs    map[storage.JobID]*failJob
	groups  []failGroup
	saved   map[failSaved]int // of each job: the latest attempt whose checkpoint is known to be durable
}

// failJob is what is known of a job.
type failJob struct {
	action, once bool // once: at most
	doomed       bool // it fails its only attempt
	chained      bool // it has a follow-up
	acknowledged bool
	canceled     bool
	retries      int         // by hand, that may have been
	begun        map[int]int // how often each attempt was
	begins       int
	begunBefore  int // the cancel was acknowledged
	now          int // handlers of the engine there is
}

// failDisk is a disk whose commits fail, or take their time.
type failDisk struct {
	mu   sync.Mutex
	left map[string]int
	gate chan struct{}
}

// fail has each of the points fail so many times, and none of the others.
func (d *failDisk) fail(points map[string]int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = maps.Clone(points)
}

// hold has the commits that begin from now on wait for release.
func (d *failDisk) hold() (release func()) {
	gate := make(chan struct{})
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gate = gate
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.gate == gate {
			d.gate = nil
		}
		close(gate)
	}
}

// ask is Testing.Fault.
func (d *failDisk) ask(point string) error {
	d.mu.Lock()
	gate := d.gate
	d.mu.Unlock()
	if point == "commit" && gate != nil {
		<-gate
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left[point] == 0 {
		return nil
	}
	d.left[point]--
	return errors.New("disk on fire")
}

// G1, G3, G4, G5, G6, G9, G17: the commits of an engine fail at random, alone and in a
// row, before and after they have reached the file, while jobs are scheduled,
// canceled, retried by hand, run and end, and while it is killed and restarted.
// Every attempt is begun once, and, unless the engine was killed, every attempt that
// is counted was begun; no two of a job run at once; mutations take effect exactly
// once; what was acknowledged holds, checkpoints too (G34); nothing is left behind.
func TestG6_FailedCommits(t *testing.T) {
	tally := proof.NewTally(t, "failed commits")
	seen := map[string]int{}
	first := proof.Seed(proof.Pick(0, 0, rand.IntN(1_000_000_000))) // the long form lives other lives each time
	lives := 0
	for began := time.Now(); lives < proof.Pick(4, 60, 1_000_000) && time.Since(began) < proof.For(time.Hour, 20*time.Second, 24*time.Hour); lives++ {
		seed := first + lives
		t.Run(fmt.Sprintf("life-%d", seed), func(t *testing.T) { failLive(t, tally, seed, seen) })
	}
	t.Logf("%d lives: %v", lives, seen)
	for _, what := range []string{
		"acknowledged", "not acknowledged", "canceled", "cancel lost", "retried", "interrupted", "killed", "restarted", "at most once", "mutation", "group", "checkpoint", "checkpoint not saved",
	} {
		if seen[what] == 0 && lives >= 20 {
			tally.Other("it never came about that something was, or is, %s", what)
		}
	}
}

// failLive lives one life.
func failLive(t *testing.T, tally *proof.Tally, seed int, seen map[string]int) {
	l := &failLife{
		tally: tally, seed: seed, seen: seen, rnd: rand.New(rand.NewPCG(uint64(seed), 6)), jobs: map[storage.JobID]*failJob{}, saved: map[failSaved]int{},
	}
	opts := actors.Options{
		Functions: l.functions(), Testing: actors.Testing{Fault: l.disk.ask}, Volumes: 1, AppConcurrency: 1 + seed%3, Logger: slog.New(slog.DiscardHandler),
		MaxInterruptions: 1000,
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		l.h = h
		mortal := seed%2 == 1
		for n := range failSteps {
			if n%16 == 8 {
				l.group()
			}
			if l.step(mortal); l.over() {
				break
			}
		}
		l.disk.fail(nil)
		h.Advance(12 * time.Hour)
		l.ops.Wait()
		if l.check(); l.over() {
			t.Errorf("seed %d:\n%s", seed, strings.Join(l.trace, "\n"))
		}
	})
}

func (l *failLife) functions() *dispatch.Registry {
	reg := dispatch.NewRegistry()
	l.handleChains(reg)
	l.handleGroups(reg)
	failAct.Handle(reg, func(ctx *dispatch.ActionCtx, task failTask) (dispatch.None, error) {
		defer l.begin(ctx.Job)()
		l.saves(ctx)
		select {
		case <-time.After(task.Takes):
		case <-ctx.Done():
			if task.Deaf {
				time.Sleep(task.Takes)
			}
			return dispatch.None{}, ctx.Err()
		}
		return dispatch.None{}, task.fails(ctx.Job)
	})
	failDo.Handle(reg, func(ctx *dispatch.MutationCtx, task failTask) (dispatch.None, error) {
		defer l.begin(ctx.Job)()
		if _, err := failTable.Insert(ctx.DB, failEffect{ctx.Job.ID}); err != nil {
			return dispatch.None{}, err
		}
		return dispatch.None{}, task.fails(ctx.Job)
	})
	failPut.Handle(reg, func(ctx *dispatch.MutationCtx, _ dispatch.None) (dispatch.None, error) {
		_, err := failTable.Insert(ctx.DB, failEffect{})
		return dispatch.None{}, err
	})
	failEffects.Handle(reg, func(ctx *dispatch.QueryCtx, _ dispatch.None) (all []failEffect, err error) {
		for e, err := range failTable.Query(ctx.DB).All() {
			if err != nil {
				return nil, err
			}
			if e.Value.Job != "" {
				all = append(all, e.Value)
			}
		}
		return all, nil
	})
	return reg
}

func (t failTask) fails(run dispatch.JobRun) error {
	if run.Attempt <= t.Fails {
		return dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails", run.Attempt)
	}
	return nil
}

// begin notes that a handler has begun, and returns what notes that it ends.
func (l *failLife) begin(run dispatch.JobRun) (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	job, engine := l.jobs[run.ID], l.engines
	job.begun[run.Attempt]++
	job.begins++
	if job.now++; job.now > 1 && job.action {
		l.found(l.tally.Doubled, "%d handlers of job %s run at once", job.now, run.ID)
	}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.engines == engine {
			job.now--
		}
	}
}

// over says whether there was a finding.
func (l *failLife) over() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// found notes a finding. The caller holds the lock.
func (l *failLife) found(note func(string, ...any), format string, args ...any) {
	l.broken = true
	note("seed %d, at %v: %s", l.seed, l.h.Now(), fmt.Sprintf(format, args...))
}

func (l *failLife) did(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.trace = append(l.trace, l.h.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// step does one thing.
func (l *failLife) step(mortal bool) {
	l.tally.Tried(1)
	trouble := proof.OneOf(l.rnd, []map[string]int{{"commit": 1}, {"committed": 1}, {"commit": 1, "reopen": 2}, {"commit": 3}, {"committed": 2}})
	switch n := l.rnd.IntN(20); {
	case n < 7:
		l.op()
		l.h.Settle()
	case n < 10:
		l.did("failing %v", trouble)
		l.disk.fail(trouble)
		l.op()
		l.h.Settle()
	case n < 14: // several in one commit, and behind it
		release := l.disk.hold()
		for range 1 + l.rnd.IntN(4) {
			l.op()
			l.h.Settle()
		}
		l.h.Advance(proof.OneOf(l.rnd, []time.Duration{0, time.Millisecond, time.Second}))
		again := l.disk.hold()
		l.did("failing %v, after one more commit", trouble)
		release()
		l.h.Settle()
		l.op()
		l.disk.fail(trouble)
		again()
		l.h.Settle()
	case n == 14 && mortal:
		l.did("killed")
		l.see("killed")
		l.h.Kill()
		l.ops.Wait()
		l.killed = true
		l.opened()
		l.disk.fail(nil)
		l.h.Open()
		l.did("failing %v", trouble)
		l.disk.fail(trouble)
		l.h.Settle()
	case n == 15 && l.rnd.IntN(3) == 0:
		l.did("restarted, failing %v", trouble)
		l.see("restarted")
		l.disk.fail(nil)
		l.h.Advance(time.Minute) // the engine is checked when the volume is up
		l.disk.fail(trouble)
		l.h.Restart()
		l.h.Settle()
	default:
		d := proof.OneOf(l.rnd, []time.Duration{0, time.Millisecond, 90 * time.Millisecond, time.Second, 10 * time.Second, time.Minute})
		l.did("%v pass", d)
		l.h.Advance(d)
	}
}

// opened is told when there is another engine: of the handlers of the one before
// some may not have ended.
func (l *failLife) opened() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.engines++
	for _, job := range l.jobs {
		job.now = 0
	}
}

// op is a call of a client.
func (l *failLife) op() {
	client := l.h.Scheduler(failApp)
	l.mu.Lock()
	ids := slices.Sorted(maps.Keys(l.jobs))
	var doomed []storage.JobID
	for _, id := range ids {
		if l.jobs[id].doomed {
			doomed = append(doomed, id)
		}
	}
	l.mu.Unlock()
	switch n := l.rnd.IntN(10); {
	case n < 5 || len(ids) == 0:
		id := storage.JobID(fmt.Sprintf("n%03d", len(ids)))
		job := &failJob{action: l.rnd.IntN(3) > 0, begun: map[int]int{}}
		job.once = job.action && l.rnd.IntN(3) == 0
		task := failTask{
			Takes: proof.OneOf(l.rnd, []time.Duration{0, time.Millisecond, time.Second, 20 * time.Second}),
			Deaf:  l.rnd.IntN(3) == 0,
			Fails: l.rnd.IntN(3),
		}
		call := failAct.With(task)
		if !job.action {
			call = failDo.With(task)
			l.see("mutation")
		}
		opts := []dispatch.RunOption{dispatch.ID(id), dispatch.Timeout(time.Minute)}
		if job.once {
			job.doomed = task.Fails > 0
			opts = append(opts, dispatch.AtMostOnce())
			l.see("at most once")
		} else {
			base := proof.OneOf(l.rnd, []time.Duration{0, time.Millisecond, time.Second})
			opts = append(opts, dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 5, Base: base}))
		}
		if job.chained = l.rnd.IntN(2) == 0; job.chained {
			opts = append(opts, dispatch.OnDone(failTell.With(dispatch.None{})))
		}
		l.mu.Lock()
		l.jobs[id] = job
		l.mu.Unlock()
		after := proof.OneOf(l.rnd, []time.Duration{0, 0, time.Millisecond, 60 * time.Millisecond, time.Second})
		l.call(fmt.Sprintf("schedule %s %s %+v after %v, once %v", id, call.Path(), task, after, job.once), func() error {
			_, err := client.RunAfter(after, call, opts...)
			l.mu.Lock()
			defer l.mu.Unlock()
			job.acknowledged = err == nil
			return err
		})
	case n < 8:
		id := proof.OneOf(l.rnd, ids[max(0, len(ids)-4):])
		l.call("cancel "+string(id), func() error {
			answer, err := client.Cancel(id)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err == nil && answer.Canceled {
				l.jobs[id].canceled, l.jobs[id].begunBefore = true, l.jobs[id].begins
				l.seen["canceled"]++
			} else if err != nil {
				l.seen["cancel lost"]++
			}
			return err
		})
	case n < 9 && len(doomed) > 0:
		id := proof.OneOf(l.rnd, doomed)
		l.mu.Lock()
		l.jobs[id].retries++
		l.mu.Unlock()
		l.call("retry "+string(id), func() error {
			ok, err := client.RetryDead(id)
			l.mu.Lock()
			defer l.mu.Unlock()
			if err == nil && !ok {
				l.jobs[id].retries--
			} else if err == nil {
				l.seen["retried"]++
			}
			return err
		})
	default:
		app := proof.OneOf(l.rnd, []storage.AppID{failApp, failOther})
		l.call("write to "+string(app), func() error {
			_, err := failPut.Run(l.h.Caller(app), dispatch.None{})
			return err
		})
	}
}

// call makes the call and notes how it was answered.
func (l *failLife) call(what string, do func() error) {
	l.did("%s", what)
	l.ops.Go(func() {
		err := do()
		l.mu.Lock()
		defer l.mu.Unlock()
		if err == nil {
			l.seen["acknowledged"]++
		} else {
			l.seen["not acknowledged"]++
		}
		l.trace = append(l.trace, fmt.Sprintf("    %s: %v", what, err))
	})
}

func (l *failLife) see(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[what]++
}

// check looks at what has become of everything.
func (l *failLife) check() {
	effects, err := failEffects.Run(l.h.Caller(failApp), dispatch.None{})
	if err != nil {
		l.h.TB().Fatalf("reading the effects: %v", err)
	}
	took := map[storage.JobID]int{}
	for _, e := range effects {
		took[e.Job]++
	}
	told, overs := l.told(), l.overs()
	stored := map[storage.JobID]storage.Job{}
	for _, job := range l.h.Jobs(failApp) {
		stored[job.ID] = job
	}
	l.h.Advance(time.Minute)
	i := l.h.Inspect(failApp)
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, known := range l.jobs {
		l.checkJob(id, known, stored, took[id])
		if job, ok := stored[id]; ok {
			l.checkChain(known, &job, told[id])
		}
	}
	for i := range l.groups {
		l.checkGroup(&l.groups[i], stored, overs[l.groups[i].Members[0]])
	}
	if i.Claimed+i.Ready+i.Running+i.Leaving+i.Stuck > 0 || !i.Asleep {
		l.found(l.tally.Leaked, "at the end there is %+v", i)
	}
}

func (l *failLife) checkJob(id storage.JobID, known *failJob, stored map[storage.JobID]storage.Job, took int) {
	job, ok := stored[id]
	if !ok {
		if known.acknowledged || known.begins > 0 || took > 0 {
			l.found(l.tally.Lost, "job %s is gone: %+v", id, known)
		}
		return
	}
	if !job.State.Ended() {
		l.found(l.tally.Lost, "job %s has not come to an end: %+v", id, job)
	}
	if known.canceled && (job.State != storage.StateCanceled || known.begins > known.begunBefore) {
		l.found(l.tally.Other, "job %s was canceled, and is %s, begun %d and then %d times", id, job.State, known.begunBefore, known.begins)
	}
	if want := map[bool]int{true: 1}[job.State == storage.StateSuccess && !known.action]; took > want {
		l.found(l.tally.Doubled, "job %s is %s and has %d effects", id, job.State, took)
	} else if took < want {
		l.found(l.tally.Lost, "job %s is %s without an effect", id, job.State)
	}
	for _, a := range job.History {
		if a.Interrupted {
			l.seen["interrupted"]++
		}
	}
	if !known.action {
		return // a mutation that has not committed may begin again
	}
	if known.once && known.begins > 1+known.retries {
		l.found(l.tally.Doubled, "job %s, at most once and %d times by hand, has begun %d times", id, known.retries, known.begins)
	}
	if known.retries > 0 {
		return // which counts attempts anew
	}
	for n, times := range known.begun {
		if times > 1 || n > job.Attempts {
			l.found(l.tally.Doubled, "job %s, attempt %d of %d was begun %d times", id, n, job.Attempts, times)
		}
	}
	for n := 1; n <= job.Attempts && !l.killed; n++ {
		if known.begun[n] == 0 {
			l.found(l.tally.Other, "job %s, attempt %d of %d has not begun: %+v", id, n, job.Attempts, job.History)
		}
	}
}
