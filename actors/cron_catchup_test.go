package actors_test

import (
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// down has the engine dead for d.
func (r *cronHarness) down(d time.Duration) {
	r.t.Helper()
	r.Kill()
	time.Sleep(d)
	r.Open()
}

func TestG22_CatchUpPolicies(t *testing.T) {
	all := func(limit int, window time.Duration) storage.CatchUp {
		return storage.CatchUp{Mode: storage.CatchUpAll, Limit: limit, Window: window}
	}
	// Slots are every ten seconds. 10 s has run; the engine is dead from 15 s until
	// 95 s, so that 20 s to 90 s were not run; 90 s is just 5 s late.
	for _, tt := range []struct {
		policy   storage.CatchUp
		down     time.Duration
		ran      []string
		outcomes []string
	}{
		{storage.CatchUp{}, 80 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{storage.CatchUp{Mode: storage.CatchUpOne}, 83 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{storage.CatchUp{Mode: storage.CatchUpNone}, 80 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{storage.CatchUp{Mode: storage.CatchUpNone}, 80*time.Second + time.Millisecond, nil, []string{"fired 10s", "skipped 20s-1m30s"}},
		{storage.CatchUp{Mode: storage.CatchUpNone}, 10 * time.Second, []string{"20s"}, []string{"fired 10s", "fired 20s"}},
		{storage.CatchUp{Mode: storage.CatchUpNone}, 10*time.Second + time.Millisecond, nil, []string{"fired 10s", "skipped 20s"}},
		{storage.CatchUp{Mode: storage.CatchUpOne}, 10*time.Second + time.Millisecond, []string{"20s"}, []string{"fired 10s", "fired 20s"}},
		{storage.CatchUp{Window: 8 * time.Second}, 83 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{storage.CatchUp{Window: 8*time.Second - time.Millisecond}, 83 * time.Second, nil, []string{"fired 10s", "skipped 20s-1m30s"}},
		{all(8, 0), 80 * time.Second, []string{"20s", "30s", "40s", "50s", "1m0s", "1m10s", "1m20s", "1m30s"}, []string{"fired 10s", "fired 20s", "fired 30s", "fired 40s", "fired 50s", "fired 1m0s", "fired 1m10s", "fired 1m20s", "fired 1m30s"}},
		{all(7, 0), 80 * time.Second, []string{"30s", "40s", "50s", "1m0s", "1m10s", "1m20s", "1m30s"}, []string{"fired 10s", "skipped 20s", "fired 30s", "fired 40s", "fired 50s", "fired 1m0s", "fired 1m10s", "fired 1m20s", "fired 1m30s"}},
		{all(1, 0), 80 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{all(0, 25*time.Second), 80 * time.Second, []string{"1m10s", "1m20s", "1m30s"}, []string{"fired 10s", "skipped 20s-1m0s", "fired 1m10s", "fired 1m20s", "fired 1m30s"}},
		{all(0, 25*time.Second-time.Millisecond), 80 * time.Second, []string{"1m20s", "1m30s"}, []string{"fired 10s", "skipped 20s-1m10s", "fired 1m20s", "fired 1m30s"}},
		{all(1, 25*time.Second), 80 * time.Second, []string{"1m30s"}, []string{"fired 10s", "skipped 20s-1m20s", "fired 1m30s"}},
		{all(3, time.Second), 83 * time.Second, nil, []string{"fired 10s", "skipped 20s-1m30s"}},
	} {
		t.Run(fmt.Sprintf("%v after %v", tt.policy, tt.down), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				def := everyTen(cronBeat.With("w"), "")
				def.CatchUp = tt.policy
				r.create("acme", def)
				r.Advance(15 * time.Second)
				r.down(tt.down)
				r.Settle()
				r.wantRan("acme", "ten", begin, append([]string{"10s"}, tt.ran...)...)
				r.wantOutcomes("acme", "ten", begin, tt.outcomes...)
				for _, s := range r.log("acme", "ten") {
					if n := int(s.To.Sub(s.From)/(10*time.Second)) + 1; s.Count != n || s.Outcome == storage.SlotSkipped && s.Reason == "" {
						t.Errorf("%+v, want %d slots and a reason", s, n)
					}
				}
				// It goes on as if nothing had been.
				r.AdvanceTo(begin.Add(120 * time.Second))
				if got := r.info("acme", "ten").Next.Sub(begin); got != 130*time.Second {
					t.Errorf("next is %v", got)
				}
			})
		})
	}
}

// A slot that is less than 5 s late is not missed, whatever has come due after it.
func TestG22_ShortStallsMissNothing(t *testing.T) {
	for _, mode := range []storage.CatchUpMode{storage.CatchUpOne, storage.CatchUpNone} {
		t.Run(string(mode), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				r.create("acme", dispatch.Trigger{
					Name: "second", Schedule: cron.Expr("* * * * * *"), Call: cronBeat.With("w"),
					Overlap: storage.OverlapAllow, CatchUp: storage.CatchUp{Mode: mode},
				})
				r.Advance(1500 * time.Millisecond)
				r.down(3 * time.Second) // until 4.5 s: 2 s is 2.5 s late
				r.Settle()
				r.wantRan("acme", "second", begin, "1s", "2s", "3s", "4s")
				r.wantOutcomes("acme", "second", begin, "fired 1s", "fired 2s", "fired 3s", "fired 4s")
			})
		})
	}
}

// All that are caught up run one after the other unless they may overlap.
func TestG22_CaughtUpTicksDoNotOverlap(t *testing.T) {
	for overlap, most := range map[storage.Overlap]int{storage.OverlapSkip: 1, storage.OverlapQueue: 1, storage.OverlapAllow: 6} {
		t.Run(string(overlap), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				r.takes = func(beat) time.Duration { return 100 * time.Millisecond }
				def := everyTen(cronSlow.With("w"), overlap)
				def.CatchUp.Mode = storage.CatchUpAll
				r.create("acme", def)
				r.down(65 * time.Second)
				r.Advance(2 * time.Second)
				if n := len(r.beats("acme", "ten")); n != 6 || r.most != most {
					t.Errorf("%d ran, %d at once, want 6 and %d", n, r.most, most)
				}
			})
		})
	}
}

// A tick that was claimed, and whose claim a shutdown took back, is missed like
// any other if the engine stays down.
func TestG22_ATickWhoseClaimWasTakenBackIsCaughtUpByThePolicy(t *testing.T) {
	for mode, want := range map[storage.CatchUpMode][]string{
		storage.CatchUpNone: nil,
		storage.CatchUpOne:  {"1m30s"},
		storage.CatchUpAll:  {"10s", "20s", "30s", "40s", "50s", "1m0s", "1m10s", "1m20s", "1m30s"},
	} {
		t.Run(string(mode), func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				begin := r.Now()
				def := everyTen(cronBeat.With("w"), "")
				def.CatchUp.Mode = mode
				r.create("acme", def)
				r.Advance(9950 * time.Millisecond) // the tick of 10 s is claimed
				r.must(r.Engine.Close(r.t.Context()))
				time.Sleep(90 * time.Second) // 99.95 s
				r.Open()
				r.Settle()
				r.wantRan("acme", "ten", begin, want...)
			})
		})
	}
}

func TestG22_HugeSpansAreCaughtUpAtOnce(t *testing.T) {
	for _, spec := range []string{"* * * * * *", "@every 1s", "* * * * 1 *", "0 0 29 2 *"} {
		t.Run(spec, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				r.create("acme", dispatch.Trigger{Name: "x", Schedule: cron.Expr(spec), Call: cronBeat.With("w"), CatchUp: storage.CatchUp{Mode: storage.CatchUpAll, Limit: 20}})
				r.Kill()
				r.StepClock(10*365*24*time.Hour + 60*24*time.Hour) // until the end of February 2010
				real := cronCPU(t)
				r.Open()
				r.Settle()
				if took := cronCPU(t) - real; took > 20*time.Second {
					t.Errorf("that took %v", took)
				}
				if n := len(r.beats("acme", "x")); n > 20 || spec != "0 0 29 2 *" && n != 20 {
					t.Errorf("%d ticks were caught up", n)
				}
			})
		})
	}
}

func TestG22_JitterIsDeterministicBoundedAndSpread(t *testing.T) {
	const apps, bound = 200, 20 * time.Second
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		delays := map[storage.AppID]time.Duration{}
		buckets := map[int]int{}
		for i := range apps {
			app := storage.AppID(fmt.Sprintf("app-%d", i))
			def := dispatch.Trigger{Name: "nightly", Schedule: cron.Expr("*/1 * * * *"), Call: cronBeat.With("w"), Jitter: bound}
			r.create(app, def)
		}
		r.Advance(100 * time.Second)
		for i := range apps {
			app := storage.AppID(fmt.Sprintf("app-%d", i))
			beats := r.beats(app, "nightly")
			if len(beats) != 1 {
				t.Fatalf("app %s ran %d times", app, len(beats))
			}
			d := beats[0].At.Sub(beats[0].Slot)
			if d < 0 || d > bound || beats[0].Slot.Sub(begin) != time.Minute {
				t.Errorf("app %s: slot %v ran %v late", app, beats[0].Slot, d)
			}
			delays[app] = d
			buckets[int(d/time.Second)]++
		}
		for s := range 20 {
			if n := buckets[s]; n < 2 || n > 22 { // 10 on the average
				t.Errorf("%d apps of %d run in second %d of 20", n, apps, s)
			}
		}
		r.Restart()
		r.Advance(60 * time.Second)
		for i := 0; i < apps; i += 97 {
			app := storage.AppID(fmt.Sprintf("app-%d", i))
			beats := r.beats(app, "nightly")
			if len(beats) != 2 || beats[1].At.Sub(beats[1].Slot) != delays[app] {
				t.Errorf("app %s: ran %v, the first time %v late", app, beats, delays[app])
			}
		}
	})
}

// G22: what is shown of the ticks to come is the slot and the instant of the run,
// which the jitter puts off: they run then, and not at their slots.
func TestG22_NextShowsTheSlotAndTheRun(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		for _, jitter := range []time.Duration{0, 20 * time.Second} {
			app := storage.AppID(fmt.Sprint("app-", jitter))
			r.create(app, dispatch.Trigger{Name: "m", Schedule: cron.Expr("* * * * *"), Call: cronBeat.With("w"), Jitter: jitter})
			next := r.info(app, "m").Upcoming
			if len(next) != 3 {
				t.Fatalf("%d ticks are to come", len(next))
			}
			delay := next[0].At.Sub(next[0].Slot)
			if delay < 0 || delay > jitter || jitter > 0 && delay == 0 {
				t.Errorf("jitter of %v: it is to run %v after its slot", jitter, delay)
			}
			for i, u := range next {
				if !u.Slot.Equal(begin.Add(time.Duration(i+1)*time.Minute)) || u.At.Sub(u.Slot) != delay {
					t.Errorf("jitter of %v: tick %d to come is %+v", jitter, i, u)
				}
			}
			if due := r.Job(app, r.info(app, "m").NextJob).Due; !due.Equal(next[0].At) {
				t.Errorf("jitter of %v: shown is %v, and the tick is due %v", jitter, next[0].At, due)
			}
		}
	})
}
