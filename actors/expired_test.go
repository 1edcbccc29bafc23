package actors_test

import (
	"fmt"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
	"carillon/storage/storagetest"
)

// kept are how many finished, dead and held jobs the app has rows of.
func kept(t *testing.T, h *actorstest.Harness, ids ...storage.AppID) (n [3]int) {
	t.Helper()
	h.Kill()
	s, err := storage.Open(h.Dir(), storagetest.On(h.Dir(), storage.Options{Volumes: 1}))
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		app, err := s.App(id)
		if err != nil {
			t.Fatal(err)
		}
		held, _ := app.Held()
		n[0], n[1], n[2] = n[0]+app.History(), n[1]+app.Dead(), n[2]+held
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	h.Open()
	return n
}

// G26: the rows of apps that sleep are cleared away when their time has come, those of
// many apps bit by bit, and nothing else wakes for it.
func TestG26_RowsOfAppsThatSleepAreClearedAway(t *testing.T) {
	k := newKit()
	fails := k.action("t:fails", func(*dispatch.ActionCtx, string) error { return errFlaky })
	gone := k.action("t:gone", func(*dispatch.ActionCtx, string) error { return nil })
	const apps = 40 // more than are woken at once
	opts := actors.Options{
		Functions: k.reg, Logger: quiet, Volumes: 2, ClockCheck: time.Minute,
		Retention: 24 * time.Hour, DeadRetention: 48 * time.Hour, HoldFor: 72 * time.Hour,
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var ids []storage.AppID
		for i := range apps {
			id := storage.AppID(fmt.Sprint("app", i))
			ids = append(ids, id)
			mustAfter(t, h, id, 0, addEntry.With("x"))
			mustAfter(t, h, id, 0, fails.With("x"), dispatch.NoRetry())
			mustAfter(t, h, id, time.Hour, gone.With("x"))
		}
		h.Advance(time.Minute)
		without := newKit()
		without.action("t:fails", func(*dispatch.ActionCtx, string) error { return nil })
		h.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		h.Advance(2 * time.Hour)
		for i, want := range [][3]int{
			{apps, apps, apps}, // 2 h
			{0, apps, apps},    // 26 h
			{0, 0, apps},       // 50 h
			{0, apps, 0},       // 74 h: what is held no longer is dead
			{0, apps, 0},       // 98 h
			{0, 0, 0},          // 122 h
		} {
			if got := kept(t, h, ids...); got != want {
				t.Errorf("after %d days: %v rows, want %v", i, got, want)
			}
			for _, id := range ids {
				if !h.Inspect(id).Asleep {
					t.Fatalf("app %s is awake", id)
				}
			}
			h.Advance(24 * time.Hour)
		}
	})
}
