package actors_test

import (
	"context"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// TestCreate: an app that is created is there, with the declared triggers and nothing else,
// though Admit lets none come into being; and is there after a crash. Its calls are admitted
// as ever.
func TestCreate(t *testing.T) {
	k := newKit()
	open := false
	opts := actors.Options{
		Functions: k.reg, MaxApps: 2, Logger: quiet, IdleAfter: time.Second,
		Crons: []dispatch.Trigger{{Name: "hourly", Schedule: cron.Every(time.Hour), Call: addEntry.With("tick")}},
		Admit: func(_ context.Context, _ storage.AppID, exists bool) error {
			if exists && open {
				return nil
			}
			return dispatch.Errorf(dispatch.CodePermissionDenied, "closed")
		},
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		ctx := h.Context()
		if err := h.Engine.Create(ctx, "acme"); err != nil {
			t.Fatal(err)
		}
		_, err := addEntry.Run(h.Caller("acme"), "x")
		wantCode(t, err, dispatch.CodePermissionDenied)
		h.Crash()
		if there := must[bool](t)(h.App("acme").Exists()); !there {
			t.Error("it is not there after a crash")
		}
		wantCode(t, h.Engine.Create(ctx, "acme"), dispatch.CodeAlreadyExists)
		wantCode(t, h.Engine.Create(ctx, "a/b"), dispatch.CodeInvalidArgument)
		open = true
		wantEntries(t, h, "acme")
		_, err = addEntry.Run(h.Caller("globex"), "x")
		wantCode(t, err, dispatch.CodePermissionDenied)
		if err := h.Engine.Create(ctx, "globex"); err != nil {
			t.Fatal(err)
		}
		wantCode(t, h.Engine.Create(ctx, "third"), dispatch.CodeResourceExhausted)
		h.Advance(time.Hour + time.Second)
		wantEntries(t, h, "acme", "tick")
		wantEntries(t, h, "globex", "tick")
	})
}

// TestStatusWakesNoApp: listing apps and looking at one leaves a sleeping app asleep.
func TestStatusWakesNoApp(t *testing.T) {
	k := newKit()
	opts := actors.Options{Functions: k.reg, Logger: quiet, IdleAfter: time.Second, AppConcurrency: 7}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
		h.Advance(time.Minute)
		for range 2 {
			status, there, err := h.App("acme").Status(h.Context())
			if err != nil || !there || status.Pending != 1 || !status.Inspection.Asleep || status.Limits.Concurrency != 7 {
				t.Errorf("the status is %+v, %v, %v", status, there, err)
			}
			page := must[storage.AppPage](t)(h.Engine.ListApps(storage.AppFilter{Contains: "cm"}))
			if len(page.Apps) != 1 || page.Apps[0].Pending != 1 {
				t.Errorf("listed: %+v", page)
			}
			h.Settle()
		}
		if !h.Inspect("acme").Asleep {
			t.Error("it is awake")
		}
		if _, there, err := h.App("none").Status(h.Context()); there || err != nil {
			t.Errorf("no such app: %v, %v", there, err)
		}
	})
}
