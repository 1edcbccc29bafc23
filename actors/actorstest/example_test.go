package actorstest_test

import (
	"net/http"
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

// A service that handlers call: the test has it in the bubble, and it is slow
// without the test being slow. The program gets its client as a value.
func ExampleHarness_Peer() {
	var bank *http.Client // the program's, which a test replaces
	reg := dispatch.NewRegistry()
	charge := dispatch.Action[string, dispatch.None]("payments:charge")
	charge.Handle(reg, func(ctx *dispatch.ActionCtx, order string) (none dispatch.None, err error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://bank.example/charges/"+order, nil)
		if err != nil {
			return none, err
		}
		req.Header.Set("Idempotency-Key", ctx.Job.IdempotencyKey())
		resp, err := bank.Do(req)
		if err != nil {
			return none, err
		}
		return none, resp.Body.Close()
	})
	_ = func(t *testing.T) { // TestCharge
		actorstest.Run(t, actors.Options{Functions: reg}, func(h *actorstest.Harness) {
			charged := map[string]bool{}
			bank = h.Peer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(5 * time.Minute) // of virtual time
				charged[r.Header.Get("Idempotency-Key")] = true
			}))
			if _, err := h.Scheduler("acme").RunAfter(time.Hour, charge.With("o1")); err != nil {
				t.Fatal(err)
			}
			h.Advance(2 * time.Hour)
			if len(charged) != 1 {
				t.Errorf("%d charges", len(charged))
			}
		})
	}
}

// Documents are read without a query having been written for it.
func ExampleDocuments() {
	type Note struct{ Text string }
	notes := storage.NewTable[Note]("notes")
	_ = func(t *testing.T, h *actorstest.Harness) {
		h.Advance(time.Hour)
		if docs := actorstest.Documents(h, "acme", notes); len(docs) != 1 {
			t.Errorf("there are %d notes", len(docs))
		}
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
