package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
)

// G12: a job that a forward step of the wall makes due starts within ClockCheck
// of the step, though its own timer, which knows nothing of steps, is set for
// much later.
func TestG12_AForwardStepIsNoticedWithinClockCheck(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		return nil
	})
	opts := actors.Options{Functions: k.reg, ClockCheck: time.Second, IdleAfter: 24 * time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Hour, act.With("far"))
		h.Advance(time.Minute)
		stepped := time.Now() // the bubble's: monotonic, as far as the engine can tell
		h.StepClock(2 * time.Hour)
		h.Advance(2 * time.Hour)
		for _, e := range k.events("act") {
			if late := e.At.Sub(stepped); late > time.Second {
				t.Errorf("the job started %v after the step", late)
			}
		}
		if n := k.count("act"); n != 1 {
			t.Errorf("the job started %d times", n)
		}
	})
}

// G11: a job is due by the wall. Scheduler time never goes back, so after a wall
// that was ahead it shows an instant that is yet to come, and nothing may start
// by it.
func TestG11_DueIsByTheWallThoughSchedulerTimeIsAhead(t *testing.T) {
	k := newKit()
	var h *actorstest.Harness
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		if early := ctx.Job.ScheduledFor.Sub(h.Now()); early > 0 {
			t.Errorf("the job started %v early", early)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(harness *actorstest.Harness) {
		h = harness
		h.StepClock(time.Hour)
		must[any](t)(addEntry.Run(h.Caller("acme"), "written an hour ahead"))
		h.StepClock(-time.Hour)
		mustAfter(t, h, "acme", 10*time.Minute, act.With("soon"))
		h.Advance(11 * time.Minute)
		if n := k.count("act"); n != 1 {
			t.Errorf("the job started %d times", n)
		}
	})
}
