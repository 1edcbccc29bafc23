package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// told is what the hooks of a test were told.
type told struct {
	mu    sync.Mutex
	lines []string
}

func (l *told) add(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, fmt.Sprintf(format, args...))
}

// want compares, in any order, and forgets.
func (l *told) want(t *testing.T, want ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.lines)
	if slices.Sort(want); !slices.Equal(l.lines, want) {
		t.Errorf("the hooks were told %q, want %q", l.lines, want)
	}
	l.lines = nil
}

// TestG5_HooksAreToldOfTheDead: each job that comes to be dead is told once to every hook, one
// whose hook panics included, when that is durable; one that is retried, canceled or succeeds
// is not.
func TestG5_HooksAreToldOfTheDead(t *testing.T) {
	k, l := newKit(), &told{}
	fail := k.action("t:fail", func(_ *dispatch.ActionCtx, name string) error { return errors.New(name) }, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
	fine := k.worker("t:fine")
	k.reg.OnDead(func(context.Context, storage.AppID, storage.Job) { panic("on purpose") })
	k.reg.OnDead(func(_ context.Context, app storage.AppID, job storage.Job) {
		l.add("%s %s %s after %d: %s", app, job.State, job.Args, job.Attempts, job.Error.Message)
	})
	dir := t.TempDir()
	var failing atomic.Bool
	opts := actors.Options{Functions: k.reg, Logger: quiet, Testing: actors.Testing{Fault: func(point string) error {
		if point == "commit" && failing.Load() {
			return errors.New("the disk is gone")
		}
		return nil
	}}}
	actorstest.RunIn(t, dir, opts, func(h *actorstest.Harness) {
		for _, name := range []string{"a", "b"} {
			mustAfter(t, h, "acme", time.Second, fail.With(name))
		}
		mustAfter(t, h, "acme", time.Second, fine.With("c"))
		canceled := mustAfter(t, h, "acme", time.Second, fail.With("d"))
		h.Advance(1500 * time.Millisecond)
		l.want(t)
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(canceled))
		h.Advance(time.Minute)
		l.want(t, `acme failed "a" after 2: internal error`, `acme failed "b" after 2: internal error`)

		// Nothing of a commit that fails is told.
		mustAfter(t, h, "acme", time.Second, fail.With("e"), dispatch.NoRetry())
		h.Advance(900 * time.Millisecond)
		failing.Store(true)
		h.Advance(time.Second)
		l.want(t)
		failing.Store(false)
		h.Advance(time.Minute)
		l.want(t, `acme failed "e" after 1: internal error`)
		h.Crash()
		h.Advance(time.Minute)
		l.want(t) // by the process that has ended it only
	})
}

// TestG17_HooksAreToldOfTheStuck: a handler that was given up, and does not return, is told once
// its grace is over, a job's and a call's.
func TestG17_HooksAreToldOfTheStuck(t *testing.T) {
	k, l := newKit(), &told{}
	var deaf deafness
	hang := k.action("t:hang", func(*dispatch.ActionCtx, string) error { <-deaf.free; return nil }, dispatch.Deadline(time.Second), dispatch.Defaults(dispatch.AtMostOnce()))
	k.reg.OnStuck(func(_ context.Context, s dispatch.StuckRun) {
		l.add("%s %s job %t attempt %d", s.App, s.Path, s.Job != "", s.Attempt)
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Grace: time.Second}, func(h *actorstest.Harness) {
		defer deaf.begin()()
		mustAfter(t, h, "acme", 0, hang.With("x"))
		h.Advance(1900 * time.Millisecond)
		l.want(t)
		h.Advance(200 * time.Millisecond)
		l.want(t, "acme t:hang job true attempt 1")
		if _, err := hang.Run(h.Caller("acme"), "y"); err == nil {
			t.Error("the call has returned")
		}
		h.Advance(2 * time.Second)
		l.want(t, "acme t:hang job false attempt 0")
	})
}
