package actors_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// committing counts the commits of a store, and lets none begin while it is held.
type committing struct {
	*faults
	n     atomic.Int64
	last  atomic.Int64 // behind that one commits wait again, for again
	again func()
}

func (c *committing) ask(point string) error {
	err := c.faults.ask(point)
	if point == "commit" {
		if c.n.Add(1) == c.last.Load() {
			c.again = c.hold()
		}
	}
	return err
}

// during is how many commits do makes necessary, all of it being submitted before
// the first of them begins.
func (c *committing) during(h *actorstest.Harness, do func()) int {
	release := c.hold()
	before := c.n.Load()
	do()
	h.Settle()
	release()
	h.Settle()
	return int(c.n.Load() - before)
}

// TestG24_WhatTheEngineWritesGoesInPieces: jobs with large arguments that end
// together, were cut off by a crash, or cannot run, are written anew in many change
// sets, so that the commit of none of them keeps others waiting for long.
func TestG24_WhatTheEngineWritesGoesInPieces(t *testing.T) {
	const jobs, size = 40, 300_000
	const pieces = jobs * size / (5 << 20) // a batch is 4 MiB
	k, c := newKit(), &committing{faults: newFaults()}
	var free chan struct{}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		select {
		case <-free:
		case <-ctx.Done():
		}
		return ctx.Err()
	})
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: c.ask}, Volumes: 1, AppConcurrency: jobs, Concurrency: jobs, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		free = make(chan struct{})
		schedule := func(after time.Duration) {
			t.Helper()
			for range jobs {
				mustAfter(t, h, "acme", after, act.With(strings.Repeat("x", size)))
			}
			h.Settle()
		}
		want := func(what string, n int, state storage.State, of int) {
			t.Helper()
			if got := len(h.Jobs("acme", state)); got != of || n < pieces {
				t.Errorf("%s: %d commits and %d jobs %s, want at least %d and %d", what, n, got, state, pieces, of)
			}
		}
		schedule(0)
		over := make(chan struct{})
		k.plan = func(*dispatch.MutationCtx) error { <-over; return nil }
		go func() { _, _ = runPlan.Run(h.Caller("acme"), none{}) }() // what ends meanwhile waits for the turn
		h.Settle()
		want("ended", c.during(h, func() {
			close(free)
			h.Settle()
			close(over)
		}), storage.StateSuccess, jobs)

		free = make(chan struct{})
		schedule(0)
		before := c.n.Load()
		h.Crash()
		h.Settle()
		want("crashed", int(c.n.Load()-before), storage.StateRunning, jobs)
		close(free)
		h.Settle()

		schedule(time.Hour)
		without := newKit()
		h.Reconfigure(func(o *actors.Options) { o.Functions = without.reg })
		h.Advance(time.Hour - time.Second)
		want("held", c.during(h, func() { h.Advance(time.Second) }), storage.StateHeld, jobs)
		before = c.n.Load()
		h.Reconfigure(func(o *actors.Options) { o.Functions = k.reg })
		h.Settle()
		want("released", int(c.n.Load()-before), storage.StateSuccess, 3*jobs)

		h.Advance(6 * 24 * time.Hour) // within the retention, of 7 days
		want("kept", pieces, storage.StateSuccess, 3*jobs)
		before = c.n.Load()
		h.Advance(2 * 24 * time.Hour)
		mustAfter(t, h, "acme", 0, addEntry.With("awake"))
		h.Advance(time.Hour)
		want("purged", int(c.n.Load()-before), storage.StateSuccess, 1)
	})
}

// TestG24_WhatOneAppHasQueuedIsBounded: an app whose callers ask for many large
// mutations at once has some megabytes of them on the way to the disk and no more; the
// others begin when there is room. All the while another app is served in its turn.
func TestG24_WhatOneAppHasQueuedIsBounded(t *testing.T) {
	const calls, size = 64, 900_000
	const most, least = 11, 9 // 8 MiB, and what passes them
	k, c := newKit(), &committing{faults: newFaults()}
	var begun atomic.Int64
	write := k.mutation("t:write", func(ctx *dispatch.MutationCtx, _ string) error {
		begun.Add(1)
		_, err := entries.Insert(ctx.DB, entry{Name: strings.Repeat("x", size)})
		return err
	})
	opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: c.ask}, Volumes: 1, MutationTimeout: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("light"), "x"))
		release := c.hold()
		var wg sync.WaitGroup
		call := func(what string, run func() error) {
			wg.Go(func() {
				if err := run(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		for i := range calls {
			call(fmt.Sprint("write ", i), func() error { _, err := write.Run(h.Caller("noisy"), "x"); return err })
		}
		h.Settle()
		if n := begun.Load(); n < least || n > most {
			t.Errorf("%d mutations have begun, want %d to %d", n, least, most)
		}
		var answered atomic.Bool
		call("light", func() error {
			_, err := addEntry.Run(h.Caller("light"), "y")
			answered.Store(true)
			return err
		})
		if _, _, err := h.Scheduler("noisy").Get("none"); err != nil { // what only reads waits for nothing
			t.Error(err)
		}
		h.Settle()
		c.last.Store(c.n.Load() + 3) // the one under way, a heavy one, and its own
		release()
		h.Settle()
		if !answered.Load() {
			t.Error("the other app was not answered after 3 commits")
		}
		c.again()
		wg.Wait()
		if n := begun.Load(); n != calls {
			t.Errorf("%d mutations have begun in the end, want %d", n, calls)
		}
	})
}

// TestG24_ClaimsAheadAreBoundedInBytes: of jobs that are due together some megabytes
// are claimed ahead and no more, whether their claims are read from the bucket or made
// where the jobs are; the others are claimed as those begin, and all run.
func TestG24_ClaimsAheadAreBoundedInBytes(t *testing.T) {
	const piece = 16 << 10
	large := func(n int) []int { return slices.Repeat([]int{piece}, n) }
	for _, tt := range []struct {
		name  string
		sizes []int // of the jobs' arguments, in the order they are due
		want  int   // claimed ahead
	}{
		{"at the bound", append(large(8), 3), 8},
		{"one below it", append(large(7), piece-3, 3, 3), 9},
		{"one above it", append(large(7), piece-2, 3), 8},
	} {
		for _, inserted := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.name, " ", inserted), func(t *testing.T) {
				k := newKit()
				var free chan struct{}
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, args string) error {
					k.note("start", ctx.Job)
					if args == "first" {
						<-free
					}
					return nil
				})
				opts := actors.Options{Functions: k.reg, AppConcurrency: 1, ActionTimeout: 2 * time.Hour, ClaimAhead: time.Second, Logger: quiet, Testing: actors.Testing{ClaimBytes: 8 * piece}}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					free = make(chan struct{})
					after := time.Hour
					if inserted {
						after = 0
					}
					mustAfter(t, h, "acme", 0, act.With("first"))
					h.Settle()
					for _, size := range tt.sizes {
						mustAfter(t, h, "acme", after, act.With(strings.Repeat("x", size-2)))
					}
					h.Advance(after)
					if i := h.Inspect("acme"); i.Running != 1 || i.Claimed != tt.want || k.count("start") != 1 {
						t.Errorf("%d have begun, want %d claimed beside: %+v", k.count("start"), tt.want, i)
					}
					close(free)
					h.Settle()
					if n := len(h.Jobs("acme", storage.StateSuccess)); n != 1+len(tt.sizes) {
						t.Errorf("%d jobs of %d have run", n, 1+len(tt.sizes))
					}
				})
			})
		}
	}
}
