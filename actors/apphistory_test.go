package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/storage"
)

// TestAppHistoryIsOfTheLastHour: each minute has what the app has done in it and no other, there are 60 of them at most, and an app that
// has done nothing has done nothing.
func TestAppHistoryIsOfTheLastHour(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		sum := func(app storage.AppID) (sum actors.AppSample, minutes int) {
			last := time.Time{}
			for _, s := range h.Engine.AppHistory(app) {
				if !s.At.After(last) || s.Span > time.Minute || s.Begun != s.Ended {
					t.Errorf("%s has done %+v, behind %v", app, s, last)
				}
				last = s.At
				sum.Begun, sum.Ended, sum.Failed, sum.Late, sum.Latest = sum.Begun+s.Begun, sum.Ended+s.Ended, sum.Failed+s.Failed, sum.Late+s.Late, max(sum.Latest, s.Latest)
				minutes++
			}
			if now := h.Engine.Clock().Wall; !last.Equal(now) {
				t.Errorf("the last minute of %s ends at %v, and it is %v", app, last, now)
			}
			return sum, minutes
		}
		h.Advance(90 * time.Second)
		for range 3 {
			mustAfter(t, h, "acme", 0, addEntry.With("x"))
		}
		h.Advance(90 * time.Second)
		if got, minutes := sum("acme"); got.Begun != 3 || got.Ended != 3 || got.Failed != 0 || minutes < 3 || minutes > 4 {
			t.Errorf("acme has done %+v in %d minutes", got, minutes)
		}
		if got, minutes := sum("other"); got != (actors.AppSample{}) || minutes < 3 {
			t.Errorf("another has done %+v in %d minutes", got, minutes)
		}
		h.Advance(57 * time.Minute)
		if got, minutes := sum("acme"); got.Begun != 3 || minutes != 60 {
			t.Errorf("after an hour acme has done %+v in %d minutes", got, minutes)
		}
		h.Advance(2 * time.Minute)
		if got, minutes := sum("acme"); got.Begun != 0 || minutes != 60 {
			t.Errorf("after more than an hour acme has done %+v in %d minutes", got, minutes)
		}
		mustAfter(t, h, "acme", 0, addEntry.With("x"))
		h.Advance(time.Second)
		if got, _ := sum("acme"); got.Begun != 1 {
			t.Errorf("after more than an hour and another job acme has done %+v", got)
		}
		if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
			t.Fatal(err)
		}
		if got, _ := sum("acme"); got != (actors.AppSample{}) {
			t.Errorf("once it is deleted acme has done %+v", got)
		}
	})
}
