package actors_test

import (
	"runtime"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG35_WhatIsPausedIsNotReadAgain: jobs of a paused function behind one that is kept back
// are read once, also more than one walk passes by, and not with each job that begins beside
// them. What is put among them begins at once, and so do all when the pause ends.
func TestG35_WhatIsPausedIsNotReadAgain(t *testing.T) {
	const paused = 2500
	k := newKit()
	pay := k.counted("t:pay", time.Millisecond)
	mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, name string) error { k.note("mail "+name, ctx.Job); return nil })
	stuck := k.action("t:stuck", func(ctx *dispatch.ActionCtx, _ string) error {
		if ctx.Job.Attempt == 1 {
			time.Sleep(3 * time.Hour)
		}
		return nil
	}, dispatch.Deadline(time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		mustPause(t, h, dispatch.OfFunction("t:pay"))
		mustAfter(t, h, "acme", 0, stuck.With("")) // its second attempt waits for the handler of the first
		h.Advance(time.Hour)
		for range 2 {
			must[none](t)(k.scheduleMany(h, "acme", paused, 0, pay.With("paid")))
			h.Advance(time.Second)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const looks = 10
		for range looks {
			mustAfter(t, h, "acme", time.Second, mail.With("beside"))
			h.Advance(time.Second)
		}
		runtime.ReadMemStats(&after)
		if n := (after.Mallocs - before.Mallocs) / looks; n > 4*paused {
			t.Errorf("%d allocations for each job that begins beside %d paused ones, want those of a few hundred", n, 2*paused)
		}
		if n := k.count("mail beside"); n != looks {
			t.Errorf("%d began beside them, want %d", n, looks)
		}
		must[storage.JobID](t)(h.Scheduler("acme").RunAt(h.Now().Add(-(looks*time.Second + 1500*time.Millisecond)), mail.With("among them")))
		h.Settle()
		if k.count("mail among") != 1 {
			t.Error("a job that was put among them has not begun")
		}
		must[bool](t)(h.App("acme").Resume(h.Context(), dispatch.OfFunction("t:pay")))
		h.Advance(time.Minute)
		if left := h.Jobs("acme", storage.StatePending); len(left) != 1 {
			t.Errorf("after the pause %d jobs are pending, want the one that waits for its handler", len(left))
		}
		h.Advance(3 * time.Hour)
		h.Drain()
	})
}
