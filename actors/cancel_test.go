package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// wantCancel demands the true answer of a cancel.
func wantCancel(tb testing.TB, h *actorstest.Harness, app storage.AppID, id storage.JobID, canceled bool, found storage.State) {
	tb.Helper()
	answer, err := h.Scheduler(app).Cancel(id)
	if err != nil || answer != (storage.Cancellation{Canceled: canceled, Found: found}) {
		tb.Errorf("cancel %s: %+v, %v, want canceled %v, found %q", id, answer, err, canceled, found)
	}
}

// G9, G10: the answer says in which state the job was found, and is true.
func TestG9_CancelAnswersTruly(t *testing.T) {
	k := newKit()
	hang := k.hangs("t:hang")
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		const app = "acme"
		pending := mustAfter(t, h, app, time.Hour, addEntry.With("pending"))
		wantCancel(t, h, app, pending, true, storage.StatePending)
		wantCancel(t, h, app, pending, false, storage.StateCanceled)

		// Its claim is durable, and its instant has not come.
		claimed := mustAfter(t, h, app, time.Second, addEntry.With("claimed"))
		h.Advance(950 * time.Millisecond)
		if i := h.Inspect(app); i.Claimed != 1 || i.Ready != 1 {
			t.Errorf("50 ms before its instant: %+v", i)
		}
		wantCancel(t, h, app, claimed, true, storage.StatePending)
		if i := h.Inspect(app); i.Claimed != 0 {
			t.Errorf("after the cancel: %+v", i)
		}

		done := mustAfter(t, h, app, 0, addEntry.With("done"))
		h.Settle()
		wantCancel(t, h, app, done, false, storage.StateSuccess)

		dead := mustAfter(t, h, app, 0, failAlways.With("dead"), dispatch.NoRetry())
		h.Settle()
		wantCancel(t, h, app, dead, false, storage.StateFailed)

		retrying := mustAfter(t, h, app, 0, failAlways.With("retrying"))
		h.Settle()
		wantCancel(t, h, app, retrying, true, storage.StatePending)

		running := mustAfter(t, h, app, 0, hang.With("running"))
		h.Settle()
		wantCancel(t, h, app, running, true, storage.StateRunning)

		wantCancel(t, h, app, "unknown", false, "")
		wantCancel(t, h, app, "not an id: at all", false, "")
		wantCancel(t, h, "other", done, false, "")

		h.Advance(2 * time.Hour)
		wantEntries(t, h, app, "done")
		if n := k.count("fail retrying"); n != 1 {
			t.Errorf("the retry that was canceled ran: %d times in all", n)
		}
		for id, attempts := range map[storage.JobID]int{pending: 0, claimed: 0, retrying: 1, running: 1} {
			wantState(t, h, app, id, storage.StateCanceled, attempts)
		}
	})
}

// G9: also after a crash right after the answer, and in an app that slept.
func TestG9_ACanceledJobNeverStarts(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 50 * time.Millisecond, time.Millisecond} {
		t.Run(ahead.String(), func(t *testing.T) {
			k := newKit()
			actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 2*time.Hour, addEntry.With("x"))
				h.Advance(2*time.Hour - ahead)
				wantCancel(t, h, "acme", id, true, storage.StatePending)
				h.Crash()
				h.Advance(2 * time.Hour)
				wantEntries(t, h, "acme")
				wantState(t, h, "acme", id, storage.StateCanceled, 0)
			})
		})
	}
}

// G9: a claimed mutation that waits for the turn has not started: it is
// canceled by whoever has the turn.
func TestG9_CancelOfWhatWaitsForTheTurn(t *testing.T) {
	k := newKit()
	var waiting []storage.JobID
	for i := range 6 {
		waiting = append(waiting, storage.JobID(fmt.Sprint("w", i)))
	}
	var answers []storage.Cancellation
	blocker := k.mutation("t:blocker", func(ctx *dispatch.MutationCtx, _ string) error {
		time.Sleep(2 * time.Second) // the others come due meanwhile
		for _, id := range waiting[:3] {
			answer, err := ctx.Scheduler.Cancel(id)
			if err != nil {
				return err
			}
			answers = append(answers, answer)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		first := mustAfter(t, h, "acme", time.Second, blocker.With(""))
		for i, id := range waiting {
			mustAfter(t, h, "acme", time.Second, addEntry.With(fmt.Sprint(i)), dispatch.ID(id))
		}
		h.Advance(2 * time.Second)
		if i := h.Inspect("acme"); !i.TurnHeld || i.Running != 7 || i.Claimed != 6 {
			t.Errorf("while the first has the turn: %+v", i)
		}
		h.Advance(10 * time.Second)
		for _, a := range answers {
			if a != (storage.Cancellation{Canceled: true, Found: storage.StatePending}) {
				t.Errorf("answer %+v", a)
			}
		}
		wantState(t, h, "acme", first, storage.StateSuccess, 1)
		for i, id := range waiting {
			if i < 3 {
				wantState(t, h, "acme", id, storage.StateCanceled, 0)
			} else {
				wantState(t, h, "acme", id, storage.StateSuccess, 1)
			}
		}
		wantEntries(t, h, "acme", "3", "4", "5")
		if i := h.Inspect("acme"); i.Running != 0 || i.Claimed != 0 {
			t.Errorf("at rest: %+v", i)
		}
	})
}

// G9: a cancel rolls back with its mutation: the job runs, and at its instant,
// also if its instant came while the cancel was undecided.
func TestG9_CancelRollsBack(t *testing.T) {
	type way struct {
		name    string
		cancel  func(ctx *dispatch.MutationCtx, k *kit, id storage.JobID) error
		kept    bool // the job runs
		timeout bool
	}
	var inner *dispatch.MutationRef[string, none]
	cancel := func(ctx *dispatch.MutationCtx, id storage.JobID) error {
		answer, err := ctx.Scheduler.Cancel(id)
		if err == nil && !answer.Canceled {
			err = fmt.Errorf("answered %+v", answer)
		}
		job, _, _ := ctx.Scheduler.Get(id)
		if err == nil && job.State != storage.StateCanceled {
			err = fmt.Errorf("the mutation sees its own cancel as %s", job.State)
		}
		return err
	}
	ways := []way{
		{"it fails", func(ctx *dispatch.MutationCtx, _ *kit, id storage.JobID) error {
			if err := cancel(ctx, id); err != nil {
				return err
			}
			return errors.New("no")
		}, true, false},
		{"it panics", func(ctx *dispatch.MutationCtx, _ *kit, id storage.JobID) error {
			if err := cancel(ctx, id); err != nil {
				return err
			}
			panic("no")
		}, true, false},
		{"the nested one fails", func(ctx *dispatch.MutationCtx, _ *kit, id storage.JobID) error {
			if _, err := inner.Run(ctx, "fail "+string(id)); err == nil {
				return errors.New("it did not")
			}
			return nil
		}, true, false},
		{"the outer one fails", func(ctx *dispatch.MutationCtx, _ *kit, id storage.JobID) error {
			if _, err := inner.Run(ctx, "well "+string(id)); err != nil {
				return err
			}
			return errors.New("no")
		}, true, false},
		{"nothing fails", func(ctx *dispatch.MutationCtx, _ *kit, id storage.JobID) error {
			_, err := inner.Run(ctx, "well "+string(id))
			return err
		}, false, false},
		{"it overruns its deadline", func(ctx *dispatch.MutationCtx, k *kit, id storage.JobID) error {
			if err := cancel(ctx, id); err != nil {
				return err
			}
			time.Sleep(10 * time.Second)
			_, err := ctx.Scheduler.Cancel(id)
			if !errors.Is(err, storage.ErrTxDone) {
				k.note(fmt.Sprintf("after it has lost the turn: %v", err), ctx.Job)
			}
			return nil
		}, true, true},
	}
	for _, kind := range []dispatch.Kind{dispatch.KindMutation, dispatch.KindAction} {
		for _, way := range ways {
			for _, slow := range []bool{false, true} {
				t.Run(fmt.Sprint(kind, " ", way.name, " slow ", slow), func(t *testing.T) {
					k := newKit()
					inner = k.mutation("t:inner", func(ctx *dispatch.MutationCtx, arg string) error {
						if err := cancel(ctx, storage.JobID(arg[5:])); err != nil {
							return err
						}
						if arg[:4] == "fail" {
							return errors.New("no")
						}
						return nil
					})
					outer := k.mutation("t:outer", func(ctx *dispatch.MutationCtx, id string) error {
						err := way.cancel(ctx, k, storage.JobID(id))
						if slow {
							time.Sleep(time.Second) // the job's instant comes
						}
						return err
					})
					act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
						_, err := addEntry.Run(ctx, name)
						return err
					})
					call := addEntry.With("x")
					if kind == dispatch.KindAction {
						call = act.With("x")
					}
					actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
						id := mustAfter(t, h, "acme", time.Second, call)
						h.Advance(950 * time.Millisecond) // claimed
						_, err := outer.Run(h.Caller("acme"), string(id))
						if way.timeout {
							wantCode(t, err, dispatch.CodeDeadlineExceeded)
						}
						h.Advance(20 * time.Second)
						if way.kept {
							wantState(t, h, "acme", id, storage.StateSuccess, 1)
							wantEntries(t, h, "acme", "x")
						} else {
							wantState(t, h, "acme", id, storage.StateCanceled, 0)
							wantEntries(t, h, "acme")
						}
						if got := k.noted("after"); len(got) > 0 {
							t.Error(got)
						}
						if i := h.Inspect("acme"); !i.Asleep && (i.Running != 0 || i.Claimed != 0 || i.Queue != 0) {
							t.Errorf("at rest: %+v", i)
						}
					})
				})
			}
		}
	}
}

// G10: a running action that is canceled is told so; it cannot become a
// success, and what it does from then on is refused.
func TestG10_CancelOfARunningAction(t *testing.T) {
	k := newKit()
	nested := k.action("t:nested", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("nested "+name, ctx.Job)
		return nil
	})
	var cause error
	stubborn := k.action("t:stubborn", func(ctx *dispatch.ActionCtx, _ string) error {
		<-ctx.Done()
		cause = ctx.Err()
		free := *ctx
		free.Context = context.Background() // deaf to the cancel
		refused := func(what string, err error) {
			k.note(fmt.Sprintf("%s: %s", what, dispatch.AsError(err).Code), ctx.Job)
		}
		_, err := addEntry.Run(&free, "late")
		refused("mutation", err)
		_, err = nested.Run(&free, "late")
		refused("action", err)
		_, err = ctx.Scheduler.RunAfter(0, addEntry.With("late"))
		refused("schedule", err)
		_, err = free.Scheduler.RunAt(time.Now(), addEntry.With("late"))
		refused("schedule", err)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, stubborn.With("x"))
		h.Advance(time.Second)
		wantState(t, h, "acme", id, storage.StateRunning, 1)
		wantCancel(t, h, "acme", id, true, storage.StateRunning)
		h.Settle()
		if !errors.Is(cause, context.Canceled) {
			t.Errorf("the handler's context ended with %v", cause)
		}
		want := []string{"mutation: canceled", "action: canceled", "schedule: canceled", "schedule: canceled"}
		if got := append(append(k.noted("mutation"), k.noted("action")...), k.noted("schedule")...); !slices.Equal(got, want) {
			t.Errorf("what it did after the cancel: %q, want %q", got, want)
		}
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", id, storage.StateCanceled, 1)
		wantEntries(t, h, "acme")
		if k.count("nested") != 0 {
			t.Error("an action ran for one that was canceled")
		}
	})
}

// G10: what it did before the cancel stays, and its slot is free within the
// grace, whatever its handler does.
func TestG10_ACanceledActionKeepsItsSlotForTheGraceAtMost(t *testing.T) {
	k := newKit()
	var free chan struct{}
	deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, _ string) error {
		if _, err := addEntry.Run(ctx, "before"); err != nil {
			return err
		}
		<-free
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Concurrency: 1, Grace: 3 * time.Second}, func(h *actorstest.Harness) {
		free = make(chan struct{})
		id := mustAfter(t, h, "acme", 0, deaf.With(""))
		h.Settle()
		wantCancel(t, h, "acme", id, true, storage.StateRunning)
		next := mustAfter(t, h, "acme", 0, addEntry.With("next"))
		other := mustAfter(t, h, "other", 0, addEntry.With("other"))
		h.Advance(3*time.Second - time.Millisecond)
		wantState(t, h, "acme", next, storage.StatePending, 0)
		h.Advance(time.Millisecond)
		wantState(t, h, "acme", next, storage.StateSuccess, 1)
		wantState(t, h, "other", other, storage.StateSuccess, 1)
		close(free)
		h.Advance(time.Minute)
		wantState(t, h, "acme", id, storage.StateCanceled, 1)
		wantEntries(t, h, "acme", "before", "next")
	})
}

// G10: a cancel that finds the job running when the mutation that makes it then
// fails has not happened: the action goes on.
func TestG10_CancelOfARunningActionRollsBack(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Minute):
			_, err := addEntry.Run(ctx, name)
			return err
		}
	})
	abort := k.mutation("t:abort", func(ctx *dispatch.MutationCtx, id string) error {
		answer, err := ctx.Scheduler.Cancel(storage.JobID(id))
		if err == nil && answer != (storage.Cancellation{Canceled: true, Found: storage.StateRunning}) {
			t.Errorf("answer %+v", answer)
		}
		return errors.Join(err, errors.New("no"))
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, slow.With("x"))
		h.Advance(time.Second)
		if _, err := abort.Run(h.Caller("acme"), string(id)); err == nil {
			t.Error("it should have failed")
		}
		wantState(t, h, "acme", id, storage.StateRunning, 1)
		h.Advance(time.Minute)
		wantState(t, h, "acme", id, storage.StateSuccess, 1)
		wantEntries(t, h, "acme", "x")
	})
}

// G10: a job may cancel itself. A mutation's effects stay, for it returned no
// error; an action's context ends.
func TestG10_SelfCancel(t *testing.T) {
	k := newKit()
	mutation := k.mutation("t:mutation", func(ctx *dispatch.MutationCtx, name string) error {
		answer, err := ctx.Scheduler.Cancel(ctx.Job.ID)
		k.note(fmt.Sprintf("answer %v %s", answer.Canceled, answer.Found), ctx.Job)
		if err == nil {
			_, err = addEntry.Run(ctx, name)
		}
		if err == nil && name == "fails" {
			err = dispatch.Errorf(dispatch.CodeUnavailable, "no")
		}
		return err
	})
	action := k.action("t:action", func(ctx *dispatch.ActionCtx, name string) error {
		answer, err := ctx.Scheduler.Cancel(ctx.Job.ID)
		k.note(fmt.Sprintf("answer %v %s", answer.Canceled, answer.Found), ctx.Job)
		<-ctx.Done()
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		m := mustAfter(t, h, "acme", 0, mutation.With("m"))
		a := mustAfter(t, h, "acme", 0, action.With("a"))
		f := mustAfter(t, h, "acme", 0, mutation.With("fails"), dispatch.NoRetry())
		h.Advance(time.Minute)
		wantState(t, h, "acme", m, storage.StateCanceled, 1)
		wantState(t, h, "acme", a, storage.StateCanceled, 1)
		wantState(t, h, "acme", f, storage.StateFailed, 1) // its cancel was rolled back
		wantEntries(t, h, "acme", "m")
		for _, got := range k.noted("answer") {
			if got != "answer true running" {
				t.Error(got)
			}
		}
		if i := h.Inspect("acme"); !i.Asleep && (i.Running != 0 || i.Claimed != 0) {
			t.Errorf("at rest: %+v", i)
		}
	})
}

// G9: of a cancel and the start of its job one comes first, and the answer says which.
func TestG9_CancelRacesWithTheStart(t *testing.T) {
	const jobs = 40
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		answers := make([]storage.Cancellation, jobs)
		ids := make([]storage.JobID, jobs)
		for i := range jobs {
			call := addEntry.With(fmt.Sprint(i))
			if i%2 == 0 {
				call = act.With(fmt.Sprint(i))
			}
			ids[i] = mustAfter(t, h, "acme", time.Second, call)
		}
		h.Advance(999 * time.Millisecond)
		var done sync.WaitGroup
		for i := range jobs {
			done.Go(func() {
				time.Sleep(time.Millisecond) // to the very instant
				var err error
				if answers[i], err = h.Scheduler("acme").Cancel(ids[i]); err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		h.Advance(time.Minute)
		for i, a := range answers {
			started := k.count(fmt.Sprintf("act %d", i)) > 0 && i%2 == 0 && slices.Contains(k.noted("act"), fmt.Sprintf("act %d", i)) ||
				slices.Contains(k.noted("add"), fmt.Sprintf("add %d", i))
			job := h.Job("acme", ids[i])
			switch {
			case a.Canceled && a.Found == storage.StatePending && !started && job.State == storage.StateCanceled:
			case a.Canceled && a.Found == storage.StateRunning && started && job.State == storage.StateCanceled:
			case !a.Canceled && a.Found == storage.StateSuccess && started && job.State == storage.StateSuccess:
			default:
				t.Errorf("job %d: answer %+v, started %v, now %s", i, a, started, job.State)
			}
		}
	})
}
