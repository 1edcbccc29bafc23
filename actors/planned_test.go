package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// TestPlannedAttemptsAreThoseThatCome: the attempts that are planned of a job are those that come if each fails at once, as many as
// were asked for at most: after the same waits, until one would be too late, or the next slot of its trigger comes.
func TestPlannedAttemptsAreThoseThatCome(t *testing.T) {
	const limit = 10
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		plan := func(id storage.JobID) (plan []actors.PlannedAttempt) {
			t.Helper()
			h.Read("acme", func(r storage.Reader) {
				job, known, err := r.System().Get(id)
				if !known || err != nil {
					t.Fatal(known, err)
				}
				plan = h.App("acme").Planned(r, &job, limit)
			})
			return plan
		}
		came := func(what string, plan []actors.PlannedAttempt, before, planned, come int) {
			t.Helper()
			events := k.events("fail " + what)
			if len(plan) != planned || len(events) != before+come {
				t.Fatalf("%s: %d attempts are planned and %d have come, want %d and %d", what, len(plan), len(events)-before, planned, come)
			}
			for i, p := range plan {
				if e := events[before+i]; p.Number != e.Attempt || e.At.Sub(p.At).Abs() > 10*time.Millisecond {
					t.Errorf("%s: attempt %d is planned for %v, and number %d began at %v", what, p.Number, p.At, e.Attempt, e.At)
				}
			}
		}
		retry := func(attempts int) dispatch.RunOption {
			return dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: attempts, Base: time.Second, Jitter: true})
		}
		tests := []struct {
			what          string
			planned, come int
			opts          []dispatch.RunOption
			plan          []actors.PlannedAttempt
			id            storage.JobID
		}{
			{what: "once", planned: 1, come: 1, opts: []dispatch.RunOption{dispatch.NoRetry()}},
			{what: "ten", planned: limit, come: limit, opts: []dispatch.RunOption{retry(limit)}},
			{what: "eleven", planned: limit, come: limit + 1, opts: []dispatch.RunOption{retry(limit + 1)}},
			{what: "by default", planned: 6, come: 6},
			// At 0 s, 30 s, 90 s and 210 s, and not at 450 s.
			{what: "in time", planned: 4, come: 4, opts: []dispatch.RunOption{dispatch.NotAfter(h.Now().Add(time.Hour + 449*time.Second))}},
		}
		for i := range tests {
			tt := &tests[i]
			tt.id = mustAfter(t, h, "acme", time.Hour, failAlways.With(tt.what), tt.opts...)
			tt.plan = plan(tt.id)
		}
		h.Advance(3 * time.Hour)
		for _, tt := range tests {
			came(tt.what, tt.plan, 0, tt.planned, tt.come)
			if left := plan(tt.id); left != nil {
				t.Errorf("%s: it is over, and %v is planned", tt.what, left)
			}
		}

		if err := h.Scheduler("acme").Crons().Create(dispatch.Trigger{Name: "tick", Schedule: cron.Every(5 * time.Minute), Call: failAlways.With("tick")}); err != nil {
			t.Fatal(err)
		}
		h.Advance(5*time.Minute + time.Second)
		var tick storage.JobID
		for _, job := range h.Jobs("acme", storage.StatePending) {
			if job.Trigger == "tick" && job.Attempts == 1 {
				tick = job.ID
			}
		}
		left := plan(tick)
		h.Advance(4*time.Minute + 58*time.Second)
		came("tick", left, 1, 3, 3) // 30 s, 90 s and 210 s after its slot
	})
}

// TestARunSaysWhenItBegan: of a job whose handler runs it is known since when, of others it is not.
func TestARunSaysWhenItBegan(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(*dispatch.ActionCtx, string) error {
		time.Sleep(time.Minute)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		begins := h.Now().Add(time.Hour)
		id := mustAfter(t, h, "acme", time.Hour, act.With(""))
		for _, step := range []struct {
			span time.Duration
			runs int
		}{{59 * time.Minute, 0}, {90 * time.Second, 1}, {2 * time.Minute, 0}} {
			h.Advance(step.span)
			attempt, at := h.App("acme").Begun(id)
			if attempt != step.runs || at.IsZero() != (step.runs == 0) || attempt > 0 && at.Sub(begins).Abs() > 10*time.Millisecond {
				t.Errorf("at %v attempt %d has begun at %v, want %d at %v", h.Now(), attempt, at, step.runs, begins)
			}
		}
	})
}
