package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// stepped is an action that takes steps, two seconds each, and saves after each how many it has
// taken. fault is asked before each.
func (k *kit) stepped(path string, steps int, fault func(ctx *dispatch.ActionCtx, step int) error, opts ...dispatch.FunctionOption) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, name string) error {
		at, _, err := dispatch.CheckpointOf[int](ctx)
		if err != nil {
			return err
		}
		for ; at < steps; at++ {
			if err := fault(ctx, at+1); err != nil {
				return err
			}
			select {
			case <-time.After(2 * time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			k.note(fmt.Sprint(name, at+1), ctx.Job)
			if err := ctx.Checkpoint(at + 1); err != nil {
				return err
			}
		}
		return nil
	}, opts...)
}

// steps are the names of what the kit has noted.
func (k *kit) steps() (names []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, e := range k.seen {
		names = append(names, e.What)
	}
	return names
}

func wantSteps(tb testing.TB, k *kit, want string) {
	tb.Helper()
	if got := strings.Join(k.steps(), " "); got != want {
		tb.Errorf("the steps are %s, want %s", got, want)
	}
}

// eager tries again after a second, many times.
var eager = dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 20, Base: time.Second, Max: time.Second})

// TestG34_TheNextAttemptResumes: after an error, a panic, a deadline and a crash no step is taken
// again.
func TestG34_TheNextAttemptResumes(t *testing.T) {
	k := newKit()
	act := k.stepped("t:steps", 16, func(ctx *dispatch.ActionCtx, step int) error {
		switch {
		case step == 3 && ctx.Job.Attempt == 1:
			return errors.New("oops")
		case step == 5 && ctx.Job.Attempt == 2:
			panic("oops")
		case step == 7 && ctx.Job.Attempt == 3:
			<-ctx.Done()
		}
		return nil
	}, eager, dispatch.Deadline(30*time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, act.With("s"))
		h.Advance(4500 * time.Millisecond)
		if job := wantState(t, h, "acme", id, storage.StatePending, 1); job.CheckpointSize != 1 {
			t.Errorf("the job has a checkpoint of %d bytes, want 1", job.CheckpointSize)
		}
		h.Advance(50 * time.Second)
		wantState(t, h, "acme", id, storage.StateRunning, 4)
		h.Crash()
		h.Drain()
		h.Advance(time.Minute)
		if job := h.Job("acme", id); job.State != storage.StateSuccess || job.CheckpointSize != 0 {
			t.Errorf("the job is %s, with a checkpoint of %d bytes", job.State, job.CheckpointSize)
		}
		seen := map[string]int{}
		for _, s := range k.steps() {
			seen[s]++
		}
		for i := range 16 {
			if n := seen[fmt.Sprint("s", i+1)]; n != 1 {
				t.Errorf("step %d was taken %d times: %v", i+1, n, k.steps())
			}
		}
		if i := h.Inspect("acme"); i.CheckpointBytes != 0 {
			t.Errorf("%d bytes of checkpoints are counted", i.CheckpointBytes)
		}
	})
}

// TestG34_TheLastCheckpointIsNotLost: of many that come quickly one is written in a second, and
// the last one with the end of the attempt, however that ends but for a crash.
func TestG34_TheLastCheckpointIsNotLost(t *testing.T) {
	k := newKit()
	var got []int
	act := k.action("t:quick", func(ctx *dispatch.ActionCtx, how string) error {
		was, _, err := dispatch.CheckpointOf[int](ctx)
		if got = append(got, was); err != nil || ctx.Job.Attempt > 1 {
			return err
		}
		for i := range 345 { // ten in a second, and the last long before one is written
			if err := ctx.Checkpoint(i + 1); err != nil {
				return err
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n, _, err := dispatch.CheckpointOf[int](ctx); n != 345 || err != nil {
			t.Errorf("after it has saved 345 it is given %d, %v", n, err)
		}
		switch how {
		case "error":
			return errors.New("oops")
		case "panic":
			panic("oops")
		case "deadline", "closed":
			<-ctx.Done()
			return errors.Join(ctx.Checkpoint(346), ctx.Err())
		case "given up":
			<-ctx.Done()
			time.Sleep(time.Hour)
		}
		return nil
	}, eager, dispatch.Deadline(time.Minute))
	for _, how := range []string{"error", "panic", "deadline", "given up", "closed"} {
		t.Run(how, func(t *testing.T) {
			got = nil
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				before := h.Engine.Stats().Commits
				id := mustAfter(t, h, "acme", 0, act.With(how))
				h.Advance(35 * time.Second)
				if n := h.Engine.Stats().Commits - before; n > 40 {
					t.Errorf("%d commits, want one in a second", n)
				}
				if how == "closed" {
					ctx, cancel := context.WithTimeout(h.Context(), time.Second)
					defer cancel()
					if err := h.Engine.Close(ctx); err != nil {
						t.Fatal(err)
					}
					h.Open()
				}
				h.Advance(2 * time.Hour)
				wantState(t, h, "acme", id, storage.StateSuccess, 2)
				want := 345
				if how == "deadline" || how == "closed" {
					want = 346
				}
				if len(got) != 2 || got[1] != want {
					t.Errorf("the attempts were given %v, want 0 and %d", got, want)
				}
			})
		})
	}
}

// TestG34_WhatIsOverSavesNothing: an attempt whose job was canceled, that was given up, or beside
// which another one runs, is told so, and nothing of it is saved; nor after its handler returned.
func TestG34_WhatIsOverSavesNothing(t *testing.T) {
	k := newKit()
	errs := map[string]error{}
	var kept *dispatch.ActionCtx
	var given []int
	locked := func(do func()) {
		k.mu.Lock()
		defer k.mu.Unlock()
		do()
	}
	act := k.action("t:late", func(ctx *dispatch.ActionCtx, how string) error {
		was, _, _ := dispatch.CheckpointOf[int](ctx)
		locked(func() { given = append(given, was) })
		if ctx.Job.Attempt > 1 {
			err := ctx.Checkpoint(2)
			time.Sleep(50 * time.Second)
			return err
		}
		if err := ctx.Checkpoint(1); err != nil {
			return err
		}
		if how == "returned" {
			locked(func() { kept = ctx })
			return nil
		}
		<-ctx.Done()
		time.Sleep(30 * time.Second)
		err := ctx.Checkpoint(99)
		locked(func() { errs[how] = err })
		ctx.Progress(99, 99, "late")
		return ctx.Err()
	}, dispatch.Deadline(time.Minute), eager)
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Grace: time.Second}, func(h *actorstest.Harness) {
		canceled := mustAfter(t, h, "acme", 0, act.With("canceled"))
		stuck := mustAfter(t, h, "acme", 0, act.With("given up"))
		mustAfter(t, h, "acme", 0, act.With("returned"))
		h.Advance(10 * time.Second)
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(canceled))
		h.Advance(52 * time.Second)
		must[bool](t)(h.Scheduler("acme").Abandon(stuck, "test"))
		h.Advance(40 * time.Second)
		wantCode(t, errs["canceled"], dispatch.CodeCanceled)
		wantCode(t, errs["given up"], dispatch.CodeAborted)
		wantCode(t, kept.Checkpoint(3), dispatch.CodeAborted)
		_, _, err := dispatch.CheckpointOf[int](kept)
		wantCode(t, err, dispatch.CodeAborted)
		if job := wantState(t, h, "acme", stuck, storage.StateRunning, 2); job.Progress != nil || job.CheckpointSize != 1 {
			t.Errorf("the second attempt shows %+v, and a checkpoint of %d bytes", job.Progress, job.CheckpointSize)
		}
		h.Advance(20 * time.Minute)
		if i := h.Inspect("acme"); i.CheckpointBytes != 0 {
			t.Errorf("%d bytes of checkpoints are counted", i.CheckpointBytes)
		}
		if fmt.Sprint(given) != "[0 0 0 1]" {
			t.Errorf("the attempts were given %v", given)
		}
	})
}

// TestG34_BoundsOfCheckpoints: of each one and of an app's together, at the bound and one above;
// what is refused leaves what was saved before. A call that is no job saves nothing.
func TestG34_BoundsOfCheckpoints(t *testing.T) {
	k := newKit()
	var errs []error
	var kept []int
	text := func(n int) string { return strings.Repeat("x", n-2) }
	act := k.action("t:large", func(ctx *dispatch.ActionCtx, sizes string) error {
		for _, size := range strings.Fields(sizes) {
			var n int
			fmt.Sscan(size, &n)
			errs = append(errs, ctx.Checkpoint(text(n)))
			time.Sleep(2 * time.Second)
		}
		errs = append(errs, ctx.Checkpoint(func() {}))
		was, _, err := dispatch.CheckpointOf[string](ctx)
		if err != nil {
			return err
		}
		kept = append(kept, len(was)+2)
		_, _, err = dispatch.CheckpointOf[int](ctx)
		errs = append(errs, err)
		return dispatch.Permanent(errors.New("to be kept"))
	})
	const most = storage.MaxCheckpoint
	opts := actors.Options{Functions: k.reg, Logger: quiet, MaxCheckpointBytes: 3 * most}
	opts.AppLimits = func(id storage.AppID) actors.AppLimits {
		if id == "small" {
			return actors.AppLimits{MaxCheckpointBytes: 100}
		}
		return actors.AppLimits{}
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		run := func(app storage.AppID, want int, codes string, sizes ...int) storage.JobID {
			t.Helper()
			errs, kept = nil, nil
			id := mustAfter(t, h, app, 0, act.With(strings.Trim(fmt.Sprint(sizes), "[]")))
			h.Advance(time.Minute)
			var got []string
			for _, err := range errs {
				if got = append(got, "ok"); err != nil {
					got[len(got)-1] = string(dispatch.AsError(err).Code)
				}
			}
			if s := strings.Join(got, " "); s != codes+" invalid_argument failed_precondition" || len(kept) != 1 || kept[0] != want {
				t.Errorf("checkpoints of %d bytes: %s, kept %d; want %s, and %d kept", sizes, s, kept, codes, want)
			}
			if job := h.Job(app, id); job.CheckpointSize != want {
				t.Errorf("the dead job has a checkpoint of %d bytes, want %d", job.CheckpointSize, want)
			}
			return id
		}
		run("acme", most, "ok ok resource_exhausted", 10, most, most+1)
		first := run("acme", most, "ok", most)
		run("acme", most-10, "ok resource_exhausted ok", 10, most+1, most-10)
		run("acme", 10, "ok resource_exhausted", 10, 11)
		must[bool](t)(h.Scheduler("acme").DropDead(first))
		run("acme", most, "ok", most)
		run("small", 100, "ok resource_exhausted", 100, 101)
		errs, kept = nil, nil
		if _, err := act.Run(h.Caller("acme"), "10"); !errors.Is(err, storage.ErrPermanent) || errs[0] != nil || kept[0] != 2 {
			t.Errorf("a call that is no job: %v, %v, given a text of %d", err, errs, kept)
		}
	})
}

// TestG34_OtherArgumentsBeginAnew: a job whose call was replaced, or that has other arguments, is
// given no checkpoint of its former ones; the same arguments at another instant are.
func TestG34_OtherArgumentsBeginAnew(t *testing.T) {
	k := newKit()
	var given []string
	act := k.action("t:args", func(ctx *dispatch.ActionCtx, name string) error {
		was, ok, err := dispatch.CheckpointOf[string](ctx)
		given = append(given, fmt.Sprint(name, ":", was, ok))
		return errors.Join(err, ctx.Checkpoint(name), errors.New("oops"))
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Hour, Backoff: dispatch.Linear, Max: time.Hour}))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		id := mustAfter(t, h, "acme", 0, act.With("a"), dispatch.Unique("k", dispatch.Replace()))
		h.Advance(time.Minute)
		must[storage.Rescheduling](t)(s.Reschedule(id, dispatch.DueIn(time.Minute)))
		h.Advance(2 * time.Minute)
		if again := mustAfter(t, h, "acme", time.Minute, act.With("b"), dispatch.Unique("k", dispatch.Replace())); again != id {
			t.Fatalf("%s was not replaced: %s", id, again)
		}
		if job := h.Job("acme", id); job.CheckpointSize != 0 || job.Revision != 1 {
			t.Errorf("the replaced job shows a checkpoint of %d bytes, revision %d", job.CheckpointSize, job.Revision)
		}
		h.Advance(2 * time.Minute)
		must[storage.Rescheduling](t)(s.Reschedule(id, dispatch.NewArgs(act.With("c")), dispatch.DueIn(0)))
		h.Advance(3 * time.Hour)
		if want := "[a:false a:atrue b:false c:false c:ctrue c:ctrue]"; fmt.Sprint(given) != want {
			t.Errorf("the attempts were given %v, want %v", given, want)
		}
	})
}

// TestG34_ADeadJobResumes: when it is retried, also in an app that was exported and imported; what
// is dropped or purged leaves nothing.
func TestG34_ADeadJobResumes(t *testing.T) {
	k := newKit()
	mend := false
	act := k.stepped("t:steps", 3, func(ctx *dispatch.ActionCtx, step int) error {
		if step == 3 && !mend {
			return dispatch.Permanent(errors.New("oops"))
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, Logger: quiet, DeadRetention: 48 * time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		resumed := mustAfter(t, h, "acme", 0, act.With("a"))
		dropped := mustAfter(t, h, "acme", time.Minute, act.With("b"))
		mustAfter(t, h, "acme", time.Hour, act.With("c"))
		h.Advance(2 * time.Hour)
		if job := wantState(t, h, "acme", resumed, storage.StateFailed, 1); job.CheckpointSize != 1 {
			t.Errorf("a dead job has a checkpoint of %d bytes, want 1", job.CheckpointSize)
		}
		must[bool](t)(s.DropDead(dropped))
		var out bytes.Buffer
		if err := errors.Join(h.Engine.Export(h.Context(), "acme", &out), h.Engine.Delete(h.Context(), "acme"), h.Engine.Import(h.Context(), "acme", &out)); err != nil {
			t.Fatal(err)
		}
		mend = true
		must[bool](t)(s.RetryDead(resumed))
		h.Advance(time.Minute)
		wantState(t, h, "acme", resumed, storage.StateSuccess, 1)
		wantSteps(t, k, "a1 a2 b1 b2 c1 c2 a3")
		if i := h.Inspect("acme"); !i.Asleep && i.CheckpointBytes != 1 {
			t.Errorf("%d bytes of checkpoints are counted, want that of c", i.CheckpointBytes)
		}
		h.Advance(72 * time.Hour)
		mustAfter(t, h, "acme", 0, addEntry.With("awake"))
		h.Settle()
		if i := h.Inspect("acme"); i.CheckpointBytes != 0 {
			t.Errorf("%d bytes of checkpoints are counted after the purge", i.CheckpointBytes)
		}
	})
}

// TestG34_OverEveryCrash: at whichever commit the process dies, the next attempt is given the last
// checkpoint of which Checkpoint has said that it is saved, or a later one, of its own job.
func TestG34_OverEveryCrash(t *testing.T) {
	var k *kit
	saved := map[string]int{}
	options := func() actors.Options {
		k = newKit()
		clear(saved)
		k.action("t:acked", func(ctx *dispatch.ActionCtx, name string) error {
			type point struct {
				Of string
				At int
			}
			was, ok, err := dispatch.CheckpointOf[point](ctx)
			if err != nil {
				return err // the process has died
			}
			k.mu.Lock()
			least := saved[name]
			k.mu.Unlock()
			if was.At < least || ok && was.Of != name {
				t.Errorf("job %s is given %+v, want %d or more", name, was, least)
			}
			for i := was.At; i < 3; i++ {
				was.Of, was.At = name, i+1
				if err := ctx.Checkpoint(was); err != nil {
					return err
				}
				k.mu.Lock()
				saved[name] = i + 1
				k.mu.Unlock()
				time.Sleep(1100 * time.Millisecond)
			}
			return nil
		}, eager)
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	act := dispatch.Path("t:acked")
	everyCrash(t, options, func(h *actorstest.Harness) {
		for _, name := range []string{"a", "b"} {
			_, _ = h.Scheduler("acme").RunAfter(0, act.With(name), dispatch.ID(storage.JobID(name)))
		}
		time.Sleep(10 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Drain()
		for _, job := range h.Jobs("acme") {
			if job.State != storage.StateSuccess {
				t.Errorf("job %s is %s", job.ID, job.State)
			}
		}
	})
}

// TestG34_AFailedCommit: a checkpoint whose commit fails is an error, whether it was durable or
// not; it is saved with the end of the attempt, which is not charged.
func TestG34_AFailedCommit(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			var given []int
			var failed error
			act := k.action("t:unlucky", func(ctx *dispatch.ActionCtx, _ string) error {
				was, _, err := dispatch.CheckpointOf[int](ctx)
				if given = append(given, was); err != nil || ctx.Job.Attempt > 1 {
					return err
				}
				if err := ctx.Checkpoint(1); err != nil {
					return err
				}
				time.Sleep(2 * time.Second)
				f.fail(point, 1)
				failed = ctx.Checkpoint(2)
				return failed
			})
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, act.With(""))
				h.Advance(time.Minute)
				if job := wantState(t, h, "acme", id, storage.StateSuccess, 2); job.Failures != 0 {
					t.Errorf("it is charged %d failures", job.Failures)
				}
				if failed == nil || len(given) != 2 || given[1] != 2 {
					t.Errorf("the commit that failed: %v; the attempts were given %v, want 0 and 2", failed, given)
				}
			})
		})
	}
}

// TestG34_ProgressIsSeenAtOnce: by readers, while it is written at most once a second, and not at
// all by an attempt that is over sooner; none of it outlives the attempt.
func TestG34_ProgressIsSeenAtOnce(t *testing.T) {
	k := newKit()
	var ref *dispatch.ActionRef[string, none]
	ref = k.action("t:told", func(ctx *dispatch.ActionCtx, how string) error {
		switch how {
		case "short":
			ctx.Progress(1, 2, "")
			time.Sleep(500 * time.Millisecond)
		case "nested":
			_, err := ref.Run(ctx, "note")
			time.Sleep(time.Minute)
			return err
		case "note":
			ctx.Progress(-1, 0, strings.Repeat("ä", dispatch.MaxProgressNote/2))
			return nil
		case "long":
			ctx.Progress(-1, 0, "x"+strings.Repeat("ä", dispatch.MaxProgressNote/2)+"\xff")
			time.Sleep(time.Minute)
		default:
			for i := range 1000 {
				ctx.Progress(int64(i+1), 1000, how)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			return errors.New("oops")
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Hour}))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		commits := func() int64 { return h.Engine.Stats().Commits }
		shown := func(id storage.JobID, done, total int64, note string) {
			t.Helper()
			job := h.Job("acme", id)
			if p := job.Progress; p == nil || p.Done != done || p.Total != total || p.Note != note || p.At.IsZero() {
				t.Errorf("the job (%s) shows %+v, want %d of %d, %.20q", job.State, p, done, total, note)
			}
		}
		mustAfter(t, h, "acme", 0, addEntry.With("there"))
		h.Drain()
		h.Advance(10 * time.Second)
		before := commits()
		mustAfter(t, h, "acme", 0, ref.With("short"))
		h.Advance(10 * time.Second)
		if n := commits() - before; n != 2 { // claimed as it is scheduled, and its end
			t.Errorf("a short attempt took %d commits, want 2", n)
		}
		id := mustAfter(t, h, "acme", 0, ref.With("x"))
		h.Advance(time.Millisecond)
		shown(id, 1, 1000, "x")
		before = commits()
		h.Advance(5004 * time.Millisecond)
		shown(id, 501, 1000, "x")
		if jobs := h.Jobs("acme", storage.StateRunning); len(jobs) != 1 || jobs[0].Progress == nil || jobs[0].Progress.Done != 501 {
			t.Errorf("the listing shows %+v", jobs)
		}
		if n := commits() - before; n != 5 {
			t.Errorf("%d commits in five seconds of progress, want 5", n)
		}
		h.Advance(10 * time.Second)
		before = commits()
		h.Advance(30 * time.Second)
		if n := commits() - before; n != 0 {
			t.Errorf("%d commits though nothing is told", n)
		}
		h.Advance(30 * time.Second)
		if job := wantState(t, h, "acme", id, storage.StatePending, 1); job.Progress != nil {
			t.Errorf("after the attempt the job shows %+v", job.Progress)
		}
		id = mustAfter(t, h, "acme", 0, ref.With("nested"))
		h.Settle()
		shown(id, -1, 0, strings.Repeat("ä", dispatch.MaxProgressNote/2))
		id = mustAfter(t, h, "acme", 0, ref.With("long"))
		h.Settle()
		shown(id, -1, 0, "x"+strings.Repeat("ä", dispatch.MaxProgressNote/2-2)+"…")
		h.Advance(1500 * time.Millisecond)
		h.Crash()
		for _, job := range h.Jobs("acme") {
			if job.State != storage.StateRunning && job.Progress != nil {
				t.Errorf("after the crash job %s, %s, shows %+v", job.ID, job.State, job.Progress)
			}
		}
	})
}
