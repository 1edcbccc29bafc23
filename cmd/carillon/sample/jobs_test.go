package sample_test

import (
	"encoding/json"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

func TestJobsList(t *testing.T) {
	inWorld(t, func(w *world) {
		list := func(args string) []sample.JobRow { return call[[]sample.JobRow](w, "jobs:list", "%s", args) }
		if got := list(`{}`); got == nil || len(got) != 0 {
			t.Errorf("no jobs are %v", got)
		}
		soon := call[jobID](w, "reminders:set", `{"text":"soon","afterMs":1000}`).JobID
		late := call[jobID](w, "reminders:set", `{"text":"late","afterMs":60000}`).JobID
		w.pass(10 * time.Second)
		if got := list(`{"state":"pending"}`); len(got) != 1 || got[0].ID != late {
			t.Errorf("pending: %+v", got)
		}
		if got := list(`{"state":"success"}`); len(got) != 1 || got[0].ID != soon {
			t.Errorf("success: %+v", got)
		}
		if got := list(`{}`); len(got) != 2 {
			t.Errorf("all: %+v", got)
		}
		if got := list(`{"limit":1}`); len(got) != 1 {
			t.Errorf("limit 1: %+v", got)
		}
	})
}

// TestJobRow demands the fields that the documentation names, and no others.
func TestJobRow(t *testing.T) {
	inWorld(t, func(w *world) {
		id := call[jobID](w, "reminders:set", `{"text":"tea","afterMs":1000}`).JobID
		row := func() map[string]any { return call[map[string]any](w, "jobs:get", `{"id":%q}`, id) }
		pending := row()
		w.pass(5 * time.Second)
		done := row()
		for _, tt := range []struct {
			field         string
			pending, done any
		}{
			{"id", string(id), string(id)},
			{"function", "reminders:fire", "reminders:fire"},
			{"attempts", 0.0, 1.0},
			{"state", "pending", "success"},
			{"error", nil, nil},
			{"scheduledFor", "2000-01-01T00:00:01Z", "2000-01-01T00:00:01Z"}, // a bubble begins in 2000
			{"enqueuedAt", "2000-01-01T00:00:00Z", "2000-01-01T00:00:00Z"},
			{"startedAt", nil, "2000-01-01T00:00:01Z"},
			{"completedAt", nil, "2000-01-01T00:00:01Z"},
		} {
			if pending[tt.field] != tt.pending || done[tt.field] != tt.done {
				t.Errorf("%s: got %v and then %v, want %v and %v", tt.field, pending[tt.field], done[tt.field], tt.pending, tt.done)
			}
		}
		if args, err := json.Marshal(done["args"]); err != nil || string(args) != `{"text":"tea"}` {
			t.Errorf("args: got %s, %v", args, err)
		}
		if len(done) != 10 {
			t.Errorf("the row has the fields %v", done)
		}
	})
}

func TestJobsCancel(t *testing.T) {
	inWorld(t, func(w *world) {
		type answer struct {
			Canceled bool
			State    storage.State
		}
		cancel := func(id storage.JobID) answer { return call[answer](w, "jobs:cancel", `{"id":%q}`, id) }
		tea := call[jobID](w, "reminders:set", `{"text":"tea","afterMs":1000}`).JobID
		bath := call[jobID](w, "reminders:set", `{"text":"bath","afterMs":60000}`).JobID
		w.pass(2 * time.Second)
		if got := cancel(tea); got != (answer{false, storage.StateSuccess}) {
			t.Errorf("one that has run: %+v", got)
		}
		if got := cancel(bath); got != (answer{true, storage.StatePending}) {
			t.Errorf("one that is to come: %+v", got)
		}
		if got := cancel(bath); got != (answer{false, storage.StateCanceled}) {
			t.Errorf("one that is canceled: %+v", got)
		}
	})
}

func TestJobsRefuse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.refused(dispatch.CodeInvalidArgument, `unknown state "done", want pending, running, held, success, failed, canceled or expired`, "jobs:list", `{"state":"done"}`)
		w.refused(dispatch.CodeInvalidArgument, "limit is -1, want 0 to 10000", "jobs:list", `{"limit":-1}`)
		w.refused(dispatch.CodeInvalidArgument, "limit is 10001", "jobs:list", `{"limit":10001}`)
		w.refused(dispatch.CodeNotFound, `no job "nothing"`, "jobs:get", `{"id":"nothing"}`)
		w.refused(dispatch.CodeNotFound, `no job ""`, "jobs:get", `{}`)
		w.refused(dispatch.CodeNotFound, `no job "nothing"`, "jobs:cancel", `{"id":"nothing"}`)
	})
}
