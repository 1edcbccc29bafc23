package actors_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// backfill asks for the slots in [from, to) since begin.
func (r *cronHarness) backfill(begin time.Time, from, to time.Duration, change func(*dispatch.Backfill)) storage.Backfill {
	r.t.Helper()
	of := dispatch.Backfill{From: begin.Add(from), To: begin.Add(to)}
	if change != nil {
		change(&of)
	}
	b, err := r.crons("acme").Backfill("ten", of)
	r.must(err)
	return b
}

// wantBackfill verifies what the trigger says of its backfill.
func (r *cronHarness) wantBackfill(slots, begun int, outcome storage.BackfillOutcome) {
	r.t.Helper()
	b := r.info("acme", "ten").Backfill
	if b == nil || b.Slots != slots || b.Begun != begun || b.Outcome != outcome || b.EndedAt.IsZero() == (outcome != "") {
		r.t.Errorf("the backfill is %+v, want %d slots, %d begun, %q", b, slots, begun, outcome)
	}
}

func again(of *dispatch.Backfill) { of.Again = true }

// G19: a backfill runs each slot of its span once, the oldest first, also those from before
// the trigger was made, and each as the tick of its slot. Those that have run it passes over.
func TestG19_ABackfillRunsEachOfItsSlotsOnce(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.create("acme", everyTen(cronBeat.With("x"), ""))
		r.Advance(15 * time.Second)
		r.backfill(begin, -30*time.Second, 15*time.Second, func(of *dispatch.Backfill) { of.Reason = "the import" })
		r.Settle()
		past := []string{"10s", "-30s", "-20s", "-10s", "0s"}
		r.wantRan("acme", "ten", begin, past...)
		if t.Failed() {
			return
		}
		r.wantBackfill(5, 4, storage.BackfillDone)
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "fired -30s", "fired -20s", "fired -10s", "fired 0s")
		for _, b := range r.beats("acme", "ten")[1:] {
			if storage.JobID(b.Job) != storage.TickID("ten", b.Slot) || b.Slot.Sub(b.Prev) != 10*time.Second {
				t.Errorf("a tick of the backfill says %+v", b)
			}
		}
		if s := r.log("acme", "ten")[1]; s.Reason != "backfill: the import" || s.Job != storage.TickID("ten", s.From) {
			t.Errorf("the log says %+v", s)
		}
		// What the trigger says of its own ticks is as it was, and so is its next one.
		r.Advance(10 * time.Second)
		past = append(past, "20s")
		r.wantRan("acme", "ten", begin, past...)
		if t.Failed() {
			return
		}
		if prev := r.beats("acme", "ten")[5].Prev.Sub(begin); prev != 10*time.Second {
			t.Errorf("the tick after it has its last success at %v", prev)
		}
		// Asked for again it has nothing to do,
		r.backfill(begin, -30*time.Second, 25*time.Second, nil)
		r.Settle()
		r.wantRan("acme", "ten", begin, past...)
		r.wantBackfill(6, 0, storage.BackfillDone)
		// unless all are to run once more: under other ids, as peers would know the old ones.
		r.backfill(begin, -30*time.Second, 25*time.Second, again)
		r.Settle()
		r.wantRan("acme", "ten", begin, append(past, "-30s", "-20s", "-10s", "0s", "10s", "20s")...)
		r.wantBackfill(6, 6, storage.BackfillDone)
		ids := map[string]bool{}
		for _, b := range r.beats("acme", "ten") {
			ids[b.Job] = true
		}
		if len(ids) != 12 {
			t.Errorf("12 runs of %d jobs", len(ids))
		}
		r.Restart()
		r.Advance(10 * time.Second)
		r.wantRan("acme", "ten", begin, append(past, "-30s", "-20s", "-10s", "0s", "10s", "20s", "30s")...)
	})
}

// G19: slots that were missed run, and those beside them that have fired, or were canceled, do not.
func TestG19_ABackfillRunsWhatWasMissed(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		def := everyTen(cronBeat.With("x"), "")
		def.CatchUp.Mode = storage.CatchUpNone
		r.create("acme", def)
		r.Advance(15 * time.Second)
		r.down(41 * time.Second) // until 56 s: 20 s to 50 s are missed
		r.Settle()
		if _, err := r.Scheduler("acme").Cancel(r.info("acme", "ten").NextJob); err != nil {
			t.Fatal(err)
		}
		r.AdvanceTo(begin.Add(75 * time.Second))
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "skipped 20s-50s", "canceled 1m0s", "fired 1m10s")
		r.backfill(begin, 0, 75*time.Second, nil)
		r.Settle()
		r.wantRan("acme", "ten", begin, "10s", "1m10s", "0s", "20s", "30s", "40s", "50s")
		r.wantBackfill(8, 5, storage.BackfillDone)
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "skipped 20s-50s", "canceled 1m0s", "fired 1m10s",
			"fired 0s", "fired 20s", "fired 30s", "fired 40s", "fired 50s")
	})
}

// G19: the ticks of a backfill run one after another, and no slot to come is skipped for one:
// it waits for the one that runs and is before the next.
func TestG19_ABackfillComesAfterTheSlotsToCome(t *testing.T) {
	for overlap, most := range map[storage.Overlap]int{storage.OverlapSkip: 1, storage.OverlapQueue: 1, storage.OverlapAllow: 2} {
		t.Run(string(overlap), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(b beat) time.Duration {
					if b.Slot.After(begin) {
						return time.Second
					}
					return 6 * time.Second
				}
				r.create("acme", everyTen(cronSlow.With("x"), overlap))
				r.Advance(5 * time.Second)
				r.backfill(begin, -50*time.Second, 0, nil)
				r.AdvanceTo(begin.Add(55 * time.Second))
				r.wantBackfill(5, 5, storage.BackfillDone)
				past, live := []string{}, []string{}
				for _, slot := range r.ran("acme", "ten", begin) {
					if strings.HasPrefix(slot, "-") {
						past = append(past, slot)
					} else {
						live = append(live, slot)
					}
				}
				if !slices.Equal(past, []string{"-50s", "-40s", "-30s", "-20s", "-10s"}) || !slices.Equal(live, []string{"10s", "20s", "30s", "40s", "50s"}) {
					t.Errorf("ran %q and %q", past, live)
				}
				if r.most != most {
					t.Errorf("%d ran at once, want %d", r.most, most)
				}
			})
		})
	}
}

// G19: a tick of a backfill that fails is tried again by the policy, and the next slot waits
// for that; when its attempts are spent the backfill goes on.
func TestG19_ABackfillWaitsForARetry(t *testing.T) {
	for _, overlap := range []storage.Overlap{storage.OverlapSkip, storage.OverlapAllow} {
		t.Run(string(overlap), func(t *testing.T) {
			withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
				begin := r.Now()
				r.fails = func(b beat) error {
					if b.Slot.Equal(begin.Add(-20 * time.Second)) {
						return errFlaky
					}
					return nil
				}
				def := everyTen(cronFlaky.With("x"), overlap)
				def.Retry = &dispatch.RetryPolicy{MaxAttempts: 2, Base: 12 * time.Second}
				r.create("acme", def)
				r.Advance(5 * time.Second)
				r.backfill(begin, -30*time.Second, 0, nil)
				r.AdvanceTo(begin.Add(16 * time.Second))
				r.wantBackfill(3, 2, "")
				r.wantRan("acme", "ten", begin, "-30s", "10s") // which waits for no retry of it
				if job := r.Job("acme", r.info("acme", "ten").Backfill.Job); job.Wait != storage.WaitPredecessor {
					t.Errorf("the next one waits for %q", job.Wait)
				}
				r.Advance(2 * time.Second)
				r.wantBackfill(3, 3, storage.BackfillDone)
				r.wantRan("acme", "ten", begin, "-30s", "10s", "-10s")
			})
		})
	}
}

// G22: what a pause, an edit, a cancel or the end of the trigger does to a backfill.
func TestG22_ABackfillFollowsItsTrigger(t *testing.T) {
	slots := []string{"-50s", "-40s", "-30s", "-20s", "-10s"}
	for _, tt := range []struct {
		name    string
		change  func(r *cronHarness) error
		further int // runs of the definition of then, after the first two
		outcome storage.BackfillOutcome
		words   string
	}{
		{"pause", func(r *cronHarness) error { return r.crons("acme").Pause("ten", "why") }, 0, "", "old"},
		{"pause and resume", func(r *cronHarness) error {
			r.must(r.crons("acme").Pause("ten", "why"))
			r.Restart()
			r.wantBackfill(5, 2, "")
			return r.crons("acme").Resume("ten")
		}, 3, storage.BackfillDone, "old"},
		{"other arguments", func(r *cronHarness) error {
			return r.crons("acme").Update(everyTen(cronSlow.With("new"), storage.OverlapAllow))
		}, 3, storage.BackfillDone, "new"},
		{"other slots", func(r *cronHarness) error {
			def := everyTen(cronSlow.With("new"), storage.OverlapAllow)
			def.Schedule = cron.Expr("*/5 * * * * *")
			return r.crons("acme").Update(def)
		}, 0, storage.BackfillChanged, "new"},
		{"cancel", func(r *cronHarness) error {
			canceled, err := r.crons("acme").CancelBackfill("ten")
			if again, _ := r.crons("acme").CancelBackfill("ten"); !canceled || again {
				return fmt.Errorf("canceled %t, and again %t", canceled, again)
			}
			return err
		}, 0, storage.BackfillCanceled, "old"},
		{"delete", func(r *cronHarness) error { return r.crons("acme").Delete("ten") }, 0, "", ""},
		{"its tick is canceled", func(r *cronHarness) error {
			_, err := r.Scheduler("acme").Cancel(r.info("acme", "ten").Backfill.Job)
			return err
		}, 2, storage.BackfillDone, "old"},
		{"what is pending is canceled", func(r *cronHarness) error {
			n, err := r.Scheduler("acme").CancelMany(storage.JobFilter{Trigger: "ten", States: []storage.State{storage.StatePending}})
			if n != 2 {
				r.t.Errorf("%d were canceled, want the next tick of the trigger and that of the backfill", n)
			}
			return err
		}, 2, storage.BackfillDone, "old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(b beat) time.Duration {
					if b.Slot.Before(begin) {
						return time.Second
					}
					return 0
				}
				r.create("acme", everyTen(cronSlow.With("old"), storage.OverlapAllow))
				r.Advance(5 * time.Second)
				r.backfill(begin, -50*time.Second, 0, nil)
				r.Advance(1500 * time.Millisecond) // the second one runs
				r.must(tt.change(r))
				r.Advance(30 * time.Second)
				var past []string
				for i, b := range r.beats("acme", "ten") {
					if b.Slot.After(begin) {
						continue
					}
					past = append(past, b.Slot.Sub(begin).String())
					if i >= 2 && b.Word != tt.words {
						t.Errorf("%+v ran, want the definition %q", b, tt.words)
					}
				}
				want := slices.Concat(slots[:2], slots[5-tt.further:])
				if tt.name == "pause and resume" { // what was cut off by the restart is run again
					past = slices.Compact(past)
				}
				if !slices.Equal(past, want) {
					t.Errorf("ran %q, want %q", past, want)
				}
				if tt.name == "delete" {
					if jobs := r.Jobs("acme", storage.StatePending); len(jobs) > 0 {
						t.Errorf("pending are %+v", jobs)
					}
					return
				}
				r.wantBackfill(5, 2+tt.further, tt.outcome)
			})
		})
	}
}

// G20: the engine dies just before, or just after, each commit of a backfill: each of its
// slots took effect exactly once, and so did those of the trigger.
func TestG20_CrashAtEveryCommitOfABackfill(t *testing.T) {
	points := 0
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			reached := false
			withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
				begin := r.Now()
				r.create("acme", everyTen(cronBeat.With("x"), ""))
				r.Advance(9500 * time.Millisecond)
				var err error
				reached = r.CrashAt(point, n, func() {
					_, err = r.crons("acme").Backfill("ten", dispatch.Backfill{From: begin.Add(-20 * time.Second), To: begin})
					r.Advance(2 * time.Second)
				})
				r.must(r.Engine.Check())
				r.AdvanceTo(begin.Add(15 * time.Second))
				ran := r.ran("acme", "ten", begin)
				slices.Sort(ran)
				if want := []string{"-10s", "-20s", "10s"}; !slices.Equal(ran, want) && (err == nil || len(ran) > 1) {
					t.Errorf("%s %d: answered %v, ran %q", point, n, err, ran)
				}
			})
			if !reached {
				break
			}
			points++
		}
	}
	if points < 6 {
		t.Errorf("crashed at %d points", points)
	}
}

// G19, G35: a claim that is taken back before its tick has begun costs no slot: at a close, at
// a pause of the trigger and of the app.
func TestG19_ABackfillComesBackToWhatWasNotBegun(t *testing.T) {
	for name, change := range map[string]func(r *cronHarness){
		"restart": func(r *cronHarness) { r.Restart() },
		"crash":   func(r *cronHarness) { r.Crash() },
		"pause": func(r *cronHarness) {
			r.must(r.crons("acme").Pause("ten", "why"))
			r.wantBackfill(3, 0, "")
			r.must(r.crons("acme").Resume("ten"))
		},
		"update": func(r *cronHarness) {
			r.must(r.crons("acme").Update(everyTen(cronBeat.With("new"), "")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{AppConcurrency: 1, Logger: quiet}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(beat) time.Duration { return 3 * time.Second }
				r.create("acme", everyTen(cronBeat.With("x"), ""))
				_, err := r.Scheduler("acme").RunAfter(0, cronSlow.With("keeps the only permit"))
				r.must(err)
				r.Settle()
				r.backfill(begin, -30*time.Second, 0, nil)
				r.Advance(time.Second)
				r.wantBackfill(3, 1, "") // it is claimed, and waits for the permit
				change(r)
				r.AdvanceTo(begin.Add(9 * time.Second))
				r.wantRan("acme", "ten", begin, "-30s", "-20s", "-10s")
				r.wantBackfill(3, 3, storage.BackfillDone)
				r.wantOutcomes("acme", "ten", begin, "fired -30s", "fired -20s", "fired -10s")
			})
		})
	}
}

// G38: a backfill waits for a tick of it that this program cannot run, and is no reason to
// skip a slot of the trigger.
func TestG38_ABackfillWaitsForItsHeldTick(t *testing.T) {
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		begin := r.Now()
		r.create("acme", everyTen(cronBeat.With("x"), ""))
		r.must(r.crons("acme").Pause("ten", "why"))
		r.backfill(begin, -30*time.Second, 0, nil)
		r.Settle()
		r.must(r.Engine.Check())
		without := newKit()
		r.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		r.must(r.crons("acme").Resume("ten"))
		r.Advance(15 * time.Second)
		b := r.info("acme", "ten").Backfill
		if held := r.heldJobs("acme"); len(held) != 2 || b.Held != b.Job || b.Begun != 0 || r.info("acme", "ten").HeldJob == b.Held {
			t.Errorf("held are %+v, says the backfill %+v", held, b)
		}
		r.Crash()
		r.back()
		r.Settle()
		r.wantRan("acme", "ten", begin, "10s", "-30s", "-20s", "-10s")
		r.wantBackfill(3, 3, storage.BackfillDone)
	})
}

// G19: a clock that was ahead leaves no slot to a backfill that is yet to come, and none runs
// twice for it.
func TestG19_ABackfillAndAClockThatIsSetBack(t *testing.T) {
	withCrons(t, actors.Options{AppConcurrency: 1}, func(r *cronHarness) {
		begin := r.Now()
		def := everyTen(cronBeat.With("x"), "")
		def.CatchUp.Mode = storage.CatchUpNone
		r.takes = func(beat) time.Duration { return time.Minute }
		r.create("acme", def)
		_, err := r.Scheduler("acme").RunAfter(0, cronSlow.With("keeps the only permit"))
		r.must(err)
		r.Advance(5 * time.Second)
		r.StepClock(time.Hour)
		r.Engine.Clock()
		r.Advance(time.Second)
		r.backfill(begin, 30*time.Minute, 30*time.Minute+30*time.Second, nil)
		r.Advance(time.Second)
		r.StepClock(-time.Hour)
		r.Engine.Clock()
		r.AdvanceTo(begin.Add(31 * time.Minute))
		seen := map[time.Time]int{}
		for _, b := range r.beats("acme", "ten") {
			if seen[b.Slot]++; b.At.Before(b.Slot) || seen[b.Slot] > 1 {
				t.Errorf("%+v ran early, or twice", b)
			}
		}
		for at := 30 * time.Minute; at < 31*time.Minute; at += 10 * time.Second {
			if seen[begin.Add(at)] != 1 {
				t.Errorf("the slot of %v ran %d times", at, seen[begin.Add(at)])
			}
		}
	})
}

// G18: a backfill that is refused says why, and changes nothing.
func TestG18_ABackfillHasBounds(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		r.StepClock(365 * 24 * time.Hour)
		r.Engine.Clock()
		begin := r.Now()
		def := dispatch.Trigger{Name: "ten", Schedule: cron.Expr("0 * * * *"), Call: cronBeat.With("x")}
		r.create("acme", def)
		span := func(from, to time.Duration) dispatch.Backfill {
			return dispatch.Backfill{From: begin.Add(from), To: begin.Add(to)}
		}
		long := span(-2*time.Hour, 0)
		long.Reason = strings.Repeat("x", storage.MaxPauseReason+1)
		badText := span(-2*time.Hour, 0)
		badText.Reason = "\xff"
		for _, tt := range []struct {
			name string
			of   dispatch.Backfill
			want dispatch.Code
			text string
		}{
			{"ten", span(-(storage.MaxBackfill+1)*time.Hour, 0), dispatch.CodeResourceExhausted, "10000"},
			{"ten", span(-2*time.Hour, time.Millisecond), dispatch.CodeInvalidArgument, "after now"},
			{"ten", span(-time.Minute, -time.Second), dispatch.CodeInvalidArgument, "no slot"},
			{"ten", span(0, -time.Hour), dispatch.CodeInvalidArgument, "no slot"},
			{"ten", dispatch.Backfill{}, dispatch.CodeInvalidArgument, "1970"},
			{"ten", long, dispatch.CodeInvalidArgument, "1024"},
			{"ten", badText, dispatch.CodeInvalidArgument, "UTF-8"},
			{"eleven", span(-2*time.Hour, 0), dispatch.CodeNotFound, "eleven"},
		} {
			if _, err := r.crons("acme").Backfill(tt.name, tt.of); cronCode(err) != tt.want || !strings.Contains(fmt.Sprint(err), tt.text) {
				t.Errorf("%q: %v, want %s", tt.text, err, tt.want)
			}
		}
		if b := r.info("acme", "ten").Backfill; b != nil {
			t.Errorf("there is %+v", b)
		}
		r.must(r.crons("acme").Pause("ten", "why")) // not all of them need to run
		r.backfill(begin, -storage.MaxBackfill*time.Hour, 0, nil)
		r.wantBackfill(storage.MaxBackfill, 0, "")
		if _, err := r.crons("acme").Backfill("ten", span(-2*time.Hour, 0)); cronCode(err) != dispatch.CodeAlreadyExists {
			t.Errorf("a second one: %v", err)
		}
		r.wantBackfill(storage.MaxBackfill, 0, "")
		r.declare(dispatch.Trigger{Name: "start", AtStart: true, Call: cronBeat.With("s"), Apps: []storage.AppID{"acme"}})
		if _, err := r.crons("acme").Backfill("start", span(-2*time.Hour, 0)); cronCode(err) != dispatch.CodeFailedPrecondition {
			t.Errorf("of a start: %v", err)
		}
		// It is part of its mutation, and undone with it.
		r.create("acme", everyTen2())
		r.inside = func(ctx *dispatch.MutationCtx) error {
			_, err := ctx.Scheduler.Crons().Backfill("other", span(-time.Hour, 0))
			return errors.Join(err, errFlaky)
		}
		if _, err := r.Scheduler("acme").RunAfter(0, cronInside.With(""), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1})); err != nil {
			t.Fatal(err)
		}
		r.Settle()
		if b := r.info("acme", "other").Backfill; b != nil {
			t.Errorf("a mutation that failed has left %+v", b)
		}
	})
}

func everyTen2() dispatch.Trigger {
	def := everyTen(cronBeat.With("x"), "")
	def.Name = "other"
	return def
}
