package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// hangs binds an action that notes its start and hangs until it is cut off.
func (k *kit) hangs(path string, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		actorstest.Hang(ctx)
		return nil
	}, opts...)
}

// fails binds an action that notes its start and fails.
func (k *kit) fails(path string) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		return dispatch.Errorf(dispatch.CodeUnavailable, "attempt %d fails", ctx.Job.Attempt)
	})
}

// G4: the claim is on disk before the handler starts, so an attempt that a
// crash cut off is known to have begun.
func TestG4_AtMostOnceInterruptedIsFailedAndNeverRunAgain(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Second, hang.With("x"), dispatch.AtMostOnce())
		h.Advance(time.Second)
		if k.count("start") != 1 {
			t.Fatalf("the handler has started %d times", k.count("start"))
		}
		h.Crash()
		for range 3 {
			h.Advance(time.Hour)
			job := wantState(t, h, "acme", id, storage.StateFailed, 1)
			if len(job.History) != 1 || !job.History[0].Interrupted || job.Error == nil || job.Error.Code != string(dispatch.CodeAborted) {
				t.Errorf("the job says of its end: %+v, %+v", job.Error, job.History)
			}
			h.Crash()
		}
		if k.count("start") != 1 {
			t.Errorf("the handler has started %d times", k.count("start"))
		}
	})
}

// G4: with a crash at every commit.
func TestG4_AtMostOnceAtEveryCommit(t *testing.T) {
	var k *kit
	var run *dispatch.ActionRef[string, none]
	var id storage.JobID
	options := func() actors.Options {
		k = newKit()
		run = k.action("t:run", func(ctx *dispatch.ActionCtx, name string) error {
			k.note("start "+name, ctx.Job)
			_, err := addEntry.Run(ctx, name)
			return err
		})
		return actors.Options{Functions: k.reg}
	}
	act := func(h *actorstest.Harness) {
		id, _ = h.Scheduler("acme").RunAfter(time.Second, run.With("x"), dispatch.AtMostOnce())
		h.Advance(2 * time.Second)
	}
	everyCrash(t, options, act, func(h *actorstest.Harness) {
		h.Advance(time.Hour)
		jobs := h.Jobs("acme")
		if n := k.count("start"); n > 1 {
			t.Errorf("the handler has started %d times", n)
		}
		if id == "" && len(jobs) == 0 {
			return // it was never stored
		}
		if len(jobs) != 1 || !jobs[0].State.Ended() || jobs[0].Attempts != 1 {
			t.Errorf("what is left is %+v", jobs)
		}
		if jobs[0].State == storage.StateSuccess && k.count("start") != 1 {
			t.Error("it succeeded without having started")
		}
	})
}

// G4: while the claim is on its way to the disk nothing begins, however long that takes.
func TestG4_NothingBeginsBeforeItsClaimIsDurable(t *testing.T) {
	k := newKit()
	run := k.fails("t:run")
	var held atomic.Bool
	var let chan struct{}
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" && held.Load() {
			<-let
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Second, run.With("x"), dispatch.AtMostOnce())
		h.Settle()
		let = make(chan struct{})
		held.Store(true)
		h.Advance(time.Minute)
		if n := k.count("start"); n != 0 {
			t.Errorf("the handler has started %d times before its claim is durable", n)
		}
		close(let)
		h.Settle()
		wantState(t, h, "acme", id, storage.StateFailed, 1)
		if n := k.count("start"); n != 1 {
			t.Errorf("the handler has started %d times", n)
		}
	})
}

// G4: the wall clock was wrong when it started, and is right when the directory
// is opened again. That the job seems to be due later now does not undo its start.
func TestG4_AtMostOnceAndAClockThatWasAhead(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
		h.StepClock(2 * time.Hour)
		id := mustAfter(t, h, "acme", time.Second, hang.With("x"), dispatch.AtMostOnce())
		h.Advance(2 * time.Second)
		h.Kill()
		h.StepClock(-2 * time.Hour)
		h.Open()
		h.Advance(3 * time.Hour)
		wantState(t, h, "acme", id, storage.StateFailed, 1)
		if k.count("start") != 1 {
			t.Errorf("the handler has started %d times", k.count("start"))
		}
	})
}

// G4: until its instant nothing is claimed, so a crash before it does no harm.
func TestG4_AtMostOnceIsClaimedAtItsInstantOnly(t *testing.T) {
	k := newKit()
	run := k.action("t:run", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Second, run.With("x"), dispatch.AtMostOnce())
		h.Advance(time.Second - time.Millisecond)
		if i := h.Inspect("acme"); i.Claimed != 0 {
			t.Errorf("claimed ahead of its instant: %+v", i)
		}
		h.Crash()
		h.Advance(time.Millisecond)
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
	})
}

// G4: neither a failure, nor a timeout, nor the end of a shutdown's patience,
// nor a failed commit of its completion, is followed by a second run.
func TestG4_AtMostOnceIsNotRetried(t *testing.T) {
	k := newKit()
	fail, hang := k.fails("t:fail"), k.hangs("t:hang")
	broken := false
	fine := k.action("t:fine", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		broken = true
		return nil
	})
	fault := func(point string) error {
		if broken && point == "commit" {
			broken = false
			return errors.New("no")
		}
		return nil
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: fault}}, func(h *actorstest.Harness) {
		once := dispatch.AtMostOnce()
		failed := mustAfter(t, h, "acme", 0, fail.With("failed"), once)
		late := mustAfter(t, h, "acme", 0, hang.With("late"), once, dispatch.Timeout(time.Second))
		h.Advance(time.Hour)
		wantState(t, h, "acme", failed, storage.StateFailed, 1)
		wantState(t, h, "acme", late, storage.StateFailed, 1)

		unrecorded := mustAfter(t, h, "acme", 0, fine.With("unrecorded"), once)
		h.Advance(time.Hour)
		wantState(t, h, "acme", unrecorded, storage.StateSuccess, 1) // it is written down again

		cut := mustAfter(t, h, "acme", 0, hang.With("cut"), once, dispatch.Timeout(24*time.Hour))
		h.Settle()
		h.Restart() // its patience is an hour
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", cut, storage.StateFailed, 1)
		for _, name := range []string{"failed", "late", "unrecorded", "cut"} {
			if n := k.count("start " + name); n != 1 {
				t.Errorf("%s has started %d times", name, n)
			}
		}
	})
}

// G5: attempts are counted on disk over crashes, and crashes do
// not spend the retries.
func TestG5_AttemptsAreCountedOverCrashes(t *testing.T) {
	k := newKit()
	flaky := k.action("t:flaky", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		switch ctx.Job.Attempt {
		case 1, 3, 4:
			actorstest.Hang(ctx)
		case 2, 5:
			return dispatch.Errorf(dispatch.CodeUnavailable, "not now")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, flaky.With("x"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
		scheduled := h.Job("acme", id).ScheduledFor
		h.Settle()
		h.Crash() // in attempt 1; attempt 2 fails
		h.Advance(time.Minute)
		h.Crash() // in attempt 3
		h.Settle()
		h.Crash() // in attempt 4; attempt 5 fails
		h.Advance(2 * time.Minute)
		job := wantState(t, h, "acme", id, storage.StateSuccess, 6)
		if job.Failures != 2 || len(job.History) != 5 || !job.ScheduledFor.Equal(scheduled) {
			t.Errorf("the job says %+v", job)
		}
		for i, e := range k.events("start") {
			if e.Job != id || e.Attempt != i+1 {
				t.Errorf("start %d was of job %s, attempt %d", i+1, e.Job, e.Attempt)
			}
		}
		for i, a := range job.History {
			if a.Number != i+1 || a.Interrupted != (i == 0 || i == 2 || i == 3) {
				t.Errorf("attempt %d is written down as %+v", i+1, a)
			}
		}
	})
}

// G5: the idempotency key is the same for every attempt of a job, for what it runs
// and after a crash; and another app's job of the same id has another.
func TestG5_OneIdempotencyKeyThatNoOtherJobHas(t *testing.T) {
	k := newKit()
	inside := k.mutation("t:inside", func(ctx *dispatch.MutationCtx, _ string) error {
		k.note("key "+ctx.Job.IdempotencyKey(), ctx.Job)
		return nil
	})
	flaky := k.action("t:flaky", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("key "+ctx.Job.IdempotencyKey(), ctx.Job)
		switch ctx.Job.Attempt {
		case 1:
			actorstest.Hang(ctx)
		case 2:
			return dispatch.Errorf(dispatch.CodeUnavailable, "not now")
		}
		_, err := inside.Run(ctx, name)
		return err
	})
	slot := "cron:due:946688400000" // an hour after the harness begins
	opts := actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{{Name: "due", Schedule: cron.Expr("0 1 1 1 *"), Call: flaky.With("")}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		want := map[string]int{}
		for _, app := range []storage.AppID{"acme", "zeta"} {
			minted, err := h.Scheduler(app).RunAt(h.Now().Add(time.Hour), flaky.With(""))
			if err != nil {
				t.Fatal(err)
			}
			mustAfter(t, h, app, time.Hour, flaky.With(""), dispatch.ID("chosen"))
			for _, id := range []string{string(minted), "chosen", slot} {
				want[string(app)+"/"+id] = 4 // three attempts, and what the last one runs
			}
		}
		if len(want) != 6 {
			t.Fatalf("the jobs are %v", want)
		}
		h.Advance(time.Hour)
		h.Crash()
		h.Advance(time.Hour)
		got := map[string]int{}
		for _, e := range k.events("key") {
			got[strings.TrimPrefix(e.What, "key ")]++
		}
		for key, n := range want {
			if got[key] != n {
				t.Errorf("key %s was seen %d times, want %d", key, got[key], n)
			}
		}
	})
	if key := (dispatch.JobRun{}).IdempotencyKey(); key != "" {
		t.Errorf("what is no job has the key %q", key)
	}
}

// G5: the number of runs is MaxAttempts, and the waits are the policy's.
func TestG5_RetryLadder(t *testing.T) {
	type policy = dispatch.RetryPolicy
	retry := func(p policy) []dispatch.RunOption { return []dispatch.RunOption{dispatch.WithRetry(p)} }
	s := time.Second
	for _, tt := range []struct {
		name string
		opts []dispatch.RunOption
		want []time.Duration // of the starts, from the first
	}{
		{"default", nil, []time.Duration{0, 30 * s, 90 * s, 210 * s, 450 * s, 930 * s}},
		{"none", []dispatch.RunOption{dispatch.NoRetry()}, []time.Duration{0}},
		{"one", retry(policy{MaxAttempts: 2, Base: s}), []time.Duration{0, s}},
		{"at once", retry(policy{MaxAttempts: 4}), []time.Duration{0, 0, 0, 0}},
		{"linear", retry(policy{MaxAttempts: 4, Base: s, Backoff: dispatch.Linear}), []time.Duration{0, s, 3 * s, 6 * s}},
		{"capped", retry(policy{MaxAttempts: 5, Base: s, Max: 3 * s}), []time.Duration{0, s, 3 * s, 6 * s, 9 * s}},
		{"rounded up", retry(policy{MaxAttempts: 2, Base: s + 1}), []time.Duration{0, s + time.Millisecond}},
	} {
		for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
			t.Run(tt.name+" "+string(kind), func(t *testing.T) {
				k := newKit()
				call := k.fails("t:fail").With("start x")
				prefix := "start"
				if kind == dispatch.KindMutation {
					call, prefix = failAlways.With("x"), "fail"
				}
				actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
					begin := h.Now()
					id := mustAfter(t, h, "acme", 0, call, tt.opts...)
					h.Advance(time.Hour)
					var got []time.Duration
					for _, e := range k.events(prefix) {
						got = append(got, e.At.Sub(begin))
					}
					if !slices.Equal(got, tt.want) {
						t.Errorf("runs at %v, want %v", got, tt.want)
					}
					job := wantState(t, h, "acme", id, storage.StateFailed, len(tt.want))
					if len(job.History) != len(tt.want) || job.Failures != len(tt.want) {
						t.Errorf("%d failures, history %+v", job.Failures, job.History)
					}
					for i, a := range job.History {
						if a.Number != i+1 || a.Error.Code != string(dispatch.CodeUnavailable) || !strings.Contains(a.Error.Message, "fails") {
							t.Errorf("attempt %d is written down as %+v", i+1, a)
						}
					}
				})
			})
		}
	}
}

// G5: a function's own policy holds for its jobs and ticks that have none, looked
// up when an attempt fails; a job's own wins.
func TestG5_AFunctionsOwnRetry(t *testing.T) {
	k := newKit()
	fail := func(path string, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
		return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
			k.note("start "+name, ctx.Job)
			return errors.New("no")
		}, opts...)
	}
	twice := fail("t:twice", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
	never := fail("t:never", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1}))
	tick := dispatch.Trigger{Name: "tick", Schedule: cron.Every(24 * time.Hour), Call: twice.With("tick")}
	actorstest.Run(t, actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{tick}}, func(h *actorstest.Harness) {
		begin := h.Now()
		mustAfter(t, h, "acme", 0, twice.With("theirs"))
		mustAfter(t, h, "acme", 0, never.With("once"))
		mustAfter(t, h, "acme", 0, twice.With("own"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
		mustAfter(t, h, "acme", 0, twice.With("atmostonce"), dispatch.AtMostOnce())
		h.Advance(24*time.Hour + time.Minute)
		for name, want := range map[string][]time.Duration{
			"theirs":     {0, time.Second},
			"once":       {0},
			"own":        {0, time.Minute, 3 * time.Minute},
			"atmostonce": {0},
			"tick":       {24 * time.Hour, 24*time.Hour + time.Second},
		} {
			var got []time.Duration
			for _, e := range k.events("start " + name) {
				got = append(got, e.At.Sub(begin))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s runs at %v, want %v", name, got, want)
			}
		}
		info, ok, err := h.Scheduler("acme").Crons().Get("tick")
		if err != nil || !ok || info.Policy != (dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}) {
			t.Errorf("the trigger says %+v, %v, %v", info.Policy, ok, err)
		}
	})
}

// G5: with jitter jobs that failed together are not tried again together, and
// none later than without it.
func TestG5_RetriesWithJitterAreSpread(t *testing.T) {
	k := newKit()
	fail := k.fails("t:fail")
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		begin := h.Now()
		policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute, Jitter: true})
		for range 60 {
			mustAfter(t, h, "acme", 0, fail.With("x"), policy)
		}
		h.Advance(time.Hour)
		seconds := map[time.Duration]bool{}
		again := 0
		for _, e := range k.events("start") {
			if e.Attempt == 1 {
				continue
			}
			again++
			wait := e.At.Sub(begin)
			if wait < 0 || wait > time.Minute {
				t.Errorf("tried again after %v", wait)
			}
			seconds[wait.Truncate(time.Second)] = true
		}
		if again != 60 || len(seconds) < 25 {
			t.Errorf("%d jobs were tried again, in %d seconds of the minute", again, len(seconds))
		}
	})
}

// G5: what cannot be mended by a retry is not retried.
func TestG5_PermanentFailuresAreFinal(t *testing.T) {
	k := newKit()
	permanent := k.action("t:permanent", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		return dispatch.Permanent(fmt.Errorf("as it is: %w", dispatch.Errorf(dispatch.CodeNotFound, "no such thing")))
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, permanent.With("x"))
		h.Advance(2 * time.Hour)
		job := wantState(t, h, "acme", id, storage.StateFailed, 1)
		if job.Error.Code != string(dispatch.CodeNotFound) || job.Error.Message != "no such thing" {
			t.Errorf("the job says %+v", job.Error)
		}
	})
}

// G5: an attempt that was given up past its deadline and grace is followed by
// another only when its handler has returned at last, also if the app slept.
func TestG5_NeverTwoAtOnceThoughAHandlerWasGivenUp(t *testing.T) {
	for _, idle := range []time.Duration{time.Second, time.Hour} {
		t.Run(idle.String(), func(t *testing.T) {
			k := newKit()
			free := make(chan struct{})
			deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, name string) error {
				defer k.enter(name)()
				k.note("start "+name, ctx.Job)
				if ctx.Job.Attempt == 1 {
					<-free // deaf to its context
				}
				return nil
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: idle}, func(h *actorstest.Harness) {
				free = make(chan struct{}) // of the bubble
				policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4, Base: 30 * time.Second})
				id := mustAfter(t, h, "acme", 0, deaf.With("x"), dispatch.Timeout(time.Second), policy)
				h.Advance(10 * time.Minute)
				if k.count("start") != 1 {
					t.Fatalf("%d starts while the first handler is still there", k.count("start"))
				}
				job := wantState(t, h, "acme", id, storage.StatePending, 1)
				if job.Error == nil || job.Error.Code != string(dispatch.CodeDeadlineExceeded) {
					t.Errorf("the job says %+v", job.Error)
				}
				if i := h.Inspect("acme"); i.Asleep || i.Stuck != 1 || i.Running != 0 {
					t.Errorf("a given-up handler should hold the app awake, and no slot: %+v", i)
				}
				close(free)
				h.Settle()
				wantState(t, h, "acme", id, storage.StateSuccess, 2)
				if k.mostAtOnce("x") != 1 {
					t.Errorf("%d at once", k.mostAtOnce("x"))
				}
			})
		})
	}
}

// G5: the result of a handler that was given up counts for nothing.
func TestG5_ALateResultCountsForNothing(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		time.Sleep(time.Minute)
		_, err := addEntry.Run(ctx, name)
		k.note(fmt.Sprint("late ", err != nil), ctx.Job)
		_, err = ctx.Scheduler.RunAfter(0, addEntry.With(name))
		k.note(fmt.Sprint("late ", err != nil), ctx.Job)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, slow.With("x"), dispatch.Timeout(time.Second), dispatch.NoRetry())
		h.Advance(time.Hour)
		wantState(t, h, "acme", id, storage.StateFailed, 1)
		wantEntries(t, h, "acme")
		if got := k.noted("late"); !slices.Equal(got, []string{"late true", "late true"}) {
			t.Errorf("refused after its time: %q", got)
		}
	})
}

// G5: a job that was running in so many crashes in a row is a suspected poison;
// those that were merely near survive, whatever their number.
func TestG5_PoisonIsDeadAfterTenCrashesAndBystandersSurvive(t *testing.T) {
	for _, kind := range []dispatch.Kind{dispatch.KindAction, dispatch.KindMutation} {
		t.Run(string(kind), func(t *testing.T) {
			k := newKit()
			var poison, bystander func(name string) dispatch.Call
			kill := make(chan struct{}, 1000)
			if kind == dispatch.KindAction {
				p := k.action("t:poison", func(ctx *dispatch.ActionCtx, name string) error {
					k.note("start "+name, ctx.Job)
					kill <- struct{}{}
					actorstest.Hang(ctx)
					return nil
				})
				b := k.action("t:bystander", func(ctx *dispatch.ActionCtx, name string) error {
					time.Sleep(5 * time.Millisecond)
					_, err := addEntry.Run(ctx, name)
					return err
				})
				poison, bystander = p.With, b.With
			} else {
				p := k.mutation("t:poison", func(ctx *dispatch.MutationCtx, name string) error {
					k.note("start "+name, ctx.Job)
					kill <- struct{}{}
					actorstest.Hang(ctx)
					return nil
				})
				b := k.mutation("t:bystander", func(ctx *dispatch.MutationCtx, name string) error {
					_, err := addEntry.Run(ctx, name)
					return err
				})
				poison, bystander = p.With, b.With
			}
			actorstest.Run(t, actors.Options{Functions: k.reg, ActionTimeout: 100 * time.Hour, MutationTimeout: 100 * time.Hour}, func(h *actorstest.Harness) {
				kill = make(chan struct{}, 1000) // of the bubble
				var want []string
				var ids []storage.JobID
				add := func(n int) {
					for range n {
						name := fmt.Sprint(len(want))
						want = append(want, name)
						ids = append(ids, mustAfter(t, h, "acme", time.Second, bystander(name), dispatch.NoRetry()))
					}
				}
				add(5)
				bad := mustAfter(t, h, "acme", time.Second, poison("p"), dispatch.NoRetry())
				add(5)
				h.Advance(900 * time.Millisecond)
				crashes := 0
				for h.Job("acme", bad).State != storage.StateFailed {
					// A dead process is dead when the poison runs, not before and not later.
					select {
					case <-kill:
						h.Crash()
						crashes++
					case <-time.After(time.Hour):
						t.Fatalf("after %d crashes the poison does not run and is not dead: %+v", crashes, h.Inspect("acme"))
					}
					if crashes > 20 {
						t.Fatal("the poison lives for ever")
					}
				}
				h.Advance(time.Second)
				if crashes != 11 {
					t.Errorf("dead after %d crashes, want 10 and one of which nothing told whether it had begun", crashes)
				}
				job := wantState(t, h, "acme", bad, storage.StateFailed, 11)
				if !strings.Contains(job.Error.Message, "suspected poison") || job.Failures != 0 {
					t.Errorf("the poison's job says %+v, %d failures", job.Error, job.Failures)
				}
				if kind == dispatch.KindMutation {
					wantEntries(t, h, "acme", want...)
				}
				for i, id := range ids {
					if job := h.Job("acme", id); job.State != storage.StateSuccess || job.Interruptions > 4 {
						t.Errorf("bystander %d is %s, interrupted %d times: %+v", i, job.State, job.Interruptions, job.Error)
					}
				}
			})
		})
	}
}

// G5: MaxInterruptions at n and n+1, behind a crash of which nothing told whether the handler
// had begun; and a graceful end in between begins the count of crashes in a row anew only if the
// attempt ended.
func TestG5_MaxInterruptions(t *testing.T) {
	for _, limit := range []int{1, 2, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			k := newKit()
			hang := k.hangs("t:hang")
			actorstest.Run(t, actors.Options{Functions: k.reg, MaxInterruptions: limit}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, hang.With("x"))
				for n := range limit + 1 {
					h.Settle()
					if job := h.Job("acme", id); job.State != storage.StateRunning || job.Attempts != n+1 {
						t.Fatalf("after %d crashes: %s, %d attempts", n, job.State, job.Attempts)
					}
					h.Crash()
				}
				wantState(t, h, "acme", id, storage.StateFailed, limit+1)
				// Retried by hand, it has a new budget.
				if ok, err := h.Scheduler("acme").RetryDead(id); !ok || err != nil {
					t.Fatal(ok, err)
				}
				h.Settle()
				if job := h.Job("acme", id); job.State != storage.StateRunning || job.Attempts != 1 {
					t.Errorf("retried by hand: %s, %d attempts", job.State, job.Attempts)
				}
				h.Scheduler("acme").Cancel(id)
			})
		})
	}
}

// G5: a shutdown that cuts an attempt off is neither a failure nor a crash.
func TestG5_AShutdownSpendsNothing(t *testing.T) {
	k := newKit()
	polite := k.action("t:polite", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		if ctx.Job.Attempt > 5 {
			return nil
		}
		<-ctx.Done()
		return context.Cause(ctx)
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxInterruptions: 2, ActionTimeout: 100 * time.Hour}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, polite.With("x"), dispatch.NoRetry())
		for range 5 {
			h.Settle()
			h.Restart()
		}
		job := wantState(t, h, "acme", id, storage.StateSuccess, 6)
		if job.Failures != 0 || job.Interruptions != 0 {
			t.Errorf("%d failures, %d interruptions", job.Failures, job.Interruptions)
		}
	})
}
