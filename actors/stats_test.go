package actors_test

import (
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage/storagetest"
)

// TestStatsCountWhatHappens: each end of an attempt once, when it is durable; how late each began; and
// what there is to do.
func TestStatsCountWhatHappens(t *testing.T) {
	k := newKit()
	tries := 0
	again := k.action("t:again", func(*dispatch.ActionCtx, string) error {
		if tries++; tries == 1 {
			return dispatch.Errorf(dispatch.CodeUnavailable, "not yet")
		}
		return nil
	})
	var h *actorstest.Harness
	hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	})
	slow := k.mutation("t:slow", func(*dispatch.MutationCtx, string) error {
		time.Sleep(3 * time.Second) // what is due behind it is late
		return nil
	})
	opts := actors.Options{Functions: k.reg, IdleAfter: time.Minute}
	actorstest.Run(t, opts, func(run *actorstest.Harness) {
		h = run
		mustAfter(t, h, "acme", time.Second, again.With("x"))
		mustAfter(t, h, "acme", time.Minute, slow.With("x"))
		mustAfter(t, h, "acme", time.Minute+time.Second, addEntry.With("x"))
		mustAfter(t, h, "acme", 2*time.Minute, failAlways.With("x"), dispatch.NoRetry())
		id := mustAfter(t, h, "acme", 3*time.Minute, hang.With("x"))
		h.Advance(3*time.Minute + time.Second)
		if d := h.Engine.Depth(); d.Apps != 1 || d.Pending != 1 || d.Running != 1 || d.Dead != 1 || d.History != 3 || d.Awake != 1 || d.Unreadable != 0 {
			t.Errorf("while one runs: %+v", d)
		}
		wantCancel(t, h, "acme", id, true, "running")
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
		h.Advance(5 * time.Minute)
		if d := h.Engine.Depth(); d.Pending != 1 || d.Running != 0 || d.Awake != 0 {
			t.Errorf("asleep: %+v", d)
		}
		h.StepClock(10 * time.Minute)
		h.Advance(5 * time.Second)
		st := h.Engine.Stats()
		if want := (actors.AttemptCounts{Success: 3, Retried: 1, Dead: 1, Canceled: 1}); st.Attempts != want {
			t.Errorf("attempts: %+v, want %+v", st.Attempts, want)
		}
		late := st.Lateness
		if n := late.Total(); n != 6 {
			t.Errorf("%d attempts have begun, want 6", n)
		}
		for i, n := range late.Counts {
			if want := map[int]uint64{0: 5, 11: 1}[i]; n != want { // 2 s is within 2,048 ms
				t.Errorf("%d attempts were up to %v late, want %d", n, time.Duration(late.Bound(i)), want)
			}
		}
		if st.Wakes == 0 || st.Hibernations == 0 || st.Wakes < st.Hibernations || st.ClockSteps != 1 {
			t.Errorf("%d wakes, %d hibernations, %d steps of the clock", st.Wakes, st.Hibernations, st.ClockSteps)
		}
		if st.BatchBytes.Total() == 0 || st.BatchTime.Total() != st.BatchBytes.Total() || st.BatchBytes.Sum == 0 || st.LogBytes == 0 && !storagetest.SharedLog() {
			t.Errorf("the store: %+v", st.Stats)
		}
	})
}
