package sample_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"carillon/cmd/carillon/sample"
	"carillon/dispatch"
	"carillon/storage"
)

// inTickingWorld is inWorld with the app's triggers, which the other tests have
// no use for.
func inTickingWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	inWorldWith(t, sample.Crons(), test)
}

// run runs a trigger by hand.
func (w *world) run(trigger string) storage.JobID {
	w.t.Helper()
	id, err := w.app.Scheduler(w.t.Context()).Crons().RunNow(trigger)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func TestCronsAreInOrder(t *testing.T) {
	plans, err := dispatch.Planner{Registry: sample.Functions(), Now: time.Now()}.CheckTriggers(sample.Crons())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range plans {
		got[p.Function] = p.Spec
	}
	for function, spec := range map[string]string{
		"cleanup:cleanupOldMessages": "0 3 * * *",
		"presence:sweep":             "*/15 * * * *",
		"heartbeat:tick":             "*/5 * * * * *",
	} {
		if got[function] != spec {
			t.Errorf("%s runs at %q, want %q", function, got[function], spec)
		}
	}
}

// TestG19_HeartbeatHasEverySlot crashes between two slots, and stays away for a
// minute: each slot has one beat, but for those of the minute, of which the
// latest is caught up.
func TestG19_HeartbeatHasEverySlot(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		begin := time.Now().UTC() // a bubble begins at midnight
		list := func() []sample.Beat { return call[[]sample.Beat](w, "heartbeat:list", `{}`) }
		if got := list(); got == nil || len(got) != 0 {
			t.Errorf("no beats are %v", got)
		}
		call[any](w, "presence:ping", `{"userId":"ann"}`) // from here on there is an app
		w.pass(62 * time.Second)
		w.crash()
		w.pass(29 * time.Second)
		got := list()
		for i, beat := range got {
			if want := begin.Add(time.Duration(i+1) * 5 * time.Second); !beat.Slot.Equal(want) || beat.RanAt.Before(want) || beat.RanAt.After(want.Add(time.Second)) {
				t.Errorf("beat %d: %+v, want slot %v", i, beat, want)
			}
		}
		if len(got) != 18 {
			t.Errorf("got %d beats, want 18", len(got))
		}

		w.shut()
		time.Sleep(time.Minute) // 91 s to 151 s
		w.open()
		w.pass(5 * time.Second)
		got = list()
		if len(got) != 20 || !got[18].Slot.Equal(begin.Add(150*time.Second)) || !got[19].Slot.Equal(begin.Add(155*time.Second)) {
			t.Errorf("after a minute away: %v", got[18:])
		}
		w.run("heartbeat")
		w.pass(time.Second)
		if again := list(); len(again) != len(got) {
			t.Errorf("run by hand, it has %d beats, want %d", len(again), len(got))
		}
	})
}

// TestHeartbeatJSON demands instants in RFC 3339, UTC, under the names that the
// documentation has.
func TestHeartbeatJSON(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		call[any](w, "presence:ping", `{"userId":"ann"}`)
		w.pass(6 * time.Second)
		got := string(call[json.RawMessage](w, "heartbeat:list", `{}`))
		if want := `[{"slot":"2000-01-01T00:00:05Z","ranAt":"2000-01-01T00:00:05Z"}]`; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	})
}

// TestHeartbeatIsBounded comes back when the first beats are no longer kept.
func TestHeartbeatIsBounded(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		call[any](w, "presence:ping", `{"userId":"ann"}`)
		w.pass(61 * time.Second)
		first := call[[]sample.Beat](w, "heartbeat:list", `{}`)
		w.shut()
		time.Sleep(6*time.Hour - time.Minute)
		w.open()
		w.pass(30 * time.Second)
		got := call[[]sample.Beat](w, "heartbeat:list", `{}`)
		last := got[len(got)-1].Slot
		if len(first) != 12 || got[0].Slot.Before(last.Add(-6*time.Hour)) || !got[0].Slot.After(first[0].Slot) || got[0].Slot.After(first[11].Slot) {
			t.Errorf("of %d beats from %v on there are left those from %v to %v", len(first), first[0].Slot, got[0].Slot, last)
		}
	})
}

func TestPresence(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		ping := func(user string) { call[any](w, "presence:ping", `{"userId":%q}`, user) }
		list := func() (users []string) {
			for _, p := range call[[]sample.Presence](w, "presence:list", `{}`) {
				users = append(users, p.UserID)
			}
			return users
		}
		w.pass(5 * time.Minute)
		ping("ann")
		ping("bob")
		w.pass(8 * time.Minute)
		ping("ann")
		if got := fmt.Sprint(list()); got != "[ann bob]" {
			t.Errorf("got %s, want [ann bob], each once and the latest first", got)
		}
		w.pass(3 * time.Minute) // to 00:16: nobody has been away for long enough at 00:15
		if got := fmt.Sprint(list()); got != "[ann bob]" {
			t.Errorf("swept too early: %s", got)
		}
		w.pass(11 * time.Minute)
		ping("ann")
		w.pass(4 * time.Minute) // past 00:30
		if got := fmt.Sprint(list()); got != "[ann]" {
			t.Errorf("after the sweep: %s", got)
		}
		w.refused(dispatch.CodeInvalidArgument, "userId is empty", "presence:ping", `{}`)
		w.refused(dispatch.CodeNotFound, "no function", "presence:sweep", `{}`)
	})
}

// TestCleanup has more old notifications than one run deletes.
func TestCleanup(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		const many, few = 520, 20
		post := call[string](w, "posts:create", `{"title":"Hello"}`)
		publish := func(n int) {
			for range n {
				call[any](w, "posts:publish", `{"postId":%q,"notifyAfterMs":0}`, post)
			}
			w.pass(time.Second)
		}
		left := func() int {
			return len(call[[]sample.Notification](w, "notifications:list", `{"postId":%q}`, post))
		}
		publish(many)
		w.shut()
		time.Sleep(4 * time.Hour) // so the next are sent after the slot of that day
		w.open()
		publish(few)
		w.shut()
		time.Sleep(30*24*time.Hour - 2*time.Hour) // to about 02:00, the 30th day after
		w.open()
		w.pass(time.Second) // what was missed meanwhile is caught up by one tick, for which nothing is old
		if got := left(); got != many+few {
			t.Fatalf("there are %d before anything is old, want %d", got, many+few)
		}
		w.pass(time.Hour + time.Minute)
		if got := left(); got != few {
			t.Errorf("the cleanup has left %d, want %d", got, few)
		}
		page, err := w.app.Scheduler(w.t.Context()).List(storage.JobFilter{Function: "cleanup:cleanupOldMessages", Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		rest := 0
		for _, job := range page.Jobs {
			if job.Trigger == "" {
				rest++
			}
		}
		if rest != 1 {
			t.Errorf("the tick handed its rest on %d times, want 1", rest)
		}
	})
}

// TestJobsListByFunction tells a function's jobs from the ticks beside them.
func TestJobsListByFunction(t *testing.T) {
	inTickingWorld(t, func(w *world) {
		tea := call[jobID](w, "reminders:set", `{"text":"tea","afterMs":1000}`).JobID
		w.pass(11 * time.Second)
		if got := call[[]sample.JobRow](w, "jobs:list", `{"function":"reminders:fire"}`); len(got) != 1 || got[0].ID != tea {
			t.Errorf("got %+v", got)
		}
		if got := call[[]sample.JobRow](w, "jobs:list", `{"function":"heartbeat:tick"}`); len(got) != 3 { // two ran, one is to come
			t.Errorf("got %+v", got)
		}
	})
}
