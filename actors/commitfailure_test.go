package actors_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// faults says at which points the disk fails, for Testing.Fault.
type faults struct {
	mu   sync.Mutex
	left map[string]int // how often a point is to fail yet; -1: until it is mended
	gate chan struct{}  // a commit waits for it to be closed; nil: it does not wait
}

var errDisk = errors.New("disk on fire")

func newFaults() *faults { return &faults{left: map[string]int{}} }

func (f *faults) fail(point string, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left[point] = times
}

// hold has commits wait until the function it returns is called.
func (f *faults) hold() (release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.gate = gate
	return func() {
		f.mu.Lock()
		if f.gate == gate {
			f.gate = nil
		}
		f.mu.Unlock()
		close(gate)
	}
}

// ask is Testing.Fault.
func (f *faults) ask(point string) error {
	f.mu.Lock()
	gate := f.gate
	f.mu.Unlock()
	if point == "commit" && gate != nil {
		<-gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left[point] == 0 {
		return nil
	}
	f.left[point]--
	return errDisk
}

// G6: the outcome of a commit that failed is unknown, and is said to be; the
// engine reads again what is true, and goes on.
func TestG6_AFailedCommitIsReportedAndOvercome(t *testing.T) {
	for _, tt := range []struct {
		point string
		times int
		kept  bool // the change is in the file all the same
	}{
		{"commit", 1, false},
		{"commit", 5, false},
		{"committed", 1, true},
		{"committed", 5, true},
	} {
		t.Run(fmt.Sprint(tt.point, tt.times), func(t *testing.T) {
			k, f := newKit(), newFaults()
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "before"))
				later := mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
				f.fail(tt.point, tt.times)
				want := []string{"before"}
				for i := range tt.times {
					h.Advance(10 * time.Second) // the volume's longest back-off
					_, err := addEntry.Run(h.Caller("acme"), fmt.Sprint("unknown", i))
					wantCode(t, err, dispatch.CodeUnknown)
					if !errors.Is(err, storage.ErrUnknownOutcome) {
						t.Errorf("the error is %v, want ErrUnknownOutcome in it", err)
					}
					if tt.kept {
						want = append(want, fmt.Sprint("unknown", i))
					}
				}
				h.Advance(10 * time.Second)
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "after"))
				wantEntries(t, h, "acme", append(want, "after")...)
				h.Advance(time.Hour)
				wantState(t, h, "acme", later, storage.StateSuccess, 1)
				wantEntries(t, h, "acme", append(want, "after", "later")...)
			})
		})
	}
}

// G6: while the volume is down its callers are told at once, not kept waiting,
// and what became due meanwhile runs when it is up again.
func TestG6_AVolumeThatIsDownForAWhile(t *testing.T) {
	k, f := newKit(), newFaults()
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "before"))
		meanwhile := mustAfter(t, h, "acme", time.Minute, addEntry.With("meanwhile"))
		later := mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
		other := mustAfter(t, h, "other", time.Minute, addEntry.With("other"))

		f.fail("reopen", -1)
		f.fail("commit", 1)
		_, err := addEntry.Run(h.Caller("acme"), "lost")
		wantCode(t, err, dispatch.CodeUnknown)
		begin := h.Now()
		for range 3 {
			for _, app := range []storage.AppID{"acme", "other", "new"} {
				_, err = addEntry.Run(h.Caller(app), "refused")
				wantCode(t, err, dispatch.CodeUnavailable)
				_, err = listEntries.Run(h.Caller(app), none{})
				wantCode(t, err, dispatch.CodeUnavailable)
				_, err = h.Scheduler(app).RunAfter(0, addEntry.With("refused"))
				wantCode(t, err, dispatch.CodeUnavailable)
			}
			h.Advance(time.Second)
		}
		if waited := h.Now().Sub(begin); waited > 30*time.Second {
			t.Errorf("the calls waited %v of virtual time for a volume that was down", waited)
		}
		h.Advance(2 * time.Minute)
		if k.count("add meanwhile") != 0 {
			t.Error("a job started although its claim cannot be durable")
		}

		f.fail("reopen", 0)
		h.Advance(25 * time.Second) // one back-off to open the volume, one to read the app
		wantState(t, h, "acme", meanwhile, storage.StateSuccess, 1)
		wantState(t, h, "other", other, storage.StateSuccess, 1)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "after"))
		h.AdvanceTo(begin.Add(time.Hour))
		wantState(t, h, "acme", later, storage.StateSuccess, 1)
		wantEntries(t, h, "acme", "before", "meanwhile", "after", "later")
	})
}

// G6: the alarm is right after the volume was down, for an app that nobody calls.
func TestG6_TheAlarmSurvivesAVolumeThatWasDown(t *testing.T) {
	k, f := newKit(), newFaults()
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, IdleAfter: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 10*time.Minute, addEntry.With("later"))
		h.Settle()
		f.fail("reopen", 3)
		f.fail("commit", 1)
		_, err := addEntry.Run(h.Caller("acme"), "lost")
		wantCode(t, err, dispatch.CodeUnknown)
		h.Advance(10 * time.Minute)
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
	})
}

// G6: nothing that was built upon a change that failed is applied, acknowledged
// or started.
func TestG6_NothingIsBuiltUponAFailedCommit(t *testing.T) {
	k, f := newKit(), newFaults()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		return nil
	})
	schedule := k.mutation("t:schedule", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := entries.Insert(ctx.DB, entry{Name: name}); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(0, act.With(name))
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "before"))
		release := f.hold()
		const calls = 10
		var errs [calls]error
		var done sync.WaitGroup
		for i := range calls {
			done.Go(func() { _, errs[i] = schedule.Run(h.Caller("acme"), fmt.Sprint(i)) })
			h.Settle() // they are submitted one by one, each upon the one before
		}
		f.fail("commit", 1)
		release()
		done.Wait()
		h.Advance(time.Minute)
		for i, err := range errs {
			if code := dispatch.AsError(err); err == nil || code.Code != dispatch.CodeUnknown && code.Code != dispatch.CodeUnavailable {
				t.Errorf("call %d answers %v", i, err)
			}
		}
		wantCode(t, errs[0], dispatch.CodeUnknown)
		wantCode(t, errs[calls-1], dispatch.CodeUnavailable) // it certainly did not happen
		wantEntries(t, h, "acme", "before")
		if k.count("act") != 0 || len(h.Jobs("acme")) != 0 {
			t.Errorf("started: %q, jobs: %+v", k.noted("act"), h.Jobs("acme"))
		}
	})
}

// G6: a query does not see what is not durable, and its answer waits for nothing.
func TestG6_OutputGate(t *testing.T) {
	k, f := newKit(), newFaults()
	var ran atomic.Bool
	read := k.mutation("t:read", func(ctx *dispatch.MutationCtx, _ string) error {
		names, err := namesOf(ctx.DB)
		ran.Store(slices.Contains(names, "x"))
		return err
	})
	refuse := k.mutation("t:refuse", func(ctx *dispatch.MutationCtx, _ string) error {
		names, err := namesOf(ctx.DB)
		if err != nil {
			return err
		}
		return dispatch.Errorf(dispatch.CodeFailedPrecondition, "there are %q", names)
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
		h.Settle()
		mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
		release := f.hold()
		var answers atomic.Int32
		var done sync.WaitGroup
		var errWrite, errRead, errRefuse error
		done.Go(func() { _, errWrite = addEntry.Run(h.Caller("acme"), "x"); answers.Add(1) })
		h.Settle()
		done.Go(func() { _, errRead = read.Run(h.Caller("acme"), ""); answers.Add(1) })
		done.Go(func() { _, errRefuse = refuse.Run(h.Caller("acme"), ""); answers.Add(1) })
		h.Settle()
		if !ran.Load() {
			t.Error("the second mutation has not run upon the first, or did not see it")
		}
		if n := answers.Load(); n != 0 {
			t.Errorf("%d answers before what they depend on is durable", n)
		}
		wantEntries(t, h, "acme") // a query sees committed state
		f.fail("commit", 1)
		release()
		done.Wait()
		wantCode(t, errWrite, dispatch.CodeUnknown)
		for _, err := range []error{errRead, errRefuse} {
			if err == nil || dispatch.AsError(err).Code == dispatch.CodeFailedPrecondition {
				t.Errorf("an answer that depends on a failed commit: %v", err)
			}
		}
		wantEntries(t, h, "acme")
	})
}

// G6: whichever commit of a scenario fails, what was acknowledged is there,
// mutations have happened once, and everything comes to its end.
func TestG6_EveryCommitFailsOnce(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n, more := 1, true; more; n++ {
			k := newKit()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("act "+name, ctx.Job)
				_, err := addEntry.Run(ctx, name)
				return err
			})
			var passed atomic.Int32
			fault := func(at string) error {
				if at == point && int(passed.Add(1)) == n {
					return errDisk
				}
				return nil
			}
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: fault}}, func(h *actorstest.Harness) {
				var jobs []storage.JobID
				var want []string
				s := h.Scheduler("acme")
				for i, call := range []dispatch.Call{addEntry.With("m0"), act.With("a"), addEntry.With("m1")} {
					if id, err := s.RunAfter(time.Duration(i)*time.Second, call); err == nil {
						jobs = append(jobs, id)
					}
				}
				if _, err := addEntry.Run(h.Caller("acme"), "call"); err == nil {
					want = append(want, "call")
				}
				h.Advance(10 * time.Minute)
				for _, id := range jobs {
					job := h.Job("acme", id)
					if job.State != storage.StateSuccess {
						t.Errorf("%s %d fails: job %s is %s, %+v", point, n, job.Function, job.State, job.Error)
					}
					want = append(want, string(job.Args[1:len(job.Args)-1]))
				}
				names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
				for _, name := range want {
					if !slices.Contains(names, name) {
						t.Errorf("%s %d fails: %s was acknowledged, and is lost", point, n, name)
					}
				}
				for _, name := range []string{"m0", "m1", "call"} {
					if n := count(names, name); n > 1 {
						t.Errorf("%s %d fails: %s happened %d times", point, n, name, n)
					}
				}
			})
			more = int(passed.Load()) >= n
		}
	}
}

func count(names []string, name string) (n int) {
	for _, s := range names {
		if s == name {
			n++
		}
	}
	return n
}

// G6: under many failures, at both points, with concurrent callers and due jobs.
func TestG6_ManyFailures(t *testing.T) {
	const callers, calls, jobs = 4, 30, 60
	for seed := range uint64(2) {
		k := newKit()
		var rnd struct {
			sync.Mutex
			*rand.Rand
		}
		rnd.Rand = rand.New(rand.NewPCG(seed, 6))
		var calm atomic.Bool
		calm.Store(true) // while it is opened: then there is nothing to go back to
		fault := func(point string) error {
			rnd.Lock()
			defer rnd.Unlock()
			if !calm.Load() && rnd.IntN(6) == 0 {
				return errDisk
			}
			return nil
		}
		actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: fault}}, func(h *actorstest.Harness) {
			calm.Store(false)
			var mu sync.Mutex
			outcome := map[string]error{}
			var done sync.WaitGroup
			for c := range callers {
				done.Go(func() {
					for i := range calls {
						name := fmt.Sprintf("call-%d-%d", c, i)
						_, err := addEntry.Run(h.Caller("acme"), name)
						mu.Lock()
						outcome[name] = err
						mu.Unlock()
						time.Sleep(time.Duration(i%7) * time.Millisecond)
					}
				})
			}
			done.Go(func() {
				for i := range jobs {
					name := fmt.Sprintf("job-%d", i)
					_, err := h.Scheduler("acme").RunAfter(time.Duration(i%50)*time.Millisecond, addEntry.With(name))
					mu.Lock()
					outcome[name] = err
					mu.Unlock()
				}
			})
			done.Wait()
			calm.Store(true)
			h.Advance(10 * time.Minute)
			names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
			failed := 0
			for name, err := range outcome {
				n := count(names, name)
				code := dispatch.Code("")
				if err != nil {
					code = dispatch.AsError(err).Code
					failed++
				}
				switch {
				case err == nil && n == 1:
				case code == dispatch.CodeUnknown && n <= 1:
				case code == dispatch.CodeUnavailable && n == 0:
				default:
					t.Errorf("%s answered %v and happened %d times", name, err, n)
				}
			}
			if failed == 0 {
				t.Error("nothing failed")
			}
		})
	}
}
