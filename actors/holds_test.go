package actors_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G26: Delete and Import end beside action jobs that start at that very moment and
// call into the app. (Outside of a bubble: it is a race.)
func TestG26_DeleteBesideActionsThatStart(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		return err
	})
	eng := openPlain(t, actors.Options{Functions: k.reg})
	app := must[*actors.App](t)(eng.App("acme"))
	var stream bytes.Buffer
	must[storage.ID[entry]](t)(addEntry.Run(must[*actors.App](t)(eng.App("source")).As(t.Context(), nil), "x"))
	if err := eng.Export(t.Context(), "source", &stream); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // the actions' own deadline is ten
	defer cancel()
	for i := range 500 {
		must[storage.JobID](t)(app.Scheduler(ctx).RunAfter(0, act.With("x")))
		time.Sleep(time.Duration(rand.IntN(600)) * time.Microsecond)
		if err := eng.Delete(ctx, "acme"); err != nil {
			t.Fatalf("round %d: delete: %v", i, err)
		}
		if i%10 == 0 {
			if err := eng.Import(ctx, "acme", bytes.NewReader(stream.Bytes())); err != nil {
				t.Fatalf("round %d: import: %v", i, err)
			}
		}
	}
}

// G26: what an action does on its way out is served while its app is held, by
// whichever way it calls, though nothing ends its context: the hold waits for it.
func TestG26_AHoldServesTheActionsThatItWaitsFor(t *testing.T) {
	for _, way := range []string{"context", "host", "scheduler", "client's action"} {
		t.Run(way, func(t *testing.T) {
			k := newKit()
			var h *actorstest.Harness
			var called error
			cleanUp := k.action("t:clean", func(ctx *dispatch.ActionCtx, name string) error {
				if way == "client's action" {
					time.Sleep(time.Second) // nothing tells it to stop
				} else {
					<-ctx.Done()
				}
				late := context.WithoutCancel(ctx.Context)
				switch way {
				case "context":
					ctx.Context = late
					_, called = addEntry.Run(ctx, name)
				case "host":
					_, called = addEntry.Run(h.App("acme").As(late, nil), name)
				default:
					_, called = h.App("acme").Scheduler(late).RunAfter(time.Hour, addEntry.With(name))
				}
				return called
			})
			actorstest.Run(t, actors.Options{Functions: k.reg}, func(harness *actorstest.Harness) {
				h = harness
				var calls sync.WaitGroup
				defer calls.Wait()
				if way == "client's action" {
					calls.Go(func() { _, _ = cleanUp.Run(h.Caller("acme"), "x") })
				} else {
					mustAfter(t, h, "acme", 0, cleanUp.With("x"))
				}
				h.Settle()
				begin := h.Now()
				if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
					t.Fatal(err)
				}
				if called != nil {
					t.Errorf("the action was answered %v", called)
				}
				if took := h.Now().Sub(begin); took > 2*time.Second {
					t.Errorf("that took %v of virtual time", took)
				}
			})
		})
	}
}

// G26: a handler that does not heed its context holds a Delete up for Grace, and no
// longer; what it asks for afterwards is refused.
func TestG26_AHoldWaitsForGraceAtMost(t *testing.T) {
	k := newKit()
	var called error
	deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(time.Minute)
		ctx.Context = context.WithoutCancel(ctx.Context)
		_, called = addEntry.Run(ctx, name)
		return nil
	})
	opts := actors.Options{Functions: k.reg, Grace: 3 * time.Second, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, deaf.With("x"))
		h.Settle()
		begin := h.Now()
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if took := h.Now().Sub(begin); took != 3*time.Second {
			t.Errorf("that took %v of virtual time, want Grace", took)
		}
		h.Advance(2 * time.Minute)
		if called == nil {
			t.Error("the call of an action of a deleted app was served")
		}
		wantEntries(t, h, "acme")
	})
}

// G26: a Delete that gives up is taken back: the app serves at once, what was told
// to stop is run again without a charge, and what waits for its instant comes.
func TestG26_AHoldThatGivesUpIsTakenBack(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(time.Minute)
		return nil
	})
	job := k.action("t:job", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("job", ctx.Job)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Second):
			return nil
		}
	})
	opts := actors.Options{Functions: k.reg, MutationTimeout: time.Minute, AppConcurrency: 1}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var calls sync.WaitGroup
		defer calls.Wait()
		calls.Go(func() {
			if _, err := slow.Run(h.Caller("acme"), "x"); err != nil {
				t.Errorf("the call that is inside: %v", err)
			}
		})
		running := mustAfter(t, h, "acme", 0, job.With("x"), dispatch.NoRetry())
		claimed := mustAfter(t, h, "acme", 0, addEntry.With("claimed"))
		h.Settle()
		ctx, cancel := context.WithTimeout(h.Context(), time.Second)
		defer cancel()
		begin := h.Now()
		var waited error
		calls.Go(func() { // while the app drains
			time.Sleep(time.Second / 2)
			_, waited = addEntry.Run(h.Caller("acme"), "waited")
		})
		for range 3 {
			calls.Go(func() { wantCode(t, h.Engine.Delete(ctx, "acme"), dispatch.CodeDeadlineExceeded) })
		}
		h.Advance(time.Second)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "after"))
		if took := h.Now().Sub(begin); took != time.Second || waited != nil {
			t.Errorf("callers waited %v, and are answered %v", took, waited)
		}
		h.Advance(11 * time.Second)
		if got := wantState(t, h, "acme", running, storage.StateSuccess, 2); got.Failures != 0 || k.count("job") != 2 {
			t.Errorf("the job that was told to stop says %+v after %d starts", got, k.count("job"))
		}
		wantState(t, h, "acme", claimed, storage.StateSuccess, 1)
		wantEntries(t, h, "acme", "waited", "after", "claimed")

		// And it can be deleted once more.
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Error(err)
		}
		wantEntries(t, h, "acme")
	})
}

// G26: callers do not wait without bound for an app that is held.
func TestG26_CallersOfAHeldAppWaitForABound(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(time.Minute)
		return nil
	})
	opts := actors.Options{Functions: k.reg, MutationTimeout: 2 * time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var calls sync.WaitGroup
		defer calls.Wait()
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		calls.Go(func() { _, _ = slow.Run(h.Caller("acme"), "x") })
		h.Settle()
		calls.Go(func() {
			if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
				t.Error(err)
			}
		})
		h.Settle()
		begin := h.Now()
		_, err := addEntry.Run(h.Caller("acme"), "x")
		wantCode(t, err, dispatch.CodeUnavailable)
		if took := h.Now().Sub(begin); took != 2*time.Second {
			t.Errorf("the caller waited %v, want MutationTimeout", took)
		}
		h.Advance(time.Minute)
		wantEntries(t, h, "acme")
	})
}

// G26: who would wait for himself is told so at once; an import under a name that
// is taken stops nothing.
func TestG26_HoldsThatCannotBe(t *testing.T) {
	k := newKit()
	var h *actorstest.Harness
	mutation := k.mutation("t:mutation", func(ctx *dispatch.MutationCtx, _ string) error {
		return h.Engine.Delete(ctx, "acme")
	})
	action := k.action("t:action", func(ctx *dispatch.ActionCtx, _ string) error {
		return h.Engine.Import(ctx, "acme", bytes.NewReader(nil))
	})
	other := k.action("t:other", func(ctx *dispatch.ActionCtx, _ string) error {
		return h.Engine.Delete(ctx, "other")
	})
	hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, _ string) error {
		select {
		case <-ctx.Done():
			k.note("stopped", ctx.Job)
		case <-time.After(time.Minute):
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(harness *actorstest.Harness) {
		h = harness
		begin := h.Now()
		_, err := mutation.Run(h.Caller("acme"), "")
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		_, err = action.Run(h.Caller("acme"), "")
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("other"), "x"))
		must[none](t)(other.Run(h.Caller("acme"), ""))
		mustAfter(t, h, "acme", 0, hang.With(""))
		h.Settle()
		wantCode(t, h.Engine.Import(h.Context(), "acme", bytes.NewReader(nil)), dispatch.CodeAlreadyExists)
		if took := h.Now().Sub(begin); took > 0 || k.count("stopped") > 0 {
			t.Errorf("that took %v, and stopped %d jobs", took, k.count("stopped"))
		}
		h.Advance(time.Hour)
	})
}

// G26: a Close that comes beside a Delete, before or after it, ends.
func TestG26_CloseBesideDelete(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		return err
	})
	for range 50 {
		eng, err := actors.Open(t.TempDir(), actors.Options{Functions: k.reg, Volumes: 1, Testing: actors.Testing{NoSync: true}, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		app := must[*actors.App](t)(eng.App("acme"))
		must[storage.JobID](t)(app.Scheduler(t.Context()).RunAfter(0, act.With("x")))
		var both sync.WaitGroup
		both.Go(func() {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			_ = eng.Delete(t.Context(), "acme")
		})
		both.Go(func() {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := eng.Close(ctx); err != nil || ctx.Err() != nil {
				t.Errorf("close: %v, %v", err, ctx.Err())
			}
		})
		both.Wait()
	}
}

// G16: what a handler of a deleted app still has to say is nothing to the app that
// has its name now: the slot of its job is given back once.
func TestG16_ASlotOfADeletedAppIsGivenBackOnce(t *testing.T) {
	for _, end := range []string{"the grace is over", "the handler returns"} {
		t.Run(end, func(t *testing.T) {
			k := newKit()
			takes := 2 * time.Second
			if end == "the grace is over" {
				takes = time.Minute
			}
			deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, name string) error {
				time.Sleep(takes)
				return nil
			})
			long := k.action("t:long", func(ctx *dispatch.ActionCtx, name string) error {
				k.note(name, ctx.Job)
				time.Sleep(10 * time.Second)
				return nil
			})
			opts := actors.Options{Functions: k.reg, Concurrency: 1, Grace: 3 * time.Second, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				canceled := mustAfter(t, h, "acme", 0, deaf.With("x"))
				h.Settle()
				must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(canceled))
				if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
					t.Fatal(err)
				}
				mustAfter(t, h, "acme", 0, long.With("first"))
				h.Settle()
				mustAfter(t, h, "other", 0, long.With("second"))
				mustAfter(t, h, "third", 0, long.With("third"))
				h.Advance(9 * time.Second)
				if n := k.count("first") + k.count("second") + k.count("third"); n != 1 {
					t.Errorf("%d jobs run at once, of 1", n)
				}
				h.Advance(time.Minute)
				if n := k.count("first") + k.count("second") + k.count("third"); n != 3 {
					t.Errorf("%d of 3 jobs have run", n)
				}
			})
		})
	}
}
