package sample_test

import (
	"testing"
	"time"

	"carillon/dispatch"
	"carillon/storage"
)

func (w *world) count(key string) int {
	w.t.Helper()
	return call[struct{ Count int }](w, "counters:get", `{"key":%q}`, key).Count
}

func TestCountersLater(t *testing.T) {
	inWorld(t, func(w *world) {
		ids := call[struct{ JobIDs []storage.JobID }](w, "counters:later", `{"key":"k","n":2000,"afterMs":1000}`).JobIDs
		if len(ids) != 2000 {
			t.Fatalf("got %d ids", len(ids))
		}
		w.pass(999 * time.Millisecond)
		if got := w.count("k"); got != 0 {
			t.Errorf("%d ran early", got)
		}
		w.pass(time.Minute)
		if got := w.count("k"); got != 2000 {
			t.Errorf("counted %d", got)
		}
		if got := w.count("other"); got != 0 {
			t.Errorf("another counter is %d", got)
		}
	})
}

// TestCountersLaterSurvivesCrashes crashes while the jobs run.
func TestCountersLaterSurvivesCrashes(t *testing.T) {
	inWorld(t, func(w *world) {
		call[struct{ JobIDs []storage.JobID }](w, "counters:later", `{"key":"k","n":500,"afterMs":50}`)
		for range 5 {
			time.Sleep(50 * time.Millisecond)
			w.crash()
		}
		w.pass(time.Minute)
		if got := w.count("k"); got != 500 {
			t.Errorf("counted %d", got)
		}
	})
}

func TestCountersFail(t *testing.T) {
	inWorld(t, func(w *world) {
		id := call[jobID](w, "counters:fail", `{"key":"k","times":3,"retryMs":100}`).JobID
		w.pass(250 * time.Millisecond) // attempts at 0 and 100 ms; the next one at 300
		if got := w.job(id); got.State != storage.StatePending || got.Attempts != 2 || got.Error == nil ||
			got.Error.Code != "unavailable" || got.Error.Message != "attempt 2 fails, as 3 are to" {
			t.Errorf("on the way: %+v, error %+v", got, got.Error)
		}
		w.pass(time.Minute)
		if got := w.job(id); got.State != storage.StateSuccess || got.Attempts != 4 {
			t.Errorf("in the end: %+v", got)
		}
		if got := w.count("k"); got != 1 {
			t.Errorf("counted %d", got)
		}
	})
}

// TestCountersFailForGood fails more often than there are retries.
func TestCountersFailForGood(t *testing.T) {
	inWorld(t, func(w *world) {
		id := call[jobID](w, "counters:fail", `{"key":"k","times":6}`).JobID
		w.pass(20 * time.Minute) // 30 s + 1 + 2 + 4 + 8 min
		if got := w.job(id); got.State != storage.StateFailed || got.Attempts != 6 || got.CompletedAt == nil {
			t.Errorf("got %+v", got)
		}
		if got := w.count("k"); got != 0 {
			t.Errorf("counted %d", got)
		}
	})
}

func TestCountersRefuse(t *testing.T) {
	inWorld(t, func(w *world) {
		invalid := dispatch.CodeInvalidArgument
		w.refused(invalid, "key is empty", "counters:later", `{"n":1}`)
		w.refused(invalid, "n is 0, want 1 to 10000", "counters:later", `{"key":"k"}`)
		w.refused(invalid, "n is 10001, want 1 to 10000", "counters:later", `{"key":"k","n":10001}`)
		w.refused(invalid, "afterMs is -1", "counters:later", `{"key":"k","n":1,"afterMs":-1}`)
		w.refused(invalid, "times is -1, want 0 to 1000", "counters:fail", `{"key":"k","times":-1}`)
		w.refused(invalid, "times is 1001, want 0 to 1000", "counters:fail", `{"key":"k","times":1001}`)
		w.refused(invalid, "retryMs is -1", "counters:fail", `{"key":"k","times":1,"retryMs":-1}`)
		w.refused(invalid, "key is empty", "counters:fail", `{}`)
		w.refused(invalid, "key is empty", "counters:get", `{}`)
		w.refused(dispatch.CodeNotFound, "no function", "counters:bump", `{"key":"k"}`)
		w.refused(dispatch.CodeNotFound, "no function", "counters:flaky", `{"key":"k"}`)
		if ids := call[struct{ JobIDs []string }](w, "counters:later", `{"key":"k","n":10000,"afterMs":3600000}`).JobIDs; len(ids) != 10000 {
			t.Errorf("got %d ids", len(ids))
		}
	})
}
