package actors_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// reasons are why slots of the trigger are as they are, for those that say so.
func (r *cronHarness) reasons(app storage.AppID, name string) (reasons []string) {
	r.t.Helper()
	for _, s := range r.log(app, name) {
		if s.Reason != "" {
			reasons = append(reasons, s.Reason)
		}
	}
	return reasons
}

// A tick that waits for its retry counts as running: later ticks of its trigger are
// skipped, queued, or replace it, and no slot runs after a later one has, over a
// restart too. Other triggers tick on.
func TestG19_AFailingTickHoldsUpLaterTicksOfItsTriggerOnly(t *testing.T) {
	const retry, replaced = "overlap: retry of 2000-01-01T00:00:10Z", "overlap: replaced by the tick of 2000-01-01T00:00:20Z"
	// The tick of 10 s fails then and at 22 s, and succeeds at 46 s.
	for _, tt := range []struct {
		overlap  storage.Overlap
		ran      []string
		outcomes []string
		reasons  []string
	}{
		{
			storage.OverlapSkip,
			[]string{"10s", "50s", "1m0s"},
			[]string{"fired 10s", "skipped 20s", "skipped 30s", "skipped 40s", "fired 50s", "fired 1m0s"},
			[]string{retry, retry, retry},
		},
		{
			storage.OverlapQueue,
			[]string{"10s", "20s", "50s", "1m0s"},
			[]string{"fired 10s", "fired 20s", "skipped 30s-40s", "fired 50s", "fired 1m0s"},
			[]string{"overlap: a tick was waiting already"},
		},
		{
			storage.OverlapReplace,
			[]string{"20s", "30s", "40s", "50s", "1m0s"},
			[]string{"fired 10s", "fired 20s", "fired 30s", "fired 40s", "fired 50s", "fired 1m0s"},
			[]string{replaced},
		},
		{
			storage.OverlapAllow,
			[]string{"20s", "30s", "40s", "10s", "50s", "1m0s"},
			[]string{"fired 10s", "fired 20s", "fired 30s", "fired 40s", "fired 50s", "fired 1m0s"},
			nil,
		},
	} {
		for _, restart := range []string{"", "restart", "crash"} {
			t.Run(string(tt.overlap)+" "+restart, func(t *testing.T) {
				withCrons(t, actors.Options{IdleAfter: time.Second}, func(r *cronHarness) {
					begin := r.Now()
					r.fails = func(b beat) error {
						if b.Trigger == "ten" && b.Slot.Sub(begin) == 10*time.Second && b.Attempt < 3 {
							return errFlaky
						}
						return nil
					}
					def := everyTen(cronFlaky.With("w"), tt.overlap)
					def.Retry = &dispatch.RetryPolicy{MaxAttempts: 6, Base: 12 * time.Second}
					r.create("acme", def)
					def.Name = "other"
					r.create("acme", def)
					r.Advance(23 * time.Second)
					switch restart {
					case "restart":
						r.Restart()
					case "crash":
						r.Crash()
					}
					r.Advance(38 * time.Second)
					r.wantOutcomes("acme", "ten", begin, tt.outcomes...)
					r.wantRan("acme", "ten", begin, tt.ran...)
					if got := r.reasons("acme", "ten"); !slices.Equal(got, tt.reasons) {
						t.Errorf("reasons %q, want %q", got, tt.reasons)
					}
					r.wantRan("acme", "other", begin, "10s", "20s", "30s", "40s", "50s", "1m0s")
					want := storage.StateSuccess
					if tt.overlap == storage.OverlapReplace {
						want = storage.StateCanceled
					}
					if job := r.Job("acme", storage.TickID("ten", begin.Add(10*time.Second))); job.State != want {
						t.Errorf("the tick that failed is %s, want %s", job.State, want)
					}
				})
			})
		}
	}
}

// A retry that is canceled, dropped with its definition, or of a deleted trigger
// holds nothing up.
func TestG19_ARetryThatWillNotComeHoldsUpNoTick(t *testing.T) {
	for _, how := range []string{"cancel", "update", "delete"} {
		t.Run(how, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.fails = func(b beat) error {
					if b.Word == "w" && b.Slot.Sub(begin) == 10*time.Second {
						return errFlaky
					}
					return nil
				}
				def := everyTen(cronFlaky.With("w"), storage.OverlapQueue)
				def.Retry = &dispatch.RetryPolicy{MaxAttempts: 6, Base: 5 * time.Minute}
				r.create("acme", def)
				r.Advance(25 * time.Second)
				changed := def
				changed.Call = cronFlaky.With("w2")
				crons, want := r.crons("acme"), []string{"30s", "40s"}
				switch how {
				case "cancel":
					answer, err := r.Scheduler("acme").Cancel(storage.TickID("ten", begin.Add(10*time.Second)))
					if err != nil || !answer.Canceled {
						t.Errorf("cancel: %+v, %v", answer, err)
					}
					want = []string{"20s", "30s", "40s"}
				case "update":
					r.must(crons.Update(changed))
				case "delete":
					r.must(crons.Delete("ten"))
					r.create("acme", changed)
				}
				r.Advance(20 * time.Second)
				r.wantRan("acme", "ten", begin, want...)
				r.Advance(10 * time.Minute)
				if n := r.beats("acme", "ten"); len(n) < 60 {
					t.Errorf("%d ticks ran in ten minutes", len(n))
				}
			})
		})
	}
}

// Of late ticks that are caught up, none begins while an older one waits for its
// retry; the tick that replaces it replaces them all.
func TestG22_CaughtUpTicksWaitForARetry(t *testing.T) {
	for overlap, want := range map[storage.Overlap][]string{
		storage.OverlapSkip:    {"10s", "20s", "30s", "50s"},
		storage.OverlapQueue:   {"10s", "20s", "30s", "40s", "50s"},
		storage.OverlapReplace: {"40s", "50s"},
		storage.OverlapAllow:   {"20s", "30s", "40s", "10s", "50s"},
	} {
		t.Run(string(overlap), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.fails = func(b beat) error {
					if b.Slot.Sub(begin) == 10*time.Second && b.Attempt == 1 {
						return errFlaky
					}
					return nil
				}
				def := everyTen(cronFlaky.With("w"), overlap)
				def.CatchUp.Mode = storage.CatchUpAll
				def.Retry = &dispatch.RetryPolicy{MaxAttempts: 6, Base: 10 * time.Second}
				r.create("acme", def)
				r.down(35 * time.Second) // 10, 20 and 30 s are late; the retry is at 45 s
				r.Advance(16 * time.Second)
				r.wantRan("acme", "ten", begin, want...)
				for _, s := range r.log("acme", "ten") {
					if overlap == storage.OverlapReplace && s.Outcome == storage.SlotSkipped && !strings.HasPrefix(s.Reason, "overlap: replaced by the tick of ") {
						t.Errorf("%+v", s)
					}
				}
			})
		})
	}
}

// A slot that replace has taken the run of is in the log as what became of it:
// fired if its attempt had begun, skipped if it had not, and says so.
func TestG19_AReplacedSlotSaysWhetherItHadBegun(t *testing.T) {
	withCrons(t, actors.Options{AppConcurrency: 1}, func(r *cronHarness) {
		begin := r.Now()
		r.takes = func(b beat) time.Duration {
			if b.Word == "long" {
				return 45 * time.Second
			}
			return time.Hour
		}
		r.create("acme", dispatch.Trigger{Name: "long", Schedule: cron.Expr("5 0 0 * * *"), Call: cronSlow.With("long")}) // from 5 s to 50 s
		r.create("acme", everyTen(cronSlow.With("w"), storage.OverlapReplace))
		r.Advance(75 * time.Second)
		r.wantOutcomes("acme", "ten", begin, "skipped 10s", "skipped 20s", "skipped 30s", "skipped 40s", "fired 50s", "fired 1m0s", "fired 1m10s")
		for _, s := range r.log("acme", "ten") {
			by := "overlap: replaced by the tick of " + s.From.Add(10*time.Second).Format(time.RFC3339)
			if s.From.Sub(begin) == 70*time.Second {
				by = ""
			}
			if s.Reason != by || (s.Job == "") != (s.Outcome == storage.SlotSkipped) {
				t.Errorf("%+v, want the reason %q", s, by)
			}
		}
		r.must(r.crons("acme").Pause("ten", ""))
		if _, err := r.Scheduler("acme").Cancel(storage.TickID("ten", begin.Add(70*time.Second))); err != nil {
			t.Error(err)
		}
	})
}

// A tick without a policy of its trigger or its function is tried again only if
// that begins before the next slot of its trigger.
func TestG19_ByDefaultATickIsRetriedBeforeTheNextSlotOnly(t *testing.T) {
	own := dispatch.DefaultRetry()
	for _, tt := range []struct {
		spec     string
		retry    *dispatch.RetryPolicy
		attempts int
	}{
		{"@every 10s", nil, 1},
		{"@every 30s", nil, 1}, // the retry, 30 s later, would begin with the next slot
		{"@every 30001ms", nil, 2},
		{"@every 90s", nil, 2},
		{"@every 90001ms", nil, 3}, // 30 s and 1 min later
		{"@every 1h", nil, 6},
		{"@every 10s", &own, 6},
	} {
		t.Run(tt.spec, func(t *testing.T) {
			withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
				r.fails = func(b beat) error { return errFlaky }
				r.create("acme", dispatch.Trigger{Name: "t", Schedule: cron.Expr(tt.spec), Call: cronFlaky.With("w"), Overlap: storage.OverlapAllow, Retry: tt.retry})
				first := r.info("acme", "t").NextJob
				r.AdvanceTo(r.info("acme", "t").Next.Add(20 * time.Minute))
				if job := r.Job("acme", first); job.State != storage.StateFailed || job.Attempts != tt.attempts {
					t.Errorf("%s after %d attempts, want %d", job.State, job.Attempts, tt.attempts)
				}
			})
		})
	}
}

// A retry that is canceled since its trigger goes on without it is the last end that the trigger
// tells of: one that the next tick replaces, and one that an edit drops when it is claimed, or
// while it is held.
func TestG20_ACanceledRetryIsTheLastEndOfItsTrigger(t *testing.T) {
	for name, end := range map[string]func(r *cronHarness, def dispatch.Trigger){
		"replaced": func(r *cronHarness, _ dispatch.Trigger) { r.Advance(8 * time.Second) },
		"edited while it is claimed": func(r *cronHarness, def dispatch.Trigger) {
			r.Advance(5*time.Second - 20*time.Millisecond)
			def.Schedule = cron.Expr("*/7 * * * * *")
			r.must(r.crons("acme").Update(def))
		},
		"edited while it is held": func(r *cronHarness, def dispatch.Trigger) {
			r.Reconfigure(func(o *actors.Options) {
				o.Functions = r.functions()
				o.Functions.Without(cronFlaky.Path())
			})
			r.Advance(8 * time.Second)
			def.Schedule = cron.Expr("*/7 * * * * *")
			r.must(r.crons("acme").Update(def))
		},
	} {
		t.Run(name, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				r.fails = func(beat) error { return dispatch.Errorf(dispatch.CodeUnavailable, "down") }
				def := everyTen(cronFlaky.With("w"), storage.OverlapReplace)
				def.Retry = &dispatch.RetryPolicy{MaxAttempts: 5, Base: 7 * time.Second}
				if name == "replaced" {
					def.Retry.Base = time.Hour
				}
				r.create("acme", def)
				r.Advance(12 * time.Second)
				tick := r.log("acme", "ten")[0].Job
				end(r, def)
				if job := r.Job("acme", tick); job.State != storage.StateCanceled {
					t.Fatalf("the tick is %s", job.State)
				}
				if info := r.info("acme", "ten"); info.LastJob != tick || info.LastState != storage.StateCanceled || info.LastError == nil {
					t.Errorf("the last end is that of job %q: %s, %+v", info.LastJob, info.LastState, info.LastError)
				}
			})
		})
	}
}
