package actors_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// mustReschedule demands that the job was in the state, and was changed.
func mustReschedule(tb testing.TB, h *actorstest.Harness, id storage.JobID, found storage.State, changes ...dispatch.ChangeOption) {
	tb.Helper()
	answer, err := h.Scheduler("acme").Reschedule(id, changes...)
	if err != nil || !answer.Changed || answer.Found != found {
		tb.Errorf("reschedule: %+v, %v, want it changed, and found %s", answer, err, found)
	}
}

// TestG9_ARescheduledJobRunsAsItWasChangedLast: once, at the new instant and with the new
// arguments, wherever it waits.
func TestG9_ARescheduledJobRunsAsItWasChangedLast(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("one", 1)
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail "+name, ctx.Job); return nil })
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.Deadline(2*time.Hour))
	var keys []string
	fail := k.action("t:fail", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("fail "+name, ctx.Job)
		keys = append(keys, ctx.Job.IdempotencyKey())
		if name == "good" {
			return nil
		}
		return dispatch.Errorf(dispatch.CodeUnavailable, "down")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Hour}))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		ran := func(what string, after time.Duration) {
			t.Helper()
			events := k.events(what)
			if len(events) != 1 {
				t.Fatalf("%s: began %d times, want once", what, len(events))
			}
			if d := events[0].At.Sub(begin) - after; d < 0 || d > 20*time.Millisecond {
				t.Errorf("%s: began at %v, want %v", what, events[0].At.Sub(begin), after)
			}
		}
		later := mustAfter(t, h, "acme", time.Minute, mail.With("later"))
		sooner := mustAfter(t, h, "acme", time.Hour, mail.With("sooner"))
		claimed := mustAfter(t, h, "acme", 10*time.Second, mail.With("claimed"))
		other := mustAfter(t, h, "acme", time.Minute, mail.With("other"))
		retry := mustAfter(t, h, "acme", 0, fail.With("bad"))
		mustAfter(t, h, "acme", 0, slow.With("x"), dispatch.InPool(pool))
		pooled := mustAfter(t, h, "acme", time.Second, mail.With("pooled"), dispatch.InPool(pool))
		h.Advance(10*time.Second - 50*time.Millisecond)
		if i := h.Inspect("acme"); i.Claimed != 1 {
			t.Fatalf("%d are claimed, want 1", i.Claimed)
		}
		mustReschedule(t, h, claimed, storage.StatePending, dispatch.DueIn(20*time.Second))
		mustReschedule(t, h, later, storage.StatePending, dispatch.DueAt(begin.Add(2*time.Minute)))
		mustReschedule(t, h, sooner, storage.StatePending, dispatch.DueIn(0))
		mustReschedule(t, h, other, storage.StatePending, dispatch.NewArgs(mail.With("another")), dispatch.Priority(1))
		mustReschedule(t, h, pooled, storage.StatePending, dispatch.DueAt(begin.Add(3*time.Hour)), dispatch.NewArgs(mail.With("pooled late")))
		if job := h.Job("acme", other); job.Priority != 1 || !job.Due.Equal(begin.Add(time.Minute)) {
			t.Errorf("it has priority %d and is due %v", job.Priority, job.Due.Sub(begin))
		}
		h.Advance(time.Second)
		h.Crash()
		h.Advance(5 * time.Minute)
		ran("mail sooner", 10*time.Second-50*time.Millisecond)
		ran("mail claimed", 30*time.Second-50*time.Millisecond)
		ran("mail later", 2*time.Minute)
		ran("mail another", time.Minute)
		mustReschedule(t, h, retry, storage.StatePending, dispatch.DueIn(0), dispatch.NewArgs(fail.With("good")))
		h.Advance(time.Second)
		if job := wantState(t, h, "acme", retry, storage.StateSuccess, 2); job.Revision != 1 || len(keys) != 2 || keys[0] == keys[1] {
			t.Errorf("revision %d, keys %q", job.Revision, keys)
		}
		h.Advance(3 * time.Hour)
		ran("mail pooled", 3*time.Hour)
		if got := k.noted("mail other"); len(got) != 0 {
			t.Errorf("it began with the arguments before: %q", got)
		}
	})
}

// TestG8_RescheduleAnswersTruly: what is running, or over, is left as it is; what is held is
// tried again.
func TestG8_RescheduleAnswersTruly(t *testing.T) {
	k, without := newKit(), newKit()
	slow := k.action("t:slow", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Minute); return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		late := func(id storage.JobID, want storage.State) {
			t.Helper()
			answer := must[storage.Rescheduling](t)(s.Reschedule(id, dispatch.DueIn(time.Hour), dispatch.NewArgs(slow.With("y"))))
			if answer.Changed || answer.Found != want {
				t.Errorf("%+v, want found %q", answer, want)
			}
		}
		id := mustAfter(t, h, "acme", 0, slow.With("x"))
		h.Advance(time.Second)
		late(id, storage.StateRunning)
		h.Advance(time.Minute)
		late(id, storage.StateSuccess)
		late("no-such", "")
		held := mustAfter(t, h, "acme", time.Hour, slow.With("held"))
		h.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", held, storage.StateHeld, 0)
		mustReschedule(t, h, held, storage.StateHeld, dispatch.DueIn(time.Hour))
		wantState(t, h, "acme", held, storage.StatePending, 0)
		h.Advance(2 * time.Hour)
		wantState(t, h, "acme", held, storage.StateHeld, 0)
	})
}

// TestG18_ARescheduleThatIsRefusedChangesNothing: neither does one of a mutation that fails.
func TestG18_ARescheduleThatIsRefusedChangesNothing(t *testing.T) {
	k := newKit()
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("mail", ctx.Job); return nil })
	other := k.action("t:other", func(*dispatch.ActionCtx, string) error { return nil })
	opts := actors.Options{Functions: k.reg, TxLimits: storage.TxLimits{Writes: 12}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		s, at := h.Scheduler("acme"), h.Now().Add(time.Minute)
		id := mustAfter(t, h, "acme", time.Minute, mail.With("x"), dispatch.NotAfter(at.Add(time.Minute)))
		for name, changes := range map[string][]dispatch.ChangeOption{
			"nothing":             nil,
			"a negative delay":    {dispatch.DueIn(-1)},
			"before 1970":         {dispatch.DueAt(time.Unix(0, 0))},
			"after the end":       {dispatch.DueAt(storage.MaxInstant.Add(1))},
			"after its NotAfter":  {dispatch.DueAt(at.Add(time.Minute + time.Millisecond))},
			"another function":    {dispatch.NewArgs(other.With("x"))},
			"arguments of none":   {dispatch.NewArgs(dispatch.Path("t:mail").With(7))},
			"a pool":              {dispatch.InPool(nil)},
			"a condition alone":   {dispatch.IfArgs([]byte(`"x"`))},
			"a condition no JSON": {dispatch.DueIn(0), dispatch.IfArgs([]byte(`"x`))},
			"a priority too high": {dispatch.Priority(5)},
		} {
			_, err := s.Reschedule(id, changes...)
			if code := dispatch.AsError(err); code == nil || code.Code != dispatch.CodeInvalidArgument {
				t.Errorf("%s: %v", name, err)
			}
		}
		k.plan = func(ctx *dispatch.MutationCtx) error {
			if answer, err := ctx.Scheduler.Reschedule(id, dispatch.DueIn(0)); err != nil || !answer.Changed {
				t.Errorf("%+v, %v", answer, err)
			}
			if job, _, err := ctx.Scheduler.Get(id); err != nil || !job.Due.Before(at) {
				t.Errorf("the mutation sees it due %v, %v", job.Due, err)
			}
			return dispatch.Errorf(dispatch.CodeAborted, "no")
		}
		_, err := runPlan.Run(h.Caller("acme"), none{})
		wantCode(t, err, dispatch.CodeAborted)
		var ids []storage.JobID
		for range 4 {
			ids = append(ids, mustAfter(t, h, "acme", time.Hour, mail.With("x")))
		}
		var refused error
		k.plan = func(ctx *dispatch.MutationCtx) error {
			for i, id := range ids {
				if _, err := ctx.Scheduler.Reschedule(id, dispatch.DueIn(2*time.Hour)); err != nil {
					refused = fmt.Errorf("job %d: %w", i, err)
					return nil
				}
			}
			return nil
		}
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		wantCode(t, refused, dispatch.CodeResourceExhausted)
		if job := wantState(t, h, "acme", id, storage.StatePending, 0); !job.Due.Equal(at) {
			t.Errorf("it is due %v, want %v", job.Due, at)
		}
		h.Advance(2 * time.Minute)
		if n := k.count("mail"); n != 1 {
			t.Errorf("it began %d times", n)
		}
	})
}

// TestG29_ARescheduledJobKeepsItsKey: it is the one that later calls find, and the starts of
// a throttled key stay apart.
func TestG29_ARescheduledJobKeepsItsKey(t *testing.T) {
	k := newKit()
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail "+name, ctx.Job); return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		kept := mustAfter(t, h, "acme", time.Minute, mail.With("kept"), dispatch.Unique("k", dispatch.Keep()))
		mustReschedule(t, h, kept, storage.StatePending, dispatch.DueIn(time.Hour), dispatch.NewArgs(mail.With("changed")))
		if id := mustAfter(t, h, "acme", 0, mail.With("again"), dispatch.Unique("k", dispatch.Keep())); id != kept {
			t.Errorf("the key is not that of the rescheduled job")
		}
		throttled := dispatch.Unique("t", dispatch.Throttle(time.Minute))
		mustAfter(t, h, "acme", 0, mail.With("first"), throttled)
		h.Advance(10 * time.Second)
		second := mustAfter(t, h, "acme", 0, mail.With("second"), throttled)
		mustReschedule(t, h, second, storage.StatePending, dispatch.DueIn(0))
		h.Advance(49 * time.Second)
		if got := k.noted("mail"); !slices.Equal(got, []string{"mail first"}) {
			t.Errorf("within a minute began %q", got)
		}
		h.Advance(2 * time.Hour)
		if got := k.noted("mail"); !slices.Equal(got, []string{"mail first", "mail second", "mail changed"}) {
			t.Errorf("began %q", got)
		}
	})
}

// TestG19_ATickIsNotRescheduled: before it has begun it is due when its slot is; its retry
// can be made at once.
func TestG19_ATickIsNotRescheduled(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		r.create("acme", everyTen(cronBeat.With("w"), ""))
		next := r.info("acme", "ten").NextJob
		_, err := r.Scheduler("acme").Reschedule(next, dispatch.DueIn(0))
		wantCode(t, err, dispatch.CodeInvalidArgument)
	})
}

// TestG1_AnAcknowledgedRescheduleIsNeverLost: whatever crash comes between, the job runs
// once, at the instant that was acknowledged last.
func TestG1_AnAcknowledgedRescheduleIsNeverLost(t *testing.T) {
	k := newKit()
	mail := k.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := entries.Insert(ctx.DB, entry{name, ctx.Now})
		return err
	})
	var at time.Time
	acknowledged := false
	options := func() actors.Options { return actors.Options{Functions: k.reg, Logger: quiet} }
	everyCrash(t, options, func(h *actorstest.Harness) {
		at, acknowledged = h.Now(), false
		s := h.Scheduler("acme")
		_, _ = s.RunAfter(time.Second, mail.With("early"), dispatch.ID("job"))
		h.Advance(950 * time.Millisecond)
		answer, err := s.Reschedule("job", dispatch.DueAt(at.Add(time.Hour)), dispatch.NewArgs(mail.With("late")))
		acknowledged = err == nil && answer.Changed
		h.Advance(time.Minute)
	}, func(h *actorstest.Harness) {
		h.Advance(max(at.Add(time.Minute).Sub(h.Now()), 0))
		names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		if acknowledged && len(names) > 0 {
			t.Errorf("before its instant there is %q", names)
		}
		h.Advance(2 * time.Hour)
		names = must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		if acknowledged && !slices.Equal(names, []string{"late"}) || len(names) > 1 {
			t.Errorf("there is %q", names)
		}
	})
}

// TestG18_ARescheduleOnConditionOfTheArguments: of a job that was given other arguments meanwhile nothing is changed.
func TestG18_ARescheduleOnConditionOfTheArguments(t *testing.T) {
	k := newKit()
	mail := k.action("t:mail", func(*dispatch.ActionCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		id := mustAfter(t, h, "acme", time.Hour, mail.With("<a>"))
		for _, tt := range []struct {
			former, args string
			changed      bool
		}{
			{`"a"`, "b", false},
			{`null`, "b", false},
			{` "<a>" `, "b", true},
			{`"<a>"`, "c", false},
			{`"b"`, "<d>", true},
			{`"\u003cd\u003e"`, "e", true},
		} {
			answer, err := s.Reschedule(id, dispatch.NewArgs(mail.With(tt.args)), dispatch.IfArgs([]byte(tt.former)))
			got := string(h.Job("acme", id).Args)
			if answer.Changed != tt.changed || (err == nil) != tt.changed || tt.changed != (got == string(must[[]byte](t)(json.Marshal(tt.args)))) {
				t.Errorf("%s if it has %s: %+v, %v, and it has %s", tt.args, tt.former, answer, err, got)
			}
			if err != nil && dispatch.AsError(err).Code != dispatch.CodeAborted {
				t.Errorf("refused with %v", err)
			}
		}
		if answer, err := s.Reschedule("none", dispatch.DueIn(0), dispatch.IfArgs([]byte(`{}`))); err != nil || answer.Found != "" {
			t.Errorf("of no job: %+v, %v", answer, err)
		}
	})
}
