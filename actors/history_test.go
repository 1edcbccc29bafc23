package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
)

// TestHistoryIsOfTheLastHour: each sample has what happened in its span and no other, they follow one another,
// and there is an hour of them and no more.
func TestHistoryIsOfTheLastHour(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
		h.Advance(15 * time.Second)
		mustAfter(t, h, "acme", 10*time.Second, addEntry.With("x"))
		h.Advance(30 * time.Second)
		var begun, ended, commits int64
		for _, s := range h.Engine.History() {
			if s.Begun != s.Attempts.Success || s.Begun != s.Lateness.Count {
				t.Errorf("a sample has %+v", s)
			}
			begun, ended, commits = begun+s.Begun, ended+s.Attempts.Ended(), commits+s.Commits.Count
		}
		if begun != 1 || ended != 1 || commits == 0 {
			t.Errorf("%d began, %d ended, in %d commits", begun, ended, commits)
		}
		h.Advance(time.Hour + time.Minute)
		list := h.Engine.History()
		if len(list) < 355 || len(list) > 360 {
			t.Fatalf("there are %d samples", len(list))
		}
		for i, s := range list {
			if s.Begun != 0 || s.Span < 10*time.Second || s.Span > 12*time.Second || i > 0 && !s.At.After(list[i-1].At) {
				t.Fatalf("sample %d is %+v", i, s)
			}
		}
		if first, last := list[0].At, list[len(list)-1].At; last.Sub(first) < 59*time.Minute || h.Engine.Clock().Wall.Sub(first) > time.Hour {
			t.Errorf("from %v to %v", first, last)
		}
	})
}
