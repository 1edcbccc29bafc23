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

// G26: an app with nothing to do stops, whatever was the last thing it did, and
// nothing of it is left; the next call finds everything as it was.
func TestG26_AnIdleAppSleepsWhateverItDidLast(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, h *actorstest.Harness, hang *dispatch.ActionRef[string, none])
	}{
		{"nothing but a read", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		}},
		{"a mutation", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		}},
		{"a mutation that failed", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			if _, err := failAlways.Run(h.Caller("acme"), "x"); err == nil {
				t.Error("it should have failed")
			}
		}},
		{"a job's success", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			mustAfter(t, h, "acme", 0, addEntry.With("x"))
		}},
		{"a job that is to come much later", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			mustAfter(t, h, "acme", 100*time.Hour, addEntry.With("x"))
		}},
		{"a dead job", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
		}},
		{"a cancel", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			wantCancel(t, h, "acme", mustAfter(t, h, "acme", time.Hour, addEntry.With("x")), true, storage.StatePending)
		}},
		{"a cancel of what runs", func(t *testing.T, h *actorstest.Harness, hang *dispatch.ActionRef[string, none]) {
			id := mustAfter(t, h, "acme", 0, hang.With("x"))
			h.Settle()
			wantCancel(t, h, "acme", id, true, storage.StateRunning)
		}},
		{"an inspection", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
			h.Inspect("acme")
		}},
		{"a call that was given up", func(t *testing.T, h *actorstest.Harness, _ *dispatch.ActionRef[string, none]) {
			ctx, cancel := context.WithCancel(h.Context())
			cancel()
			_, err := addEntry.Run(h.App("acme").As(ctx, nil), "x")
			wantCode(t, err, dispatch.CodeCanceled)
		}},
		{"an action that a caller has called, and that hangs for a while", func(t *testing.T, h *actorstest.Harness, hang *dispatch.ActionRef[string, none]) {
			if _, err := hang.Run(h.Caller("acme"), "x"); err == nil {
				t.Error("it should have failed")
			}
		}},
		{"a crash", func(t *testing.T, h *actorstest.Harness, hang *dispatch.ActionRef[string, none]) {
			mustAfter(t, h, "acme", 0, hang.With("x"), dispatch.NoRetry())
			h.Settle()
			h.Crash()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKit()
			hang := k.hangs("t:hang", dispatch.Deadline(time.Second))
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				tt.do(t, h, hang)
				h.Advance(time.Minute)
				if i := h.Inspect("acme"); !i.Asleep {
					t.Errorf("a minute later: %+v", i)
				}
				before := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "again"))
				wantEntries(t, h, "acme", append(before, "again")...)
			})
		})
	}
}

// G26: IdleAfter at its bound, the default and another, counted from the last call.
func TestG26_IdleAfter(t *testing.T) {
	for _, idle := range []time.Duration{0, time.Second, time.Hour} {
		k := newKit()
		actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: idle}, func(h *actorstest.Harness) {
			if idle == 0 {
				idle = 10 * time.Second
			}
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
			h.Advance(idle - time.Millisecond)
			if h.Inspect("acme").Asleep {
				t.Errorf("it sleeps before %v are over", idle)
			}
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "y"))
			h.Advance(idle - time.Millisecond)
			if h.Inspect("acme").Asleep {
				t.Errorf("it sleeps before %v after the last call are over", idle)
			}
			h.Advance(idle)
			if !h.Inspect("acme").Asleep {
				t.Errorf("it does not sleep after twice %v: %+v", idle, h.Inspect("acme"))
			}
		})
	}
}

// G26: nothing that works sleeps: neither an app in which a call or a job is under
// way, nor one whose next job is near.
func TestG26_WhatWorksDoesNotSleep(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		time.Sleep(time.Minute)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: time.Second}, func(h *actorstest.Harness) {
		mustAfter(t, h, "job", 0, act.With("job"))
		var done sync.WaitGroup
		done.Go(func() { must[none](t)(act.Run(h.Caller("call"), "call")) })
		h.Advance(30 * time.Second)
		for _, app := range []storage.AppID{"job", "call"} {
			if i := h.Inspect(app); i.Asleep {
				t.Errorf("app %s sleeps while it works", app)
			}
		}
		done.Wait()
		h.Drain()
		wantEntries(t, h, "job", "job")
		wantEntries(t, h, "call", "call")
	})
}

// G26: calls that come while an app goes to sleep are answered. (In a bubble
// where it goes to sleep at the very instant of the calls.)
func TestG26_CallsAtTheInstantOfGoingToSleep(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: 10 * time.Millisecond}, func(h *actorstest.Harness) {
		var want []string
		for i := range 150 {
			var done sync.WaitGroup
			for c := range 4 {
				name := fmt.Sprint(i, ".", c)
				want = append(want, name)
				done.Go(func() {
					time.Sleep(time.Duration(9+c) * time.Millisecond)
					switch c {
					case 0:
						must[storage.JobID](t)(h.Scheduler("acme").RunAfter(0, addEntry.With(name)))
					default:
						must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), name))
					}
				})
			}
			done.Wait()
			h.Settle()
		}
		h.Drain()
		wantEntries(t, h, "acme", want...)
	})
}

// G26: and outside of a bubble, under the race detector: many apps, callers and
// jobs, while every app goes to sleep whenever it can.
func TestG26_SleepHammer(t *testing.T) {
	const apps, callers, calls = 5, 10, 60
	k := newKit()
	eng := openPlain(t, actors.Options{Functions: k.reg, IdleAfter: time.Millisecond, ClaimAhead: time.Millisecond, ClockCheck: 5 * time.Millisecond, Volumes: 2})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var done sync.WaitGroup
	var acked [apps]atomic.Int64
	for c := range callers {
		done.Go(func() {
			for i := range calls {
				n := (c + i) % apps
				app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", n))))
				var err error
				switch i % 4 {
				case 0:
					_, err = app.Scheduler(ctx).RunAfter(time.Duration(i%3)*time.Millisecond, addEntry.With("x"))
				case 1:
					_, err = listEntries.Run(app.As(ctx, nil), none{})
				case 2:
					_, err = app.Inspect(ctx)
				default:
					_, err = addEntry.Run(app.As(ctx, nil), "x")
				}
				if err != nil {
					t.Errorf("caller %d, call %d: %v", c, i, err)
				} else if i%2 == 0 && i%4 == 0 || i%4 == 3 {
					acked[n].Add(1)
				}
				if i%3 == 0 {
					time.Sleep(time.Duration(i%5) * time.Millisecond)
				}
			}
		})
	}
	done.Wait()
	for n := range apps {
		app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", n))))
		for {
			names, err := listEntries.Run(app.As(ctx, nil), none{})
			if err != nil {
				t.Fatalf("app %d: %v", n, err)
			}
			if len(names) == int(acked[n].Load()) {
				break
			}
			time.Sleep(time.Millisecond) // the last jobs are on their way, and bounded by ctx
		}
	}
}

// G26: thousands of apps asleep are woken each in time, and only those due.
func TestG26_ManyAppsAreWokenEachInTime(t *testing.T) {
	const apps = 400
	k := newKit()
	late := k.mutation("t:late", func(ctx *dispatch.MutationCtx, name string) error {
		if d := time.Since(ctx.Job.ScheduledFor); d != 0 {
			t.Errorf("the job of app %s is %v late", name, d)
		}
		k.note("run "+name, ctx.Job)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Volumes: 2, ClockCheck: time.Hour}, func(h *actorstest.Harness) {
		for i := range apps {
			app := storage.AppID(fmt.Sprint("app", i))
			mustAfter(t, h, app, time.Hour+time.Duration(i*7%100)*time.Second, late.With(string(app)))
		}
		h.Advance(30 * time.Minute)
		if i := h.Inspect("app7"); !i.Asleep {
			t.Errorf("%+v", i)
		}
		h.Crash()
		h.Advance(30*time.Minute + 49*time.Second)
		awake := 0
		for i := range apps {
			if !h.Inspect(storage.AppID(fmt.Sprint("app", i))).Asleep {
				awake++
			}
		}
		if awake > apps/2 {
			t.Errorf("%d of %d apps are awake when half of them have run, most of them long ago", awake, apps)
		}
		h.Advance(time.Hour)
		got := k.noted("run")
		slices.Sort(got)
		if n := len(slices.Compact(got)); n != apps {
			t.Errorf("%d of %d apps ran their job", n, apps)
		}
	})
}

// G26: whether an app is admitted is asked before it is first called, and again
// after it has slept; what it has to do is done without asking; who is refused
// changes nothing on disk.
func TestG26_Admit(t *testing.T) {
	k := newKit()
	asked := map[storage.AppID]int{}
	closed := errors.New("closed")
	admit := func(_ context.Context, app storage.AppID, exists bool) error {
		if asked[app]++; exists != (asked[app] > 1) {
			t.Errorf("asked about %s for the %d. time: it exists is %v", app, asked[app], exists)
		}
		switch {
		case app == "full":
			asked[app] = 0
			return dispatch.Errorf(dispatch.CodePermissionDenied, "app %s is closed", app)
		case app == "odd":
			return closed
		}
		return nil
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Admit: admit}, func(h *actorstest.Harness) {
		for range 3 {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "x"))
		}
		mustAfter(t, h, "acme", time.Hour, addEntry.With("later"))
		if asked["acme"] != 1 {
			t.Errorf("asked %d times about an app that is awake", asked["acme"])
		}
		_, err := addEntry.Run(h.Caller("full"), "x")
		wantCode(t, err, dispatch.CodePermissionDenied)
		_, err = h.Scheduler("full").RunAfter(0, addEntry.With("x"))
		wantCode(t, err, dispatch.CodePermissionDenied)
		_, err = listEntries.Run(h.Caller("odd"), none{})
		wantCode(t, err, dispatch.CodeInternal)
		h.Advance(time.Hour)
		if asked["acme"] != 1 {
			t.Errorf("asked %d times: a job needs no admission", asked["acme"])
		}
		wantEntries(t, h, "acme", "x", "x", "x", "later")
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "x", "x", "x", "later")
		if asked["acme"] != 3 {
			t.Errorf("asked %d times, want once for each time it was awake and called", asked["acme"])
		}
		if ids := must[[]storage.AppID](t)(h.Engine.Apps()); !slices.Equal(ids, []storage.AppID{"acme"}) {
			t.Errorf("the apps are %q", ids)
		}
	})
}
