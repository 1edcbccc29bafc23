package actors_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// waiting is a call of App.Wait that is under way.
type waiting struct {
	done chan struct{} // closed when what is below is set
	at   time.Time
	job  storage.Job
	err  error
}

// wait begins to wait for the job.
func wait(ctx context.Context, h *actorstest.Harness, id storage.JobID) *waiting {
	w, app := &waiting{done: make(chan struct{})}, h.App("acme")
	go func() {
		defer close(w.done)
		w.job, w.err = app.Wait(ctx, id)
		w.at = time.Now()
	}()
	h.Settle()
	return w
}

// over says whether the call has returned.
func (w *waiting) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// want demands that the call has returned the job in the state.
func (w *waiting) want(tb testing.TB, state storage.State) {
	tb.Helper()
	if !w.over() {
		tb.Fatalf("the call still waits, want %s", state)
	}
	if w.err != nil || w.job.State != state {
		tb.Errorf("the call has returned a job that is %s: %v; want %s", w.job.State, w.err, state)
	}
}

// TestG33_WaitReturnsTheEnd: each kind of it, at once if it has come, and else when it does;
// retries and other instants are no end. The app may sleep meanwhile.
func TestG33_WaitReturnsTheEnd(t *testing.T) {
	k := newKit()
	action, mutation := k.text()
	fail := k.action("t:fail", func(*dispatch.ActionCtx, string) error {
		return dispatch.Errorf(dispatch.CodeUnavailable, "down")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		ctx, s, began := h.Context(), h.Scheduler("acme"), time.Now()
		long := mustAfter(t, h, "acme", time.Hour, action.With(300))
		moved := mustAfter(t, h, "acme", time.Hour, mutation.With(3))
		dead := mustAfter(t, h, "acme", 0, fail.With(""))
		gone := mustAfter(t, h, "acme", time.Hour, mutation.With(3))
		late := mustAfter(t, h, "acme", 2*time.Hour, mutation.With(3), dispatch.NotAfter(h.Now().Add(2*time.Hour)))
		waits := map[storage.JobID]*waiting{}
		for _, id := range []storage.JobID{long, moved, dead, gone, late} {
			waits[id] = wait(ctx, h, id)
		}
		must[storage.Rescheduling](t)(s.Reschedule(moved, dispatch.DueIn(2*time.Hour)))
		must[storage.Cancellation](t)(s.Cancel(gone))
		h.Settle()
		waits[gone].want(t, storage.StateCanceled)
		h.Advance(10 * time.Minute)
		waits[dead].want(t, storage.StateFailed)
		if i := h.Inspect("acme"); !i.Asleep {
			t.Error("a call that waits keeps the app awake")
		}
		h.Advance(50 * time.Minute)
		waits[long].want(t, storage.StateSuccess)
		if w := waits[long]; w.at.Sub(began) != time.Hour || len(w.job.Result) != 300 {
			t.Errorf("it was returned after %v with %d bytes of result", w.at.Sub(began), len(w.job.Result))
		}
		if waits[moved].over() {
			t.Error("a job that was put off is said to have ended")
		}
		must[bool](t)(s.RetryDead(dead))
		again := wait(ctx, h, dead)
		if again.over() {
			t.Error("a dead job that is retried is said to have ended")
		}
		if err := s.Pause(dispatch.OfFunction("t:mutation"), "", ""); err != nil {
			t.Fatal(err)
		}
		h.Advance(time.Hour + time.Second)
		again.want(t, storage.StateFailed)
		waits[late].want(t, storage.StateExpired)
		must[bool](t)(s.Resume(dispatch.OfFunction("t:mutation")))
		h.Settle()
		waits[moved].want(t, storage.StateSuccess)
		for id, want := range map[storage.JobID]dispatch.Code{
			long: "", moved: "", dead: dispatch.CodeUnavailable, gone: dispatch.CodeCanceled, late: dispatch.CodeDeadlineExceeded, "none": dispatch.CodeNotFound,
		} {
			text, err := dispatch.Await[string](ctx, h.App("acme"), id)
			if want != "" {
				wantCode(t, err, want)
			} else if err != nil || text[0] != '1' {
				t.Errorf("job %s: %q, %v", id, text, err)
			}
		}
		// What is kept no more is not found.
		h.Advance(8 * 24 * time.Hour)
		_, err := h.App("acme").Wait(ctx, long)
		wantCode(t, err, dispatch.CodeNotFound)
	})
}

// TestG33_WaitersThatLeave: a context that ends, an app that is deleted, a job that is dropped,
// an engine that closes; and the limit counts only those that are there.
func TestG33_WaitersThatLeave(t *testing.T) {
	k, later := newKit(), newKit()
	_, mutation := k.text()
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxWaiters: 3, Logger: quiet}, func(h *actorstest.Harness) {
		k.plan = func(ctx *dispatch.MutationCtx) error {
			_, err := h.App("acme").Wait(ctx, "x")
			return err
		}
		_, err := runPlan.Run(h.Caller("acme"), none{})
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		id := mustAfter(t, h, "acme", time.Hour, mutation.With(3))
		other := mustAfter(t, h, "acme", time.Hour, mutation.With(3))
		ctx, cancel := context.WithCancel(h.Context())
		first, second, third := wait(ctx, h, id), wait(ctx, h, id), wait(h.Context(), h, other)
		_, err = h.App("acme").Wait(h.Context(), other)
		wantCode(t, err, dispatch.CodeResourceExhausted)
		cancel()
		h.Settle()
		for _, w := range []*waiting{first, second} {
			wantCode(t, w.err, dispatch.CodeCanceled)
		}
		fourth, fifth := wait(h.Context(), h, id), wait(h.Context(), h, id)
		_, err = h.App("acme").Wait(h.Context(), other)
		wantCode(t, err, dispatch.CodeResourceExhausted)
		if third.over() || fourth.over() || fifth.over() {
			t.Error("those that wait are gone with those that left")
		}
		h.Reconfigure(func(o *actors.Options) { o.Functions = later.reg })
		for _, w := range []*waiting{third, fourth, fifth} {
			wantCode(t, w.err, dispatch.CodeUnavailable)
		}
		h.Advance(time.Hour)
		wantState(t, h, "acme", id, storage.StateHeld, 0)
		dropped, deleted := wait(h.Context(), h, id), wait(h.Context(), h, other)
		must[bool](t)(h.Scheduler("acme").DropDead(id))
		h.Settle()
		wantCode(t, dropped.err, dispatch.CodeNotFound)
		if deleted.over() {
			t.Error("the end of one job ends the wait for another")
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		h.Settle()
		wantCode(t, deleted.err, dispatch.CodeNotFound)
	})
}

// TestG33_NoEndIsToldBeforeItIsDurable: while a commit hangs nothing is told; of one that has
// failed what is durable is told, whether it was written after all or not.
func TestG33_NoEndIsToldBeforeItIsDurable(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		t.Run(point, func(t *testing.T) {
			k, f := newKit(), newFaults()
			slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Minute); return nil })
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, slow.With(""))
				w := wait(h.Context(), h, id)
				h.Advance(time.Second)
				release := f.hold()
				f.fail(point, 1)
				if point == "commit" {
					f.fail("reopen", 1) // until then it is not written down again
				}
				h.Advance(time.Minute)
				if w.over() {
					t.Errorf("the end was told before it was durable: %s, %v", w.job.State, w.err)
				}
				release()
				h.Settle()
				if point == "commit" && w.over() {
					t.Errorf("the end was told and is not durable: %s, %v", w.job.State, w.err)
				}
				h.Advance(time.Minute) // it is up again
				h.Drain()
				w.want(t, storage.StateSuccess)
				if w.job.Attempts != 1 {
					t.Errorf("it has ended after %d attempts, want 1", w.job.Attempts)
				}
			})
		})
	}
}

// TestG33_OverEveryCrash: at whichever commit the process dies, who waits anew is given the
// end, once it is durable, and the result that was written with the effects.
func TestG33_OverEveryCrash(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			crashed := false
			k := newKit()
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", time.Minute, addEntry.With("x"))
				crashed = h.CrashAt(point, n, func() {
					w := wait(h.Context(), h, id)
					time.Sleep(2 * time.Minute)
					if w.over() && w.err == nil && w.job.State != storage.StateSuccess {
						t.Errorf("%s %d: the job is %s", point, n, w.job.State)
					}
				})
				h.Advance(time.Second)
				w := wait(h.Context(), h, id)
				h.Drain()
				w.want(t, storage.StateSuccess)
				entry, err := addEntry.Await(h.Context(), h.App("acme"), id)
				docs := actorstest.Documents(h, "acme", entries)
				if err != nil || len(docs) != 1 || docs[0].ID != entry {
					t.Errorf("%s %d: the result is %s (%v), the documents are %v", point, n, entry, err, docs)
				}
			})
			if !crashed {
				break
			}
		}
	}
}

// TestG33_ManyWaiters: each is told of its job, and of the one that had the id when it asked.
func TestG33_ManyWaiters(t *testing.T) {
	k := newKit()
	_, mutation := k.text()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		const n = 500
		var all sync.WaitGroup
		errs := make([]error, n)
		for i := range n {
			id := mustAfter(t, h, "acme", time.Hour, mutation.With(i+3), dispatch.ID(storage.JobID(fmt.Sprint("job", i))))
			all.Go(func() {
				text, err := mutation.Await(h.Context(), h.App("acme"), id)
				if err == nil && len(text) != i+1 {
					err = fmt.Errorf("a result of %d bytes, want %d", len(text), i+1)
				}
				errs[i] = err
			})
		}
		first := wait(h.Context(), h, "job0")
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel("job0"))
		mustAfter(t, h, "acme", time.Hour, mutation.With(3), dispatch.ID("job0"))
		second := wait(h.Context(), h, "job0")
		first.want(t, storage.StateCanceled)
		h.Drain()
		all.Wait()
		h.Settle()
		second.want(t, storage.StateSuccess)
		wantCode(t, errs[0], dispatch.CodeCanceled)
		if err := errors.Join(errs[1:]...); err != nil {
			t.Error(err)
		}
	})
}
