package actors_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// alertKit has an action that fails and one to which alerts are sent, which fails as often as
// the test wants.
type alertKit struct {
	*kit
	fail  *dispatch.ActionRef[string, none]
	heard *told
	down  atomic.Bool
}

func newAlertKit() *alertKit {
	k := &alertKit{kit: newKit(), heard: &told{}}
	k.fail = k.action("t:fail", func(_ *dispatch.ActionCtx, name string) error { return errors.New(name) }, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 1}))
	page := dispatch.InternalAction[dispatch.Alert, none]("ops:alert", dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
	page.Handle(k.reg, func(ctx *dispatch.ActionCtx, a dispatch.Alert) (none, error) {
		if k.down.Load() {
			return none{}, errors.New("the pager is down")
		}
		if ctx.Job.App != a.App {
			return none{}, fmt.Errorf("an alert of %s is a job of %s", a.App, ctx.Job.App)
		}
		k.heard.add("%s %s %s %d %s %s %s", a.Kind, a.App, a.Function, a.Attempts, a.Code, a.Message, a.Trigger)
		return none{}, nil
	})
	reg := k.reg
	reg.AlertTo(page)
	return k
}

// TestG32_AlertsOfTheDead: for each job that comes to be dead there is one, once more when it
// was retried and dies again; there is none of one that succeeds, is retried or canceled, and
// none of an alert that is dead itself.
func TestG32_AlertsOfTheDead(t *testing.T) {
	k := newAlertKit()
	fine := k.worker("t:fine")
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, MaxJobs: 4, MaxArgBytes: 400}, func(h *actorstest.Harness) {
		dead := mustAfter(t, h, "acme", time.Minute, k.fail.With("a"))
		mustAfter(t, h, "other", time.Minute, k.fail.With("b"))
		mustAfter(t, h, "acme", time.Minute, fine.With("c"))
		canceled := mustAfter(t, h, "acme", time.Minute, k.fail.With("d"))
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(canceled))
		full := mustAfter(t, h, "acme", time.Hour, fine.With(strings.Repeat("x", 380))) // no room for an alert
		h.Advance(time.Minute + time.Second)
		const ofA, ofB = "dead acme t:fail 1 internal internal error ", "dead other t:fail 1 internal internal error "
		k.heard.want(t, ofA, ofB)
		if n := must[int](t)(h.Scheduler("acme").CountJobs(storage.JobFilter{Parent: dead})); n != 1 {
			t.Errorf("the dead job has %d children, want the alert", n)
		}

		k.down.Store(true)
		must[bool](t)(h.Scheduler("acme").RetryDead(dead))
		h.Advance(time.Minute)
		k.down.Store(false)
		alerts := h.Jobs("acme", storage.StateFailed)
		if len(alerts) != 2 { // the job, and the alert of it
			t.Errorf("dead are %+v", alerts)
		}
		k.heard.want(t)
		must[storage.Cancellation](t)(h.Scheduler("acme").Cancel(full))
		for _, job := range alerts {
			if job.Function == "ops:alert" {
				must[bool](t)(h.Scheduler("acme").RetryDead(job.ID))
			}
		}
		h.Advance(time.Minute)
		k.heard.want(t, "dead acme t:fail 1 internal internal error ") // attempts count anew
	})
}

// TestG32_AlertsOverEveryCrash: whichever commit the process dies at, there is one of each job
// that is dead, of each span of slots that was missed, and no other.
func TestG32_AlertsOverEveryCrash(t *testing.T) {
	for _, point := range []string{"commit", "committed"} {
		for n := 1; ; n++ {
			crashed := false
			k := newAlertKit()
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				for _, name := range []string{"a", "b"} {
					mustAfter(t, h, "acme", time.Minute, k.fail.With(name), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
				}
				crashed = h.CrashAt(point, n, func() { time.Sleep(2 * time.Minute) })
				h.Advance(time.Minute)
				alerts := 0
				for _, job := range h.Jobs("acme") {
					if job.Function == "ops:alert" {
						alerts++
					}
				}
				if dead := len(h.Jobs("acme", storage.StateFailed)); dead != 2 || alerts != 2 {
					t.Errorf("%s %d: %d alerts of %d dead jobs", point, n, alerts, dead)
				}
			})
			if !crashed {
				break
			}
		}
	}
}

// TestG22_AlertsOfMissedSlots: of slots that have passed and that no tick stands for.
func TestG22_AlertsOfMissedSlots(t *testing.T) {
	for _, tt := range []struct {
		policy storage.CatchUp
		want   []string
	}{
		{storage.CatchUp{Mode: storage.CatchUpNone}, []string{"missed acme t:tick 0  missed: not caught up ten"}},
		{storage.CatchUp{Mode: storage.CatchUpOne}, nil},
		{storage.CatchUp{Mode: storage.CatchUpOne, Window: time.Second}, []string{"missed acme t:tick 0  missed: beyond the catch-up window ten"}},
		{storage.CatchUp{Mode: storage.CatchUpAll, Limit: 100}, nil},
		{storage.CatchUp{Mode: storage.CatchUpAll, Limit: 1}, []string{"missed acme t:tick 0  missed: beyond the catch-up limit ten"}},
	} {
		t.Run(fmt.Sprint(tt.policy), func(t *testing.T) {
			k := newAlertKit()
			tick := k.mutation("t:tick", func(*dispatch.MutationCtx, string) error { return nil })
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				def := everyTen(tick.With("x"), "")
				def.CatchUp = tt.policy
				if err := h.Scheduler("acme").Crons().Create(def); err != nil {
					t.Fatal(err)
				}
				h.Advance(15 * time.Second)
				h.Kill()
				time.Sleep(83 * time.Second)
				h.Open()
				h.Advance(time.Second)
				k.heard.want(t, tt.want...)
			})
		})
	}
}

// TestG17_AlertsOfTheStuck: a handler that has not returned within its grace is told of by a job.
func TestG17_AlertsOfTheStuck(t *testing.T) {
	k := newAlertKit()
	var deaf deafness
	hang := k.action("t:hang", func(*dispatch.ActionCtx, string) error { <-deaf.free; return nil }, dispatch.Deadline(time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Grace: time.Second}, func(h *actorstest.Harness) {
		defer deaf.begin()()
		mustAfter(t, h, "acme", 0, hang.With("x"))
		h.Advance(1900 * time.Millisecond)
		k.heard.want(t)
		h.Advance(200 * time.Millisecond)
		k.heard.want(t, "stuck acme t:hang 1   ")
	})
}

// What no alert could be sent to is told at the open, and touches no file.
func TestG18_AlertsNeedAFunctionThatIsThere(t *testing.T) {
	reg := dispatch.NewRegistry()
	reg.AlertTo(dispatch.InternalAction[dispatch.Alert, none]("ops:gone"))
	dir := filepath.Join(t.TempDir(), "data")
	if _, err := actors.Open(dir, actors.Options{Functions: reg, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "ops:gone") {
		t.Errorf("it has opened: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	for _, bad := range []func(){func() { reg.AlertTo(nil) }, func() { reg.AlertTo(reg.Alerts()) }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("it has taken no target, or a second one")
				}
			}()
			bad()
		}()
	}
}
