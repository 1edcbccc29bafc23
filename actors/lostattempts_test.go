package actors_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// withLong is an action that, for "long", runs for an hour, and Options that let
// one job run at once: what comes after "long" is claimed and waits for the slot.
func withLong() (*faults, func(string) dispatch.Call, actors.Options) {
	k, f := newKit(), newFaults()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		if name == "long" {
			select {
			case <-time.After(time.Hour):
			case <-ctx.Done():
			}
		}
		return nil
	}, dispatch.Deadline(2*time.Hour))
	return f, act.With, actors.Options{Functions: k.reg, ClockCheck: time.Second, Testing: actors.Testing{Fault: f.ask}, AppConcurrency: 1, Logger: quiet}
}

// inOneCommit has all that the op submits go to the disk in one commit, which
// fails at the point. There is one volume.
func inOneCommit(h *actorstest.Harness, f *faults, point string, op func()) {
	before := f.hold()
	go func() { _, _ = addEntry.Run(h.Caller("another"), "the commit before") }()
	h.Settle()
	op()
	h.Settle()
	release := f.hold()
	before()
	h.Settle()
	f.fail(point, 1)
	release()
}

// wantUntouched demands that the jobs have succeeded in their first attempt.
func wantUntouched(t *testing.T, h *actorstest.Harness, ids ...storage.JobID) {
	t.Helper()
	for _, id := range ids {
		if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); len(job.History) > 0 {
			t.Errorf("job %s says %+v", id, job.History)
		}
	}
}

// G5, G6: a job that was claimed and waited for a slot when the volume failed has
// not begun, and that is known: no attempt of it is counted, and one that runs at
// most once runs yet.
func TestG5_AVolumeThatFailsCostsNoAttemptThatHasNotBegun(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			f, act, opts := withLong()
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				long := mustAfter(t, h, "acme", 0, act("long"))
				h.Settle()
				waits := mustAfter(t, h, "acme", 0, act("waits"))
				once := mustAfter(t, h, "acme", 0, act("once"), dispatch.AtMostOnce())
				writes := mustAfter(t, h, "acme", 0, addEntry.With("written"))
				h.Settle()
				if i := h.Inspect("acme"); i.Claimed != 3 {
					t.Fatalf("%d jobs wait for the slot, want 3", i.Claimed)
				}
				f.fail(point, 1)
				_, err := addEntry.Run(h.Caller("acme"), "unknown")
				wantCode(t, err, dispatch.CodeUnknown)
				h.Advance(2 * time.Hour)
				wantUntouched(t, h, long, waits, once, writes)
			})
		})
	}
}

// G5: the end of an attempt and the claim of the next are lost with one commit, or
// are there although it failed. That the next has not begun says nothing of the
// one whose claim is still there; nor that the first had, of the claim of the next.
func TestG5_AnAttemptWhoseEndWasLostIsCounted(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for _, backoff := range []time.Duration{0, time.Millisecond} {
			t.Run(fmt.Sprint(point, " ", backoff), func(t *testing.T) {
				k, f := newKit(), newFaults()
				over := make(chan struct{})
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
					k.note("start "+name, ctx.Job)
					if ctx.Job.Attempt == 1 {
						<-over
						return dispatch.Errorf(dispatch.CodeUnavailable, "not now")
					}
					return nil
				})
				actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, Volumes: 1}, func(h *actorstest.Harness) {
					over = make(chan struct{}) // of the bubble
					retry := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4, Base: backoff})
					id := mustAfter(t, h, "acme", 0, act.With("x"), retry)
					h.Settle()
					inOneCommit(h, f, point, func() { close(over) }) // the end, and the claim of the next attempt
					h.Advance(time.Hour)
					wantState(t, h, "acme", id, storage.StateSuccess, 2)
					starts := k.events("start")
					if len(starts) != 2 || starts[0].Attempt != 1 || starts[1].Attempt != 2 {
						t.Errorf("the handler has started as %+v", starts)
					}
				})
			})
		}
	}
}

// G5: however often the volume fails in a row, also while the engine closes, and
// also if the wall was stepped back meanwhile, so that nothing is claimed again:
// what has not begun has had no attempt.
func TestG5_AVolumeThatFailsAgainAndAgainCostsNoAttempt(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; n <= 3; n++ {
			for _, when := range []string{"at work", "stepped back", "closing"} {
				t.Run(fmt.Sprint(point, n, " ", when), func(t *testing.T) {
					f, act, opts := withLong()
					actorstest.Run(t, opts, func(h *actorstest.Harness) {
						h.StepClock(2 * time.Hour)
						mustAfter(t, h, "acme", 0, act("long"))
						h.Settle()
						waits := mustAfter(t, h, "acme", 0, act("waits"))
						once := mustAfter(t, h, "acme", 0, act("once"), dispatch.AtMostOnce())
						h.Settle()
						if when == "stepped back" {
							h.StepClock(-time.Minute)
						}
						f.fail(point, n)
						if when == "closing" {
							h.Restart()
						} else {
							_, err := addEntry.Run(h.Caller("acme"), "unknown")
							wantCode(t, err, dispatch.CodeUnknown)
						}
						h.Advance(4 * time.Hour)
						wantUntouched(t, h, waits, once)
					})
				})
			}
		}
	}
}

// G5: a job that is claimed and waits for a slot has not begun, and however often the process
// dies meanwhile, it is no suspect. Nothing tells so at the first crash, which is an attempt; from
// then on its claim does. What had the slot each time is cut off by all but that one.
func TestG5_ACrashCostsNothingThatHasNotBegun(t *testing.T) {
	_, act, opts := withLong()
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		long := mustAfter(t, h, "acme", 0, act("long"))
		h.Settle()
		waits := mustAfter(t, h, "acme", 0, act("waits"))
		writes := mustAfter(t, h, "acme", 0, addEntry.With("written"))
		const crashes = 5
		for range crashes {
			h.Settle()
			if i := h.Inspect("acme"); i.Claimed == 0 || i.Running != 1 {
				t.Fatalf("%d jobs run and %d wait for the slot", i.Running, i.Claimed)
			}
			h.Crash()
		}
		if job := h.Job("acme", long); job.Interruptions != crashes-1 || job.Attempts != crashes+1 {
			t.Errorf("what ran was cut off by %d crashes in %d attempts: %+v", job.Interruptions, job.Attempts, job.History)
		}
		for _, id := range []storage.JobID{waits, writes} {
			if job := h.Job("acme", id); job.Interruptions != 0 || job.Attempts != 1 || !job.History[0].Unsure {
				t.Errorf("job %s has been cut off by %d crashes in %d attempts: %+v", id, job.Interruptions, job.Attempts, job.History)
			}
		}
		h.Advance(2 * time.Hour)
		for _, id := range []storage.JobID{long, waits, writes} {
			want := 2
			if id == long {
				want = crashes + 1
			}
			wantState(t, h, "acme", id, storage.StateSuccess, want)
		}
	})
}

// G5: the cancel of a job that is claimed and waits for a slot is lost with its
// commit. The job has not begun, so it is as it was before.
func TestG5_ALostCancelCostsNoAttempt(t *testing.T) {
	f, act, opts := withLong()
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, act("long"))
		h.Settle()
		waits := mustAfter(t, h, "acme", 0, act("waits"))
		once := mustAfter(t, h, "acme", 0, act("once"), dispatch.AtMostOnce())
		h.Settle()
		for _, id := range []storage.JobID{waits, once} {
			f.fail("commit", 1)
			_, err := h.Scheduler("acme").Cancel(id)
			wantCode(t, err, dispatch.CodeUnknown)
			h.Settle()
		}
		h.Advance(2 * time.Hour)
		wantUntouched(t, h, waits, once)
	})
}

// G5: the cancel of an action that runs is lost with its commit. Its handler has
// not been told and runs on, and the next attempt waits for it to return.
func TestG5_NeverTwoAtOnceAfterALostCancel(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			var now, most atomic.Int32
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				most.Store(max(most.Load(), now.Add(1)))
				defer now.Add(-1)
				k.note("start "+name, ctx.Job)
				time.Sleep(time.Minute)
				return nil
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, act.With("x"))
				h.Settle()
				f.fail(point, 1)
				_, err := h.Scheduler("acme").Cancel(id)
				wantCode(t, err, dispatch.CodeUnknown)
				h.Advance(time.Hour)
				if point == "commit" {
					wantState(t, h, "acme", id, storage.StateSuccess, 2)
				} else {
					wantState(t, h, "acme", id, storage.StateCanceled, 1)
				}
				if most.Load() != 1 {
					t.Errorf("%d handlers of the job ran at once", most.Load())
				}
				if i := h.Inspect("acme"); i.Leaving+i.Stuck != 0 {
					t.Errorf("%d handlers are said to be there yet", i.Leaving+i.Stuck)
				}
			})
		})
	}
}

// G1, G5: the volume is down, because of another app, when an action has failed for
// good. Nothing that this app has submitted could tell it so. How the action has
// ended is written down when the volume is up.
func TestG5_AnEndThatCannotBeWrittenIsNotForgotten(t *testing.T) {
	for name, opt := range map[string]dispatch.RunOption{"no retry": dispatch.NoRetry(), "at most once": dispatch.AtMostOnce()} {
		t.Run(name, func(t *testing.T) {
			k, f := newKit(), newFaults()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("start "+name, ctx.Job)
				time.Sleep(time.Second)
				return dispatch.Errorf(dispatch.CodeNotFound, "no")
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, Volumes: 1}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, act.With("x"), opt)
				h.Settle()
				f.fail("commit", 1) // so that the claim is known to the file only
				_, err := addEntry.Run(h.Caller("acme"), "unknown")
				wantCode(t, err, dispatch.CodeUnknown)
				h.Advance(time.Second - time.Millisecond)
				f.fail("reopen", -1)
				f.fail("commit", 1)
				_, err = addEntry.Run(h.Caller("another"), "unknown")
				wantCode(t, err, dispatch.CodeUnknown)
				h.Advance(time.Second)
				f.fail("reopen", 0)
				h.Advance(5 * time.Second)
				f.fail("commit", 1) // its state is read again, before the app sleeps
				_, err = addEntry.Run(h.Caller("acme"), "unknown")
				wantCode(t, err, dispatch.CodeUnknown)
				h.Advance(time.Hour)
				job := wantState(t, h, "acme", id, storage.StateFailed, 1)
				if starts := k.events("start"); len(starts) != 1 || job.Error.Code != "not_found" {
					t.Errorf("it was started as %+v, and says %+v", starts, job.Error)
				}
			})
		})
	}
}

// G4: an at-most-once action fails, and is retried by hand in its very instant;
// both are lost with one commit, or are there although it failed. The first attempt
// has begun and the second has not, and which of them the claim is of that is
// found decides whether it may run.
func TestG4_ARetryByHandIsNotTakenForTheAttemptBefore(t *testing.T) {
	for point, want := range map[string]int{"commit": 1, "committed": 2} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			over := make(chan struct{})
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("start "+name, ctx.Job)
				<-over
				return dispatch.Errorf(dispatch.CodeUnavailable, "no")
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, Volumes: 1}, func(h *actorstest.Harness) {
				over = make(chan struct{}) // of the bubble
				id := mustAfter(t, h, "acme", 0, act.With("x"), dispatch.AtMostOnce())
				h.Settle()
				retried := make(chan error, 1)
				inOneCommit(h, f, point, func() {
					close(over)
					h.Settle()
					go func() { _, err := h.Scheduler("acme").RetryDead(id); retried <- err }()
				})
				if err := <-retried; err == nil {
					t.Error("the retry was acknowledged")
				}
				h.Advance(time.Hour)
				wantState(t, h, "acme", id, storage.StateFailed, 1)
				if n := len(k.events("start")); n != want {
					t.Errorf("it was started %d times, want %d", n, want)
				}
			})
		})
	}
}

// G5: a crash that cut a job off is one in its count of them though the first commits of the
// recovery fail.
func TestG5_ACrashIsCountedThoughRecoveryFails(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := range 4 {
			t.Run(fmt.Sprint(point, n), func(t *testing.T) {
				k, f := newKit(), newFaults()
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
					if ctx.Job.Attempt <= 2 {
						actorstest.Hang(ctx)
					}
					return nil
				})
				actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}, func(h *actorstest.Harness) {
					id, err := h.Scheduler("acme").RunAt(h.Now(), act.With("x")) // what is relative would move with the step
					if err != nil {
						t.Fatal(err)
					}
					h.Settle()
					h.Crash() // from here on its begin is written down
					h.Settle()
					h.Kill()
					h.StepClock(-time.Hour) // so that it is not tried again at once
					h.Open()
					f.fail(point, n)
					for range n + 1 {
						_, _ = addEntry.Run(h.Caller("acme"), "wake")
						h.Settle()
					}
					if job := wantState(t, h, "acme", id, storage.StatePending, 2); job.Interruptions != 1 || len(job.History) != 2 {
						t.Errorf("it has %d crashes in a row, and of attempts %+v", job.Interruptions, job.History)
					}
				})
			})
		}
	}
}

// G17: an action has ended and waits for the turn to say so when the actor panics.
func TestG17_AnEndThatWaitsOutlivesThePanicOfTheActor(t *testing.T) {
	k := newKit()
	var armed atomic.Bool
	clock := func() time.Time {
		if armed.Load() && inScheduler() && armed.CompareAndSwap(true, false) {
			panic("a bug")
		}
		return time.Now()
	}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		time.Sleep(10 * time.Second)
		return nil
	})
	hold := k.mutation("t:hold", func(ctx *dispatch.MutationCtx, name string) error {
		time.Sleep(4 * time.Second)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Clock: clock}, Logger: quiet}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, act.With("x"))
		h.Settle()
		h.Advance(9 * time.Second)
		go func() { _, _ = hold.Run(h.Caller("acme"), "") }()
		h.Advance(2 * time.Second) // the action has ended, and the turn is held
		armed.Store(true)
		go func() { _, _ = h.App("acme").Scheduler(h.Context()).Cancel("nobody") }()
		h.Advance(time.Minute)
		if armed.Load() {
			t.Fatal("the actor has not panicked")
		}
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
		if n := len(k.events("start")); n != 1 {
			t.Errorf("it was started %d times", n)
		}
	})
}

// G22: a tick is claimed and waits for a slot; the pause of its trigger is lost
// with its commit, and given again. The tick has not begun, and does not.
func TestG22_APauseThatIsGivenAgainHolds(t *testing.T) {
	f := newFaults()
	withCrons(t, actors.Options{Testing: actors.Testing{Fault: f.ask}, AppConcurrency: 1}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(beat) time.Duration { return 15 * time.Second }
		for _, name := range []string{"ten", "ten too"} {
			trigger := everyTen(cronSlow.With(name), "")
			trigger.Name = name[:3] + fmt.Sprint(len(name))
			r.create("acme", trigger)
		}
		r.Advance(10 * time.Second) // one runs, and the other waits
		for _, name := range []string{"ten3", "ten7"} {
			f.fail("commit", 1)
			wantCode(t, r.crons("acme").Pause(name, "enough"), dispatch.CodeUnknown)
			r.Advance(time.Second) // a volume that fails again is left alone for a while
			r.must(r.crons("acme").Pause(name, "enough"))
		}
		r.Advance(time.Minute)
		r.wantOutcomes("acme", "ten3", begin, "fired 10s")
		r.wantOutcomes("acme", "ten7", begin, "skipped 10s")
	})
}
