package actors_test

import (
	"bytes"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// G25: ticks, their retries and runs by hand run as the identity of their trigger,
// and nobody's run as nobody.
func TestG25_TicksRunAsTheirTriggersIdentity(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		var ran []string
		r.inside = func(ctx *dispatch.MutationCtx) error {
			who := "nobody"
			if id, ok := ctx.Auth.Identity(); ok {
				who = id.Subject
				if who == "service:a" && id.Claims["role"] != "cleaner" {
					t.Errorf("claims %v", id.Claims)
				}
			}
			ran = append(ran, who)
			if len(ran) == 1 {
				return errFlaky
			}
			return nil
		}
		wantRan := func(want ...string) {
			t.Helper()
			if !slices.Equal(ran, want) {
				t.Errorf("ran as %q, want %q", ran, want)
			}
			ran = []string{""} // none of the next fails
		}
		def := everyTen(cronInside.With("x"), "")
		def.Retry = &dispatch.RetryPolicy{Base: time.Second}
		def.As = &dispatch.Identity{Subject: "service:a", Claims: map[string]any{"role": "cleaner"}}
		r.create("acme", def)
		r.Advance(15 * time.Second)
		_, err := r.crons("acme").RunNow("ten")
		r.must(err)
		r.Settle()
		wantRan("service:a", "service:a", "service:a")
		if as := r.info("acme", "ten").As; as == nil || as.Subject != "service:a" {
			t.Errorf("shown as %+v", as)
		}
		def.As = &dispatch.Identity{Subject: "service:b"}
		r.must(r.crons("acme").Update(def))
		r.Advance(10 * time.Second)
		wantRan("", "service:b")
		def.As = nil
		r.must(r.crons("acme").Update(def))
		r.Advance(10 * time.Second)
		wantRan("", "nobody")
	})
}

// A retry of the identity that a trigger had is not made as that identity any more.
func TestG22_NoRetryAsTheOldIdentity(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		var ran []string
		r.inside = func(ctx *dispatch.MutationCtx) error {
			id, _ := ctx.Auth.Identity()
			ran = append(ran, id.Subject)
			return errFlaky
		}
		def := everyTen(cronInside.With("x"), "")
		def.Retry = &dispatch.RetryPolicy{Base: 5 * time.Second, MaxAttempts: 2}
		def.As = &dispatch.Identity{Subject: "old"}
		r.create("acme", def)
		r.Advance(12 * time.Second)
		def.As = &dispatch.Identity{Subject: "new"}
		r.must(r.crons("acme").Update(def))
		r.Advance(9 * time.Second)
		if want := []string{"old", "new"}; !slices.Equal(ran, want) {
			t.Errorf("ran as %q, want %q", ran, want)
		}
		if job := r.Job("acme", storage.TickID("ten", begin.Add(10*time.Second))); job.State != storage.StateCanceled {
			t.Errorf("the old tick is %s", job.State)
		}
	})
}

// A trigger's timeout bounds each attempt of its ticks.
func TestG17_ATriggerBoundsItsTicks(t *testing.T) {
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(beat) time.Duration { return time.Hour }
		def := everyTen(cronSlow.With("w"), "")
		def.Timeout = 3 * time.Second
		r.create("acme", def)
		r.Advance(14 * time.Second)
		job := r.Job("acme", storage.TickID("ten", begin.Add(10*time.Second)))
		if job.State != storage.StateFailed || job.Error == nil || job.Error.Code != string(dispatch.CodeDeadlineExceeded) || job.CompletedAt.Sub(begin) != 13*time.Second {
			t.Errorf("the tick is %s at %v: %+v", job.State, job.CompletedAt.Sub(begin), job.Error)
		}
	})
}

// G4: a tick that is to be run at most once, and that a crash cut off, is not run again.
func TestG4_TicksMayRunAtMostOnce(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(beat) time.Duration { return 4 * time.Second }
		def := everyTen(cronSlow.With("w"), "")
		def.AtMostOnce = true
		r.create("acme", def)
		r.Advance(12 * time.Second)
		r.Crash()
		r.Advance(20 * time.Second)
		r.wantRan("acme", "ten", begin, "10s", "20s", "30s")
		if job := r.Job("acme", storage.TickID("ten", begin.Add(10*time.Second))); job.State != storage.StateFailed || job.Attempts != 1 {
			t.Errorf("the tick that was cut off is %s after %d attempts", job.State, job.Attempts)
		}
	})
}

// Put makes or updates, and says which.
func TestG22_PutMakesOrUpdates(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		def := everyTen(cronBeat.With("w"), "")
		for i, want := range []bool{true, false, false} {
			if i == 2 {
				def.Schedule = cron.Expr("*/20 * * * * *")
			}
			before, _, _ := r.crons("acme").Get("ten")
			created, err := r.crons("acme").Put(def)
			if err != nil || created != want {
				t.Errorf("put %d: created %t, %v", i, created, err)
			}
			if after := r.info("acme", "ten"); i == 1 && !after.Anchor.Equal(before.Anchor) || after.Spec != def.Schedule.String() {
				t.Errorf("put %d: %+v", i, after)
			}
			r.Advance(time.Second)
		}
		r.inside = func(ctx *dispatch.MutationCtx) error {
			created, err := ctx.Scheduler.Crons().Put(dispatch.Trigger{Name: "inner", Schedule: cron.Expr("@hourly"), Call: cronBeat.With("w")})
			if err == nil && !created {
				t.Error("a new trigger was not created")
			}
			return err
		}
		_, err := r.Scheduler("acme").RunAfter(0, cronInside.With("x"))
		r.must(err)
		r.Settle()
		if names := r.names("acme"); !slices.Equal(names, []string{"inner", "ten"}) {
			t.Errorf("triggers %q", names)
		}
		def.Schedule = cron.Expr("nonsense")
		if created, err := r.crons("acme").Put(def); created || cronCode(err) != dispatch.CodeInvalidArgument {
			t.Errorf("a bad spec: %t, %v", created, err)
		}
		r.declareTen()
		if _, err := r.crons("acme").Put(everyTen(cronBeat.With("mine"), "")); cronCode(err) != dispatch.CodeFailedPrecondition {
			t.Errorf("a declared one: %v", err)
		}
	})
}

// A trigger is overdue when its last success, by a tick or by hand, is too long ago.
func TestG19_ATriggerWithoutASuccessForTooLongIsOverdue(t *testing.T) {
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		failing := true
		r.fails = func(beat) error {
			if failing {
				return errFlaky
			}
			return nil
		}
		want := func(overdue bool, when string) {
			t.Helper()
			if info := r.info("acme", "ten"); info.Overdue != overdue {
				t.Errorf("%s: overdue %t, last success %v, now %v", when, info.Overdue, info.LastSuccessAt, r.Now())
			}
		}
		def := everyTen(cronFlaky.With("w"), "")
		def.SuccessWithin = time.Minute
		r.create("acme", def)
		r.Advance(time.Minute)
		want(false, "a minute after it was made")
		r.Advance(time.Millisecond)
		want(true, "later")
		r.ask(func() { failing = false })
		r.Advance(10 * time.Second)
		want(false, "after a success")
		r.ask(func() { failing = true })
		at := r.info("acme", "ten").LastSuccessAt
		r.AdvanceTo(at.Add(time.Minute))
		want(false, "a minute after the success")
		r.Advance(time.Millisecond)
		want(true, "later than that")
		r.Restart()
		want(true, "after a restart")
		r.ask(func() { failing = false })
		_, err := r.crons("acme").RunNow("ten")
		r.must(err)
		r.Settle()
		want(false, "after a success by hand")
		r.must(r.crons("acme").Pause("ten", "enough"))
		r.Advance(2 * time.Minute)
		want(true, "paused for too long")
	})
}

// A trigger that becomes overdue is told once, at that instant though its app sleeps, and
// once more after it has succeeded and become overdue again. It is counted meanwhile.
func TestG19_OverdueIsToldOnce(t *testing.T) {
	var logged bytes.Buffer
	opts := actors.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil)), IdleAfter: time.Second}
	withCrons(t, opts, func(r *cronHarness) {
		want := func(warnings, overdue int, when string) {
			t.Helper()
			if n := strings.Count(logged.String(), "trigger is overdue"); n != warnings {
				t.Errorf("%s: %d warnings, want %d", when, n, warnings)
			}
			if i, all := r.Inspect("acme"), r.Engine.Stats().Overdue; i.Overdue != overdue || all != overdue || !i.Asleep {
				t.Errorf("%s: %d overdue, %d of all apps, want %d; asleep: %t", when, i.Overdue, all, overdue, i.Asleep)
			}
		}
		begin := r.Now()
		r.create("acme", dispatch.Trigger{Name: "daily", Schedule: cron.Expr("@daily"), Call: cronBeat.With("w"), SuccessWithin: time.Hour})
		r.create("acme", dispatch.Trigger{Name: "other", Schedule: cron.Expr("@daily"), Call: cronBeat.With("w")})
		r.AdvanceTo(begin.Add(time.Hour))
		want(0, 0, "an hour after it was made")
		r.Advance(time.Second)
		want(1, 1, "a second later")
		if !strings.Contains(logged.String(), "app=acme trigger=daily") {
			t.Errorf("the log says %s", logged.String())
		}
		r.Advance(2 * time.Hour)
		want(1, 1, "hours later")
		_, err := r.crons("acme").RunNow("daily")
		r.must(err)
		r.Advance(10 * time.Second)
		want(1, 0, "after a success")
		r.Advance(time.Hour)
		want(2, 1, "another hour later")
		r.must(r.crons("acme").Update(dispatch.Trigger{Name: "daily", Schedule: cron.Expr("@daily"), Call: cronBeat.With("w"), SuccessWithin: 10 * time.Hour}))
		r.Advance(10 * time.Second)
		want(2, 0, "with more time")
		r.Advance(10 * time.Hour)
		want(3, 1, "which is over")
		r.must(r.crons("acme").Delete("daily"))
		r.Advance(10 * time.Second)
		want(3, 0, "deleted")
	})
}

// What a trigger says of its ticks goes with its app to another one.
func TestG26_AnExportCarriesTheOptionsOfTriggers(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		def := everyTen(cronSlow.With("w"), storage.OverlapQueue)
		retried := everyTen(cronBeat.With("w"), "")
		retried.Name, retried.Retry = "retried", &dispatch.RetryPolicy{Base: time.Second, MaxAttempts: 3, Jitter: true}
		def.AtMostOnce, def.Timeout, def.SuccessWithin = true, 3*time.Second, time.Minute
		def.As = &dispatch.Identity{Subject: "service:a", Claims: map[string]any{"role": "cleaner"}}
		r.create("acme", def)
		r.create("acme", retried)
		r.Advance(12 * time.Second)
		want, wantRetried := r.info("acme", "ten"), r.info("acme", "retried")
		var stream bytes.Buffer
		r.must(r.Engine.Export(r.Context(), "acme", &stream))
		r.must(r.Engine.Import(r.Context(), "copy", &stream))
		if got := r.info("copy", "ten"); !reflect.DeepEqual(got, want) {
			t.Errorf("the copy is\n%+v, want\n%+v", got, want)
		}
		if got := r.info("copy", "retried"); !reflect.DeepEqual(got, wantRetried) || got.Policy != *retried.Retry {
			t.Errorf("the copy is\n%+v, want\n%+v", got, wantRetried)
		}
		if want.Timeout != def.Timeout || !want.AtMostOnce || want.SuccessWithin != def.SuccessWithin || !reflect.DeepEqual(want.As, def.As) {
			t.Errorf("shown as %+v", want)
		}
	})
}
