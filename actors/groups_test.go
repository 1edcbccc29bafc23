package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// groupKit has functions whose jobs end in each way that there is.
type groupKit struct {
	*kit
	ok, fail, slow, adds dispatch.Call
	summary              *dispatch.MutationRef[string, none]
}

func newGroupKit() *groupKit {
	k := &groupKit{kit: newKit()}
	k.ok = k.mutation("g:ok", func(*dispatch.MutationCtx, string) error { return nil }).With("")
	k.fail = k.action("g:fail", func(*dispatch.ActionCtx, string) error {
		return dispatch.Permanent(dispatch.Errorf(dispatch.CodeInternal, "it fails"))
	}).With("")
	k.slow = k.action("g:slow", func(ctx *dispatch.ActionCtx, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}).With("")
	k.adds = k.action("g:adds", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(time.Minute, k.ok, dispatch.InGroup(ctx.Job.Group))
		return dispatch.Permanent(err)
	}).With("")
	k.summary = k.mutation("g:summary", func(ctx *dispatch.MutationCtx, name string) error {
		o := ctx.Job.GroupOutcome
		_, err := entries.Insert(ctx.DB, entry{fmt.Sprintf("%s: %d %d %d %d", name, o.Success, o.Failed, o.Canceled, o.Expired), ctx.Now})
		return err
	})
	return k
}

// open makes a group that is so followed, with a member in a minute for each call.
func (k *groupKit) open(tb testing.TB, s dispatch.Scheduler, name string, calls ...dispatch.Call) storage.GroupID {
	tb.Helper()
	g := must[storage.GroupID](tb)(s.NewGroup(k.summary.With(name)))
	var many []dispatch.Scheduled
	for _, call := range calls {
		many = append(many, dispatch.After(time.Minute, call, dispatch.InGroup(g)))
	}
	must[[]storage.JobID](tb)(s.RunMany(many))
	return g
}

// fan is open of a group that is sealed.
func (k *groupKit) fan(tb testing.TB, s dispatch.Scheduler, name string, calls ...dispatch.Call) storage.GroupID {
	tb.Helper()
	g := k.open(tb, s, name, calls...)
	if err := s.Seal(g); err != nil {
		tb.Fatal(err)
	}
	return g
}

// wantGroup demands what is said of the group.
func wantGroup(tb testing.TB, h *actorstest.Harness, id storage.GroupID, pending int, ends storage.GroupEnds) storage.Group {
	tb.Helper()
	g, ok, err := h.Scheduler("acme").Group(id)
	ended := g.Sealed && pending == 0
	if err != nil || !ok || g.Pending != pending || g.Ends != ends || g.Ended() != ended || (g.FollowUp != "") != ended {
		tb.Errorf("the group is %+v, %v, %v; want %d pending and %+v", g, ok, err, pending, ends)
	}
	return g
}

// TestG32_AGroupCountsEveryEnd: a success, dead, canceled while it waits and while it runs, expired,
// and dropped while it was held; though the app may have no more jobs. A held one keeps the
// group open, and a dead one that is retried does not open it again.
func TestG32_AGroupCountsEveryEnd(t *testing.T) {
	k, without := newGroupKit(), newGroupKit()
	gone := k.mutation("g:gone", func(*dispatch.MutationCtx, string) error { return nil }).With("")
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		g := k.fan(t, s, "sum", k.ok, k.ok)
		wantCode(t, second(s.RunAfter(0, k.ok, dispatch.InGroup(g))), dispatch.CodeFailedPrecondition)
		g = k.open(t, s, "all", k.ok, k.ok, k.fail)
		in := dispatch.InGroup(g)
		wait := mustAfter(t, h, "acme", time.Hour, k.ok, in)
		run := mustAfter(t, h, "acme", time.Minute, k.slow, in)
		mustAfter(t, h, "acme", time.Hour, k.ok, in, dispatch.NotAfter(h.Now().Add(time.Hour)), dispatch.ID("late"))
		held := mustAfter(t, h, "acme", time.Minute, gone, in)
		if err := s.Seal(g); err != nil {
			t.Fatal(err)
		}
		wantGroup(t, h, g, 7, storage.GroupEnds{})
		h.Reconfigure(func(o *actors.Options) { o.Functions, o.MaxJobs = without.reg, 2 })
		h.Advance(2 * time.Minute)
		s = h.Scheduler("acme")
		for _, id := range []storage.JobID{wait, run} {
			must[storage.Cancellation](t)(s.Cancel(id))
		}
		wantGroup(t, h, g, 2, storage.GroupEnds{Success: 2, Failed: 1, Canceled: 2})
		if err := s.Pause(dispatch.OfFunction("g:ok"), "", ""); err != nil {
			t.Fatal(err)
		}
		h.Advance(2 * time.Hour)
		wantGroup(t, h, g, 1, storage.GroupEnds{Success: 2, Failed: 1, Canceled: 2, Expired: 1})
		wantEntries(t, h, "acme", "sum: 2 0 0 0")
		dead := h.Jobs("acme", storage.StateFailed)
		if len(dead) != 1 || dead[0].Group != g {
			t.Fatalf("dead are %+v", dead)
		}
		must[bool](t)(s.RetryDead(dead[0].ID)) // it was counted, and is no member any more
		h.Settle()
		wantGroup(t, h, g, 1, storage.GroupEnds{Success: 2, Failed: 1, Canceled: 2, Expired: 1})
		must[bool](t)(s.DropDead(held))
		h.Settle()
		ends := storage.GroupEnds{Success: 2, Failed: 1, Canceled: 3, Expired: 1}
		followUp := wantGroup(t, h, g, 0, ends).FollowUp
		wantEntries(t, h, "acme", "sum: 2 0 0 0", "all: 2 1 3 1")
		if job := h.Job("acme", followUp); job.State != storage.StateSuccess || job.GroupOutcome == nil || job.GroupOutcome.Group != g {
			t.Errorf("the follow-up is %+v", job)
		}
		must[bool](t)(s.RetryDead(dead[0].ID))
		h.Advance(time.Minute)
		wantGroup(t, h, g, 0, ends)
		wantEntries(t, h, "acme", "sum: 2 0 0 0", "all: 2 1 3 1")
		wantCode(t, second(s.RunAfter(0, k.ok, in)), dispatch.CodeFailedPrecondition)
	})
}

// second is the error of a call of two results.
func second[T any](_ T, err error) error { return err }

// TestG32_AGroupOfNoneEndsAtOnce: when it is sealed, from the host and in a mutation, in which its
// members have ended already; not before.
func TestG32_AGroupOfNoneEndsAtOnce(t *testing.T) {
	k := newGroupKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		k.fan(t, s, "host")
		g := k.open(t, s, "open", k.ok)
		k.plan = func(ctx *dispatch.MutationCtx) error {
			k.fan(t, ctx.Scheduler, "mutation")
			id := must[storage.JobID](t)(ctx.Scheduler.RunAfter(0, k.ok, dispatch.InGroup(k.open(t, ctx.Scheduler, "never"))))
			must[storage.Cancellation](t)(ctx.Scheduler.Cancel(id))
			canceled := k.open(t, ctx.Scheduler, "canceled", k.ok, k.ok)
			if n, err := ctx.Scheduler.CancelGroup(canceled); n != 2 || err != nil {
				t.Errorf("canceled %d, %v", n, err)
			}
			return nil
		}
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		h.Advance(time.Hour)
		want := []string{"host: 0 0 0 0", "mutation: 0 0 0 0", "canceled: 0 0 2 0"}
		wantEntries(t, h, "acme", want...)
		wantGroup(t, h, g, 0, storage.GroupEnds{Success: 1})
		if going := must[[]storage.Group](t)(s.Groups(storage.GroupFilter{Going: true})); len(going) != 2 || going[0].ID != g || going[1].Ends.Canceled != 1 {
			t.Errorf("going are %+v", going)
		}
		for range 2 { // the second changes nothing
			if err := s.Seal(g); err != nil {
				t.Error(err)
			}
		}
		h.Advance(10 * time.Minute)
		if n, err := s.CancelGroup(g); n != 0 || err != nil {
			t.Errorf("of one that has ended %d are canceled, %v", n, err)
		}
		h.Advance(time.Minute)
		wantEntries(t, h, "acme", append(want, "open: 1 0 0 0")...)
		wantCode(t, s.Seal(g+1000), dispatch.CodeNotFound)
	})
}

// TestG32_WhatFollowsAGroupIsDueAtOnce: when its last member ends, as when it is sealed.
func TestG32_WhatFollowsAGroupIsDueAtOnce(t *testing.T) {
	k := newGroupKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		for _, calls := range [][]dispatch.Call{{k.ok}, {k.fail}, {}} {
			g := k.fan(t, h.Scheduler("acme"), "sum", calls...)
			h.Advance(2 * time.Minute)
			group, _, err := h.Scheduler("acme").Group(g)
			if err != nil {
				t.Fatal(err)
			}
			job := h.Job("acme", group.FollowUp)
			if late := job.StartedAt.Sub(group.EndedAt); job.Due.Before(group.EndedAt) || late < 0 || late > 20*time.Millisecond {
				t.Errorf("after %v it was due %v and began %v later", group.EndedAt, job.Due, late)
			}
		}
	})
}

// TestG32_MembersAddMembers: also to a group that is sealed, from mutations and actions, which the
// host and other jobs cannot; a follow-up of a member is one of its group if it says so. It all
// ends with the last of them.
func TestG32_MembersAddMembers(t *testing.T) {
	k := newGroupKit()
	var group storage.GroupID
	stranger := k.action("g:stranger", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(0, k.ok, dispatch.InGroup(group))
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		return nil
	}).With("")
	twice := k.mutation("g:twice", func(ctx *dispatch.MutationCtx, _ string) error {
		for range 2 {
			if _, err := ctx.Scheduler.RunAfter(time.Minute, k.adds, dispatch.InGroup(ctx.Job.Group)); err != nil {
				return err
			}
		}
		return nil
	}).With("")
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		group = k.open(t, s, "sum", twice)
		mustAfter(t, h, "acme", time.Minute, k.fail, dispatch.InGroup(group), dispatch.OnDone(k.adds, dispatch.InGroup(group)))
		if err := s.Seal(group); err != nil {
			t.Fatal(err)
		}
		mustAfter(t, h, "acme", 0, stranger)
		wantCode(t, second(s.RunAfter(0, k.ok, dispatch.OnDone(k.ok, dispatch.InGroup(group)))), dispatch.CodeInvalidArgument)
		wantCode(t, second(s.RunAfter(0, k.ok, dispatch.InGroup(group+1000))), dispatch.CodeNotFound)
		wantCode(t, second(s.NewGroup(k.ok, dispatch.ID("x"))), dispatch.CodeInvalidArgument)
		h.Advance(61 * time.Second)
		wantGroup(t, h, group, 3, storage.GroupEnds{Success: 2, Failed: 1})
		h.Restart()
		h.Advance(10 * time.Minute)
		// The mutation, its two, and theirs; the follow-up, and what it has added.
		wantGroup(t, h, group, 0, storage.GroupEnds{Success: 7, Failed: 1})
		wantEntries(t, h, "acme", "sum: 7 1 0 0")
		must[storage.JobID](t)(h.Scheduler("acme").RunAfter(0, k.adds)) // in no group: neither is what it schedules
		h.Advance(2 * time.Minute)
		if dead := h.Jobs("acme", storage.StateFailed); len(dead) != 1 {
			t.Errorf("dead are %+v", dead)
		}
	})
}

// TestG32_AReplacedJobStaysInItsGroup: the job of a unique key is of the group that it was of,
// whatever the call says that takes its place or is kept off.
func TestG32_AReplacedJobStaysInItsGroup(t *testing.T) {
	k := newGroupKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		one, two := k.open(t, s, "one"), k.open(t, s, "two")
		for i, policy := range []dispatch.UniquePolicy{dispatch.Keep(), dispatch.Replace(), dispatch.Keep()} {
			mustAfter(t, h, "acme", time.Minute, k.ok, dispatch.InGroup([]storage.GroupID{one, two, two}[i]), dispatch.Unique("k", policy))
			mustAfter(t, h, "acme", time.Minute, k.ok, dispatch.Unique("k", policy))
		}
		wantGroup(t, h, one, 1, storage.GroupEnds{})
		wantGroup(t, h, two, 0, storage.GroupEnds{})
		for _, g := range []storage.GroupID{one, two} {
			if err := s.Seal(g); err != nil {
				t.Fatal(err)
			}
		}
		h.Advance(10 * time.Minute)
		wantEntries(t, h, "acme", "one: 1 0 0 0", "two: 0 0 0 0")
	})
}

// TestG32_AGroupOverEveryCrash: whichever commit the process dies at, each group that was made has
// one follow-up, which is told what its members say themselves.
func TestG32_AGroupOverEveryCrash(t *testing.T) {
	var k *groupKit
	options := func() actors.Options {
		k = newGroupKit()
		k.plan = func(ctx *dispatch.MutationCtx) error {
			g, err := ctx.Scheduler.NewGroup(k.summary.With("sum"))
			for _, call := range []dispatch.Call{k.ok, k.fail, k.adds} {
				if err == nil {
					_, err = ctx.Scheduler.RunAfter(time.Minute, call, dispatch.InGroup(g))
				}
			}
			if err != nil {
				return err
			}
			return ctx.Scheduler.Seal(g)
		}
		return actors.Options{Functions: k.reg, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		_, err := runPlan.Run(h.Caller("acme"), none{})
		page, _ := h.Scheduler("acme").List(storage.JobFilter{Function: "g:ok"})
		if err == nil && len(page.Jobs) > 0 {
			_, _ = h.Scheduler("acme").Cancel(page.Jobs[0].ID)
		}
		time.Sleep(3 * time.Minute)
	}, func(h *actorstest.Harness) {
		h.Advance(5 * time.Minute)
		groups := must[[]storage.Group](t)(h.Scheduler("acme").Groups(storage.GroupFilter{}))
		var want []string
		for _, g := range groups {
			var ends storage.GroupEnds
			for _, job := range h.Jobs("acme") {
				if job.Group != g.ID {
					continue
				}
				switch job.State {
				case storage.StateSuccess:
					ends.Success++
				case storage.StateFailed:
					ends.Failed++
				case storage.StateCanceled:
					ends.Canceled++
				}
			}
			wantGroup(t, h, g.ID, 0, ends)
			want = append(want, fmt.Sprintf("sum: %d %d %d 0", ends.Success, ends.Failed, ends.Canceled))
		}
		wantEntries(t, h, "acme", want...)
	})
}

// TestG32_MembersOfOneCommit: 300 that end together have one follow-up, through commits that fail,
// of which some are there all the same.
func TestG32_MembersOfOneCommit(t *testing.T) {
	for _, point := range []string{"", "commit", "committed"} {
		k, f := newGroupKit(), newFaults()
		done := k.action("g:done", func(*dispatch.ActionCtx, string) error { return nil }).With("")
		actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, AppConcurrency: 300, Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
			calls := make([]dispatch.Call, 300)
			for i := range calls {
				calls[i] = done
			}
			g := k.fan(t, h.Scheduler("acme"), "sum", calls...)
			h.Advance(59 * time.Second)
			if point != "" {
				f.fail(point, 2)
			}
			h.Advance(time.Minute)
			wantGroup(t, h, g, 0, storage.GroupEnds{Success: 300})
			wantEntries(t, h, "acme", "sum: 300 0 0 0")
		})
	}
}

// TestG32_ACanceledGroupTakesNoMembers: neither from its members, through a crash; those that have
// not ended are canceled, more than are in a step, and running ones too.
func TestG32_ACanceledGroupTakesNoMembers(t *testing.T) {
	k := newGroupKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		calls := make([]dispatch.Call, 150)
		for i := range calls {
			calls[i] = k.ok
		}
		calls[0] = k.slow
		g, other := k.open(t, s, "sum", calls...), k.open(t, s, "other", k.slow)
		if n := must[int](t)(s.CountJobs(storage.JobFilter{Group: g})); n != 150 {
			t.Errorf("it has %d members", n)
		}
		mustAfter(t, h, "acme", 0, k.slow, dispatch.InGroup(g))
		h.Settle()
		h.Crash()
		s = h.Scheduler("acme")
		if n := must[int](t)(s.CancelGroup(g)); n != 151 {
			t.Errorf("%d are canceled", n)
		}
		h.Settle()
		if got := wantGroup(t, h, g, 0, storage.GroupEnds{Canceled: 151}); !got.Canceled {
			t.Errorf("it says %+v", got)
		}
		wantGroup(t, h, other, 1, storage.GroupEnds{})
		wantEntries(t, h, "acme", "sum: 0 0 151 0")
		// One that was canceled, and has a member yet: the follow-up of one.
		g = k.open(t, s, "chain")
		mustAfter(t, h, "acme", time.Minute, k.ok, dispatch.InGroup(g), dispatch.OnDone(k.adds, dispatch.InGroup(g)))
		must[int](t)(s.CancelGroup(g))
		h.Settle()
		wantEntries(t, h, "acme", "sum: 0 0 151 0", "chain: 0 1 1 0") // what it added was refused
	})
}

// TestG32_AGroupMoves: with its app, in the middle of its life; and is gone with it, and with the
// history.
func TestG32_AGroupMoves(t *testing.T) {
	k := newGroupKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Retention: 24 * time.Hour}, func(h *actorstest.Harness) {
		g := k.fan(t, h.Scheduler("acme"), "sum", k.ok, k.fail, k.adds)
		h.Advance(61 * time.Second)
		wantGroup(t, h, g, 1, storage.GroupEnds{Success: 2, Failed: 1})
		var buf bytes.Buffer
		if err := h.Engine.Export(context.Background(), "acme", &buf); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if err := h.Engine.Import(h.Context(), "acme", &buf); err != nil {
			t.Fatal(err)
		}
		h.Advance(10 * time.Minute)
		ended := wantGroup(t, h, g, 0, storage.GroupEnds{Success: 3, Failed: 1}).EndedAt
		wantEntries(t, h, "acme", "sum: 3 1 0 0")
		h.AdvanceTo(ended.Add(24*time.Hour - time.Second))
		wantGroup(t, h, g, 0, storage.GroupEnds{Success: 3, Failed: 1})
		h.Advance(time.Second + time.Millisecond)
		if _, ok, err := h.Scheduler("acme").Group(g); ok || err != nil {
			t.Errorf("it is there after the retention: %v", err)
		}
		h.Advance(time.Hour) // it sleeps, and is woken for its row
		h.Reconfigure(func(o *actors.Options) { o.Retention = 1000 * time.Hour })
		if left := must[[]storage.Group](t)(h.Scheduler("acme").Groups(storage.GroupFilter{})); len(left) != 0 {
			t.Errorf("the rows of %+v are left", left)
		}
	})
}
