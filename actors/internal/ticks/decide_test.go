package ticks_test

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"carillon/actors/internal/ticks"
	"carillon/cron"
	"carillon/storage"
)

// at is the instant so many seconds after a minute has begun.
func at(sec float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(sec * float64(time.Second)))
}

func spans(list ...ticks.Span) []ticks.Span { return list }

const caughtUp = "missed: caught up by the tick of 2026-01-01T00:00:40Z"

// G19, G22: what becomes of a tick follows from its trigger, what runs beside it and the
// wall alone. The trigger has a slot every ten seconds, and its next is that at ten.
func TestG19_WhatBecomesOfATick(t *testing.T) {
	every, err := cron.Expr("*/10 * * * * *").Compile("")
	if err != nil {
		t.Fatal(err)
	}
	faulty := errors.New("no such zone")
	type change = func(c *ticks.Case)
	overlap := func(policy storage.Overlap) change { return func(c *ticks.Case) { c.Trigger.Overlap = policy } }
	catchUp := func(mode storage.CatchUpMode, limit int, window time.Duration) change {
		return func(c *ticks.Case) { c.Trigger.CatchUp = storage.CatchUp{Mode: mode, Limit: limit, Window: window} }
	}
	wall := func(sec float64) change { return func(c *ticks.Case) { c.Wall = at(sec) } }
	runs := func(c *ticks.Case) { c.Ticks = 1 }
	byHand := func(c *ticks.Case) { c.ByHand = 1 }
	left := func(c *ticks.Case) { c.Left = 1 }
	retry := func(c *ticks.Case) { c.Retry = at(0) }
	waited := func(c *ticks.Case) { c.Waited = true }
	jitter := func(c *ticks.Case) { c.Jitter, c.Job.Due = 3*time.Second, c.Job.Due.Add(3*time.Second) }
	cannotRun := func(c *ticks.Case) { c.Unrunnable = "no function" }
	held := func(c *ticks.Case) { c.Trigger.HeldJob = "held" }
	another := func(c *ticks.Case) { c.Trigger.NextJob, c.Trigger.Next, c.Trigger.Decided = "next", at(20), at(10) }
	begun := func(c *ticks.Case) { c.Job.Attempts = 1 }
	caught := func(c *ticks.Case) { c.Job.CaughtUp = true }
	spent := func(c *ticks.Case) { c.SpentTo = at(30) }
	atStart := func(c *ticks.Case) {
		c.Trigger.AtStart, c.Schedule, c.Epoch = true, cron.Never(), 7
		c.Job.ID = storage.StartID("t", 7)
		c.Trigger.NextJob = c.Job.ID
	}
	backfill := func(c *ticks.Case) {
		c.Job.Backfill, c.Job.CaughtUp = 1, true
		c.Trigger.NextJob, c.Trigger.Next, c.Trigger.Decided = "next", at(120), at(110)
	}
	backfillRuns := func(c *ticks.Case) { c.Backfill = 1 }
	before := func(c *ticks.Case) { c.Before = true }
	fires := ticks.Decision{Verb: ticks.Run, Wind: at(10)}
	queued := ticks.Decision{Verb: ticks.Wait, Queued: true}
	skipped := func(reason string) ticks.Decision {
		return ticks.Decision{Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(10), Reason: reason}), Wind: at(10)}
	}
	stale := func(reason string) ticks.Decision { return ticks.Decision{Verb: ticks.Drop, Stale: reason} }
	for _, tt := range []struct {
		name    string
		changes []change
		want    ticks.Decision
	}{
		{"it fires", nil, fires},
		{"ahead of its instant, too", []change{wall(9.9)}, fires},
		{"up to five seconds late it is not missed", []change{wall(15)}, fires},
		{"of slots that it has not waited for none is skipped", []change{wall(14), jitter}, fires},
		{"run by hand", []change{func(c *ticks.Case) { c.Job.Slot = time.Time{} }, runs}, ticks.Decision{Verb: ticks.Run}},
		{"the trigger is faulty", []change{func(c *ticks.Case) { c.Schedule, c.Fault = nil, faulty }}, ticks.Decision{Verb: ticks.Drop, Fault: faulty}},

		{"skip: one runs", []change{runs}, skipped("overlap: the tick before it still runs")},
		{"skip: one runs, and may have ended by then", []change{runs, wall(9.9)}, ticks.Decision{Verb: ticks.Wait, Until: at(10)}},
		{"skip: a handler is left", []change{left}, skipped("overlap: the handler of an earlier tick has not returned")},
		{"skip: a retry", []change{retry, byHand}, skipped("overlap: retry of 2026-01-01T00:00:00Z")},
		{"skip: a run by hand takes no slot", []change{byHand}, queued},
		{"queue", []change{overlap(storage.OverlapQueue), runs}, queued},
		{"allow", []change{overlap(storage.OverlapAllow), runs, left, retry}, fires},
		{"replace", []change{overlap(storage.OverlapReplace), byHand}, ticks.Decision{Verb: ticks.Run, Replace: true, Wind: at(10)}},
		{"replace: not before its instant", []change{overlap(storage.OverlapReplace), runs, wall(9.9)}, ticks.Decision{Verb: ticks.Wait, Until: at(10)}},
		{"what came while it waited is skipped", []change{overlap(storage.OverlapQueue), waited, wall(31)}, ticks.Decision{
			Verb: ticks.Run, Skip: spans(ticks.Span{From: at(20), To: at(30), Reason: "overlap: a tick was waiting already"}), Wind: at(30),
		}},

		{"one: the latest", []change{wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(30), Reason: caughtUp}), Late: []time.Time{at(40)}, Missed: caughtUp, Wind: at(40),
		}},
		{"one: it is that itself", []change{wall(15.001)}, fires},
		{"one: with jitter", []change{wall(42), jitter}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(20), Reason: "missed: caught up by the tick of 2026-01-01T00:00:30Z"}),
			Late: []time.Time{at(30)}, Missed: "missed: caught up by the tick of 2026-01-01T00:00:30Z", Wind: at(30),
		}},
		{"one: within the window", []change{catchUp(storage.CatchUpOne, 0, time.Second), wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(30), Reason: caughtUp}), Late: []time.Time{at(40)}, Missed: caughtUp, Wind: at(40),
		}},
		{"one: beyond the window", []change{catchUp(storage.CatchUpOne, 0, time.Second), wall(41.001)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(40), Reason: "missed: beyond the catch-up window"}), Lost: true, Missed: "missed: beyond the catch-up window", Wind: at(40),
		}},
		{"none: but what is not missed", []change{catchUp(storage.CatchUpNone, 0, 0), wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(30), Reason: "missed: not caught up"}), Lost: true, Missed: "missed: not caught up", Wind: at(30),
		}},
		{"all: up to the limit", []change{catchUp(storage.CatchUpAll, 2, 0), wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(20), Reason: "missed: beyond the catch-up limit"}),
			Late: []time.Time{at(30), at(40)}, Lost: true, Missed: "missed: beyond the catch-up limit", Wind: at(40),
		}},
		{"all: within the window", []change{catchUp(storage.CatchUpAll, 9, 11*time.Second), wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(20), Reason: "missed: beyond the catch-up limit"}),
			Late: []time.Time{at(30), at(40)}, Lost: true, Missed: "missed: beyond the catch-up limit", Wind: at(40),
		}},

		{"spent, and not due", []change{spent, wall(9.9)}, ticks.Decision{Verb: ticks.Wait, Until: at(10)}},
		{"spent, up to now", []change{spent, wall(21)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(20), Reason: ticks.MergedReason}), Wind: at(20),
		}},
		{"spent, up to the end of the span", []change{spent, wall(51)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(30), Reason: ticks.MergedReason}), Wind: at(30),
		}},

		{"it cannot run", []change{cannotRun, runs}, ticks.Decision{Verb: ticks.Hold, Note: "held: no function", Wind: at(10)}},
		{"it cannot run, and was missed", []change{cannotRun, wall(41)}, ticks.Decision{
			Verb: ticks.Drop, Skip: spans(ticks.Span{From: at(10), To: at(30), Reason: caughtUp}), Late: []time.Time{at(40)}, Missed: caughtUp, Wind: at(40),
		}},
		{"one is held", []change{held, wall(21)}, ticks.Decision{
			Verb: ticks.Drop, Held: true, Skip: spans(ticks.Span{From: at(10), To: at(20)}), Wind: at(20),
		}},
		{"one of a start is held", []change{atStart, held, wall(21)}, ticks.Decision{
			Verb: ticks.Drop, Held: true, Skip: spans(ticks.Span{From: at(10), To: at(10)}), Wind: at(10),
		}},
		{"a late start is not missed", []change{atStart, wall(100)}, fires},

		{"a retry", []change{another, begun, retry}, ticks.Decision{Verb: ticks.Run}},
		{"a retry waits for one that runs", []change{another, begun, byHand}, ticks.Decision{Verb: ticks.Wait}},
		{"a caught-up tick", []change{another, caught, wall(19)}, ticks.Decision{Verb: ticks.Run}},
		{"a caught-up tick waits for a retry", []change{another, caught, retry}, ticks.Decision{Verb: ticks.Wait}},
		{"another one that may overlap", []change{another, caught, runs, overlap(storage.OverlapAllow)}, ticks.Decision{Verb: ticks.Run}},
		{"another one that cannot run", []change{another, caught, cannotRun}, ticks.Decision{Verb: ticks.Hold}},
		{"another one that cannot run beside a held one", []change{another, caught, cannotRun, held}, ticks.Decision{Verb: ticks.Drop, Held: true}},
		{"a retry that cannot run beside a held one", []change{another, begun, cannotRun, held}, ticks.Decision{Verb: ticks.Hold}},

		{"a tick of a backfill, however old", []change{backfill, wall(100)}, ticks.Decision{Verb: ticks.Run}},
		{"a tick of a backfill waits for another one, though they may overlap", []change{backfill, overlap(storage.OverlapAllow), backfillRuns}, ticks.Decision{Verb: ticks.Wait}},
		{"a tick of a backfill waits for what another one has left", []change{backfill, overlap(storage.OverlapAllow), before}, ticks.Decision{Verb: ticks.Wait}},
		{"a tick of a backfill waits for a tick", []change{backfill, runs}, ticks.Decision{Verb: ticks.Wait}},
		{"a tick of a backfill waits for a retry", []change{backfill, retry}, ticks.Decision{Verb: ticks.Wait}},
		{"a tick of a backfill waits for a run by hand", []change{backfill, byHand}, ticks.Decision{Verb: ticks.Wait}},
		{"a tick of a backfill beside what it may overlap", []change{backfill, overlap(storage.OverlapAllow), runs, byHand, retry, left}, ticks.Decision{Verb: ticks.Run}},
		{"a tick of a backfill that cannot run beside a held one", []change{backfill, cannotRun, held}, ticks.Decision{Verb: ticks.Hold}},
		{"a tick of a backfill whose trigger is paused", []change{backfill, func(c *ticks.Case) { c.Trigger.Paused = true }}, stale("paused")},
		{"skip: a run of a backfill takes no slot", []change{backfillRuns}, queued},
		{"a caught-up tick waits for a run of a backfill", []change{another, caught, backfillRuns}, ticks.Decision{Verb: ticks.Wait}},

		{"stale: deleted", []change{func(c *ticks.Case) { c.Trigger = nil }}, stale("the trigger was deleted")},
		{"stale: of an earlier trigger", []change{another, func(c *ticks.Case) { c.Trigger.CreatedAt = at(1) }}, stale("the trigger was deleted")},
		{"stale: another function", []change{another, begun, func(c *ticks.Case) { c.Trigger.Function = "do:else" }}, stale("the trigger was changed")},
		{"stale: no slot", []change{another, func(c *ticks.Case) { c.Job.Slot = at(11) }}, stale("the trigger was changed")},
		{"stale: paused", []change{another, func(c *ticks.Case) { c.Trigger.Paused, c.Trigger.PauseReason = true, "why" }}, stale("paused: why")},
		{"stale: paused, and has begun", []change{another, begun, func(c *ticks.Case) { c.Trigger.Paused = true }}, ticks.Decision{Verb: ticks.Run}},
		{"stale: missed since, and another has come", []change{another, wall(21)}, stale("missed: caught up by a later tick")},
		{"stale: missed since, and none has come", []change{another, wall(19)}, ticks.Decision{Verb: ticks.Run}},
		{"stale: missed since, none is caught up", []change{another, catchUp(storage.CatchUpNone, 0, 0), wall(16)}, stale("missed: not caught up")},
		{"stale: an earlier start", []change{atStart, another, func(c *ticks.Case) { c.Epoch = 8 }}, stale(ticks.StartedAgain)},
		{"run again by hand, whatever it is", []change{func(c *ticks.Case) {
			c.Job.History, c.Trigger = make([]storage.Attempt, 1), nil
		}}, ticks.Decision{Verb: ticks.Run}},
	} {
		job := storage.Job{ID: storage.TickID("t", at(10)), Trigger: "t", Function: "do:it", Slot: at(10), Due: at(10)}
		c := &ticks.Case{
			Trigger: &storage.Trigger{
				Name: "t", Function: "do:it", Next: at(10), NextJob: job.ID,
				Overlap: storage.OverlapSkip, CatchUp: storage.CatchUp{Mode: storage.CatchUpOne},
			},
			Job: &job, Schedule: every, Wall: at(10),
		}
		for _, change := range tt.changes {
			change(c)
		}
		if got := ticks.Decide(c); !reflect.DeepEqual(utc(got), tt.want) {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.want)
		}
	}
}

// utc has the decision's instants compare.
func utc(d ticks.Decision) ticks.Decision {
	for i := range d.Skip {
		d.Skip[i].From, d.Skip[i].To = d.Skip[i].From.UTC(), d.Skip[i].To.UTC()
	}
	for i := range d.Late {
		d.Late[i] = d.Late[i].UTC()
	}
	d.Wind = d.Wind.UTC()
	return d
}
