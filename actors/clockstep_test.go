package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
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

// G12: a step of the wall that is undone before the engine looks for steps has been
// seen all the same by whatever read the clock in between, and set a timer by it.
func TestG12_AStepThatIsUndoneIsNoticed(t *testing.T) {
	for _, step := range []time.Duration{-10 * year, -time.Hour, -time.Minute} {
		t.Run(step.String(), func(t *testing.T) {
			k := newKit()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("act "+name, ctx.Job)
				return nil
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
				h.Advance(100 * time.Millisecond)
				begin := time.Now()
				if _, err := h.Scheduler("acme").RunAt(h.Now().Add(3*time.Second), act.With("x")); err != nil {
					t.Fatal(err)
				}
				h.StepClock(step)
				must[any](t)(addEntry.Run(h.Caller("acme"), "has the alarm set anew"))
				h.Advance(100 * time.Millisecond)
				h.StepClock(-step)
				h.Advance(time.Minute)
				for _, e := range k.events("act") {
					if late := e.At.Sub(begin) - 3*time.Second; late > 0 {
						t.Errorf("the job started %v late", late)
					}
				}
				if n := k.count("act"); n != 1 {
					t.Errorf("the job started %d times", n)
				}
			})
		})
	}
}

// G11: a job is due by the wall as it is. After a step back of a few minutes what
// is written down is ahead of that, and nothing may start by it.
func TestG11_DueIsByTheWallThoughWhatIsWrittenDownIsAhead(t *testing.T) {
	k := newKit()
	var h *actorstest.Harness
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		if early := ctx.Job.ScheduledFor.Sub(h.Now()); early > 0 {
			t.Errorf("the job started %v early", early)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(harness *actorstest.Harness) {
		h = harness
		h.StepClock(4 * time.Minute)
		must[any](t)(addEntry.Run(h.Caller("acme"), "written four minutes ahead"))
		h.StepClock(-4 * time.Minute)
		mustAfter(t, h, "acme", time.Minute, act.With("soon"))
		h.Advance(61 * time.Second)
		if n := k.count("act"); n != 1 {
			t.Errorf("the job started %d times", n)
		}
	})
}

// G5: nothing that is durable tells a claim whose handler has started from one
// that was made ahead of its instant. That the wall was stepped back before the
// directory is opened again does not make an attempt undone, nor give the next
// one its number.
func TestG5_AnAttemptIsCountedThoughTheWallWasSteppedBack(t *testing.T) {
	for _, back := range []time.Duration{time.Millisecond, 2 * time.Hour} {
		t.Run(back.String(), func(t *testing.T) {
			k := newKit()
			hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("start "+name, ctx.Job)
				if ctx.Job.Attempt == 1 {
					actorstest.Hang(ctx)
				}
				return nil
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
				h.StepClock(2 * time.Hour)
				due := h.Now().Add(time.Second)
				id, err := h.Scheduler("acme").RunAt(due, hang.With("x")) // an instant does not move with the wall
				if err != nil {
					t.Fatal(err)
				}
				h.Advance(time.Second)
				h.Kill()
				h.StepClock(-back)
				h.Open()
				must[any](t)(addEntry.Run(h.Caller("acme"), "wakes the app"))
				h.Settle()
				if job := wantState(t, h, "acme", id, storage.StatePending, 1); len(job.History) != 1 || !job.History[0].Interrupted {
					t.Errorf("the attempt that was cut off is written down as %+v", job.History)
				}
				h.Advance(3 * time.Hour)
				wantState(t, h, "acme", id, storage.StateSuccess, 2)
				starts := k.events("start")
				if len(starts) != 2 || starts[0].Attempt != 1 || starts[1].Attempt != 2 {
					t.Fatalf("the handler has started as %+v", starts)
				}
				if again := h.Job("acme", id).StartedAt; again.Before(due) {
					t.Errorf("it began anew at %v, and is due at %v", again, due)
				}
			})
		})
	}
}
