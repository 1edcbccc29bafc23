package actors_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// failed is the filter of dead jobs.
var failed = []storage.State{storage.StateFailed}

// G26: dead jobs are kept for exactly their retention, as every reader sees it; a
// purge is a log line and is counted; negative keeps them for ever.
func TestG26_DeadRetention(t *testing.T) {
	for _, retention := range []time.Duration{0, time.Hour, -1} {
		t.Run(fmt.Sprint(retention), func(t *testing.T) {
			k := newKit()
			var log bytes.Buffer
			opts := actors.Options{
				Functions: k.reg, DeadRetention: retention, ClockCheck: time.Hour,
				Logger: slog.New(slog.NewTextHandler(&log, nil)),
			}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				keep := retention
				if keep == 0 {
					keep = 30 * 24 * time.Hour
				}
				id := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
				h.Settle()
				h.Advance(max(keep, time.Hour) - time.Millisecond)
				wantState(t, h, "acme", id, storage.StateFailed, 1)
				h.Advance(time.Millisecond)
				h.Crash()
				n := len(h.Jobs("acme", storage.StateFailed))
				if retention < 0 {
					h.Advance(1000 * 24 * time.Hour)
					must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
					h.Advance(2 * time.Minute)
					wantState(t, h, "acme", id, storage.StateFailed, 1)
					return
				}
				if _, known, err := h.Scheduler("acme").Get(id); n > 0 || known || err != nil {
					t.Errorf("past its retention: %d are listed, known %v, %v", n, known, err)
				}
				h.Advance(time.Hour)                                            // the wall is far ahead of what was written down, and in doubt
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x")) // so that it looks
				h.Advance(2 * time.Minute)
				if got := h.Engine.Stats().PurgedDead; got != 1 {
					t.Errorf("%d dead jobs were counted as purged, want 1", got)
				}
				if got := strings.Count(log.String(), "purged dead jobs"); got != 1 || !strings.Contains(log.String(), "app=acme jobs=1") {
					t.Errorf("%d log lines of a purge, want 1 that names app and number:\n%s", got, log.String())
				}
			})
		})
	}
}

// G26: KeepDead bounds the number of dead jobs, the oldest go first.
func TestG26_KeepDead(t *testing.T) {
	const keep, jobs = 100, 700
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, KeepDead: keep, Logger: quiet}, func(h *actorstest.Harness) {
		for i := range 2 {
			must[none](t)(k.scheduleMany(h, "acme", jobs/2, time.Duration(i)*time.Second, failAlways.With(fmt.Sprint("round ", i)), dispatch.NoRetry()))
		}
		h.Advance(5 * time.Second)
		h.Drain()
		h.Advance(2 * time.Minute)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x")) // so that it looks
		h.Advance(2 * time.Minute)
		dead := h.Jobs("acme", storage.StateFailed)
		if len(dead) != keep || h.Engine.Stats().PurgedDead != jobs-keep {
			t.Errorf("%d dead jobs are kept, want %d; %d were purged", len(dead), keep, h.Engine.Stats().PurgedDead)
		}
		for _, job := range dead {
			if string(job.Args) != `"round 1"` {
				t.Errorf("an old job is kept: %s", job.Args)
			}
		}
	})
}

// G8: dead jobs are retried and dropped in bulk by a filter: those that it chooses,
// and all of them, each once though it dies again at once; the rest stays.
func TestG8_BulkByFilter(t *testing.T) {
	const jobs = 600
	k := newKit()
	other := k.mutation("t:other", func(ctx *dispatch.MutationCtx, _ string) error {
		return dispatch.Errorf(dispatch.CodeInvalidArgument, "no")
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		must[none](t)(k.scheduleMany(h, "acme", jobs, 0, failAlways.With("x"), dispatch.NoRetry()))
		must[none](t)(k.scheduleMany(h, "acme", 3, 0, other.With("x"), dispatch.NoRetry()))
		pending := mustAfter(t, h, "acme", time.Hour, failAlways.With("later"), dispatch.NoRetry())
		h.Drain()
		s := h.Scheduler("acme")
		if n := must[int](t)(s.CountJobs(storage.JobFilter{States: failed})); n != jobs+3 {
			t.Fatalf("%d jobs are dead", n)
		}
		ran := k.count("fail")
		if n := must[int](t)(s.RetryMany(storage.JobFilter{Function: "kit:fail"})); n != jobs {
			t.Errorf("%d jobs were retried, want %d", n, jobs)
		}
		h.Drain()
		if n := k.count("fail") - ran; n != jobs {
			t.Errorf("%d jobs were run again, want %d, each once", n, jobs)
		}
		h.Advance(time.Second)
		if n := must[int](t)(s.DropMany(storage.JobFilter{Error: "invalid_argument", States: failed})); n != 3 {
			t.Errorf("%d jobs were dropped, want 3", n)
		}
		if n := must[int](t)(s.DropMany(storage.JobFilter{Ended: storage.TimeRange{Before: h.Now().Add(-time.Second)}})); n != 0 {
			t.Errorf("%d jobs were dropped that had died later", n)
		}
		if n := must[int](t)(s.DropMany(storage.JobFilter{})); n != jobs {
			t.Errorf("%d jobs were dropped, want %d", n, jobs)
		}
		wantState(t, h, "acme", pending, storage.StatePending, 0)

		for _, f := range []storage.JobFilter{
			{States: []storage.State{storage.StatePending}},
			{Limit: 1},
			{Cursor: "x"},
			{Ended: storage.TimeRange{From: h.Now(), Before: h.Now()}},
		} {
			_, err := s.DropMany(f)
			wantCode(t, err, dispatch.CodeInvalidArgument)
			_, err = s.RetryMany(f)
			wantCode(t, err, dispatch.CodeInvalidArgument)
		}
	})
}

// G18: a bulk retry stops where the app has as many jobs as it may, and says how far
// it came.
func TestG18_BulkRetryStopsAtTheLimit(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxJobs: 10, Logger: quiet}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		for range 2 {
			must[none](t)(k.scheduleMany(h, "acme", 10, 0, failAlways.With("x"), dispatch.NoRetry()))
			h.Drain()
		}
		for range 7 {
			mustAfter(t, h, "acme", time.Hour, addEntry.With("x"))
		}
		n, err := s.RetryMany(storage.JobFilter{})
		wantCode(t, err, dispatch.CodeResourceExhausted)
		if n != 3 {
			t.Errorf("%d were retried, want the 3 there is room for", n)
		}
		h.Drain()
		if dead := h.Jobs("acme", storage.StateFailed); len(dead) != 20 {
			t.Errorf("%d are dead", len(dead))
		}
	})
}
