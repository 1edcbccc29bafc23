package actors_test

import (
	"errors"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG36_EndsFromOutside: those who watch are told when the end of a job is awaited from
// outside, and when it has come before the handler returned; neither is another instant.
func TestG36_EndsFromOutside(t *testing.T) {
	k := newKit()
	d := k.desk()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		w := watch(h, storage.JobFilter{}, actors.Position{})
		approved := mustAfter(t, h, "acme", 0, d.ask.With("x"))
		h.Settle()
		declined := mustAfter(t, h, "acme", 0, d.ask.With("x"))
		h.Settle()
		late := mustAfter(t, h, "acme", 0, d.ask.With("slow"))
		h.Settle()
		complete(t, h, d.token(t, 1), "yes", true, "")
		fail(t, h, d.token(t, 2), dispatch.Permanent(errors.New("no")), true, "")
		complete(t, h, d.token(t, 3), "yes", true, "")
		h.Advance(time.Minute)
		w.want(t, h)
		wantKinds(t, w, approved, actors.EventScheduled, actors.EventStarted, actors.EventOutside, actors.EventEnded)
		wantKinds(t, w, declined, actors.EventScheduled, actors.EventStarted, actors.EventOutside, actors.EventEnded)
		wantKinds(t, w, late, actors.EventScheduled, actors.EventStarted, actors.EventAnswered, actors.EventEnded)
	})
}
