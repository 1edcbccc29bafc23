package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G26: what is old by a wall that has run more than a day ahead of what was written
// down is deleted only once the engine has run so for an hour, or a person has
// accepted the clock. A false clock that is put right before that deletes nothing.
func TestG26_PurgingWaitsForAClockInDoubt(t *testing.T) {
	const retention = 48 * time.Hour
	rows := func(t *testing.T, h *actorstest.Harness) int {
		t.Helper()
		h.Advance(2 * time.Minute) // it falls asleep, and looks at its history when it wakes
		must[any](t)(addEntry.Run(h.Caller("acme"), "wakes the app"))
		h.Advance(time.Second)
		return h.Inspect("acme").History
	}
	// ahead has the wall run ahead while the engine runs, or while it does not.
	for name, ahead := range map[string]func(h *actorstest.Harness, d time.Duration){
		"running": func(h *actorstest.Harness, d time.Duration) { h.StepClock(d) },
		"closed": func(h *actorstest.Harness, d time.Duration) {
			h.Kill()
			h.StepClock(d)
			h.Open()
		},
	} {
		// run has three jobs run and the wall then be ahead, and goes on from there.
		run := func(what string, keep, by time.Duration, then func(*testing.T, *actorstest.Harness)) {
			t.Run(name+"/"+what, func(t *testing.T) {
				opts := actors.Options{Functions: newKit().reg, Retention: keep, ClockCheck: time.Minute}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					for range 3 {
						mustAfter(t, h, "acme", 0, addEntry.With("x"))
					}
					h.Advance(2 * time.Minute)
					ahead(h, by)
					then(t, h)
				})
			})
		}
		run("for an hour", retention, 10*year, func(t *testing.T, h *actorstest.Harness) {
			h.Advance(50 * time.Minute)
			if n := rows(t, h); n != 3 {
				t.Errorf("%d rows are left before the hour is over", n)
			}
			h.Advance(7 * time.Minute)
			if n := rows(t, h); n != 0 {
				t.Errorf("%d rows are left when it is over", n)
			}
			mustAfter(t, h, "acme", 0, addEntry.With("x"))
			h.Advance(time.Minute)
			h.Restart()
			h.Advance(retention)
			if n := rows(t, h); n != 0 {
				t.Errorf("%d rows are left after another while: a clock that was believed is in doubt again", n)
			}
		})
		run("a restart does not end it", retention, 10*year, func(t *testing.T, h *actorstest.Harness) {
			for range 3 {
				h.Advance(30 * time.Minute)
				if n := rows(t, h); n != 3 {
					t.Errorf("%d rows are left", n)
				}
				h.Restart()
			}
		})
		run("put right", retention, 10*year, func(t *testing.T, h *actorstest.Harness) {
			h.Advance(30 * time.Minute)
			h.StepClock(-10 * year)
			h.Advance(2 * time.Hour)
			if n := rows(t, h); n != 3 || len(h.Jobs("acme", storage.StateSuccess)) != 3 {
				t.Errorf("%d rows are left, and %d are shown", n, len(h.Jobs("acme", storage.StateSuccess)))
			}
			h.Advance(retention)
			if n := rows(t, h); n != 0 {
				t.Errorf("%d rows are left after their time", n)
			}
		})
		run("a little off", retention, 10*year, func(t *testing.T, h *actorstest.Harness) {
			h.StepClock(-time.Hour)
			h.Advance(30 * time.Minute)
			if n := rows(t, h); n != 3 {
				t.Errorf("%d rows are left of a wall that was put right by an hour", n)
			}
		})
		run("accepted", retention, 10*year, func(t *testing.T, h *actorstest.Harness) {
			h.Advance(time.Minute)
			if err := h.Engine.AcceptClock(h.Context()); err != nil {
				t.Fatal(err)
			}
			if n := rows(t, h); n != 0 {
				t.Errorf("%d rows are left though the clock was accepted", n)
			}
		})
		run("a day is not in doubt", time.Hour, 23*time.Hour, func(t *testing.T, h *actorstest.Harness) {
			if n := rows(t, h); n != 0 {
				t.Errorf("%d rows are left", n)
			}
		})
	}
}

// G26: expired rows are cleared away a chunk at a time, and what has come meanwhile is
// done first: a call does not wait until all of them are gone.
func TestG26_ACallDoesNotWaitForAllThatIsPurged(t *testing.T) {
	const rows = 9_000
	k := newKit()
	nothing := k.mutation("t:nothing", func(*dispatch.MutationCtx, string) error { return nil })
	left := make(chan int, 1)
	var look func() int
	looks := k.mutation("t:looks", func(*dispatch.MutationCtx, string) error {
		left <- look()
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Retention: 12 * time.Hour}, func(h *actorstest.Harness) {
		look = func() int { return h.Inspect("acme").History }
		must[none](t)(k.scheduleMany(h, "acme", rows, 0, nothing.With("")))
		h.Advance(5 * time.Second) // it is awake
		if n := look(); n != rows {
			t.Fatalf("%d jobs have ended, want %d", n, rows)
		}
		h.Kill()
		h.StepClock(13 * time.Hour)
		h.Open()
		must[none](t)(looks.Run(h.Caller("acme"), ""))
		if n := <-left; n == 0 {
			t.Error("a call had its turn only when all rows had been purged")
		}
		h.Advance(5 * time.Second) // it is awake
		if n := look(); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}
