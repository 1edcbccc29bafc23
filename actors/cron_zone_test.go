package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/cron"
	"carillon/dispatch"
)

// G19: a handler and a listing are told of a slot in its trigger's zone, so that the
// date of a daily slot is that of its day; also by hand, and of the tick before.
func TestG19_ASlotIsToldInItsZone(t *testing.T) {
	withCrons(t, actors.Options{}, func(r *cronHarness) {
		const zone, layout = "Asia/Tokyo", "2006-01-02 15:04 MST"
		var slots, before []string
		r.inside = func(ctx *dispatch.MutationCtx) error {
			slots, before = append(slots, ctx.Tick.Slot.Format(layout)), append(before, ctx.Tick.PreviousSuccess.Format(layout))
			return nil
		}
		r.create("acme", dispatch.Trigger{Name: "nightly", Schedule: cron.Expr("0 2 * * *"), Zone: zone, Call: cronInside.With("")})
		next := r.info("acme", "nightly").Upcoming[0]
		tokyo, err := time.LoadLocation(zone)
		r.must(err)
		day := next.Slot.In(tokyo)
		none := time.Time{}.Format(layout)
		first, second := day.Format(layout), day.AddDate(0, 0, 1).Format(layout)
		if got := next.Slot.Format(layout); got != first || next.At.Format(layout) != first {
			t.Errorf("the listing has %s, run at %s, want %s", got, next.At.Format(layout), first)
		}
		r.Advance(48 * time.Hour)
		_, err = r.crons("acme").RunNow("nightly")
		r.must(err)
		r.Settle()
		if len(slots) != 3 || slots[0] != first || slots[1] != second || slots[2] != none {
			t.Errorf("the slots are %q, want %s, %s, and none by hand", slots, first, second)
		}
		if len(before) != 3 || before[0] != none || before[1] != first || before[2] != second {
			t.Errorf("the successes before are %q", before)
		}
	})
}
