package actors_test

import (
	"errors"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
)

// TestFunctionStats: runs are counted by function, whether they are calls or attempts of jobs, with their errors and
// how long they took; the rates are those of the last minute.
func TestFunctionStats(t *testing.T) {
	k := newKit()
	work := k.action("t:work", func(_ *dispatch.ActionCtx, how string) error {
		time.Sleep(time.Second)
		if how == "bad" {
			return dispatch.Permanent(errors.New("no"))
		}
		return nil
	})
	opts := actors.Options{Functions: k.reg, Logger: quiet, ClockCheck: 10 * time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		h.Advance(5 * time.Minute)
		for _, how := range []string{"good", "good", "bad"} {
			mustAfter(t, h, "acme", 0, work.With(how))
		}
		if _, err := work.Run(h.Caller("acme"), "good"); err != nil {
			t.Fatal(err)
		}
		if _, err := addEntry.Run(h.Caller("acme"), "x"); err != nil {
			t.Fatal(err)
		}
		h.Advance(20 * time.Second)
		all := h.Engine.FunctionStats()
		s := all["t:work"]
		if s.Runs != 4 || s.Errors != 1 || s.Time.Total() != 4 || s.RunsPerSecond < 4.0/80 || s.RunsPerSecond > 4.0/20 || s.ErrorsPerSecond*4 != s.RunsPerSecond {
			t.Errorf("4 runs, one with an error, are %+v", s)
		}
		if p50 := time.Duration(s.Time.Quantile(500)); p50 < time.Second/2 || p50 > 2*time.Second {
			t.Errorf("a run of a second has p50 %v", p50)
		}
		if s := all["kit:add"]; s.Runs != 1 || s.Errors != 0 {
			t.Errorf("one call of a mutation is %+v", s)
		}
		if _, ok := all["t:none"]; ok || len(all) != len(k.reg.Functions()) {
			t.Errorf("there are stats of %d functions, want %d", len(all), len(k.reg.Functions()))
		}
		h.Advance(2 * time.Minute)
		if s := h.Engine.FunctionStats()["t:work"]; s.Runs != 4 || s.RunsPerSecond != 0 || s.ErrorsPerSecond != 0 {
			t.Errorf("two minutes later they are %+v", s)
		}
	})
}
