package actors_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// Every edit at every moment around a slot: no run of the old definition begins
// once the edit is acknowledged, and the slot is accounted for.
func TestG22_NoRunOfTheOldSpecAfterAnEdit(t *testing.T) {
	edits := map[string]func(r *cronHarness) error{
		"update": func(r *cronHarness) error { return r.crons("acme").Update(everyTen(cronBeat.With("new"), "")) },
		"respec": func(r *cronHarness) error {
			return r.crons("acme").Update(dispatch.Trigger{Name: "ten", Schedule: cron.Expr("5/10 * * * * *"), Call: cronBeat.With("new")})
		},
		"delete": func(r *cronHarness) error { return r.crons("acme").Delete("ten") },
		"pause":  func(r *cronHarness) error { return r.crons("acme").Pause("ten", "edit") },
		"remake": func(r *cronHarness) error {
			if err := r.crons("acme").Delete("ten"); err != nil {
				return err
			}
			return r.crons("acme").Create(everyTen(cronBeat.With("new"), ""))
		},
		"redeclare": func(r *cronHarness) error {
			r.declare(declaredTen("new"))
			return nil
		},
		"undeclare": func(r *cronHarness) error {
			r.declare(declaredTen("old"))
			r.declare()
			return nil
		},
	}
	for name, edit := range edits {
		for _, at := range []time.Duration{9 * time.Second, 9899 * time.Millisecond, 9900 * time.Millisecond, 9950 * time.Millisecond, 9999 * time.Millisecond, 10 * time.Second} {
			t.Run(fmt.Sprintf("%s at %v", name, at), func(t *testing.T) {
				withCrons(t, actors.Options{}, func(r *cronHarness) {
					begin := r.Now()
					r.create("acme", everyTen(cronBeat.With("old"), ""))
					r.Advance(at)
					before := len(r.beats("acme", "ten"))
					r.must(edit(r))
					r.AdvanceTo(begin.Add(31 * time.Second))
					words := r.words("acme", "ten")
					if len(words) < before || slices.Contains(words[before:], "old") {
						t.Errorf("ran %q, %d of them before the edit", words, before)
					}
					switch name {
					case "update", "remake", "redeclare":
						// At most the slot at hand may be skipped, and only once it has come.
						if want := 3; len(words) != want && !(name == "redeclare" && len(words) == 2 && at > 9899*time.Millisecond) {
							t.Errorf("ran %q, want %d", words, want)
						}
					case "respec":
						if len(words) != before+2 {
							t.Errorf("ran %q", words)
						}
					}
					for _, job := range r.Jobs("acme", storage.StatePending) {
						if string(job.Args) == `"old"` {
							t.Errorf("still pending: %+v", job)
						}
					}
				})
			})
		}
	}
}

// What is caught up and waits its turn is of the old definition, too; and so
// are the retries of a tick that has failed.
func TestG22_NoCaughtUpTickAndNoRetryOfTheOldSpec(t *testing.T) {
	for name, edit := range map[string]func(r *cronHarness) error{
		"update": func(r *cronHarness) error { return r.crons("acme").Update(everyTen(cronFlaky.With("new"), "")) },
		"delete": func(r *cronHarness) error { return r.crons("acme").Delete("ten") },
		"pause":  func(r *cronHarness) error { return r.crons("acme").Pause("ten", "edit") },
	} {
		t.Run("caught up, "+name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(beat) time.Duration { return time.Second }
				def := everyTen(cronSlow.With("old"), "")
				def.CatchUp.Mode = storage.CatchUpAll
				r.create("acme", def)
				r.down(65 * time.Second) // 10 s to 60 s are caught up, one a second
				r.Advance(1500 * time.Millisecond)
				r.must(edit(r))
				r.Advance(60 * time.Second)
				old := 0
				for _, w := range r.words("acme", "ten") {
					if w == "old" {
						old++
					}
				}
				if old != 2 {
					t.Errorf("%d runs of the old definition, want the 2 that had begun", old)
				}
				if name != "delete" {
					r.checkCoverage("acme", "ten", begin)
				}
			})
		})
		t.Run("retry, "+name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				r.fails = func(b beat) error {
					if b.Word == "old" && b.Attempt == 1 {
						return errFlaky
					}
					return nil
				}
				def := everyTen(cronFlaky.With("old"), "")
				def.Retry = &dispatch.RetryPolicy{Base: 30 * time.Second}
				r.create("acme", def)
				r.Advance(15 * time.Second)
				r.must(edit(r))
				r.Advance(50 * time.Second)
				words := r.words("acme", "ten")
				// A pause stops slots, not the work on one that was begun.
				if slices.Contains(words, "old") != (name == "pause") {
					t.Errorf("ran %q", words)
				}
			})
		})
	}
}

// checkCoverage verifies that the slot log of a trigger that comes every ten
// seconds has every slot once, up to the decided one.
func (r *cronHarness) checkCoverage(app storage.AppID, name string, begin time.Time) {
	r.t.Helper()
	want := begin.Add(10 * time.Second)
	for _, s := range r.log(app, name) {
		if !s.From.Equal(want) {
			r.t.Errorf("the slot %v is followed by %+v", want.Sub(begin), s)
		}
		want = s.To.Add(10 * time.Second)
	}
}

func TestG19_CancelOfTicks(t *testing.T) {
	for _, at := range []time.Duration{5 * time.Second, 9950 * time.Millisecond} {
		t.Run(at.String(), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.create("acme", everyTen(cronBeat.With("x"), ""))
				id := r.info("acme", "ten").NextJob
				r.Advance(at)
				answer, err := r.Scheduler("acme").Cancel(id)
				r.must(err)
				if !answer.Canceled || answer.Found != storage.StatePending {
					t.Errorf("%+v", answer)
				}
				r.Advance(25 * time.Second)
				r.AdvanceTo(begin.Add(35 * time.Second))
				r.wantRan("acme", "ten", begin, "20s", "30s")
				r.wantOutcomes("acme", "ten", begin, "canceled 10s", "fired 20s", "fired 30s")
			})
		})
	}
}

// A mutation that cancels a tick and edits its trigger gets both: no tick
// without a trigger, and no trigger without its tick.
func TestG20_CancelAndEditInOneMutation(t *testing.T) {
	for name, edit := range map[string]func(c dispatch.Crons) error{
		"update": func(c dispatch.Crons) error { return c.Update(everyTen(cronBeat.With("new"), "")) },
		"pause":  func(c dispatch.Crons) error { return c.Pause("ten", "") },
		"delete": func(c dispatch.Crons) error { return c.Delete("ten") },
		"remake": func(c dispatch.Crons) error {
			if err := c.Delete("ten"); err != nil {
				return err
			}
			return c.Create(everyTen(cronBeat.With("new"), ""))
		},
		"toggle": func(c dispatch.Crons) error {
			if err := c.Pause("ten", ""); err != nil {
				return err
			}
			return c.Resume("ten")
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.create("acme", everyTen(cronBeat.With("old"), ""))
				r.inside = func(ctx *dispatch.MutationCtx) error {
					info, _, err := ctx.Scheduler.Crons().Get("ten")
					if err != nil {
						return err
					}
					if _, err := ctx.Scheduler.Cancel(info.NextJob); err != nil {
						return err
					}
					return edit(ctx.Scheduler.Crons())
				}
				_, err := cronInside.Run(r.Caller("acme"), "")
				r.must(err)
				r.must(r.Engine.Check())
				want := map[bool]int{true: 1}[name != "pause" && name != "delete"]
				if jobs := r.Jobs("acme", storage.StatePending); len(jobs) != want {
					t.Errorf("%d pending ticks, want %d: %+v", len(jobs), want, jobs)
				}
				r.Advance(21 * time.Second)
				if got := r.ran("acme", "ten", begin); slices.Contains(got, "10s") && name != "remake" {
					t.Errorf("the canceled slot was run: %q", got)
				}
			})
		})
	}
}

// Slots of a pause are those of the definition they fell into.
func TestG19_EditWhilePaused(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.create("acme", everyTen(cronBeat.With("x"), ""))
		r.Advance(15 * time.Second)
		r.must(r.crons("acme").Pause("ten", "p"))
		r.Advance(20 * time.Second) // 35 s
		r.must(r.crons("acme").Update(dispatch.Trigger{Name: "ten", Schedule: cron.Expr("* * * * * *"), Call: cronBeat.With("x")}))
		r.Advance(3 * time.Second) // 38 s
		r.must(r.crons("acme").Resume("ten"))
		r.Advance(1500 * time.Millisecond)
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "skipped 20s-30s", "skipped 36s-38s", "fired 39s")
	})
}

// A trigger has no slots from before it was made, though the clock be stepped
// back to there.
func TestG19_NoSlotIsBeforeTheMakingOfItsTrigger(t *testing.T) {
	for name, wind := range map[string]func(r *cronHarness) error{
		"resumed": func(r *cronHarness) error { return r.crons("acme").Resume("ten") },
		"changed": func(r *cronHarness) error { return r.crons("acme").Update(everyTen(cronBeat.With("y"), "")) },
	} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				r.StepClock(24 * time.Hour) // so that the clock can be stepped back
				begin := r.Now()
				def := everyTen(cronBeat.With("x"), "")
				def.Paused = name == "resumed"
				r.create("acme", def)
				r.StepClock(-time.Minute)
				r.must(wind(r))
				r.Advance(70 * time.Second)
				r.wantOutcomes("acme", "ten", begin, "fired 10s")
				r.wantRan("acme", "ten", begin, "10s")
			})
		})
	}
}

// G19: a trigger that is the first thing of its app goes on when its tick is
// canceled, though the wall was set back since.
func TestG19_ACanceledTickOfAnAppsFirstTrigger(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		r.create("acme", everyTen(cronBeat.With("w"), storage.OverlapAllow))
		r.StepClock(-10 * 365 * 24 * time.Hour)
		r.Engine.Clock() // the step is noticed
		r.Advance(0)
		for range 2 { // the second one was enqueued "before" the trigger was made
			before := r.info("acme", "ten")
			if _, err := r.Scheduler("acme").Cancel(before.NextJob); err != nil {
				t.Fatal(err)
			}
			if after := r.info("acme", "ten"); !after.Next.After(before.Next) {
				t.Errorf("the next slot was %v, and is %v", before.Next, after.Next)
			}
		}
	})
}
