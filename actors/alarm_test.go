package actors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// claimAhead is the default of Options.ClaimAhead.
const claimAhead = 100 * time.Millisecond

// wantAlarm demands that the app's alarm is set for the earliest thing there is
// to do: not later, so that nothing is late; and not in the past, so that it does
// not spin (G14).
func wantAlarm(t *testing.T, h *actorstest.Harness, app storage.AppID, after string) {
	t.Helper()
	i, now := h.Inspect(app), h.Now()
	if i.TurnHeld {
		return // the end of the turn brings the next step
	}
	first := time.Time{} // of all that the alarm has to come for
	for _, job := range h.Jobs(app, storage.StatePending) {
		at := job.Due
		if suspect := job.Interruptions >= 2; !i.Asleep && !job.AtMostOnce && !suspect && i.Claimed == 0 {
			at = at.Add(-claimAhead) // to be claimed
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	switch {
	case i.Asleep && i.AlarmAt.Equal(first): // both may be zero
	case i.Asleep:
		t.Errorf("%s: app %s is asleep, its alarm is at %v, its first job is due at %v", after, app, i.AlarmAt, first)
	case i.AlarmAt.IsZero() && !first.IsZero():
		t.Errorf("%s: app %s has no alarm, and a job at %v; %+v", after, app, first, i)
	case !i.AlarmAt.IsZero() && i.AlarmAt.Before(now):
		t.Errorf("%s: the alarm of app %s is %v past", after, app, now.Sub(i.AlarmAt))
	case !first.IsZero() && i.AlarmAt.After(first):
		t.Errorf("%s: the alarm of app %s is %v late for %v; %+v", after, app, i.AlarmAt.Sub(first), first, i)
	case first.IsZero() && !i.AlarmAt.IsZero() && i.AlarmAt.Sub(now) > 24*time.Hour:
		t.Errorf("%s: app %s has nothing to do and an alarm at %v", after, app, i.AlarmAt)
	}
}

// G14: the alarm is right right after every path, of a random life.
func TestG14_TheAlarmIsRightAfterEveryPath(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 14))
			k := newKit()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Duration(len(name)) * 77 * time.Millisecond):
				}
				if ctx.Job.Attempt == 1 && len(name)%3 == 0 {
					return dispatch.Errorf(dispatch.CodeUnavailable, "no")
				}
				return nil
			})
			batch := k.mutation("t:batch", func(ctx *dispatch.MutationCtx, name string) error {
				for i := range 3 {
					if _, err := ctx.Scheduler.RunAfter(time.Duration(i*len(name))*50*time.Millisecond, addEntry.With(name)); err != nil {
						return err
					}
				}
				if len(name)%2 == 0 {
					return dispatch.Errorf(dispatch.CodeAborted, "rolled back")
				}
				return nil
			})
			f := newFaults()
			opts := actors.Options{Functions: k.reg, IdleAfter: 3 * time.Second, Testing: actors.Testing{Fault: f.ask}, ClockCheck: time.Hour}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				names := []string{"x", "xx", "xxx", "xxxx", "xxxxx", "xxxxxx"}
				for i := range 120 {
					app := storage.AppID([]string{"acme", "other"}[rnd.IntN(2)])
					name := names[rnd.IntN(len(names))]
					delay := time.Duration(rnd.Int64N(int64([]time.Duration{1, 150 * time.Millisecond, 5 * time.Second, 48 * time.Hour}[rnd.IntN(4)])))
					done := ""
					switch rnd.IntN(10) {
					case 0, 1:
						done = "schedule a mutation"
						h.Scheduler(app).RunAfter(delay, addEntry.With(name))
					case 2:
						done = "schedule an action"
						h.Scheduler(app).RunAfter(delay, act.With(name))
					case 3:
						done = "schedule at most once"
						h.Scheduler(app).RunAfter(delay, act.With(name), dispatch.AtMostOnce())
					case 4:
						done = "run a batch"
						batch.Run(h.Caller(app), name)
					case 5:
						done = "cancel"
						if jobs := h.Jobs(app, storage.StatePending, storage.StateRunning); len(jobs) > 0 {
							h.Scheduler(app).Cancel(jobs[rnd.IntN(len(jobs))].ID)
						}
					case 6:
						done = "fail a commit"
						f.fail([]string{"commit", "committed"}[rnd.IntN(2)], 1)
						h.Scheduler(app).RunAfter(delay, addEntry.With(name))
						f.fail("commit", 0)
						f.fail("committed", 0)
						h.Advance(10 * time.Second) // the volume's longest back-off
					case 7:
						done = "retry or drop the dead"
						for _, job := range h.Jobs(app, storage.StateFailed) {
							if rnd.IntN(2) == 0 {
								h.Scheduler(app).RetryDead(job.ID)
							} else {
								h.Scheduler(app).DropDead(job.ID)
							}
						}
					case 8:
						done = "crash"
						h.Crash()
					default:
						done = "advance"
						h.Advance(time.Duration(rnd.Int64N(int64(8 * time.Second))))
					}
					h.Settle()
					for _, app := range []storage.AppID{"acme", "other"} {
						wantAlarm(t, h, app, fmt.Sprintf("step %d, %s", i, done))
					}
				}
				h.Advance(72 * time.Hour)
				for _, app := range []storage.AppID{"acme", "other"} {
					if jobs := h.Jobs(app, storage.StatePending, storage.StateRunning); len(jobs) > 0 {
						t.Errorf("app %s has jobs left: %+v", app, jobs)
					}
				}
			})
		})
	}
}

// G14: the alarm follows the earliest job: set earlier by a sooner one, left
// alone by a later one, and by a cancel it goes back.
func TestG14_TheAlarmFollowsTheEarliestJob(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: 100 * time.Hour}, func(h *actorstest.Harness) {
		want := func(d time.Duration) {
			t.Helper()
			h.Settle()
			if got := h.Inspect("acme").AlarmAt.Sub(h.Now()); got != d {
				t.Errorf("the alarm is %v ahead, want %v", got, d)
			}
		}
		mustAfter(t, h, "acme", 10*time.Hour, addEntry.With("a"))
		want(10*time.Hour - claimAhead)
		sooner := mustAfter(t, h, "acme", time.Hour, addEntry.With("b"))
		want(time.Hour - claimAhead)
		mustAfter(t, h, "acme", 2*time.Hour, addEntry.With("c"), dispatch.ID("c"))
		want(time.Hour - claimAhead)
		h.Scheduler("acme").Cancel(sooner)
		// The alarm may come early, but not late.
		if got := h.Inspect("acme").AlarmAt.Sub(h.Now()); got > 2*time.Hour-claimAhead {
			t.Errorf("after a cancel the alarm is %v ahead", got)
		}
		h.Advance(time.Hour)
		want(time.Hour - claimAhead)
		h.Advance(time.Hour - claimAhead)
		want(claimAhead) // c is claimed, its instant is next
		h.Advance(claimAhead)
		wantEntries(t, h, "acme", "c")
		want(8*time.Hour - claimAhead)
	})
}

// G14: nothing spins: while there is nothing to do the engine hardly looks at
// its clock (B6, B16).
func TestG14_NoBusyLoop(t *testing.T) {
	var looks atomic.Int64
	k := newKit()
	hang := k.hangs("t:hang", dispatch.Deadline(100*time.Hour))
	opts := actors.Options{Functions: k.reg, AppConcurrency: 2, ClockCheck: time.Hour, Testing: actors.Testing{Clock: func() time.Time {
		looks.Add(1)
		return time.Now()
	}}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		quiet := func(what string) {
			t.Helper()
			h.Settle()
			looks.Store(0)
			h.Advance(10 * time.Hour)
			// Ten checks of the clock, an idle look or two, a purge.
			if n := looks.Load(); n > 200 {
				t.Errorf("%s: the clock was read %d times in ten quiet hours", what, n)
			}
		}
		quiet("empty")
		far := mustAfter(t, h, "acme", 1000*time.Hour, addEntry.With("far"))
		quiet("a job far away")
		h.Scheduler("acme").Cancel(far)
		quiet("a job canceled")
		mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
		quiet("a dead job")
		mustAfter(t, h, "acme", 0, hang.With("1"))
		mustAfter(t, h, "acme", 0, hang.With("2"))
		for range 5 {
			mustAfter(t, h, "acme", 0, addEntry.With("waits"))
		}
		quiet("jobs that wait for a slot (W3)")
		h.Crash()
		h.Crash()
		quiet("suspects that wait for each other")
		for _, job := range h.Jobs("acme", storage.StateRunning, storage.StatePending) {
			h.Scheduler("acme").Cancel(job.ID)
		}
		quiet("at rest")
	})
}

// G14: an app sleeps with its alarm in the volume's index, and is woken in time;
// any number of times.
func TestG14_SleepAndWake(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, IdleAfter: time.Second}, func(h *actorstest.Harness) {
		var want []string
		for i := range 20 {
			name := fmt.Sprint(i)
			mustAfter(t, h, "acme", time.Duration(i+1)*time.Minute, addEntry.With(name))
			want = append(want, "add "+name)
		}
		for i := range 20 {
			h.Advance(30 * time.Second)
			in := h.Inspect("acme")
			if !in.Asleep || in.AlarmAt.Sub(h.Now()) != 30*time.Second {
				t.Errorf("before job %d: %+v, now %v", i, in, h.Now())
			}
			h.Advance(30 * time.Second)
			if got := k.noted("add"); !slices.Equal(got, want[:i+1]) {
				t.Errorf("after minute %d: %q", i+1, got)
			}
		}
	})
}
