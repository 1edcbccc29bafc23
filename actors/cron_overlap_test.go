package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// everyTen is a trigger that comes every ten seconds, on the ten.
func everyTen(call dispatch.Call, overlap storage.Overlap) dispatch.Trigger {
	return dispatch.Trigger{Name: "ten", Schedule: cron.Expr("*/10 * * * * *"), Call: call, Overlap: overlap}
}

func TestG19_OverlapPolicies(t *testing.T) {
	// The first tick, of 10 s, runs until 35 s; the others end at once. Ticks that
	// come due meanwhile are those of 20 s and 30 s.
	for _, tt := range []struct {
		overlap  storage.Overlap
		ran      []string
		outcomes []string
		canceled int
		atOnce   int
	}{
		{"", []string{"10s", "40s"}, []string{"fired 10s", "skipped 20s", "skipped 30s", "fired 40s"}, 0, 1},
		{storage.OverlapSkip, []string{"10s", "40s"}, []string{"fired 10s", "skipped 20s", "skipped 30s", "fired 40s"}, 0, 1},
		{storage.OverlapQueue, []string{"10s", "20s", "40s"}, []string{"fired 10s", "fired 20s", "skipped 30s", "fired 40s"}, 0, 1},
		{storage.OverlapAllow, []string{"10s", "20s", "30s", "40s"}, []string{"fired 10s", "fired 20s", "fired 30s", "fired 40s"}, 0, 2},
		{storage.OverlapReplace, []string{"10s", "20s", "30s", "40s"}, []string{"fired 10s", "fired 20s", "fired 30s", "fired 40s"}, 1, 2},
	} {
		t.Run(string("overlap "+tt.overlap), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(b beat) time.Duration {
					if b.Slot.Sub(begin) == 10*time.Second {
						return 25 * time.Second
					}
					return 0
				}
				r.create("acme", everyTen(cronSlow.With("w"), tt.overlap))
				r.Advance(45 * time.Second)
				r.wantOutcomes("acme", "ten", begin, tt.outcomes...)
				r.wantRan("acme", "ten", begin, tt.ran...)
				if len(r.canceled) != tt.canceled {
					t.Errorf("%d runs had their context canceled, want %d", len(r.canceled), tt.canceled)
				}
				for _, s := range r.log("acme", "ten") {
					if s.Outcome == storage.SlotSkipped && s.Reason == "" {
						t.Errorf("skipped without a reason: %+v", s)
					}
				}
				if r.most > tt.atOnce {
					t.Errorf("%d ran at once", r.most)
				}
				info := r.info("acme", "ten")
				if got := info.Next.Sub(begin); got != 50*time.Second {
					t.Errorf("next is %v", got)
				}
			})
		})
	}
}

// A tick that waits for its predecessor runs when that ends, not at the next
// slot, and only one waits.
func TestG19_QueuedTickRunsWhenItsPredecessorEnds(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(b beat) time.Duration { return 33 * time.Second }
		r.create("acme", everyTen(cronSlow.With("w"), storage.OverlapQueue))
		r.Advance(120 * time.Second)
		// 10 s runs until 43 s, then 20 s until 76 s; 50 s waits from then on, until 109 s.
		r.wantOutcomes("acme", "ten", begin, "fired 10s", "fired 20s", "skipped 30s-40s", "fired 50s", "skipped 1m0s-1m10s", "fired 1m20s", "skipped 1m30s-1m40s")
		for i, want := range []time.Duration{10 * time.Second, 43 * time.Second, 76 * time.Second, 109 * time.Second} {
			if got := r.beats("acme", "ten")[i].At.Sub(begin); got != want {
				t.Errorf("run %d began at %v, want %v", i, got, want)
			}
		}
	})
}

// Replacing cancels the one that runs for good: it is not tried again.
func TestG19_AReplacedTickStaysCanceled(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(beat) time.Duration { return time.Hour }
		r.create("acme", everyTen(cronSlow.With("w"), storage.OverlapReplace))
		r.Advance(35 * time.Second)
		r.wantRan("acme", "ten", begin, "10s", "20s", "30s")
		for _, b := range r.beats("acme", "ten")[:2] {
			if job := r.Job("acme", storage.JobID(b.Job)); job.State != storage.StateCanceled {
				t.Errorf("the tick of %v is %s", b.Slot.Sub(begin), job.State)
			}
		}
		r.ask(func() { r.takes = nil })
		r.must(r.crons("acme").Pause("ten", "enough"))
	})
}

// A run by hand is no tick: a slot that comes meanwhile is not lost by it.
func TestG19_RunNowEatsNoSlot(t *testing.T) {
	for _, overlap := range []storage.Overlap{storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace} {
		t.Run(string(overlap), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.takes = func(b beat) time.Duration {
					if b.Slot.IsZero() {
						return 7 * time.Second
					}
					return 0
				}
				r.create("acme", everyTen(cronSlow.With("w"), overlap))
				r.Advance(5 * time.Second)
				next := r.info("acme", "ten").Next
				id, err := r.crons("acme").RunNow("ten")
				r.must(err)
				if got := r.info("acme", "ten").Next; !got.Equal(next) {
					t.Errorf("run now moved the next slot from %v to %v", next, got)
				}
				r.Advance(20 * time.Second)
				r.wantOutcomes("acme", "ten", begin, "fired 10s", "fired 20s")
				want := storage.StateSuccess
				if overlap == storage.OverlapReplace {
					want = storage.StateCanceled
				}
				if job := r.Job("acme", id); job.State != want {
					t.Errorf("run by hand is %s, want %s", job.State, want)
				}
			})
		})
	}
}

// A tick that had its effect before a crash is in the log as fired, though the
// wall was stepped back before its instant and the trigger is paused then.
func TestG19_ATickThatACrashCutOffIsNotSkippedByAPause(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(b beat) time.Duration {
			if b.Attempt == 1 {
				return time.Hour
			}
			return 0
		}
		r.create("acme", everyTen(cronSlow.With("w"), ""))
		r.Advance(10 * time.Second)
		r.Kill()
		r.StepClock(-time.Second)
		r.Open()
		r.must(r.crons("acme").Pause("ten", "enough"))
		r.Advance(time.Minute)
		r.wantOutcomes("acme", "ten", begin, "fired 10s")
		r.wantRan("acme", "ten", begin, "10s", "10s")
	})
}
