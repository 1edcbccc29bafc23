package actorstest_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// A test of a function that schedules: a week passes in milliseconds.
func ExampleRun() {
	_ = func(t *testing.T) { // TestReminder
		reg := dispatch.NewRegistry()
		remind := dispatch.InternalMutation[string, dispatch.None]("mail:remind")
		reminded := 0
		remind.Handle(reg, func(*dispatch.MutationCtx, string) (dispatch.None, error) {
			reminded++
			return dispatch.None{}, nil
		})
		actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
			if _, err := h.Scheduler("acme").RunAfter(7*24*time.Hour, remind.With("ann")); err != nil {
				t.Fatal(err)
			}
			h.Advance(7*24*time.Hour - time.Millisecond)
			if reminded != 0 {
				t.Error("too early")
			}
			h.Advance(time.Millisecond)
			if reminded != 1 {
				t.Errorf("reminded %d times", reminded)
			}
		})
	}
}

// A crash in the middle of a handler: the job is run again when the engine is open.
func ExampleHarness_Crash() {
	_ = func(t *testing.T, h *actorstest.Harness, id storage.JobID) {
		h.Crash()
		h.Advance(time.Hour)
		if job := h.Job("acme", id); job.State != storage.StateSuccess {
			t.Errorf("the job is %s after the crash", job.State)
		}
	}
}

// The wall clock is put right by an hour; nothing starts early.
func ExampleHarness_StepClock() {
	_ = func(t *testing.T, h *actorstest.Harness) {
		h.StepClock(-time.Hour)
		h.Advance(time.Minute)
		if jobs := h.Jobs("acme", storage.StateSuccess); len(jobs) != 0 {
			t.Errorf("%d jobs ran early", len(jobs))
		}
	}
}
