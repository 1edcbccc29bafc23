package actors_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// unique schedules the call under the key "k", and returns what came of it.
func unique(tb testing.TB, h *actorstest.Harness, d time.Duration, call dispatch.Call, policy dispatch.UniquePolicy) (done storage.Told) {
	tb.Helper()
	id := mustAfter(tb, h, "acme", d, call, dispatch.Unique("k", policy), dispatch.Tell(&done))
	if id != done.ID {
		tb.Errorf("the answer is job %s, and Tell says %+v", id, done)
	}
	return done
}

// args returns what was noted with the prefix, without it.
func (k *kit) args(prefix string) string {
	var list []string
	for _, what := range k.noted(prefix) {
		list = append(list, strings.TrimPrefix(what, prefix))
	}
	return strings.Join(list, " ")
}

// TestG29_ADebouncedJobRunsOnceWithTheLastCall, and a steady run of calls does not keep it
// from running: not for longer than ten times the delay, if nothing else is said.
func TestG29_ADebouncedJobRunsOnceWithTheLastCall(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		var first storage.JobID
		for n := range 5 {
			done := unique(t, h, 3*time.Second, addEntry.With(fmt.Sprint(n)), dispatch.Replace())
			if n == 0 {
				first = done.ID
			}
			if done.Replaced != (n > 0) || done.ID != first {
				t.Errorf("call %d: %+v, want job %s", n, done, first)
			}
			h.Advance(time.Second)
		}
		h.Advance(time.Second)
		wantEntries(t, h, "acme")
		h.Advance(time.Second)
		wantEntries(t, h, "acme", "4")
		wantState(t, h, "acme", first, storage.StateSuccess, 1)

		begun := h.Now()
		for n := range 25 {
			unique(t, h, 2*time.Second, addEntry.With(fmt.Sprint("steady ", n)), dispatch.Replace())
			h.Advance(time.Second)
		}
		if got := k.events("add steady"); len(got) != 1 || !got[0].At.Equal(begun.Add(20*time.Second)) {
			t.Errorf("after 25 s of calls it has run %d times, want once after 20 s", len(got))
		}
		h.Advance(time.Minute)
		if got := k.args("add steady "); got != "19 24" && got != "20 24" {
			t.Errorf("it has run for the calls %s, want that of 20 s, and the last", got)
		}
	})
}

// TestG29_NoTwoJobsOfAKeyRunAtOnce: what follows a running job waits for it, and says so.
func TestG29_NoTwoJobsOfAKeyRunAtOnce(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		defer k.enter("all")()
		k.note("start "+name, ctx.Job)
		time.Sleep(5 * time.Second)
		if name == "0" {
			return errors.New("it fails, and is not tried again")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		first := unique(t, h, 0, slow.With("0"), dispatch.Replace())
		h.Advance(time.Second)
		second := unique(t, h, 0, slow.With("1"), dispatch.Replace())
		if second.ID == first.ID || second.Holder != first.ID || second.Replaced {
			t.Errorf("while it runs: %+v, want a job after %s", second, first.ID)
		}
		h.Advance(time.Second)
		if third := unique(t, h, 0, slow.With("2"), dispatch.Replace()); third.ID != second.ID || !third.Replaced {
			t.Errorf("then: %+v, want %s replaced", third, second.ID)
		}
		if reason := h.Job("acme", second.ID).Reason; !strings.Contains(reason, string(first.ID)) {
			t.Errorf("it waits because of %q, want job %s named", reason, first.ID)
		}
		h.Advance(3 * time.Second)
		if got := k.args("start "); got != "0 2" {
			t.Errorf("%s have started, want 0 2", got)
		}
		if job := wantState(t, h, "acme", first.ID, storage.StateCanceled, 1); !strings.Contains(job.Error.Message, string(second.ID)) {
			t.Errorf("the first has ended with %q, want job %s named", job.Error.Message, second.ID)
		}
		h.Advance(time.Hour)
		if got, most := k.args("start "), k.mostAtOnce("all"); got != "0 2" || most != 1 {
			t.Errorf("%s have started, %d at once, want 0 2, one at once", got, most)
		}
		wantState(t, h, "acme", second.ID, storage.StateSuccess, 1)

		// Where only pending jobs count they run beside each other.
		unique(t, h, 0, slow.With("3"), dispatch.Keep().PendingOnly())
		h.Settle()
		unique(t, h, 0, slow.With("4"), dispatch.Keep().PendingOnly())
		h.Settle()
		if most := k.mostAtOnce("all"); most != 2 {
			t.Errorf("%d have run at once, want 2", most)
		}
		h.Advance(time.Minute)
	})
}

// TestG29_AtMostOneStartInEachSpan: retries are counted, and the last call is not lost.
func TestG29_AtMostOneStartInEachSpan(t *testing.T) {
	k := newKit()
	fails := 3
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("start "+name, ctx.Job)
		time.Sleep(300 * time.Millisecond)
		if fails--; fails >= 0 {
			return errors.New("oops")
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{Base: time.Millisecond}))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		for n := range 100 {
			unique(t, h, 0, work.With(fmt.Sprint(n)), dispatch.Throttle(time.Second))
			if n == 50 {
				h.Crash()
			}
			h.Advance(100 * time.Millisecond)
		}
		h.Advance(time.Minute)
		starts := k.events("start ")
		for i := range starts[1:] {
			if apart := starts[i+1].At.Sub(starts[i].At); apart < time.Second {
				t.Errorf("starts %d and %d are %s apart", i, i+1, apart)
			}
		}
		if n := len(starts); n < 9 || n > 12 || starts[n-1].What != "start 99" {
			t.Errorf("%d starts in 10 s, the last for %q, want about 10, and one for the last call", n, starts[n-1].What)
		}
		if jobs := h.Jobs("acme", storage.StatePending); len(jobs) > 0 {
			t.Errorf("%d jobs are left", len(jobs))
		}
	})
}

// TestG29_TheKeyOfACanceledJobIsFreeWhenItsHandlerHasReturned, or was given up.
func TestG29_TheKeyOfACanceledJobIsFreeWhenItsHandlerHasReturned(t *testing.T) {
	for name, hangs := range map[string]time.Duration{"it returns": 2 * time.Second, "it is given up": time.Hour} {
		t.Run(name, func(t *testing.T) {
			k := newKit()
			slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("start "+name, ctx.Job)
				<-ctx.Done()
				time.Sleep(hangs)
				return nil
			})
			const grace = 5 * time.Second
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Grace: grace}, func(h *actorstest.Harness) {
				first := unique(t, h, 0, slow.With("0"), dispatch.Refuse())
				h.Settle()
				wantCancel(t, h, "acme", first.ID, true, storage.StateRunning)
				_, err := h.Scheduler("acme").RunAfter(0, slow.With("1"), dispatch.Unique("k", dispatch.Refuse()))
				wantCode(t, err, dispatch.CodeAlreadyExists)
				if err != nil && !strings.Contains(err.Error(), string(first.ID)) {
					t.Errorf("refused with %v, want job %s named", err, first.ID)
				}
				second := unique(t, h, 0, slow.With("2"), dispatch.Keep())
				if second.Kept {
					t.Errorf("%+v: what was canceled does not do for it", second)
				}
				h.Settle()
				free := min(hangs, grace)
				h.Advance(free - time.Millisecond)
				if got := k.args("start "); got != "0" {
					t.Errorf("%s have started a millisecond before, want 0", got)
				}
				h.Advance(time.Millisecond)
				h.Settle()
				if got := k.args("start "); got != "0 2" {
					t.Errorf("%s have started, want 0 2", got)
				}
				h.Advance(2 * time.Hour)
			})
		})
	}
}

// TestG29_AMutationThatFailsHasChangedNoKey: what it was told is undone with it.
func TestG29_AMutationThatFailsHasChangedNoKey(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		first := unique(t, h, time.Minute, addEntry.With("first"), dispatch.Keep())
		fails := func(key string, d time.Duration, policy dispatch.UniquePolicy) {
			k.plan = func(ctx *dispatch.MutationCtx) error {
				for _, name := range []string{"second", "third"} {
					if _, err := ctx.Scheduler.RunAfter(d, addEntry.With(name), dispatch.Unique(key, policy)); err != nil {
						return err
					}
				}
				return errors.New("it fails")
			}
			if _, err := runPlan.Run(h.Caller("acme"), none{}); err == nil {
				t.Error("it has not failed")
			}
		}
		fails("k", time.Second, dispatch.Replace())
		fails("other", time.Second, dispatch.Throttle(time.Hour))
		if job := h.Job("acme", first.ID); string(job.Args) != `"first"` || !job.Due.Equal(h.Now().Add(time.Minute)) {
			t.Errorf("the job is %s due %s", job.Args, job.Due)
		}
		if jobs := h.Jobs("acme"); len(jobs) != 1 {
			t.Errorf("%d jobs are stored, want 1", len(jobs))
		}
		// In one that goes on without what has failed, too.
		k.plan = func(ctx *dispatch.MutationCtx) error {
			if _, err := addEntry.Run(ctx, "written"); err != nil {
				return err
			}
			_, err := ctx.Scheduler.RunAfter(0, addEntry.With("x"), dispatch.Unique("k", dispatch.Refuse()))
			wantCode(t, err, dispatch.CodeAlreadyExists)
			return nil
		}
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "first", "written")
	})
}

// TestG29_ARevisionHasAnIdempotencyKeyOfItsOwn: another call under the job's id would else be
// taken for one that was made.
func TestG29_ARevisionHasAnIdempotencyKeyOfItsOwn(t *testing.T) {
	k := newKit()
	work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("key "+ctx.Job.IdempotencyKey(), ctx.Job)
		return errors.New("oops")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute, Backoff: dispatch.Linear}))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		id := unique(t, h, time.Second, work.With("a"), dispatch.Replace()).ID
		unique(t, h, time.Second, work.With("b"), dispatch.Replace()) // before any attempt
		h.Advance(time.Second + time.Minute)
		unique(t, h, time.Second, work.With("c"), dispatch.Replace())
		h.Advance(time.Hour)
		job := "acme/" + string(id)
		if got, want := k.args("key "), strings.Join([]string{job, job, job + "/1", job + "/1", job + "/1"}, " "); got != want {
			t.Errorf("the keys are\n%s, want\n%s", got, want)
		}
		if dead := wantState(t, h, "acme", id, storage.StateFailed, 5); dead.Failures != 3 || dead.Revision != 1 {
			t.Errorf("%d failures in revision %d, want 3 in 1", dead.Failures, dead.Revision)
		}
	})
}

// TestG29_CrashAtEveryCommit: whatever was answered before a crash holds after it, and the
// last call is done once.
func TestG29_CrashAtEveryCommit(t *testing.T) {
	k := newKit()
	var mu sync.Mutex
	var answered []string
	options := func() actors.Options {
		mu.Lock()
		defer mu.Unlock()
		k, answered = newKit(), nil
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for _, name := range []string{"a", "b", "c"} {
			_, err := h.Scheduler("acme").RunAfter(2*time.Second, addEntry.With(name), dispatch.Unique("k", dispatch.Replace()))
			if err != nil {
				return
			}
			answered = append(answered, name)
			h.Advance(time.Second)
		}
		h.Advance(10 * time.Second)
	}, func(h *actorstest.Harness) {
		if jobs := h.Jobs("acme", storage.StatePending); len(jobs) > 1 {
			t.Errorf("%d jobs are pending", len(jobs))
		}
		h.Advance(time.Hour)
		got := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		if n := len(answered); n > 0 && (len(got) != 1 || got[0] < answered[n-1]) {
			t.Errorf("after the answers %q the job has added %q", answered, got)
		}
		done := unique(t, h, 0, addEntry.With("again"), dispatch.Refuse())
		h.Settle()
		wantState(t, h, "acme", done.ID, storage.StateSuccess, 1)
	})
}

// TestG29_RetryManyPassesOverJobsWhoseKeyIsHeld: one of each key is pending again, the others
// stay dead.
func TestG29_RetryManyPassesOverJobsWhoseKeyIsHeld(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		for range 3 {
			mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry(), dispatch.Unique("k", dispatch.Refuse()))
			h.Settle()
		}
		held := unique(t, h, time.Hour, addEntry.With("y"), dispatch.Keep())
		if n, err := h.Scheduler("acme").RetryMany(storage.JobFilter{}); n != 1 || err != nil {
			t.Errorf("%d jobs are retried, %v, want 1", n, err)
		}
		dead := h.Jobs("acme", storage.StateFailed)
		h.Settle()
		if len(dead) < 2 {
			t.Errorf("%d jobs are dead, want 2 that stayed so", len(dead))
		}
		wantState(t, h, "acme", held.ID, storage.StatePending, 0)
	})
}

// TestG29_AKeyFollowsARenamedFunction: jobs that were stored under the former path hold the
// keys of the function, while they wait and while they run.
func TestG29_AKeyFollowsARenamedFunction(t *testing.T) {
	slow := func(k *kit, path string, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
		return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
			defer k.enter("all")()
			k.note("start "+name, ctx.Job)
			time.Sleep(5 * time.Second)
			return nil
		}, opts...)
	}
	before, k := newKit(), newKit()
	old := slow(before, "t:old")
	renamed := slow(k, "t:new", dispatch.Formerly("t:old"))
	actorstest.Run(t, actors.Options{Functions: before.reg, Logger: quiet}, func(h *actorstest.Harness) {
		first := unique(t, h, time.Minute, old.With("0"), dispatch.Keep())
		h.Reconfigure(func(o *actors.Options) { o.Functions = k.reg })
		if done := unique(t, h, time.Minute, renamed.With("1"), dispatch.Keep()); !done.Kept || done.ID != first.ID {
			t.Errorf("after the rename: %+v, want job %s kept", done, first.ID)
		}
		h.Advance(time.Minute)
		if _, err := h.Scheduler("acme").RunAfter(0, renamed.With("2"), dispatch.Unique("k", dispatch.Refuse())); !strings.Contains(fmt.Sprint(err), string(first.ID)) {
			t.Errorf("while it runs: %v, want already_exists that names %s", err, first.ID)
		}
		second := unique(t, h, 0, renamed.With("3"), dispatch.Replace())
		if second.Holder != first.ID || second.Replaced {
			t.Errorf("while it runs: %+v, want a follower of %s", second, first.ID)
		}
		if why := h.Job("acme", second.ID).Reason; !strings.Contains(why, string(first.ID)) {
			t.Errorf("it waits because of %q, want job %s named", why, first.ID)
		}
		h.Advance(time.Minute)
		if got, most := k.args("start "), k.mostAtOnce("all"); got != "0 3" || most != 1 {
			t.Errorf("%s have started, %d at once, want 0 3, one at once", got, most)
		}
	})
}
