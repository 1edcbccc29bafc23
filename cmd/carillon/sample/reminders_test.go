package sample_test

import (
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

func (w *world) complete(id storage.JobID) bool {
	w.t.Helper()
	return call[struct{ Canceled bool }](w, "reminders:complete", `{"jobId":%q}`, id).Canceled
}

func TestReminders(t *testing.T) {
	inWorld(t, func(w *world) {
		list := func() []sample.Reminder { return call[[]sample.Reminder](w, "reminders:list", `{}`) }
		set := time.Now()
		tea := call[jobID](w, "reminders:set", `{"text":"tea","afterMs":60000}`).JobID
		bath := call[jobID](w, "reminders:set", `{"text":"bath","afterMs":120000}`).JobID
		if got := list(); len(got) != 0 {
			t.Errorf("fired early: %+v", got)
		}
		w.pass(61 * time.Second)
		got := list()
		if len(got) != 1 || got[0].JobID != tea || got[0].Text != "tea" || !got[0].ScheduledFor.Equal(set.Add(time.Minute)) ||
			got[0].FiredAt.Before(got[0].ScheduledFor) {
			t.Errorf("got %+v, want tea", got)
		}
		if w.complete(tea) {
			t.Error("one that has fired was canceled")
		}
		if !w.complete(bath) {
			t.Error("one that is to come was not canceled")
		}
		if w.complete(bath) {
			t.Error("one was canceled twice")
		}
		w.pass(time.Hour)
		if got := list(); len(got) != 1 {
			t.Errorf("a canceled one fired: %+v", got)
		}
	})
}

func TestRemindersRefuse(t *testing.T) {
	inWorld(t, func(w *world) {
		invalid := dispatch.CodeInvalidArgument
		w.refused(invalid, "text is empty", "reminders:set", `{"afterMs":1}`)
		w.refused(invalid, "afterMs is -5, want 0 to", "reminders:set", `{"text":"tea","afterMs":-5}`)
		w.refused(invalid, "jobId is empty", "reminders:complete", `{}`)
		w.refused(invalid, `unknown field "x"`, "reminders:list", `{"x":1}`)
		if w.complete("nothing") {
			t.Error("what does not exist was canceled")
		}
		other := call[struct{ JobIDs []storage.JobID }](w, "counters:later", `{"key":"k","n":1,"afterMs":60000}`).JobIDs[0]
		if w.complete(other) {
			t.Error("a job that is no reminder was canceled")
		}
	})
}
