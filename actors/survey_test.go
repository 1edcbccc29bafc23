package actors_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestSurveyIsSharedAndSaysItsAge: those who ask while the apps are counted have what there is, with when that was, and a
// context that has ended waits for nothing; of the apps that stand out there are 20 of each kind at most.
func TestSurveyIsSharedAndSaysItsAge(t *testing.T) {
	k := newKit()
	hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	counts := 0
	opts := actors.Options{Functions: k.reg}
	opts.Testing.Survey = func() {
		counts++
		time.Sleep(time.Second)
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for i := range 21 {
			for range 1 + i%2 {
				mustAfter(t, h, storage.AppID(fmt.Sprintf("app-%02d", i)), time.Hour, addEntry.With("x"))
			}
		}
		mustAfter(t, h, "app-20", 0, hang.With("x"))
		h.Settle()
		ended, end := context.WithCancel(h.Context())
		end()
		if s := h.Engine.Survey(ended); !s.At.IsZero() || s.Apps != 0 {
			t.Errorf("before any: %+v", s)
		}
		s := h.Engine.Survey(h.Context())
		if s.Apps != 21 || s.Running != 1 || len(s.Busy) != 20 || s.Busy[0].ID != "app-01" || s.Busy[19].Pending != 1 || !h.Now().Equal(s.At.Add(time.Second)) && s.At.After(h.Now()) {
			t.Errorf("%+v", s)
		}
		for range 3 {
			if again := h.Engine.Survey(h.Context()); again.At != s.At || counts != 1 {
				t.Errorf("asked again, it is of %v, and there were %d", again.At, counts)
			}
		}
		if got := h.Engine.Running(5); len(got) != 1 || got[0] != (actors.AppRunning{App: "app-20", Jobs: 1}) {
			t.Errorf("what runs: %+v", got)
		}
		h.Advance(20 * time.Second)
		if again := h.Engine.Survey(h.Context()); !again.At.After(s.At) || counts != 2 {
			t.Errorf("later it is of %v, and there were %d", again.At, counts)
		}
	})
}

// TestCloseWaitsForASurvey: that which is under way ends before the engine has, and no other begins.
func TestCloseWaitsForASurvey(t *testing.T) {
	counted := false
	opts := actors.Options{Functions: newKit().reg}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		hooked := actors.Options{Functions: newKit().reg}
		hooked.Testing.Survey = func() {
			time.Sleep(time.Second)
			counted = true
		}
		eng, err := actors.Open(t.TempDir(), hooked)
		if err != nil {
			t.Fatal(err)
		}
		ended, end := context.WithCancel(h.Context())
		end()
		eng.Survey(ended)
		if err := eng.Close(h.Context()); err != nil || !counted {
			t.Errorf("closed while the apps are counted: %v, and that has ended: %t", err, counted)
		}
		if s := eng.Survey(h.Context()); s.Apps != 0 {
			t.Errorf("of an engine that is closed: %+v", s)
		}
	})
}
