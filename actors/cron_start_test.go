package actors_test

import (
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

// atStart is a trigger that ticks when the program starts.
func atStart(call dispatch.Call, overlap storage.Overlap) dispatch.Trigger {
	return dispatch.Trigger{Name: "boot", AtStart: true, Call: call, Overlap: overlap, Apps: []storage.AppID{"acme"}}
}

// wantStarts demands how the starts ended, the oldest first, each as its outcome and
// what its reason begins with.
func (r *cronHarness) wantStarts(want ...string) {
	r.t.Helper()
	r.Settle()
	var got []string
	for i, s := range r.log("acme", "boot") {
		line := strings.TrimSpace(string(s.Outcome) + " " + s.Reason)
		if i < len(want) && strings.HasPrefix(line, want[i]) {
			line = want[i]
		}
		got = append(got, line)
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("the starts ended as\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A trigger AtStart ticks once in each process, in an app that nothing else wakes,
// and not when its app goes to sleep and is woken again.
func TestG19_ATriggerAtStartTicksOnceInAProcess(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		begin := r.Now()
		r.declare(atStart(cronBeat.With("w"), ""))
		r.wantRan("acme", "boot", begin, "0s")
		for i, again := range []func(){r.Restart, r.Crash, r.Restart} {
			r.Advance(time.Hour)
			if !r.Inspect("acme").Asleep {
				t.Error("the app is awake: nothing tells the waker's work from its own")
			}
			again()
			r.Settle()
			if n := len(r.beats("acme", "boot")); n != i+2 {
				t.Errorf("after start %d it has ticked %d times", i+2, n)
			}
		}
		r.wantRan("acme", "boot", begin, "0s", "1h0m0s", "2h0m0s", "3h0m0s")
		r.wantStarts("fired", "fired", "fired", "fired")
		info := r.info("acme", "boot")
		if !info.Next.IsZero() || len(info.Upcoming) != 0 || info.Description != "when the program starts" || info.LastState != storage.StateSuccess {
			t.Errorf("shown as %+v", info)
		}
		ids := map[string]bool{}
		for _, b := range r.beats("acme", "boot") {
			if ids[b.Job] = true; !strings.HasPrefix(b.Job, "cron:boot:start:") {
				t.Errorf("a tick has the id %s", b.Job)
			}
		}
		if len(ids) != 4 {
			t.Errorf("ids %v", ids)
		}
		_, err := r.crons("acme").RunNow("boot")
		r.must(err)
		r.Settle()
		if n := len(r.beats("acme", "boot")); n != 5 {
			t.Errorf("run by hand: %d beats", n)
		}
	})
}

// Two starts at one instant of the clock, and one after the clock was set back, are
// three slots.
func TestG19_EachStartIsASlot(t *testing.T) {
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		r.declare(atStart(cronBeat.With("w"), ""))
		r.Settle()
		r.Crash()
		r.Settle()
		r.StepClock(-time.Hour)
		r.Restart()
		r.wantStarts("fired", "fired", "fired")
		if n := len(r.beats("acme", "boot")); n != 3 {
			t.Errorf("%d ticks ran", n)
		}
	})
}

// A start at an instant of an earlier one, since the clock was set back a little, is a slot
// of its own in the log.
func TestG19_AStartAtTheInstantOfAnEarlierOneIsASlot(t *testing.T) {
	withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
		r.declare(atStart(cronBeat.With("w"), ""))
		r.Settle()
		r.StepClock(5 * time.Second)
		r.Restart()
		r.StepClock(-5 * time.Second)
		r.Restart()
		r.Crash()
		r.wantStarts("fired", "fired", "fired", "fired")
		slots := map[time.Time]bool{}
		for _, b := range r.beats("acme", "boot") {
			slots[b.Slot] = true
		}
		if len(slots) != 4 {
			t.Errorf("4 starts have the slots %v", slots)
		}
	})
}

// A tick that has not begun when the process ends is skipped in the next one, which
// has one of its own.
func TestG19_AStartThatHasNotBegunIsNotCaughtUp(t *testing.T) {
	for what, end := range map[string]func(*cronHarness){"closed": func(r *cronHarness) { r.Restart() }, "killed": func(r *cronHarness) { r.Crash() }} {
		t.Run(what, func(t *testing.T) {
			withCrons(t, actors.Options{}, func(r *cronHarness) {
				boot := atStart(cronBeat.With("w"), "")
				boot.Jitter = 2 * time.Hour
				r.declare(boot)
				r.Settle()
				due := r.info("acme", "boot").Upcoming[0].At
				if wait := due.Sub(r.Now()); wait < time.Minute {
					t.Fatalf("the jitter is %v", wait)
				}
				r.Advance(30 * time.Second)
				end(r)
				r.Settle()
				r.wantStarts("skipped the program was started again")
				if next := r.info("acme", "boot").Upcoming[0].At; next.Sub(due) != 30*time.Second {
					t.Errorf("it is run %v later than the one before", next.Sub(due))
				}
				r.Advance(2 * time.Hour)
				r.wantStarts("skipped", "fired")
				if n := len(r.beats("acme", "boot")); n != 1 {
					t.Errorf("%d ticks ran", n)
				}
			})
		})
	}
}

// A tick that runs, or is retried, in the next process is one that the next overlaps.
func TestG19_OverlapOfStarts(t *testing.T) {
	for _, tt := range []struct {
		overlap storage.Overlap
		ran     int // attempts begun after the crash
		starts  []string
	}{
		{"", 1, []string{"fired", "skipped overlap: "}},
		{storage.OverlapQueue, 2, []string{"fired", "fired"}},
		{storage.OverlapAllow, 2, []string{"fired", "fired"}},
		{storage.OverlapReplace, 1, []string{"fired overlap: replaced by", "fired"}},
	} {
		t.Run("overlap "+string(tt.overlap), func(t *testing.T) {
			withCrons(t, actors.Options{Logger: quiet}, func(r *cronHarness) {
				r.takes = func(beat) time.Duration { return time.Minute }
				r.declare(atStart(cronSlow.With("w"), tt.overlap))
				r.Advance(10 * time.Second)
				r.Crash()
				r.Advance(time.Hour)
				if n := len(r.beats("acme", "boot")); n != 1+tt.ran {
					t.Errorf("%d runs began, want %d: %+v", n, 1+tt.ran, r.beats("acme", "boot"))
				}
				r.wantStarts(tt.starts...)
			})
		})
	}
}

// A start that finds its trigger paused is skipped, and resuming makes up for nothing.
func TestG19_APausedTriggerSkipsItsStarts(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		boot := atStart(cronBeat.With("w"), "")
		boot.Paused = true
		r.declare(boot)
		r.wantStarts("skipped paused")
		r.must(r.crons("acme").Resume("boot"))
		r.Advance(time.Minute)
		r.wantStarts("skipped paused")
		r.Restart()
		r.wantStarts("skipped paused", "fired")
		r.must(r.crons("acme").Pause("boot", "enough"))
		r.Restart()
		r.wantStarts("skipped paused", "fired", "skipped paused: enough")
		r.must(r.crons("acme").Resume("boot"))
		boot.Paused, boot.Call = false, cronBeat.With("changed")
		r.declare(boot)
		r.wantStarts("skipped paused", "fired", "skipped paused: enough", "fired")
		if all := r.beats("acme", "boot"); len(all) != 2 || all[1].Word != "changed" {
			t.Errorf("ran %+v", all)
		}
		r.declare(dispatch.Trigger{Name: "boot", Schedule: cron.Hourly(0), Call: cronBeat.With("hourly")})
		r.Advance(time.Hour)
		if n := len(r.beats("acme", "boot")); n != 3 {
			t.Errorf("made hourly it has run %d times", n)
		}
		if n := len(r.names("acme")); n != 1 {
			t.Errorf("%d triggers", n)
		}
		r.declare(boot)
		r.Advance(2 * time.Hour)
		if n := len(r.beats("acme", "boot")); n != 4 {
			t.Errorf("made anew for starts it has run %d times", n)
		}
	})
}

// Many apps can be named, and each has its tick, however slowly they are woken.
func TestG19_EveryNamedAppStarts(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		boot := atStart(cronBeat.With("w"), "")
		boot.Apps = nil
		for i := range 300 {
			boot.Apps = append(boot.Apps, storage.AppID(fmt.Sprint("app-", i)))
		}
		r.declare(boot)
		r.Advance(time.Minute)
		r.Crash()
		r.Advance(time.Minute)
		for _, app := range boot.Apps {
			if n := len(r.beats(app, "boot")); n != 2 {
				t.Errorf("%s has ticked %d times", app, n)
			}
		}
	})
}

// No text of a spec means a start, and the error says what does.
func TestG21_RebootIsNoSpec(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		err := r.crons("acme").Create(dispatch.Trigger{Name: "x", Schedule: cron.Expr("@reboot"), Call: cronBeat.With("w")})
		if cronCode(err) != dispatch.CodeInvalidArgument || !strings.Contains(err.Error(), "AtStart") {
			t.Error(err)
		}
	})
}
