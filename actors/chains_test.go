package actors_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// after is a mutation that notes, as a document, which end it was told of.
func (k *kit) after(path string, opts ...dispatch.FunctionOption) *dispatch.MutationRef[string, none] {
	return k.mutation(path, func(ctx *dispatch.MutationCtx, name string) error {
		o := ctx.Job.Outcome
		line := fmt.Sprintf("%s: %s %d", name, o.State, o.Ordinal)
		switch text, err := dispatch.ResultOf[string](o); {
		case err == nil:
			line += fmt.Sprintf(", %d bytes", len(text))
		case o.NotKept != nil:
			line += ", not kept"
		case o.Error != nil:
			line += ", " + o.Error.Code
		case o.Reason != "":
			line += ", too late"
		}
		_, err := entries.Insert(ctx.DB, entry{line, ctx.Now})
		return err
	}, opts...)
}

// wantFollowUps demands the documents, in any order.
func wantFollowUps(tb testing.TB, h *actorstest.Harness, want ...string) {
	tb.Helper()
	var got []string
	for _, doc := range actorstest.Documents(h, "acme", entries) {
		got = append(got, doc.Value.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		tb.Errorf("the documents are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestG32_AFollowUpIsToldHowTheJobEnded: in each way that there is, at once, and again with the
// next ordinal when a dead job is retried; whether the job's own limits are full or not.
func TestG32_AFollowUpIsToldHowTheJobEnded(t *testing.T) {
	k := newKit()
	action, mutation := k.text()
	fail := k.action("t:fail", func(*dispatch.ActionCtx, string) error { return dispatch.Errorf(dispatch.CodeUnavailable, "down") }, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute}))
	after := k.after("t:after")
	opts := actors.Options{Functions: k.reg, MaxResult: 1000, MaxJobs: 6, MaxArgBytes: 48, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		then := func(name string) dispatch.RunOption { return dispatch.OnDone(after.With(name)) }
		dead := mustAfter(t, h, "acme", time.Minute, fail.With(""), then("dead"))
		mustAfter(t, h, "acme", time.Minute, action.With(300), then("action"))
		mustAfter(t, h, "acme", time.Minute, action.With(1001), then("large"))
		job := mustAfter(t, h, "acme", time.Minute, mutation.With(5), then("own"))
		gone := mustAfter(t, h, "acme", time.Hour, mutation.With(5), then("gone"))
		mustAfter(t, h, "acme", time.Minute, mutation.With(5), then("x"), dispatch.NotAfter(h.Now().Add(time.Minute)), dispatch.ID("late"))
		_, err := s.RunAfter(0, mutation.With(5))
		wantCode(t, err, dispatch.CodeResourceExhausted)
		h.Reconfigure(func(o *actors.Options) { o.MaxJobs = 1 }) // as many as it has: more than it may
		s = h.Scheduler("acme")
		must[storage.Cancellation](t)(s.Cancel(gone))
		if err := s.Pause(dispatch.OfFunction("t:mutation"), "", ""); err != nil {
			t.Fatal(err)
		}
		h.Advance(62 * time.Second)
		must[bool](t)(s.Resume(dispatch.OfFunction("t:mutation")))
		h.Advance(3 * time.Minute)
		want := []string{"dead: failed 1, unavailable", "action: success 1, 298 bytes", "large: success 1, not kept", "own: success 1, 3 bytes", "gone: canceled 1", "x: expired 1, too late"}
		wantFollowUps(t, h, want...)
		must[bool](t)(s.RetryDead(dead))
		h.Advance(3 * time.Minute)
		wantFollowUps(t, h, append(want, "dead: failed 2, unavailable")...)
		page := must[storage.JobPage](t)(s.List(storage.JobFilter{Parent: job}))
		if len(page.Jobs) != 1 || page.Jobs[0].Function != "t:after" || page.Jobs[0].Parent != job {
			t.Fatalf("the children are %+v", page.Jobs)
		}
		if late := page.Jobs[0].StartedAt.Sub(page.Jobs[0].Due); late > 20*time.Millisecond {
			t.Errorf("the follow-up has begun %v late", late)
		}
		if job := h.Job("acme", job); job.Then != nil || job.Ends != 1 || page.Jobs[0].Due.Before(job.CompletedAt.Add(-time.Millisecond)) {
			t.Errorf("it has the follow-up %v and %d ends; the follow-up was due %v, its end %v", job.Then, job.Ends, page.Jobs[0].Due, job.CompletedAt)
		}
	})
}

// TestG32_AChainHasItsOrder: follow-ups of follow-ups, through a restart, and through a program
// that does not have the function of one.
func TestG32_AChainHasItsOrder(t *testing.T) {
	k, later := newKit(), newKit()
	for _, k := range []*kit{k, later} {
		k.after("t:first")
	}
	_, mutation := k.text()
	later.text()
	first := dispatch.Path("t:first")
	second := k.after("t:second")
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Hour, mutation.With(10), dispatch.OnDone(first.With("a"),
			dispatch.OnDone(second.With("b"), dispatch.OnDone(first.With("c"), dispatch.Tags("last")))))
		h.Restart()
		h.Reconfigure(func(o *actors.Options) { o.Functions = later.reg })
		h.Advance(2 * time.Hour)
		wantFollowUps(t, h, "a: success 1, 8 bytes")
		if held := h.Jobs("acme", storage.StateHeld); len(held) != 1 || held[0].Function != "t:second" || held[0].Outcome == nil {
			t.Fatalf("held are %+v", held)
		}
		h.Reconfigure(func(o *actors.Options) { o.Functions = k.reg })
		h.Advance(time.Minute)
		wantFollowUps(t, h, "a: success 1, 8 bytes", "b: success 1, 0 bytes", "c: success 1, 0 bytes")
	})
}

// TestG32_WhatCannotFollowIsRefused: an unknown function, options that could keep a job from
// ending, a chain that is too long, and arguments that are too large together.
func TestG32_WhatCannotFollowIsRefused(t *testing.T) {
	k := newKit()
	after := k.after("t:after")
	opts := actors.Options{Functions: k.reg, Limits: dispatch.Limits{Args: 1000}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		chain := func(n int) (o []dispatch.RunOption) {
			for range n {
				o = []dispatch.RunOption{dispatch.OnDone(after.With(""), o...)}
			}
			return o
		}
		half := after.With(strings.Repeat("x", 498))
		for name, tt := range map[string]struct {
			call dispatch.Call
			opts []dispatch.RunOption
			code dispatch.Code
		}{
			"unknown":   {half, []dispatch.RunOption{dispatch.OnDone(dispatch.Path("t:none").With(""))}, dispatch.CodeInvalidArgument},
			"id":        {half, []dispatch.RunOption{dispatch.OnDone(half, dispatch.ID("x"))}, dispatch.CodeInvalidArgument},
			"unique":    {half, []dispatch.RunOption{dispatch.OnDone(half, dispatch.Unique("k", dispatch.Keep()))}, dispatch.CodeInvalidArgument},
			"too long":  {after.With(""), chain(dispatch.MaxChain + 1), dispatch.CodeInvalidArgument},
			"too large": {after.With(strings.Repeat("x", 499)), []dispatch.RunOption{dispatch.OnDone(half)}, dispatch.CodeInvalidArgument},
			"long":      {after.With(""), chain(dispatch.MaxChain), ""},
			"large":     {half, []dispatch.RunOption{dispatch.OnDone(half)}, ""},
		} {
			_, err := h.Scheduler("acme").RunAfter(time.Hour, tt.call, tt.opts...)
			if tt.code == "" && err != nil {
				t.Errorf("%s: %v", name, err)
			} else if tt.code != "" && (err == nil || dispatch.AsError(err).Code != tt.code) {
				t.Errorf("%s: %v, want %s", name, err, tt.code)
			}
		}
		if n := len(h.Jobs("acme")); n != 2 {
			t.Errorf("%d jobs are stored, want 2", n)
		}
	})
}

// TestG32_OverEveryCrash: there is one follow-up for each end, whichever commit the process
// dies at; of an end that a failed commit took there is none.
func TestG32_OverEveryCrash(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			crashed := false
			k := newKit()
			after := k.after("t:after")
			action, _ := k.text()
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				mustAfter(t, h, "acme", time.Minute, action.With(5), dispatch.OnDone(after.With("a"), dispatch.OnDone(after.With("b"))))
				crashed = h.CrashAt(point, n, func() { time.Sleep(2 * time.Minute) })
				h.Drain()
				wantFollowUps(t, h, "a: success 1, 3 bytes", "b: success 1, 0 bytes")
			})
			if !crashed {
				break
			}
		}
	}
}

// TestG32_CascadeTakesDescendantsAlong: those that have not ended, of jobs that have as of those
// that have not, through a crash; from the host and in a mutation, which takes it back if it
// fails. Follow-ups of what is canceled are scheduled all the same.
func TestG32_CascadeTakesDescendantsAlong(t *testing.T) {
	k := newKit()
	after := k.after("t:after")
	leaf := k.mutation("t:leaf", func(*dispatch.MutationCtx, string) error { return nil })
	var branch *dispatch.MutationRef[string, none]
	branch = k.mutation("t:branch", func(ctx *dispatch.MutationCtx, name string) error {
		for i := range 3 {
			if _, err := ctx.Scheduler.RunAfter(time.Hour, leaf.With(name), dispatch.OnDone(after.With(fmt.Sprint(name, i)))); err != nil {
				return err
			}
		}
		if name == "root" {
			_, err := ctx.Scheduler.RunAfter(time.Minute, branch.With("branch"))
			return err
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		root := mustAfter(t, h, "acme", 0, branch.With("root"))
		other := mustAfter(t, h, "acme", time.Hour, leaf.With("other"))
		h.Advance(2 * time.Minute)
		k.plan = func(ctx *dispatch.MutationCtx) error {
			answer, err := ctx.Scheduler.Cancel(root, dispatch.Cascade())
			if err != nil || answer.Canceled || answer.Found != storage.StateSuccess || answer.Along != 6 {
				t.Errorf("in a mutation: %+v, %v", answer, err)
			}
			return dispatch.Errorf(dispatch.CodeAborted, "not after all")
		}
		_, err := runPlan.Run(h.Caller("acme"), none{})
		wantCode(t, err, dispatch.CodeAborted)
		if n := len(h.Jobs("acme", storage.StatePending)); n != 7 {
			t.Errorf("%d jobs are pending, want 7", n)
		}
		h.Crash()
		answer := must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(root))
		if answer.Along != 0 {
			t.Errorf("without Cascade: %+v", answer)
		}
		answer = must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(root, dispatch.Cascade()))
		if answer.Along != 6 || answer.Found != storage.StateSuccess {
			t.Errorf("from the host: %+v", answer)
		}
		h.Advance(time.Minute)
		var want []string
		for i := range 3 {
			want = append(want, fmt.Sprintf("root%d: canceled 1", i), fmt.Sprintf("branch%d: canceled 1", i))
		}
		wantFollowUps(t, h, want...)
		wantState(t, h, "acme", other, storage.StatePending, 0)
		// When the records are purged, so is what says whose children they are.
		h.Advance(20 * 24 * time.Hour)
	})
}
