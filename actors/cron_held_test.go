package actors_test

import (
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/dispatch"
	"carillon/storage"
)

// withHeldTick has a trigger at ten seconds that this harness's program made, and then opens a
// program that has no function for it, for a while.
func withHeldTick(t *testing.T, change func(*dispatch.Trigger), test func(r *cronHarness, begin time.Time)) {
	t.Helper()
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		begin := r.Now()
		def := everyTen(cronBeat.With("x"), "")
		if change != nil {
			change(&def)
		}
		r.create("acme", def)
		r.Advance(15 * time.Second)
		without := newKit()
		r.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		test(r, begin)
	})
}

// back opens the program that has the function.
func (r *cronHarness) back() {
	r.t.Helper()
	r.Reconfigure(func(o *actors.Options) { o.Functions = r.functions() })
}

// heldJobs are the held jobs of the app.
func (r *cronHarness) heldJobs(app storage.AppID) []storage.Job {
	r.t.Helper()
	return r.Jobs(app, storage.StateHeld)
}

// G38, G19: a trigger whose function is not here keeps one held tick; its further slots
// are skipped with the reason, each accounted for once, and when the function is back
// that one tick runs and the trigger goes on.
func TestG38_ATriggerKeepsOneHeldTick(t *testing.T) {
	for name, overlap := range map[string]storage.Overlap{"skip": storage.OverlapSkip, "queue": storage.OverlapQueue, "allow": storage.OverlapAllow, "replace": storage.OverlapReplace} {
		t.Run(name, func(t *testing.T) {
			withHeldTick(t, func(def *dispatch.Trigger) { def.Overlap = overlap }, func(r *cronHarness, begin time.Time) {
				r.AdvanceTo(begin.Add(65 * time.Second))
				held := r.heldJobs("acme")
				if len(held) != 1 || !held[0].Slot.Equal(begin.Add(20*time.Second)) || held[0].Attempts != 0 {
					t.Fatalf("held are %+v", held)
				}
				r.Crash()
				r.AdvanceTo(begin.Add(75 * time.Second))
				want := []string{"fired 10s", "fired 20s", "skipped 30s", "skipped 40s", "skipped 50s", "skipped 1m0s", "skipped 1m10s"}
				r.back()
				r.wantOutcomes("acme", "ten", begin, want...)
				for _, slot := range r.log("acme", "ten")[1:] {
					if !strings.Contains(slot.Reason, "held") || !strings.Contains(slot.Reason, `no function "cron:beat"`) {
						t.Errorf("a slot says %q", slot.Reason)
					}
				}
				r.AdvanceTo(begin.Add(95 * time.Second))
				r.wantOutcomes("acme", "ten", begin, append(want, "fired 1m20s", "fired 1m30s")...)
				r.wantRan("acme", "ten", begin, "10s", "20s", "1m20s", "1m30s")
				if held := r.heldJobs("acme"); len(held) > 0 || r.info("acme", "ten").HeldJob != "" {
					t.Errorf("held are %+v, says the trigger %q", held, r.info("acme", "ten").HeldJob)
				}
			})
		})
	}
}

// G38: slots that passed while nothing ran go through the catch-up policy, before and
// after the one that is held.
func TestG38_HeldTicksAndCatchUp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		catchUp storage.CatchUp
		held    string
		ran     []string
	}{
		// Nothing runs from 20 s to 61 s, then a program without the function, then one with it.
		{"none", storage.CatchUp{Mode: storage.CatchUpNone}, "1m0s", []string{"10s", "2m10s"}},
		{"one", storage.CatchUp{Mode: storage.CatchUpOne}, "1m0s", []string{"10s", "1m0s", "2m10s"}},
		{"all", storage.CatchUp{Mode: storage.CatchUpAll, Limit: 3}, "40s", []string{"10s", "40s", "2m10s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
				begin := r.Now()
				def := everyTen(cronBeat.With("x"), "")
				def.CatchUp = tt.catchUp
				r.create("acme", def)
				r.Advance(15 * time.Second)
				r.Reconfigure(func(o *actors.Options) {
					time.Sleep(46 * time.Second)
					o.Functions = newKit().reg
				})
				r.AdvanceTo(begin.Add(125 * time.Second))
				held := r.heldJobs("acme")
				if len(held) != 1 || held[0].Slot.Sub(begin).String() != tt.held {
					t.Fatalf("held are %+v, want the tick of %s", held, tt.held)
				}
				r.back()
				r.AdvanceTo(begin.Add(135 * time.Second))
				r.wantRan("acme", "ten", begin, tt.ran...)
				// Every slot is in the log once.
				seen := map[time.Time]int{}
				for _, slot := range r.log("acme", "ten") {
					for at := slot.From; !at.After(slot.To); at = at.Add(10 * time.Second) {
						seen[at]++
					}
				}
				for at := begin.Add(10 * time.Second); !at.After(r.Now()); at = at.Add(10 * time.Second) {
					if seen[at] != 1 {
						t.Errorf("slot %v is %d times in the log: %q", at.Sub(begin), seen[at], r.outcomes("acme", "ten", begin))
					}
				}
			})
		})
	}
}

// G38, G22: what a person does to a trigger, or to its held tick, ends the hold.
func TestG38_EditsEndAHold(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(r *cronHarness, held storage.JobID) error
		last string // how the held tick's slot is in the log then; "": the trigger is gone
	}{
		"delete": {func(r *cronHarness, _ storage.JobID) error { return r.crons("acme").Delete("ten") }, ""},
		"update": {func(r *cronHarness, _ storage.JobID) error {
			return r.crons("acme").Update(everyTen(addEntry.With("new"), ""))
		}, "skipped"},
		"cancel": {func(r *cronHarness, id storage.JobID) error {
			_, err := r.Scheduler("acme").Cancel(id)
			return err
		}, "canceled"},
		"drop": {func(r *cronHarness, id storage.JobID) error {
			_, err := r.Scheduler("acme").DropDead(id)
			return err
		}, "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			withHeldTick(t, nil, func(r *cronHarness, begin time.Time) {
				r.AdvanceTo(begin.Add(45 * time.Second))
				id := r.heldJobs("acme")[0].ID
				r.must(tt.edit(r, id))
				r.AdvanceTo(begin.Add(48 * time.Second))
				if held := r.heldJobs("acme"); len(held) > 0 {
					t.Errorf("held are %+v", held)
				}
				if tt.last == "" {
					return
				}
				if got := r.outcomes("acme", "ten", begin)[1]; got != tt.last+" 20s" {
					t.Errorf("the held tick's slot is in the log as %q, want %s", got, tt.last)
				}
				// Another one is held, or the new definition runs.
				r.AdvanceTo(begin.Add(65 * time.Second))
				if held := r.heldJobs("acme"); name != "update" && (len(held) != 1 || !held[0].Slot.Equal(begin.Add(50*time.Second))) {
					t.Errorf("then held are %+v", held)
				}
				r.back()
			})
		})
	}
}

// G38: a paused trigger keeps its held tick.
func TestG38_PauseKeepsTheHeldTick(t *testing.T) {
	withHeldTick(t, nil, func(r *cronHarness, begin time.Time) {
		r.AdvanceTo(begin.Add(25 * time.Second))
		r.must(r.crons("acme").Pause("ten", "why"))
		if held := r.heldJobs("acme"); len(held) != 1 {
			t.Errorf("held are %+v", held)
		}
		r.AdvanceTo(begin.Add(45 * time.Second))
		r.must(r.crons("acme").Resume("ten"))
		r.AdvanceTo(begin.Add(55 * time.Second))
		r.back()
		r.AdvanceTo(begin.Add(65 * time.Second))
		r.wantRan("acme", "ten", begin, "10s", "20s", "1m0s")
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "fired 20s", "skipped 30s-40s", "skipped 50s", "fired 1m0s")
	})
}
