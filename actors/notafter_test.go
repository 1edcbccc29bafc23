package actors_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// wantExpired demands that the job has expired at the instant, for the reason.
func wantExpired(tb testing.TB, h *actorstest.Harness, id storage.JobID, attempts int, at time.Time, reason string) {
	tb.Helper()
	job := wantState(tb, h, "acme", id, storage.StateExpired, attempts)
	if late := job.CompletedAt.Sub(at); late < 0 || late > 20*time.Millisecond {
		tb.Errorf("job %s (%s) has expired %v after its instant", id, job.Function, late)
	}
	if !strings.HasPrefix(job.Reason, "no attempt was to begin after "+at.UTC().Format(time.RFC3339Nano)) || !strings.HasSuffix(job.Reason, reason) {
		tb.Errorf("job %s (%s) has expired: %s, want %q", id, job.Function, job.Reason, reason)
	}
}

// TestG12_AJobThatIsNotBegunInTimeExpires: at its instant, whatever it waits for, and no
// attempt of it begins later; an attempt that has begun goes on.
func TestG12_AJobThatIsNotBegunInTimeExpires(t *testing.T) {
	k := newKit()
	pool, slots := dispatch.NewPool("one", 1), dispatch.NewPool("gone", 1)
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("slow "+name, ctx.Job)
		time.Sleep(time.Hour)
		return nil
	}, dispatch.Deadline(2*time.Hour))
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail "+name, ctx.Job); return nil })
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error { k.note("write "+name, ctx.Job); return nil })
	fail := k.action("t:fail", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("fail "+name, ctx.Job)
		return dispatch.Errorf(dispatch.CodeUnavailable, "down")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 5, Base: 70 * time.Second}))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool, slots}, AppConcurrency: 4, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		at := h.Now().Add(time.Minute)
		until := dispatch.NotAfter(at)
		pooled := dispatch.InPool(pool)
		runs := mustAfter(t, h, "acme", 0, slow.With("pool"), pooled, until)
		waits := mustAfter(t, h, "acme", 0, mail.With("pool"), pooled, until)
		retries := mustAfter(t, h, "acme", 0, fail.With("x"), until)
		unique := mustAfter(t, h, "acme", 0, mail.With("key"), pooled, until, dispatch.Unique("k", dispatch.Keep()))
		h.Advance(time.Second)
		for i := range 3 {
			mustAfter(t, h, "acme", 0, slow.With(fmt.Sprint(i)))
		}
		h.Advance(50 * time.Second)
		cap1 := mustAfter(t, h, "acme", 5*time.Second, mail.With("cap"), until)
		cap2 := mustAfter(t, h, "acme", 5*time.Second, write.With("cap"), until, dispatch.Priority(1))
		mustAfter(t, h, "acme", 4*time.Second, slow.With("last"))
		later := mustAfter(t, h, "acme", 5*time.Second, mail.With("later"))
		h.Advance(at.Sub(h.Now()))
		for _, id := range []storage.JobID{waits, retries, unique, cap1, cap2} {
			if job := h.Job("acme", id); job.State != storage.StatePending {
				t.Errorf("at its instant job %s (%s) is %s", id, job.Function, job.State)
			}
		}
		h.Advance(20 * time.Millisecond)
		wantExpired(t, h, waits, 0, at, "pool one is full: 1 of 1 permits are taken")
		wantExpired(t, h, unique, 0, at, "pool one is full: 1 of 1 permits are taken")
		wantExpired(t, h, retries, 1, at, "")
		wantExpired(t, h, cap1, 0, at, "")
		wantExpired(t, h, cap2, 0, at, "")
		wantState(t, h, "acme", runs, storage.StateRunning, 1)
		wantState(t, h, "acme", later, storage.StatePending, 0)
		var told storage.Told
		mustAfter(t, h, "acme", 0, mail.With("again"), dispatch.Unique("k", dispatch.Keep()), dispatch.Tell(&told))
		if told.Kept {
			t.Error("an expired job holds its unique key")
		}
		page := must[storage.JobPage](t)(h.Scheduler("acme").List(storage.JobFilter{States: []storage.State{storage.StateExpired}}))
		if len(page.Jobs) != 5 {
			t.Errorf("%d jobs have expired, want 5", len(page.Jobs))
		}
		answer := must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(waits))
		if answer.Canceled || answer.Found != storage.StateExpired {
			t.Errorf("canceling an expired job: %+v", answer)
		}
		if ok := must[bool](t)(h.Scheduler("acme").RetryDead(waits)); ok {
			t.Error("an expired job was retried")
		}
		h.Drain()
		wantState(t, h, "acme", runs, storage.StateSuccess, 1)
		wantState(t, h, "acme", later, storage.StateSuccess, 1)
		if n := k.count("mail pool") + k.count("mail key") + k.count("mail cap") + k.count("write cap"); n != 0 {
			t.Errorf("%d expired jobs were run", n)
		}
	})
}

// TestG12_AHeldJobExpires: in time, though its app sleeps and nothing of it is due.
func TestG12_AHeldJobExpires(t *testing.T) {
	k, later := newKit(), newKit()
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		at := h.Now().Add(time.Hour)
		held := mustAfter(t, h, "acme", time.Second, mail.With("x"), dispatch.NotAfter(at))
		h.Reconfigure(func(o *actors.Options) { o.Functions = later.reg })
		h.Advance(time.Minute)
		wantState(t, h, "acme", held, storage.StateHeld, 0)
		h.Advance(10 * time.Minute)
		if i := must[actors.Inspection](t)(h.App("acme").Inspect(t.Context())); !i.Asleep {
			t.Error("the app is awake")
		}
		h.Advance(at.Sub(h.Now()) + 20*time.Millisecond)
		wantExpired(t, h, held, 0, at, `: no function "t:mail"`)
	})
}

// TestG11_NotAfterBounds: what can never begin is refused, and what is past already expires.
func TestG11_NotAfterBounds(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		now := h.Now()
		_, err := s.RunAfter(time.Minute, addEntry.With("a"), dispatch.NotAfter(now.Add(time.Minute-time.Millisecond)))
		wantCode(t, err, dispatch.CodeInvalidArgument)
		_, err = s.RunAfter(0, addEntry.With("a"), dispatch.NotAfter(storage.MaxInstant.Add(time.Millisecond)))
		wantCode(t, err, dispatch.CodeInvalidArgument)
		_, err = s.RunAfter(0, addEntry.With("a"), dispatch.NotAfter(time.Time{}))
		wantCode(t, err, dispatch.CodeInvalidArgument)
		past := now.Add(-time.Hour)
		id := must[storage.JobID](t)(s.RunAt(past, addEntry.With("past"), dispatch.NotAfter(past)))
		mustAfter(t, h, "acme", time.Minute, addEntry.With("in time"), dispatch.NotAfter(now.Add(time.Minute+time.Second)))
		mustAfter(t, h, "acme", 0, addEntry.With("for ever"), dispatch.NotAfter(storage.MaxInstant))
		h.Advance(20 * time.Millisecond)
		wantState(t, h, "acme", id, storage.StateExpired, 0)
		h.Advance(2 * time.Minute)
		wantEntries(t, h, "acme", "in time", "for ever")
	})
}

// TestG24_ThousandsThatExpireAtOnceEndInSteps: all of them end, and none begins.
func TestG24_ThousandsThatExpireAtOnceEndInSteps(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.Deadline(2*time.Hour))
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail "+name, ctx.Job); return nil })
	var steps int
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 2, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		at := h.Now().Add(time.Minute)
		mustAfter(t, h, "acme", 0, slow.With("x"))
		mustAfter(t, h, "acme", 0, slow.With("y"))
		h.Advance(time.Second)
		const n = 5000
		calls := make([]dispatch.Scheduled, n)
		for i := range calls {
			opts := []dispatch.RunOption{dispatch.NotAfter(at)}
			if i%2 == 0 {
				opts = append(opts, dispatch.InPool(pool))
			}
			calls[i] = dispatch.After(time.Second, mail.With("late"), opts...)
		}
		must[[]storage.JobID](t)(h.Scheduler("acme").RunMany(calls))
		h.Advance(at.Sub(h.Now()))
		h.Advance(100 * time.Millisecond)
		for {
			expired := must[int](t)(h.Scheduler("acme").CountJobs(storage.JobFilter{States: []storage.State{storage.StateExpired}}))
			if expired == n {
				break
			}
			if steps++; steps > 100 {
				t.Fatalf("%d of %d have expired", expired, n)
			}
			h.Advance(100 * time.Millisecond)
		}
		if got := k.count("mail"); got != 0 {
			t.Errorf("%d began late", got)
		}
	})
}

// TestG12_AJobExpiresBeforeOneThatCameFirst: one that comes when others wait that may begin
// for longer expires in its own time.
func TestG12_AJobExpiresBeforeOneThatCameFirst(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(2 * time.Hour); return nil }, dispatch.Deadline(3*time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		wait := func(d time.Duration) (storage.JobID, time.Time) {
			at := h.Now().Add(d)
			return mustAfter(t, h, "acme", 0, addEntry.With("x"), dispatch.InPool(pool), dispatch.NotAfter(at)), at
		}
		mustAfter(t, h, "acme", 0, slow.With("x"), dispatch.InPool(pool))
		h.Advance(time.Second)
		late, lateAt := wait(time.Hour)
		for _, d := range []time.Duration{time.Second, time.Minute} {
			id, at := wait(d)
			h.Advance(d + 20*time.Millisecond)
			wantExpired(t, h, id, 0, at, "pool one is full: 1 of 1 permits are taken")
		}
		h.Advance(time.Hour)
		wantExpired(t, h, late, 0, lateAt, "pool one is full: 1 of 1 permits are taken")
	})
}

// TestG24_ExpiryLetsDueWorkThrough: while many jobs expire at one instant, what is due in the
// app and beside it begins within 20 ms, on a disk whose commits take 4 ms.
func TestG24_ExpiryLetsDueWorkThrough(t *testing.T) {
	const jobs, timers = 1000, 30
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.Deadline(2*time.Hour))
	var slowly atomic.Bool
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Volumes: 1, Logger: quiet, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" && slowly.Load() {
			time.Sleep(4 * time.Millisecond)
		}
		return nil
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		at := h.Now().Add(time.Minute)
		mustAfter(t, h, "acme", 0, slow.With("x"), dispatch.InPool(pool))
		must[none](t)(k.scheduleMany(h, "acme", jobs, time.Second, addEntry.With("late"), dispatch.InPool(pool), dispatch.NotAfter(at)))
		due := map[storage.JobID]time.Time{}
		for i := range timers {
			for _, app := range []storage.AppID{"acme", "other"} {
				when := at.Add(time.Duration(i) * time.Millisecond)
				due[must[storage.JobID](t)(h.Scheduler(app).RunAt(when, addEntry.With("timer")))] = when
			}
		}
		h.Advance(at.Sub(h.Now()) - time.Millisecond)
		slowly.Store(true)
		h.Advance(15 * time.Millisecond)
		if n := len(h.Jobs("acme", storage.StateExpired)); n == 0 || n == jobs {
			t.Errorf("%d of %d jobs have expired: not while the timers come", n, jobs)
		}
		h.Advance(time.Second)
		slowly.Store(false)
		events := k.events("add timer")
		for _, e := range events {
			if late := e.At.Sub(due[e.Job]); late > 20*time.Millisecond {
				t.Errorf("%s is %v late", e.Job, late)
			}
		}
		if n := len(h.Jobs("acme", storage.StateExpired)); len(events) != 2*timers || n != jobs {
			t.Errorf("%d timers came, want %d; %d jobs have expired, want %d", len(events), 2*timers, n, jobs)
		}
	})
}

// TestG12_JobsExpireAtEveryCommit: once, whatever crash or failed commit comes between.
func TestG12_JobsExpireAtEveryCommit(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(10 * time.Second); return nil })
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail", ctx.Job); return nil })
	var ids [4]storage.JobID
	var at time.Time
	options := func() actors.Options {
		return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 1, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		at = h.Now().Add(5 * time.Second)
		s := h.Scheduler("acme")
		_, _ = s.RunAfter(0, slow.With("x"), dispatch.ID("slow"))
		for i := range ids {
			ids[i] = storage.JobID(fmt.Sprint("late-", i))
			opts := []dispatch.RunOption{dispatch.ID(ids[i]), dispatch.NotAfter(at)}
			if i%2 == 0 {
				opts = append(opts, dispatch.InPool(pool))
			}
			_, _ = s.RunAfter(time.Second, mail.With("x"), opts...)
		}
		h.Advance(at.Sub(h.Now()))
		h.Advance(time.Second)
	}, func(h *actorstest.Harness) {
		began := k.count("mail") // after a crash the slow one may have come behind
		h.Advance(max(at.Sub(h.Now()), 0) + time.Second)
		for _, id := range ids {
			job, ok, err := h.Scheduler("acme").Get(id)
			if err != nil || ok && job.State != storage.StateExpired && (job.State != storage.StateSuccess || began == 0) {
				t.Errorf("job %s is %s, %v", id, job.State, err)
			}
		}
		for _, e := range k.events("mail") {
			if e.At.After(at) {
				t.Errorf("job %s began %v after its instant", e.Job, e.At.Sub(at))
			}
		}
		h.Drain()
		k.mu.Lock()
		k.seen = nil
		k.mu.Unlock()
	})
}

// TestG15_AClockThatLeapsAheadExpiresNothing: while the wall is in doubt a job that is too
// late by it waits, and it is begun when the wall is put right.
func TestG15_AClockThatLeapsAheadExpiresNothing(t *testing.T) {
	for _, back := range []bool{true, false} {
		k := newKit()
		mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("mail", ctx.Job); return nil })
		actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
			id := must[storage.JobID](t)(h.Scheduler("acme").RunAt(h.Now().Add(30*time.Minute), mail.With("x"), dispatch.NotAfter(h.Now().Add(40*time.Minute))))
			h.Advance(time.Minute)
			h.StepClock(48 * time.Hour)
			h.Advance(10 * time.Minute)
			if job := wantState(t, h, "acme", id, storage.StatePending, 0); job.Reason != "it was not begun in time, by a clock that is in doubt" {
				t.Errorf("it waits: %q", job.Reason)
			}
			if back {
				h.StepClock(-48 * time.Hour)
				h.Advance(20 * time.Minute)
				wantState(t, h, "acme", id, storage.StateSuccess, 1)
				return
			}
			h.Advance(70 * time.Minute) // it is believed by then
			wantState(t, h, "acme", id, storage.StateExpired, 0)
			if n := k.count("mail"); n != 0 {
				t.Errorf("it began %d times", n)
			}
		})
	}
}

// TestG12_NoAttemptBeginsAfterItsInstant: not even when the permit, or the turn, that it has
// waited for comes half a millisecond later.
func TestG12_NoAttemptBeginsAfterItsInstant(t *testing.T) {
	k := newKit()
	var at time.Time
	linger := func() { time.Sleep(time.Until(at) + 500*time.Microsecond) }
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { linger(); return nil })
	hold := k.mutation("t:hold", func(*dispatch.MutationCtx, string) error { linger(); return nil })
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("begin", ctx.Job); return nil })
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { k.note("begin", ctx.Job); return nil })
	for _, tt := range []struct {
		name         string
		before, late dispatch.Call
		permits      int
	}{
		{"an action waits for its permit", slow.With("x"), mail.With("x"), 1},
		{"a mutation waits for its permit", slow.With("x"), write.With("x"), 1},
		{"a mutation waits for its turn", hold.With("x"), write.With("x"), 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			actorstest.Run(t, actors.Options{Functions: k.reg, AppConcurrency: tt.permits, Logger: quiet}, func(h *actorstest.Harness) {
				at = h.Now().Add(3 * time.Second)
				mustAfter(t, h, "acme", time.Second, tt.before)
				id := mustAfter(t, h, "acme", time.Second, tt.late, dispatch.NotAfter(at))
				h.Advance(at.Sub(h.Now()))
				h.Advance(20 * time.Millisecond)
				wantExpired(t, h, id, 0, at, "")
				h.Drain()
				if n := k.count("begin"); n != 0 {
					t.Errorf("it began %d times", n)
				}
			})
		})
	}
}

// TestG12_AHandlerBeginsInTimeOrNotAtAll: what the host's hook takes of the time is not given to
// the handler. Neither has begun then, so the job has spent no attempt.
func TestG12_AHandlerBeginsInTimeOrNotAtAll(t *testing.T) {
	k, w := newKit(), &whoami{}
	m, _, act := w.functions(k)
	var wake chan bool
	opts := actors.Options{Functions: k.reg, Logger: quiet, Reauthorize: func(_ context.Context, _ storage.AppID, id *dispatch.Identity) (*dispatch.Identity, error) {
		<-wake
		return id, nil
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		// hooked has a mutation and an action wait for their hook.
		hooked := func(what string, opts ...dispatch.RunOption) []storage.JobID {
			wake = make(chan bool)
			ids := []storage.JobID{storage.JobID(what + "-mutation"), storage.JobID(what + "-action")}
			k.plan = func(ctx *dispatch.MutationCtx) error {
				opts = append(opts, dispatch.AsCaller())
				_, err := ctx.Scheduler.RunAfter(0, m.With(what), append(opts, dispatch.ID(ids[0]))...)
				if err == nil {
					_, err = ctx.Scheduler.RunAfter(0, act.With(what), append(opts, dispatch.ID(ids[1]), dispatch.AtMostOnce())...)
				}
				return err
			}
			must[none](t)(runPlan.Run(h.CallerAs("acme", ada), none{}))
			h.Settle()
			return ids
		}
		until := h.Now().Add(time.Second)
		late := hooked("late", dispatch.NotAfter(until))
		h.Advance(2 * time.Second)
		close(wake)
		h.Advance(time.Second)
		for _, id := range late {
			wantState(t, h, "acme", id, storage.StateExpired, 0)
		}
		stopped := hooked("stopped")
		if err := h.App("acme").Pause(h.Context(), dispatch.OfApp(), "ann", "stop"); err != nil {
			t.Fatal(err)
		}
		close(wake)
		h.Advance(time.Second)
		for _, id := range stopped {
			wantState(t, h, "acme", id, storage.StatePending, 0)
		}
		if len(w.seen) != 0 {
			t.Errorf("handlers ran: %+v", w.seen)
		}
		if _, err := h.App("acme").Resume(h.Context(), dispatch.OfApp()); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Second)
		for _, id := range stopped {
			wantState(t, h, "acme", id, storage.StateSuccess, 1)
		}
	})
}
