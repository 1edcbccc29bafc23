package actors_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG24_MaxApps makes as many apps as there may be, and demands that one more is
// refused by whatever way it comes, that those that exist are served, after a
// restart too, and that each that goes makes room for one.
func TestG24_MaxApps(t *testing.T) {
	const most = 3
	k := newKit()
	opts := actors.Options{Functions: k.reg, MaxApps: most, Logger: quiet, IdleAfter: time.Second}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := func(i int) storage.AppID { return storage.AppID(fmt.Sprint("app", i)) }
		full := func(when string) {
			t.Helper()
			_, err := addEntry.Run(h.Caller("late"), "x")
			wantCode(t, err, dispatch.CodeResourceExhausted)
			_, err = listEntries.Run(h.Caller("late"), none{})
			wantCode(t, err, dispatch.CodeResourceExhausted)
			_, err = h.Scheduler("late").RunAfter(0, addEntry.With("x"))
			wantCode(t, err, dispatch.CodeResourceExhausted)
			if !h.Inspect("late").Asleep {
				t.Errorf("%s: an app that was refused takes memory", when)
			}
			if n := len(must[[]storage.AppID](t)(h.Engine.Apps())); n > most {
				t.Errorf("%s: there are %d apps", when, n)
			}
		}
		for i := range most {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller(id(i)), "x"))
		}
		full("live")
		h.Advance(time.Minute)
		full("asleep")
		for i := range most {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller(id(i)), "x"))
		}
		h.Restart()
		full("after a restart")
		for i := range most {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller(id(i)), "x"))
		}

		// Room is made by a removal, and taken by an import.
		var stream bytes.Buffer
		if err := h.Engine.Export(h.Context(), id(0), &stream); err != nil {
			t.Fatal(err)
		}
		wantCode(t, h.Engine.Import(h.Context(), "copy", bytes.NewReader(stream.Bytes())), dispatch.CodeResourceExhausted)
		full("after an import that was refused")
		if err := h.Engine.Delete(h.Context(), id(0)); err != nil {
			t.Fatal(err)
		}
		wantCode(t, h.Engine.Import(h.Context(), "copy", bytes.NewReader(stream.Bytes()[:100])), dispatch.CodeDataLoss)
		if err := h.Engine.Import(h.Context(), "copy", &stream); err != nil {
			t.Errorf("an import where there is room: %v", err)
		}
		full("after an import")
		if err := h.Engine.Delete(h.Context(), "copy"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, h.Engine.Delete(h.Context(), "copy"), dispatch.CodeNotFound)

		// An app that does not exist yet holds its place while it is live, and no longer.
		must[[]string](t)(listEntries.Run(h.Caller("shy"), none{}))
		full("while one is live that does not exist")
		h.Advance(time.Minute)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("new"), "x"))
		full("at last")

		h.Reconfigure(func(o *actors.Options) { o.MaxApps = 1 })
		for _, app := range []storage.AppID{id(1), id(2), "new"} {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller(app), "x"))
		}
		_, err := addEntry.Run(h.Caller("late"), "x")
		wantCode(t, err, dispatch.CodeResourceExhausted)
	})
}

// TestG24_MaxAppsAndTriggers: the apps that the program's own triggers name come into
// being whatever there is, and count.
func TestG24_MaxAppsAndTriggers(t *testing.T) {
	k := newKit()
	opts := actors.Options{Functions: k.reg, MaxApps: 1, Crons: []dispatch.Trigger{
		{Name: "named", Schedule: cron.Every(time.Hour), Call: addEntry.With("tick"), Apps: []storage.AppID{"one", "two"}},
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		h.Advance(time.Hour)
		wantEntries(t, h, "one", "tick")
		wantEntries(t, h, "two", "tick")
		_, err := addEntry.Run(h.Caller("three"), "x")
		wantCode(t, err, dispatch.CodeResourceExhausted)
	})
}

// TestG26_WhoIsNotAdmittedTakesNothing: an app that Admit refuses is not spawned, and
// its jobs, with what their actions call, run all the same.
func TestG26_WhoIsNotAdmittedTakesNothing(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		return err
	})
	closed := false
	opts := actors.Options{Functions: k.reg, IdleAfter: time.Second, Admit: func(context.Context, storage.AppID, bool) error {
		if closed {
			return dispatch.Errorf(dispatch.CodePermissionDenied, "closed")
		}
		return nil
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Hour, act.With("by a job"))
		h.Advance(time.Minute)
		closed = true
		for _, app := range []storage.AppID{"acme", "new"} {
			_, err := addEntry.Run(h.Caller(app), "x")
			wantCode(t, err, dispatch.CodePermissionDenied)
			h.Settle() // what spawns it would do so behind the answer
			if !h.Inspect(app).Asleep {
				t.Errorf("%s was not admitted and is awake", app)
			}
		}
		h.Advance(time.Hour)
		closed = false
		wantEntries(t, h, "acme", "by a job")
	})
}
