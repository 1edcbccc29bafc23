package actors_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// mustPause pauses the scope.
func mustPause(tb testing.TB, h *actorstest.Harness, of storage.Scope) {
	tb.Helper()
	if err := h.App("acme").Pause(h.Context(), of, "ann", "keys are rotated"); err != nil {
		tb.Fatal(err)
	}
}

// mustResume ends the pause of the scope.
func mustResume(tb testing.TB, h *actorstest.Harness, of storage.Scope) {
	tb.Helper()
	if ok := must[bool](tb)(h.App("acme").Resume(h.Context(), of)); !ok {
		tb.Fatalf("%s was not paused", of)
	}
}

// pausable are functions and pools to pause.
func pausable(k *kit) (opts actors.Options, pay, mail *dispatch.ActionRef[string, none]) {
	stripe, users := dispatch.NewPool("stripe", 2), dispatch.NewPool("users", 2)
	note := func(ctx *dispatch.ActionCtx, name string) error { k.note("run "+name, ctx.Job); return nil }
	pay = k.action("t:pay", note, dispatch.InPool(stripe), dispatch.Formerly("t:charge"))
	mail = k.action("t:mail", note)
	return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{stripe, users}}, pay, mail
}

// TestG35_NothingOfAPauseBegins: while the app, a function, a pool or a key of one is paused
// none of its jobs begins, each says why, and all others begin in time; at resume what is
// due begins at once.
func TestG35_NothingOfAPauseBegins(t *testing.T) {
	for _, tt := range []struct {
		of   storage.Scope
		says string
		runs []string // while it is paused
	}{
		{dispatch.OfApp(), "the app is paused by ann: keys are rotated", nil},
		{dispatch.OfFunction("t:pay"), "function t:pay is paused by ann: keys are rotated", []string{"run mail", "run u1", "run u2"}},
		{dispatch.OfFunction("t:mail"), "function t:mail is paused by ann: keys are rotated", []string{"run pay"}},
		{dispatch.OfPool("stripe"), "pool stripe is paused by ann: keys are rotated", []string{"run mail", "run u1", "run u2"}},
		{dispatch.OfPool("users"), "pool users is paused by ann: keys are rotated", []string{"run mail", "run pay"}},
		{dispatch.OfPool("users", "u1"), `key "u1" of pool users is paused by ann: keys are rotated`, []string{"run mail", "run pay", "run u2"}},
	} {
		t.Run(tt.of.String(), func(t *testing.T) {
			k := newKit()
			opts, pay, mail := pausable(k)
			users := opts.Pools[1]
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				all := map[string]storage.JobID{}
				for range 2 { // once scheduled ahead of the pause, and once while it lasts
					all["run pay"] = mustAfter(t, h, "acme", 10*time.Second, pay.With("pay"))
					all["run mail"] = mustAfter(t, h, "acme", 10*time.Second, mail.With("mail"))
					all["run u1"] = mustAfter(t, h, "acme", 10*time.Second, mail.With("u1"), dispatch.InPool(users, "u1"))
					all["run u2"] = mustAfter(t, h, "acme", 10*time.Second, mail.With("u2"), dispatch.InPool(users, "u2"))
					mustPause(t, h, tt.of)
				}
				due := h.Now().Add(10 * time.Second)
				h.Advance(time.Minute)
				seen := map[string]int{}
				for _, e := range k.events("run") {
					if seen[e.What]++; e.At.Sub(due) > 20*time.Millisecond {
						t.Errorf("%s began %v after its instant", e.What, e.At.Sub(due))
					}
				}
				for what, id := range all {
					if runs := slices.Contains(tt.runs, what); runs != (seen[what] == 2) || !runs && seen[what] > 0 {
						t.Errorf("%s began %d times while %s is paused", what, seen[what], tt.of)
					} else if job := h.Job("acme", id); !runs && (job.Reason != tt.says || job.Wait != storage.WaitPaused || job.State != storage.StatePending || job.Attempts != 0) {
						t.Errorf("%s is %s after %d attempts, and waits because of %q, %q", what, job.State, job.Attempts, job.Wait, job.Reason)
					}
				}
				at := h.Now()
				mustResume(t, h, tt.of)
				h.Drain()
				if n := k.count("run"); n != 8 {
					t.Errorf("%d have begun after the resume, want 8", n)
				}
				for _, e := range k.events("run") {
					if e.At.After(due.Add(time.Second)) && e.At.Sub(at) > 20*time.Millisecond {
						t.Errorf("%s began %v after the resume", e.What, e.At.Sub(at))
					}
				}
				if list := must[[]storage.Pause](t)(h.App("acme").Pauses(h.Context())); len(list) != 0 {
					t.Errorf("pauses after the resume: %v", list)
				}
			})
		})
	}
}

// TestG35_AClaimedJobDoesNotBegin: a job that was claimed ahead of its instant when it was
// paused does not begin, and spends no attempt.
func TestG35_AClaimedJobDoesNotBegin(t *testing.T) {
	for _, of := range []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("t:mail")} {
		k := newKit()
		opts, _, mail := pausable(k)
		write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error { k.note("run "+name, ctx.Job); return nil })
		opts.ClaimAhead = time.Second
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			id := mustAfter(t, h, "acme", 5*time.Second, mail.With("ahead"))
			other := mustAfter(t, h, "acme", 5*time.Second, write.With("other"))
			h.Advance(4500 * time.Millisecond)
			if i := h.Inspect("acme"); i.Claimed != 2 {
				t.Fatalf("%d are claimed, want 2", i.Claimed)
			}
			mustPause(t, h, of)
			h.Advance(time.Minute)
			if n := k.count("run ahead"); n != 0 {
				t.Errorf("%s: a claimed job began while it was paused", of)
			}
			if n := k.count("run other"); (n == 0) != of.App {
				t.Errorf("%s: the other one began %d times", of, n)
			}
			wantState(t, h, "acme", id, storage.StatePending, 0)
			if i := h.Inspect("acme"); i.Claimed != 0 {
				t.Errorf("%s: %d are claimed while they are paused", of, i.Claimed)
			}
			mustResume(t, h, of)
			h.Drain()
			wantState(t, h, "acme", id, storage.StateSuccess, 1)
			wantState(t, h, "acme", other, storage.StateSuccess, 1)
		})
	}
}

// TestG35_AMutationThatWaitsForItsTurnDoesNotBegin: a job that has its permit, and waits for
// the turn when the pause comes before it, does not begin.
func TestG35_AMutationThatWaitsForItsTurnDoesNotBegin(t *testing.T) {
	k := newKit()
	opts, _, _ := pausable(k)
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error { k.note("run "+name, ctx.Job); return nil })
	slow := k.mutation("t:slow", func(*dispatch.MutationCtx, string) error { time.Sleep(2 * time.Second); return nil })
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", time.Second, write.With("x"))
		h.Advance(900 * time.Millisecond)
		done := make(chan error, 2)
		go func() {
			_, err := slow.Run(h.Caller("acme"), "")
			done <- err
		}()
		h.Advance(50 * time.Millisecond)
		go func() { done <- h.App("acme").Pause(h.Context(), dispatch.OfApp(), "", "") }()
		h.Advance(500 * time.Millisecond)
		if i := h.Inspect("acme"); i.Running != 1 {
			t.Errorf("%d have a permit, want 1", i.Running)
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		h.Advance(time.Minute)
		wantState(t, h, "acme", id, storage.StatePending, 0)
		mustResume(t, h, dispatch.OfApp())
		h.Drain()
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
	})
}

// TestG35_WhatRunsEnds: an attempt that runs goes on, and its retry waits for the resume.
func TestG35_WhatRunsEnds(t *testing.T) {
	k := newKit()
	opts, _, _ := pausable(k)
	opts.Logger = quiet
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("run "+name, ctx.Job)
		time.Sleep(time.Second)
		if ctx.Job.Attempt == 1 {
			return errors.New("not yet")
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Second}))
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, work.With("x"))
		h.Advance(500 * time.Millisecond)
		mustPause(t, h, dispatch.OfFunction("t:work"))
		h.Advance(time.Minute)
		if job := wantState(t, h, "acme", id, storage.StatePending, 1); job.Failures != 1 || job.Wait != storage.WaitPaused {
			t.Errorf("%d failures, waits for %q", job.Failures, job.Wait)
		}
		mustResume(t, h, dispatch.OfFunction("t:work"))
		h.Drain()
		wantState(t, h, "acme", id, storage.StateSuccess, 2)
	})
}

// TestG35_APauseIsPartOfItsMutation: a mutation pauses and resumes in its transaction, sees
// what it did, and what it did is undone with it.
func TestG35_APauseIsPartOfItsMutation(t *testing.T) {
	k := newKit()
	opts, pay, mail := pausable(k)
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		plan := func(fn func(ctx *dispatch.MutationCtx) error) error {
			k.mu.Lock()
			k.plan = fn
			k.mu.Unlock()
			_, err := runPlan.Run(h.Caller("acme"), none{})
			return err
		}
		err := plan(func(ctx *dispatch.MutationCtx) error {
			if err := ctx.Scheduler.Pause(dispatch.OfApp(), "ann", "stop"); err != nil {
				return err
			}
			list := must[[]storage.Pause](t)(ctx.Scheduler.Pauses())
			if len(list) != 1 || list[0].Of != dispatch.OfApp() {
				t.Errorf("the mutation sees %v", list)
			}
			return errors.New("undo")
		})
		if err == nil {
			t.Fatal("the mutation has not failed")
		}
		mustAfter(t, h, "acme", 0, mail.With("undone"))
		h.Drain()
		if k.count("run undone") != 1 {
			t.Error("a pause that was rolled back keeps jobs from beginning")
		}
		err = plan(func(ctx *dispatch.MutationCtx) error {
			if err := ctx.Scheduler.Pause(dispatch.OfFunction("t:mail"), "", ""); err != nil {
				return err
			}
			if _, err := ctx.Scheduler.RunAfter(0, mail.With("mail")); err != nil {
				return err
			}
			_, err := ctx.Scheduler.RunAfter(0, pay.With("pay"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Minute)
		if k.count("run mail") != 0 || k.count("run pay") != 1 {
			t.Errorf("began %q", k.noted("run"))
		}
		err = plan(func(ctx *dispatch.MutationCtx) error {
			if _, err := ctx.Scheduler.RunAfter(0, mail.With("mail")); err != nil {
				return err
			}
			ok, err := ctx.Scheduler.Resume(dispatch.OfFunction("t:mail"))
			if !ok {
				t.Error("the mutation resumes nothing")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.Drain()
		if k.count("run mail") != 2 {
			t.Errorf("began %q", k.noted("run"))
		}
	})
}

// TestG35_SlotsOfThePauseAreJudgedAtResume: the slots that have passed are caught up by the
// trigger's policy, as if the engine had been down.
func TestG35_SlotsOfThePauseAreJudgedAtResume(t *testing.T) {
	for _, of := range []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("cron:beat")} {
		for _, tt := range []struct {
			policy   storage.CatchUp
			ran      []string
			outcomes []string
		}{
			{storage.CatchUp{Mode: storage.CatchUpOne}, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
			{storage.CatchUp{Mode: storage.CatchUpNone}, nil, []string{"fired 10s", "skipped 20s-1m30s"}},
			{storage.CatchUp{Mode: storage.CatchUpAll, Limit: 2}, []string{"1m20s", "1m30s"}, []string{"fired 10s", "skipped 20s-1m10s", "fired 1m20s", "fired 1m30s"}},
		} {
			t.Run(fmt.Sprintf("%s, %v", of, tt.policy), func(t *testing.T) {
				withCrons(t, actors.Options{}, func(r *cronHarness) {
					begin := r.Now()
					def := everyTen(cronBeat.With("w"), "")
					def.CatchUp = tt.policy
					r.create("acme", def)
					r.Advance(15 * time.Second)
					mustPause(t, r.Harness, of)
					r.Advance(81 * time.Second)
					r.wantRan("acme", "ten", begin, "10s")
					mustResume(t, r.Harness, of)
					r.Settle()
					r.Advance(time.Second)
					r.wantRan("acme", "ten", begin, append([]string{"10s"}, tt.ran...)...)
					r.wantOutcomes("acme", "ten", begin, tt.outcomes...)
					r.AdvanceTo(begin.Add(101 * time.Second))
					if got := r.info("acme", "ten").Next.Sub(begin); got != 110*time.Second {
						t.Errorf("next is %v", got)
					}
				})
			})
		}
	}
}

// TestG35_WaitingWritesNothing: while jobs wait for the end of a pause nothing is written, no
// alarm is set, and an app that is paused as a whole sleeps.
func TestG35_WaitingWritesNothing(t *testing.T) {
	for _, of := range []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("t:pay"), dispatch.OfPool("stripe")} {
		k := newKit()
		opts, pay, _ := pausable(k)
		var commits atomic.Int64
		opts.Testing.Fault = func(point string) error {
			if point == "commit" {
				commits.Add(1)
			}
			return nil
		}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			mustPause(t, h, of)
			must[none](t)(k.scheduleMany(h, "acme", 2000, time.Second, pay.With("x")))
			h.Advance(time.Minute)
			before := commits.Load()
			h.Advance(24 * time.Hour)
			if n := commits.Load() - before; n != 0 || k.count("run") != 0 {
				t.Errorf("%s: %d commits and %d runs in a day", of, n, k.count("run"))
			}
			i := h.Inspect("acme")
			if of.App && !i.Asleep {
				t.Errorf("%s: the app is awake", of)
			}
			if !i.AlarmAt.IsZero() {
				t.Errorf("%s: the alarm is set for %v", of, i.AlarmAt.Sub(h.Now()))
			}
			mustResume(t, h, of)
			h.Drain()
			if k.count("run") != 2000 {
				t.Errorf("%s: %d have run, want 2,000", of, k.count("run"))
			}
		})
	}
}

// TestG35_APausedFunctionKeepsItsPoolFree: jobs of a function that is paused keep no other
// of their pool back, however many they are, and begin in their order at resume.
func TestG35_APausedFunctionKeepsItsPoolFree(t *testing.T) {
	k := newKit()
	opts, pay, mail := pausable(k)
	stripe := opts.Pools[0]
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for range 3 {
			must[none](t)(k.scheduleMany(h, "acme", 1500, time.Second, pay.With("pay")))
		}
		mustPause(t, h, dispatch.OfFunction("t:pay"))
		h.Advance(2 * time.Second)
		for i := range 5 {
			at := h.Now().Add(time.Second)
			mustAfter(t, h, "acme", time.Second, mail.With(fmt.Sprint("mail ", i)), dispatch.InPool(stripe))
			h.Advance(2 * time.Second)
			events := k.events("run mail")
			if len(events) != i+1 || events[i].At.Sub(at) > 20*time.Millisecond {
				t.Fatalf("mail %d: %v", i, events)
			}
		}
		mustResume(t, h, dispatch.OfFunction("t:pay"))
		h.Drain()
		if n := k.count("run pay"); n != 4500 {
			t.Errorf("%d have run, want 4,500", n)
		}
	})
}

// TestG35_NotAfterGoesOn: jobs expire while they are paused, and say that they were; an app
// that is paused as a whole is woken for that.
func TestG35_NotAfterGoesOn(t *testing.T) {
	for _, of := range []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("t:mail")} {
		k := newKit()
		opts, _, mail := pausable(k)
		opts.Logger = quiet
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			mustAfter(t, h, "acme", time.Second, mail.With("first"))
			id := mustAfter(t, h, "acme", time.Minute, mail.With("late"), dispatch.NotAfter(h.Now().Add(2*time.Hour)))
			mustPause(t, h, of)
			h.Advance(time.Hour)
			if i := h.Inspect("acme"); of.App && !i.Asleep {
				t.Error("the app is awake")
			}
			if err := h.Engine.Check(); err != nil {
				t.Error(err)
			}
			h.Advance(time.Hour + time.Minute)
			if job := h.Job("acme", id); job.State != storage.StateExpired || !strings.Contains(job.Reason, "is paused by ann") || job.CompletedAt.Sub(h.Now()) < -time.Minute {
				t.Errorf("%s: the job is %s since %v: %q", of, job.State, job.CompletedAt, job.Reason)
			}
			if err := h.Engine.Check(); err != nil {
				t.Error(err)
			}
			mustResume(t, h, of)
			h.Drain()
			if got := k.noted("run"); !slices.Equal(got, []string{"run first"}) {
				t.Errorf("%s: %q began", of, got)
			}
		})
	}
}

// TestG35_AnOrderedPoolWaitsForItsHead: a job of a function that is paused keeps its turn.
func TestG35_AnOrderedPoolWaitsForItsHead(t *testing.T) {
	k := newKit()
	line := dispatch.NewPool("line", 1, dispatch.Ordered())
	note := func(ctx *dispatch.ActionCtx, name string) error { k.note("run "+name, ctx.Job); return nil }
	first := k.action("t:first", note, dispatch.InPool(line))
	second := k.action("t:second", note, dispatch.InPool(line))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{line}}, func(h *actorstest.Harness) {
		mustPause(t, h, dispatch.OfFunction("t:first"))
		mustAfter(t, h, "acme", time.Second, first.With("a"))
		id := mustAfter(t, h, "acme", 2*time.Second, second.With("b"))
		h.Advance(time.Minute)
		if job := h.Job("acme", id); k.count("run") != 0 || job.Wait != storage.WaitPredecessor {
			t.Errorf("%q began; the second waits for %q, %q", k.noted("run"), job.Wait, job.Reason)
		}
		if err := h.App("acme").LimitPool(h.Context(), "line", 2); err == nil {
			t.Error("an ordered pool has another limit than 1")
		}
		mustResume(t, h, dispatch.OfFunction("t:first"))
		h.Drain()
		if got := k.noted("run"); !slices.Equal(got, []string{"run a", "run b"}) {
			t.Errorf("%q began", got)
		}
	})
}

// TestG35_PausesSurvive: a pause and a limit are there after a restart, a crash, and in an
// app that was exported and imported.
func TestG35_PausesSurvive(t *testing.T) {
	k := newKit()
	opts, pay, mail := pausable(k)
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		since := h.Now()
		scopes := []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("t:mail"), dispatch.OfPool("stripe"), dispatch.OfPool("users", "u1")}
		for _, of := range scopes {
			mustPause(t, h, of)
		}
		if err := h.App("acme").LimitPool(h.Context(), "users", 7); err != nil {
			t.Fatal(err)
		}
		mustAfter(t, h, "acme", 0, mail.With("mail"))
		mustAfter(t, h, "acme", 0, pay.With("pay"))
		check := func(when string, app storage.AppID) {
			t.Helper()
			h.Advance(time.Minute)
			if n := k.count("run"); n != 0 {
				t.Errorf("%s: %d began", when, n)
			}
			list := must[[]storage.Pause](t)(h.App(app).Pauses(h.Context()))
			for i, p := range list {
				if i >= len(scopes) || p != (storage.Pause{Of: scopes[i], By: "ann", Reason: "keys are rotated", Since: since}) {
					t.Errorf("%s: pause %d is %+v", when, i, p)
				}
			}
			pools := must[[]actors.PoolStatus](t)(h.App(app).Pools(h.Context()))
			if len(list) != len(scopes) || len(pools) != 2 || pools[0].Paused == nil || pools[1].Paused != nil || pools[1].Limit != 7 || pools[1].Declared != 2 {
				t.Errorf("%s: %v, %+v", when, list, pools)
			}
			if err := h.Engine.Check(); err != nil {
				t.Errorf("%s: %v", when, err)
			}
		}
		check("at first", "acme")
		h.Restart()
		check("after a restart", "acme")
		h.Crash()
		check("after a crash", "acme")
		var copy bytes.Buffer
		if err := h.Engine.Export(h.Context(), "acme", &copy); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Import(h.Context(), "copy", &copy); err != nil {
			t.Fatal(err)
		}
		check("of the copy", "copy")
		if err := h.Engine.Delete(h.Context(), "copy"); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Check(); err != nil {
			t.Error(err)
		}
		for _, of := range scopes {
			mustResume(t, h, of)
		}
		h.Drain()
		if n := k.count("run"); n != 2 {
			t.Errorf("%d have run after the resume, want 2", n)
		}
	})
}

// TestG35_EveryCrash: a pause that was acknowledged holds, and one that was not is wholly
// there or not at all.
func TestG35_EveryCrash(t *testing.T) {
	var k *kit
	var mail *dispatch.ActionRef[string, none]
	var acknowledged, resumed bool
	options := func() actors.Options {
		k, acknowledged, resumed = newKit(), false, false
		var opts actors.Options
		opts, _, mail = pausable(k)
		return opts
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		h.Scheduler("acme").RunAfter(time.Second, mail.With("mail"))
		acknowledged = h.App("acme").Pause(h.Context(), dispatch.OfApp(), "ann", "stop") == nil
		h.Advance(5 * time.Second)
		ok, err := h.App("acme").Resume(h.Context(), dispatch.OfApp())
		resumed = ok && err == nil
		h.Advance(5 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(time.Minute)
		list := must[[]storage.Pause](t)(h.App("acme").Pauses(h.Context()))
		ran := k.count("run") > 0
		switch {
		case resumed && len(list) > 0:
			t.Errorf("%v after the resume", list)
		case len(list) > 0 && ran:
			t.Errorf("a job ran though %v", list)
		case acknowledged && len(list) == 0 && !ran && len(h.Jobs("acme")) > 0:
			t.Errorf("nothing is paused, and the job did not run")
		}
	})
}

// TestG35_BoundsAndRefusals: a pause of what is not declared is refused unless it is paused
// already, texts and numbers have bounds, and what is refused changes nothing.
func TestG35_BoundsAndRefusals(t *testing.T) {
	k := newKit()
	opts, _, _ := pausable(k)
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		app, ctx := h.App("acme"), h.Context()
		long := func(n int) string { return strings.Repeat("x", n) }
		for name, err := range map[string]error{
			"no function":       app.Pause(ctx, dispatch.OfFunction("t:none"), "", ""),
			"a query":           app.Pause(ctx, dispatch.OfFunction("kit:list"), "", ""),
			"no pool":           app.Pause(ctx, dispatch.OfPool("none"), "", ""),
			"an empty function": app.Pause(ctx, dispatch.OfFunction(""), "", ""),
			"an empty pool":     app.Pause(ctx, dispatch.OfPool(""), "", ""),
			"nothing":           app.Pause(ctx, storage.Scope{}, "", ""),
			"two":               app.Pause(ctx, storage.Scope{App: true, Pool: "stripe"}, "", ""),
			"a long key":        app.Pause(ctx, dispatch.OfPool("users", long(257)), "", ""),
			"a long reason":     app.Pause(ctx, dispatch.OfApp(), "", long(storage.MaxPauseReason+1)),
			"a long name":       app.Pause(ctx, dispatch.OfApp(), long(storage.MaxPauseBy+1), ""),
			"no UTF-8":          app.Pause(ctx, dispatch.OfApp(), "", "\xff"),
			"no such pool":      app.LimitPool(ctx, "none", 1),
			"limit 0":           app.LimitPool(ctx, "stripe", 0),
			"too high a limit":  app.LimitPool(ctx, "stripe", dispatch.MaxPoolLimit+1),
		} {
			if err == nil {
				t.Errorf("%s is not refused", name)
			}
			wantCode(t, err, dispatch.CodeInvalidArgument)
		}
		if _, err := app.Resume(ctx, storage.Scope{}); err == nil {
			t.Error("a resume of nothing is not refused")
		}
		for _, of := range []storage.Scope{dispatch.OfApp(), dispatch.OfFunction("t:none"), dispatch.OfPool("none")} {
			if ok, err := app.Resume(ctx, of); ok || err != nil {
				t.Errorf("resume of %s, which is not paused: %t, %v", of, ok, err)
			}
		}
		if ok, err := app.ClearPoolLimit(ctx, "stripe"); ok || err != nil {
			t.Errorf("clearing no limit: %t, %v", ok, err)
		}
		if list := must[[]storage.Pause](t)(app.Pauses(ctx)); len(list) != 0 || must[bool](t)(app.Exists()) {
			t.Errorf("refusals have left %v", list)
		}
		if err := app.Pause(ctx, dispatch.OfPool("users", long(256)), long(storage.MaxPauseBy), long(storage.MaxPauseReason)); err != nil {
			t.Error(err)
		}
		if err := app.LimitPool(ctx, "stripe", dispatch.MaxPoolLimit); err != nil {
			t.Error(err)
		}
		for i := 2; i < storage.MaxControls; i++ {
			if err := app.Pause(ctx, dispatch.OfPool("users", fmt.Sprint(i)), "", ""); err != nil {
				t.Fatalf("pause %d: %v", i, err)
			}
		}
		wantCode(t, app.Pause(ctx, dispatch.OfApp(), "", ""), dispatch.CodeResourceExhausted)
		wantCode(t, app.LimitPool(ctx, "users", 1), dispatch.CodeResourceExhausted)
		// What there is can be changed and ended.
		if err := app.Pause(ctx, dispatch.OfPool("users", "7"), "bob", "why"); err != nil {
			t.Error(err)
		}
		if err := app.LimitPool(ctx, "stripe", 3); err != nil {
			t.Error(err)
		}
		if list := must[[]storage.Pause](t)(app.Pauses(ctx)); len(list) != storage.MaxControls-1 {
			t.Errorf("%d pauses, want %d", len(list), storage.MaxControls-1)
		}
		mustResume(t, h, dispatch.OfPool("users", "7"))
		if err := app.Pause(ctx, dispatch.OfApp(), "", ""); err != nil {
			t.Error(err)
		}
	})
}

// TestG35_PausingAgainChangesTheReason: it stays paused since when it was, and pausing in the
// same words writes nothing.
func TestG35_PausingAgainChangesTheReason(t *testing.T) {
	k := newKit()
	opts, _, _ := pausable(k)
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		since := h.Now()
		mustPause(t, h, dispatch.OfPool("stripe"))
		h.Advance(time.Minute)
		mustPause(t, h, dispatch.OfPool("stripe"))
		if err := h.App("acme").Pause(h.Context(), dispatch.OfPool("stripe"), "bob", "it is slow"); err != nil {
			t.Fatal(err)
		}
		list := must[[]storage.Pause](t)(h.App("acme").Pauses(h.Context()))
		want := storage.Pause{Of: dispatch.OfPool("stripe"), By: "bob", Reason: "it is slow", Since: since}
		if len(list) != 1 || list[0] != want {
			t.Errorf("%+v, want %+v", list, want)
		}
		mustResume(t, h, dispatch.OfPool("stripe"))
		if ok := must[bool](t)(h.App("acme").Resume(h.Context(), dispatch.OfPool("stripe"))); ok {
			t.Error("resumed twice")
		}
	})
}

// TestG35_APauseFollowsARename: a function that is renamed stays paused, and is resumed by
// either path; a pool or function that is gone can still be paused again and resumed.
func TestG35_APauseFollowsARename(t *testing.T) {
	old := newKit()
	opts, _, _ := pausable(old)
	charge := old.action("t:charge2", func(ctx *dispatch.ActionCtx, _ string) error { old.note("run old", ctx.Job); return nil })
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Second, charge.With("x"))
		mustPause(t, h, dispatch.OfFunction("t:charge2"))
		mustPause(t, h, dispatch.OfPool("stripe"))
		k := newKit()
		bill := k.action("t:bill", func(ctx *dispatch.ActionCtx, _ string) error { k.note("run new", ctx.Job); return nil }, dispatch.Formerly("t:charge2"))
		h.Reconfigure(func(o *actors.Options) { o.Functions, o.Pools = k.reg, nil })
		mustAfter(t, h, "acme", time.Second, bill.With("y"))
		h.Advance(time.Minute)
		if n := k.count("run") + old.count("run"); n != 0 {
			t.Errorf("%d began", n)
		}
		mustPause(t, h, dispatch.OfFunction("t:bill"))
		mustPause(t, h, dispatch.OfPool("stripe"))
		if list := must[[]storage.Pause](t)(h.App("acme").Pauses(h.Context())); len(list) != 2 {
			t.Errorf("%v", list)
		}
		mustResume(t, h, dispatch.OfFunction("t:bill"))
		mustResume(t, h, dispatch.OfPool("stripe"))
		h.Drain()
		if n := k.count("run new"); n != 2 {
			t.Errorf("%d have run, want 2", n)
		}
	})
}

// TestG35_FailedCommit: a pause whose commit failed is there if the file has it, and not else.
func TestG35_FailedCommit(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		k := newKit()
		opts, _, mail := pausable(k)
		disk := newFaults()
		opts.Testing.Fault, opts.Logger = disk.ask, quiet
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			mustAfter(t, h, "acme", time.Minute, mail.With("mail"))
			disk.fail(point, 1)
			if err := h.App("acme").Pause(h.Context(), dispatch.OfApp(), "", ""); err == nil {
				t.Errorf("%s: the pause is acknowledged", point)
			}
			h.Advance(10 * time.Minute)
			list := must[[]storage.Pause](t)(h.App("acme").Pauses(h.Context()))
			if paused := len(list) > 0; paused == (k.count("run") > 0) {
				t.Errorf("%s: paused %v, and %d began", point, list, k.count("run"))
			}
		})
	}
}

// TestG27_ALimitSetAtRunTime: it wins over the declared one until it is cleared, a lower one
// lets those end that run, and a higher one begins more at once.
func TestG27_ALimitSetAtRunTime(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("stripe", 3)
	pay := k.worker("t:pay", dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		limit := func(n int) {
			t.Helper()
			if err := h.App("acme").LimitPool(h.Context(), "stripe", n); err != nil {
				t.Fatal(err)
			}
		}
		want := func(limit, running, queued int) {
			t.Helper()
			s := must[[]actors.PoolStatus](t)(h.App("acme").Pools(h.Context()))[0]
			if s.Limit != limit || s.Declared != 3 || s.Running != running || s.Queued != queued {
				t.Errorf("%+v, want limit %d, %d running, %d queued", s, limit, running, queued)
			}
		}
		for i := range 20 {
			mustAfter(t, h, "acme", 0, pay.With(fmt.Sprint(i)))
		}
		h.Advance(100 * time.Millisecond)
		want(3, 3, 17)
		limit(1)
		want(1, 3, 17)
		h.Advance(time.Second)
		want(1, 1, 16)
		limit(5)
		h.Advance(10 * time.Millisecond)
		want(5, 5, 12)
		h.Restart()
		h.Advance(10 * time.Millisecond)
		want(5, 5, 7)
		if ok := must[bool](t)(h.App("acme").ClearPoolLimit(h.Context(), "stripe")); !ok {
			t.Error("there was no limit to clear")
		}
		h.Advance(time.Second)
		want(3, 3, 4)
		h.Drain()
		if k.count("work") != 20 || k.mostAtOnce("work") != 5 {
			t.Errorf("%d ran, %d at once, want 20 and 5", k.count("work"), k.mostAtOnce("work"))
		}
	})
}
