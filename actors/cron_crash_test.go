package actors_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// commitStep says at which commits the engine dies: at each, or, since each takes an engine of
// its own and several times as long under the race detector, at every third. Which of three is
// first differs between cases.
func commitStep() int {
	if storagetest.All() {
		return 1
	}
	return 3
}

// The engine dies just before, or just after, each commit around three ticks,
// and comes back at once: every slot took effect exactly once, and no trigger
// was behind or ahead of its tick (Check, which the harness asks at every open).
func TestG20_CrashAtEveryCommitAroundTicks(t *testing.T) {
	step := commitStep()
	for i, overlap := range []storage.Overlap{storage.OverlapSkip, storage.OverlapQueue, storage.OverlapAllow, storage.OverlapReplace} {
		points := 0
		for j, point := range []string{"commit", "committed"} {
			for n := 1 + (i+j)%step; ; n += step {
				reached := false
				withCrons(t, actors.Options{}, func(r *cronHarness) {
					begin := r.Now()
					r.create("acme", everyTen(cronBeat.With("x"), overlap))
					reached = r.CrashAt(point, n, func() { r.Advance(35 * time.Second) })
					r.must(r.Engine.Check())
					r.AdvanceTo(begin.Add(35 * time.Second))
					what := fmt.Sprintf("overlap %s, %s %d", overlap, point, n)
					seen := map[time.Duration]int{}
					for _, b := range r.beats("acme", "ten") {
						seen[b.Slot.Sub(begin)]++
					}
					r.checkCoverage("acme", "ten", begin)
					for _, s := range r.log("acme", "ten") {
						if s.Outcome != storage.SlotFired || seen[s.From.Sub(begin)] != 1 {
							t.Errorf("%s: %+v ran %d times", what, s, seen[s.From.Sub(begin)])
						}
					}
					if len(seen) != 3 {
						t.Errorf("%s: ran %v", what, seen)
					}
				})
				if !reached {
					break
				}
				points++
			}
		}
		if points*step < 12 {
			t.Errorf("%s: crashed at %d points, want claim and completion of three ticks, before and after", overlap, points)
		}
	}
}

// The same around every edit: each is wholly there or wholly not.
func TestG20_CrashAtEveryCommitAroundEdits(t *testing.T) {
	step := commitStep()
	for name, edit := range map[string]func(dispatch.Crons) error{
		"create": func(c dispatch.Crons) error {
			return c.Create(dispatch.Trigger{Name: "other", Schedule: cron.Expr("* * * * * *"), Call: cronBeat.With("o")})
		},
		"update": func(c dispatch.Crons) error { return c.Update(everyTen(cronBeat.With("new"), "")) },
		"pause":  func(c dispatch.Crons) error { return c.Pause("ten", "p") },
		"delete": func(c dispatch.Crons) error { return c.Delete("ten") },
		"runnow": func(c dispatch.Crons) error { _, err := c.RunNow("ten"); return err },
	} {
		for j, point := range []string{"commit", "committed"} {
			for n := 1 + (len(name)+j)%step; ; n += step {
				reached := false
				withCrons(t, actors.Options{}, func(r *cronHarness) {
					begin := r.Now()
					r.create("acme", everyTen(cronBeat.With("old"), ""))
					r.Advance(9950 * time.Millisecond) // the tick is claimed
					var err error
					reached = r.CrashAt(point, n, func() {
						err = edit(r.crons("acme"))
						r.Advance(10 * time.Second)
					})
					r.AdvanceTo(begin.Add(31 * time.Second))
					r.must(r.Engine.Check())
					words := map[string]int{}
					for _, b := range r.beats("acme", "ten") {
						words[b.Word]++
					}
					what := fmt.Sprintf("%s at %s %d answered %v: %v", name, point, n, err, words)
					switch {
					case name == "update" && err == nil && (words["old"] > 0 || words["new"] != 3),
						name == "update" && words["old"]+words["new"] < 2,
						(name == "pause" || name == "delete") && err == nil && words["old"] > 0,
						name == "runnow" && err == nil && words["old"] != 4,
						name == "create" && words["old"] != 3:
						t.Error(what)
					}
				})
				if !reached {
					break
				}
			}
		}
	}
}

// A commit that fails, and is known or not known to have failed, loses and
// doubles no slot.
func TestG19_FailingCommitsAroundTicks(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; n <= 8; n++ {
			passed := 0
			var armed atomic.Bool
			fault := func(at string) error {
				if !armed.Load() || at != point {
					return nil
				}
				if passed++; passed == n {
					return errors.New("disk on fire")
				}
				return nil
			}
			withCrons(t, actors.Options{Testing: actors.Testing{Fault: fault}}, func(r *cronHarness) {
				begin := r.Now()
				r.create("acme", everyTen(cronBeat.With("x"), ""))
				r.Settle()
				armed.Store(true)
				r.Advance(45 * time.Second)
				r.checkCoverage("acme", "ten", begin)
				r.wantRan("acme", "ten", begin, "10s", "20s", "30s", "40s")
				r.must(r.Engine.Check())
				armed.Store(false)
			})
		}
	}
}
