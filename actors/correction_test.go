package actors_test

import (
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// slotCounts are how often the trigger's slots took effect.
func (r *cronHarness) slotCounts(app storage.AppID, trigger string) map[time.Time]int {
	counts := map[time.Time]int{}
	list, err := cronList.Run(r.Caller(app), dispatch.None{})
	r.must(err)
	for _, b := range list {
		if b.Trigger == trigger && !b.Slot.IsZero() {
			counts[b.Slot]++
		}
	}
	return counts
}

// wrongFor has the wall be wrong by d for as long, then puts it right; each step is
// made while the engine runs, or while it is down.
func (r *cronHarness) wrongFor(d, long time.Duration, down bool, meanwhile func()) {
	step := func(d time.Duration) {
		if down {
			r.Kill()
		}
		r.StepClock(d)
		if down {
			r.Open()
		}
		r.Engine.Clock()
		r.Advance(0)
	}
	step(d)
	meanwhile()
	r.Advance(long)
	step(-d)
}

// G15, G19: ten years ahead for a minute, and put right: triggers tick on, what had
// ticked does not again when those years have passed, what is relative waits as long as
// it was to wait, what is absolute stays, and what was written is not of the future.
func TestG15_AWrongClockLeavesNothingSilent(t *testing.T) {
	for name, down := range map[string]bool{"running": false, "over restarts": true} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{ClockCheck: time.Second, Retention: 100 * year}, func(r *cronHarness) {
				r.create("acme", everyTen(cronBeat.With("w"), storage.OverlapSkip))
				r.create("asleep", dispatch.Trigger{Name: "yearly", Schedule: cron.Expr("0 0 1 1 *"), Call: cronBeat.With("y")})
				r.Advance(35 * time.Second)
				right := r.Now()
				var relative, absolute storage.JobID
				before := r.slotCounts("acme", "ten")
				r.wrongFor(10*year, time.Minute, down, func() {
					r.create("acme", dispatch.Trigger{Name: "born", Schedule: cron.Expr("*/10 * * * * *"), Call: cronBeat.With("b")})
					relative = mustAfter(t, r.Harness, "acme", 10*time.Minute, cronBeat.With("relative"))
					var err error
					absolute, err = r.Scheduler("acme").RunAt(right.Add(3*time.Hour), cronBeat.With("absolute"))
					r.must(err)
				})
				false1 := r.slotCounts("acme", "ten")
				if len(false1) < len(before)+5 {
					t.Fatalf("only %d slots took effect in the future", len(false1)-len(before))
				}
				if d := r.Job("acme", relative).Due.Sub(r.Now()); d < 8*time.Minute || d > 10*time.Minute {
					t.Errorf("what was to wait ten minutes a minute ago waits %v", d)
				}
				for _, job := range r.Jobs("acme", storage.StateSuccess) {
					if job.CompletedAt.After(r.Now()) || job.EnqueuedAt.After(r.Now()) {
						t.Errorf("job %s ended at %v, and now is %v", job.ID, job.CompletedAt, r.Now())
					}
				}
				r.Advance(10 * time.Minute)
				if s := r.Job("acme", relative).State; s != storage.StateSuccess {
					t.Errorf("the relative job is %s", s)
				}
				for _, name := range []string{"ten", "born"} {
					info := r.info("acme", name)
					if !info.Next.After(r.Now().Add(-time.Second)) || info.Next.After(r.Now().Add(11*time.Second)) {
						t.Errorf("trigger %s: next is %v, now is %v", name, info.Next, r.Now())
					}
				}
				after := r.slotCounts("acme", "ten")
				for at := right.Truncate(10 * time.Second).Add(10 * time.Second); at.Before(r.Now()); at = at.Add(10 * time.Second) {
					if at.Sub(right) > 90*time.Second && after[at] == 0 {
						t.Errorf("slot %v, after the clock was put right, has not taken effect", at)
					}
				}
				if s := r.Job("acme", absolute).State; s != storage.StateSuccess { // RunAt(right+3h) was long past by the wrong wall
					t.Errorf("the absolute job is %s", s)
				}
				if next := r.info("asleep", "yearly").Next; next.After(r.Now().Add(year + 48*time.Hour)) {
					t.Errorf("the yearly trigger of an app that sleeps is due at %v", next)
				}
				// The years pass.
				r.Kill()
				r.StepClock(10*year - 11*time.Minute)
				r.Open()
				r.Advance(3 * time.Minute)
				for _, name := range []string{"ten", "born"} {
					for at, n := range r.slotCounts("acme", name) {
						if n > 1 {
							t.Errorf("slot %v of %s took effect %d times", at, name, n)
						}
					}
				}
				r.must(r.Engine.Check())
			})
		})
	}
}

// G19: an hour back, by mistake or rightly: no slot that has fired fires again.
func TestG19_NoSlotFiresTwiceThoughTheWallIsSetBack(t *testing.T) {
	for _, overlap := range []storage.Overlap{storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace} {
		withCrons(t, actors.Options{ClockCheck: 10 * time.Second}, func(r *cronHarness) {
			r.create("acme", everyTen(cronBeat.With("w"), overlap))
			r.Advance(25 * time.Minute)
			for _, d := range []time.Duration{-20 * time.Minute, 10 * time.Minute, -3 * time.Minute, 20 * time.Minute} {
				r.StepClock(d)
				r.Engine.Clock()
				r.Advance(4 * time.Minute)
			}
			r.Advance(20 * time.Minute)
			for at, n := range r.slotCounts("acme", "ten") {
				if n != 1 {
					t.Errorf("%s: slot %v took effect %d times", overlap, at, n)
				}
			}
			if next := r.info("acme", "ten").Next; next.After(r.Now().Add(11 * time.Second)) {
				t.Errorf("%s: next is %v, now is %v", overlap, next, r.Now())
			}
		})
	}
}

// G12: an app that sleeps until a far instant of a wrong clock is woken when that is
// put right.
func TestG12_AnAppThatSleepsInAWrongFutureIsWoken(t *testing.T) {
	for name, down := range map[string]bool{"running": false, "over a restart": true} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{ClockCheck: time.Second, IdleAfter: time.Second}, func(r *cronHarness) {
				var id storage.JobID
				r.wrongFor(10*year, time.Minute, down, func() {
					id = mustAfter(t, r.Harness, "acme", 10*time.Minute, cronBeat.With("x"))
				})
				r.Advance(10 * time.Minute)
				if s := r.Job("acme", id).State; s != storage.StateSuccess {
					t.Errorf("the job is %s", s)
				}
			})
		})
	}
}

// G19: a tick that was replaced before it began, in a false future, has not fired: its
// slot truly comes.
func TestG19_ASlotThatWasReplacedInAWrongFutureComes(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second}, func(r *cronHarness) {
		r.ask(func() { r.takes = func(beat) time.Duration { return time.Minute } }) // late ones wait for each other
		def := everyTen(cronSlow.With("w"), storage.OverlapReplace)
		def.CatchUp = storage.CatchUp{Mode: storage.CatchUpAll, Limit: 5}
		r.create("acme", def)
		r.Advance(time.Minute)
		r.wrongFor(20*time.Minute, 30*time.Second, false, func() {})
		replaced := map[time.Time]bool{}
		for _, s := range r.log("acme", "ten") {
			if s.Outcome == storage.SlotUndone && strings.HasPrefix(s.Reason, "overlap: replaced") {
				replaced[s.From] = true
			}
		}
		if len(replaced) == 0 {
			t.Fatal("none was replaced")
		}
		r.Advance(30 * time.Minute)
		counts := r.slotCounts("acme", "ten")
		for at := range replaced {
			if counts[at] != 1 {
				t.Errorf("slot %v took effect %d times", at, counts[at])
			}
		}
	})
}

// G15: a job that was claimed by a wrong clock, and cut off by a crash, waits no longer
// than it was to wait, though the wall is put right while the engine is down.
func TestG15_WhatACrashCutOffInAWrongFutureGoesOn(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second}, func(r *cronHarness) {
		r.create("acme", dispatch.Trigger{Name: "daily", Schedule: cron.Expr("0 0 * * *"), Call: cronSlow.With("d")})
		r.ask(func() { r.takes = func(beat) time.Duration { return time.Hour } })
		r.StepClock(30 * 24 * time.Hour)
		r.Engine.Clock()
		id := mustAfter(t, r.Harness, "acme", time.Second, cronSlow.With("cut off"))
		r.Advance(10 * time.Second)
		if n := len(r.Jobs("acme", storage.StateRunning)); n != 2 {
			t.Fatalf("%d jobs run", n)
		}
		r.Kill()
		r.StepClock(-30 * 24 * time.Hour)
		r.ask(func() { r.takes = nil })
		r.Open()
		r.Advance(10 * time.Second)
		if job := r.Job("acme", id); job.State != storage.StateSuccess {
			t.Errorf("the job is %s, due at %v, and now is %v", job.State, job.Due, r.Now())
		}
		for _, job := range r.Jobs("acme", storage.StatePending) {
			if job.Attempts > 0 {
				t.Errorf("the tick that was cut off is due at %v, and now is %v", job.Due, r.Now())
			}
		}
	})
}

// G15: what a wrong clock has written down of a job that runs when it is put right is of
// no future either, nor is what the attempt comes to say of its beginning.
func TestG15_WhatRunsWhenTheClockIsPutRightIsOfNoFuture(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second}, func(r *cronHarness) {
		r.ask(func() { r.takes = func(beat) time.Duration { return time.Hour } })
		r.StepClock(30 * 24 * time.Hour)
		r.Engine.Clock()
		id := mustAfter(t, r.Harness, "acme", time.Second, cronSlow.With("long"))
		r.Advance(10 * time.Second)
		r.StepClock(-30 * 24 * time.Hour)
		r.Advance(2 * time.Second)
		for range 2 {
			job := r.Job("acme", id)
			if job.EnqueuedAt.After(r.Now()) || job.StartedAt.After(r.Now()) || job.CompletedAt.After(r.Now()) {
				t.Errorf("now is %v: job %+v", r.Now(), job)
			}
			for _, a := range job.History {
				if a.StartedAt.After(a.EndedAt) {
					t.Errorf("an attempt began at %v and ended at %v", a.StartedAt, a.EndedAt)
				}
			}
			r.Restart() // cuts it off
		}
		if n := len(r.Job("acme", id).History); n != 1 {
			t.Errorf("the job was cut off %d times", n)
		}
	})
}

// G15: a trigger that a wrong clock made has the slots that it had, whole intervals
// earlier: a tick of it that waits for its retry is none of another trigger.
func TestG15_AnIntervalOfAWrongFutureKeepsItsPhase(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second}, func(r *cronHarness) {
		var began int
		r.ask(func() {
			r.fails = func(beat) error {
				if began++; began == 1 {
					return errFlaky
				}
				return nil
			}
		})
		r.wrongFor(10*year+time.Second, 0, false, func() {
			r.create("acme", dispatch.Trigger{
				Name: "seven", Schedule: cron.Expr("@every 7s"), Call: cronFlaky.With("w"),
				Retry: &dispatch.RetryPolicy{MaxAttempts: 3, Base: 3 * time.Second},
			})
			r.Advance(7 * time.Second)
		})
		r.Advance(3 * time.Second)
		if beats := r.beats("acme", "seven"); len(beats) != 1 || beats[0].Attempt != 2 {
			t.Errorf("of the tick that was to be retried there is %+v", beats)
		}
	})
}

// G15: an app that is put right hours after the step, by when the false future has come,
// is put right all the same.
func TestG15_AnAppIsPutRightHoursLater(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second, MutationTimeout: 5 * time.Hour}, func(r *cronHarness) {
		r.ask(func() {
			r.inside = func(*dispatch.MutationCtx) error { time.Sleep(3 * time.Hour); return nil }
		})
		r.create("acme", dispatch.Trigger{Name: "hourly", Schedule: cron.Expr("0 * * * *"), Call: cronBeat.With("h")})
		r.Advance(time.Minute)
		first := r.Now().Truncate(time.Hour).Add(time.Hour)
		var relative storage.JobID
		var due time.Time
		r.wrongFor(2*time.Hour, 0, false, func() {
			r.Advance(time.Minute)
			relative = mustAfter(t, r.Harness, "acme", 5*time.Hour, cronBeat.With("relative"))
			due = r.Job("acme", relative).Due.Add(-2 * time.Hour)
			mustAfter(t, r.Harness, "acme", 0, cronInside.With("has the turn"))
			r.Advance(time.Second)
		})
		r.Advance(3 * time.Hour)
		if at := r.Job("acme", relative).Due; !at.Equal(due) {
			t.Errorf("the relative job is due at %v, want %v", at, due)
		}
		undone := false
		for _, s := range r.log("acme", "hourly") {
			undone = undone || s.Outcome == storage.SlotUndone && s.From.Equal(first)
		}
		if !undone {
			t.Errorf("slot %v was skipped by the wrong clock: %+v", first, r.log("acme", "hourly"))
		}
	})
}

// G15: a step back that is read an hour later has made false what was there before it.
func TestG15_AStepThatIsReadLateIsPutRight(t *testing.T) {
	const step = 10 * time.Minute
	withCrons(t, actors.Options{ClockCheck: 24 * time.Hour, IdleAfter: time.Second}, func(r *cronHarness) {
		id := mustAfter(t, r.Harness, "acme", 3*time.Hour, cronBeat.With("relative"))
		due := r.Job("acme", id).Due
		r.Advance(time.Minute)
		r.StepClock(-step)
		r.Advance(time.Hour)
		r.Engine.Clock()
		r.Advance(0)
		if at := r.Job("acme", id).Due; !at.Equal(due.Add(-step)) {
			t.Errorf("the job is due at %v, want %v", at, due.Add(-step))
		}
	})
}

// G19: a tick that was claimed in a false future and had not begun has not fired: its
// slot is undone, and truly comes.
func TestG19_ASlotThatWasClaimedInAWrongFutureComes(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second, AppConcurrency: 1}, func(r *cronHarness) {
		r.ask(func() {
			r.takes = func(b beat) time.Duration { return map[string]time.Duration{"long": 40 * time.Second}[b.Word] }
		})
		r.create("acme", everyTen(cronSlow.With("w"), storage.OverlapAllow))
		r.Advance(time.Minute)
		undone := map[time.Time]bool{}
		r.wrongFor(20*time.Minute, 0, false, func() {
			r.Advance(5 * time.Second)
			mustAfter(t, r.Harness, "acme", 0, cronSlow.With("long"))
			r.Advance(35 * time.Second)
			for _, s := range r.log("acme", "ten") {
				if job := r.Jobs("acme", storage.StatePending); s.Outcome == storage.SlotFired {
					for i := range job {
						undone[s.From] = undone[s.From] || job[i].ID == s.Job
					}
				}
			}
		})
		n := 0
		for _, s := range r.log("acme", "ten") {
			if undone[s.From] {
				if n++; s.Outcome != storage.SlotUndone || s.Job != "" {
					t.Errorf("the clock was set back before it began: %+v", s)
				}
			}
		}
		if n < 3 {
			t.Fatalf("%d ticks were claimed and had not begun", n)
		}
		r.Advance(30 * time.Minute)
		counts := r.slotCounts("acme", "ten")
		for at, waited := range undone {
			if waited && counts[at] != 1 {
				t.Errorf("slot %v took effect %d times", at, counts[at])
			}
		}
	})
}

// G15: what runs while the clock is put right, and is cut off later, goes on.
func TestG15_WhatRunsWhileTheClockIsPutRightGoesOn(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second, IdleAfter: time.Second}, func(r *cronHarness) {
		r.create("acme", dispatch.Trigger{Name: "daily", Schedule: cron.Expr("0 0 * * *"), Call: cronSlow.With("d")})
		r.ask(func() { r.takes = func(beat) time.Duration { return time.Hour } })
		var id storage.JobID
		r.wrongFor(30*24*time.Hour, 0, false, func() {
			id = mustAfter(t, r.Harness, "acme", time.Second, cronSlow.With("relative"))
			r.Advance(10 * time.Second)
		})
		if n := len(r.Jobs("acme", storage.StateRunning)); n != 2 {
			t.Fatalf("%d jobs run", n)
		}
		r.Advance(10 * time.Second)
		r.ask(func() { r.takes = nil })
		r.Crash()
		r.Advance(10 * time.Second)
		job := r.Job("acme", id)
		if job.State != storage.StateSuccess || job.Attempts != 2 || job.EnqueuedAt.After(r.Now()) {
			t.Errorf("the job is %s after %d attempts, due at %v, enqueued at %v, and now is %v", job.State, job.Attempts, job.Due, job.EnqueuedAt, r.Now())
		}
		if beats := r.beats("acme", "daily"); len(beats) != 2 || beats[0].Attempt != 2 { // the first one was in the future
			t.Errorf("of the tick that was cut off there is %+v", beats)
		}
	})
}

// G15: what a clock that was behind has made due is not claimed before it was put right.
func TestG15_NothingIsClaimedBeforeItIsPutRight(t *testing.T) {
	withCrons(t, actors.Options{ClockCheck: time.Second}, func(r *cronHarness) {
		r.Advance(time.Minute)
		var id storage.JobID
		r.wrongFor(-time.Hour, time.Minute, false, func() {
			id = mustAfter(t, r.Harness, "acme", 10*time.Minute, cronBeat.With("x"))
		})
		r.Advance(8 * time.Minute)
		if job := r.Job("acme", id); job.State != storage.StatePending {
			t.Errorf("after nine of ten minutes the job is %s, begun at %v", job.State, job.StartedAt)
		}
		r.Advance(time.Minute)
		if job := r.Job("acme", id); job.State != storage.StateSuccess {
			t.Errorf("after ten minutes the job is %s, due at %v", job.State, job.Due)
		}
	})
}

// G15, G38: what was held in a wrong future is put right when it is released: what is
// relative runs at once, what is absolute at its instant.
func TestG15_WhatWasHeldInAWrongFutureIsPutRightWhenItIsReleased(t *testing.T) {
	for name, wait := range map[string]time.Duration{"put right long before": time.Minute, "put right then": 0} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{ClockCheck: time.Second, Logger: quiet}, func(r *cronHarness) {
				r.StepClock(10 * year)
				r.Engine.Clock()
				instant := r.Now().Add(5 * time.Second)
				relative := mustAfter(t, r.Harness, "acme", 5*time.Second, cronBeat.With("relative"))
				absolute, err := r.Scheduler("acme").RunAt(instant, cronBeat.With("absolute"))
				r.must(err)
				without := newKit()
				r.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
				r.Advance(time.Minute)
				if held := r.heldJobs("acme"); len(held) != 2 {
					t.Fatalf("held are %+v", held)
				}
				r.StepClock(-10 * year)
				r.Advance(wait)
				r.back()
				r.Advance(10 * time.Second)
				if job := r.Job("acme", relative); job.State != storage.StateSuccess || job.Due.After(r.Now()) {
					t.Errorf("the relative job is %s, due %v, it is %v", job.State, job.Due, r.Now())
				}
				if job := r.Job("acme", absolute); job.State != storage.StatePending || !job.Due.Equal(instant) {
					t.Errorf("the absolute job is %s, due %v, want %v", job.State, job.Due, instant)
				}
			})
		})
	}
}
