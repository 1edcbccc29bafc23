package actors_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// away runs test a second into a run of fn that takes two, from when on the volume is down for a minute.
func away(t *testing.T, mutation bool, fails error, opts []dispatch.RunOption, test func(h *actorstest.Harness, id storage.JobID)) (told int) {
	t.Helper()
	k, f, log := newKit(), newFaults(), newWarnings()
	run := func() error { time.Sleep(2 * time.Second); return fails }
	call := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { k.note("begin", ctx.Job); return run() }).With("x")
	if mutation {
		call = k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error { k.note("begin", ctx.Job); return run() }).With("x")
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: slog.New(log), Testing: actors.Testing{Fault: f.ask}}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, call, opts...)
		mustAfter(t, h, "other", time.Hour, addEntry.With("x"))
		h.Advance(time.Second)
		f.fail("commit", 3)
		f.fail("reopen", 20)
		finds := storage.AppID("acme") // that the volume is down
		if mutation {
			finds = "other" // that app waits for its mutation
		}
		if _, err := addEntry.Run(h.Caller(finds), "y"); err == nil {
			t.Error("the volume is not down")
		}
		h.Advance(5 * time.Second)
		test(h, id)
		h.Advance(3 * time.Minute)
		h.Drain()
		if n := k.count("begin"); n != 1 {
			t.Errorf("it has begun %d times, want 1", n)
		}
		want := storage.StateSuccess
		if fails != nil {
			want = storage.StateFailed
		}
		wantState(t, h, "acme", id, want, 1)
	})
	for _, line := range log.list {
		switch {
		case strings.HasPrefix(line, "job failed"):
			told++
		case line == "ending a run":
			t.Error("its end could not be written down")
		}
	}
	return told
}

// TestG6_AnEndIsWrittenDownWhenTheVolumeIsBack: once, as it was, and told once, whoever has stopped the app meanwhile.
func TestG6_AnEndIsWrittenDownWhenTheVolumeIsBack(t *testing.T) {
	no := dispatch.Errorf(dispatch.CodeNotFound, "no")
	t.Run("an action, whose app is held", func(t *testing.T) {
		away(t, false, nil, []dispatch.RunOption{dispatch.AtMostOnce()}, func(h *actorstest.Harness, _ storage.JobID) {
			ctx, cancel := context.WithTimeout(h.Context(), 20*time.Second)
			defer cancel()
			wantCode(t, h.Engine.Delete(ctx, "acme"), dispatch.CodeUnavailable)
		})
	})
	for what, mutation := range map[string]bool{"an action that fails": false, "a mutation that fails": true} {
		t.Run(what, func(t *testing.T) {
			opts := []dispatch.RunOption{dispatch.Unique("k", dispatch.Refuse()), dispatch.NoRetry()}
			if n := away(t, mutation, no, opts, func(*actorstest.Harness, storage.JobID) {}); n != 1 {
				t.Errorf("that it has failed is told %d times, want once", n)
			}
		})
	}
}

// TestG6_AnEndIsToldOnceHoweverOftenItIsWrittenDown: a minute without the log, in which each job's end is tried
// many times, is one line for each.
func TestG6_AnEndIsToldOnceHoweverOftenItIsWrittenDown(t *testing.T) {
	log := newWarnings()
	inOutage(t, func(o *actors.Options) { o.Logger = slog.New(log) }, []string{"fails"}, func(o *outage) {
		time.Sleep(time.Minute)
		o.log.Heal()
		time.Sleep(10 * time.Second)
		o.wants(o.a, "fails", storage.StateFailed, 1, 0, 0, 1)
	})
	if n := log.about("job failed"); n != 1 {
		t.Errorf("the job's end is told %d times, want once", n)
	}
}
