package actors_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

const year = 365 * 24 * time.Hour

// steps are how the wall clock is stepped in these tests.
var steps = []time.Duration{
	time.Millisecond, 40 * time.Millisecond, time.Second, time.Hour, 23 * time.Hour, 10 * year,
}

// G11: never early, whatever the wall does. G12: and late by no more than
// Options.ClockCheck, counted from when the wall shows the instant.
func TestG11_G12_NeverEarlyAndBoundedLatenessUnderClockSteps(t *testing.T) {
	for _, sign := range []time.Duration{1, -1} {
		for _, step := range steps {
			t.Run((sign * step).String(), func(t *testing.T) {
				check := time.Second // the default
				if step > time.Hour {
					check = time.Minute
				}
				var h *actorstest.Harness
				k := newKit()
				var mu sync.Mutex
				started := map[string]time.Duration{} // after its instant, by the wall
				act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
					late := h.Now().Sub(ctx.Job.ScheduledFor)
					if late < 0 {
						t.Errorf("%s started %v early", name, -late)
					}
					mu.Lock()
					defer mu.Unlock()
					started[name] = late
					return nil
				})
				actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: check}, func(harness *actorstest.Harness) {
					h = harness
					// An app each, since a far job's app sleeps by the time of the step.
					begin, stepAt := h.Now(), h.Now().Add(time.Minute)
					wait := 2 * check
					for i, left := range []time.Duration{
						-30 * time.Second, 0, time.Millisecond, 50 * time.Millisecond, 99 * time.Millisecond,
						150 * time.Millisecond, 3 * time.Second, 20 * time.Second, 10 * time.Minute,
					} {
						for _, opts := range [][]dispatch.RunOption{nil, {dispatch.AtMostOnce()}} {
							app := storage.AppID(fmt.Sprintf("app-%d-%d", i, len(opts)))
							name := fmt.Sprintf("due %v after the step, options %d", left, len(opts))
							if _, err := h.Scheduler(app).RunAt(stepAt.Add(left), act.With(name), opts...); err != nil {
								t.Fatal(err)
							}
						}
						wait = max(wait, left+2*check)
					}
					h.AdvanceTo(stepAt)
					// At the very instant: some jobs are just starting.
					h.StepClock(sign * step)
					if sign < 0 && step > 24*time.Hour {
						// It would take years: let some time pass, then mend the clock.
						h.Advance(24 * time.Hour)
						h.StepClock(step)
					} else if sign < 0 {
						wait += step
					}
					h.Advance(wait)
					if len(started) != 18 {
						t.Errorf("%d jobs have started, want 18, by %v after the beginning", len(started), h.Now().Sub(begin))
					}
					for name, late := range started {
						// A forward step makes a job late the moment it happens.
						if sign > 0 {
							late -= step
						} else if step > 24*time.Hour {
							late -= 24 * time.Hour
						}
						if late > check {
							t.Errorf("%s: %v late", name, late)
						}
					}
				})
			})
		}
	}
}

// G12: without a step there is no lateness at all while a slot is free, whether
// the app is awake, asleep, was woken a moment ago, or has just been opened.
func TestG12_NoLatenessWithoutASlotToWaitFor(t *testing.T) {
	for _, ahead := range []time.Duration{
		0, time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 101 * time.Millisecond, 150 * time.Millisecond,
		time.Second, 9999 * time.Millisecond, 10 * time.Second, 10001 * time.Millisecond, 10150 * time.Millisecond, 20 * time.Second,
		time.Hour, 24 * time.Hour, 25 * time.Hour, 400 * 24 * time.Hour,
	} {
		t.Run(ahead.String(), func(t *testing.T) {
			k := newKit()
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				if late := time.Since(ctx.Job.ScheduledFor); late != 0 {
					t.Errorf("%s is %v late", name, late)
				}
				k.note("act", ctx.Job)
				return nil
			})
			note := k.mutation("t:note", func(ctx *dispatch.MutationCtx, name string) error {
				if late := time.Since(ctx.Job.ScheduledFor); late != 0 || !ctx.Now.Equal(ctx.Job.ScheduledFor) {
					t.Errorf("%s is %v late", name, late)
				}
				k.note("note", ctx.Job)
				return nil
			})
			check := time.Second
			if ahead > time.Hour {
				check = time.Hour // no step of the clock is to be noticed: save the trouble
			}
			actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: check}, func(h *actorstest.Harness) {
				mustAfter(t, h, "acme", ahead, act.With("act"))
				mustAfter(t, h, "acme", ahead, note.With("note"))
				mustAfter(t, h, "acme", ahead, act.With("once"), dispatch.AtMostOnce())
				h.Advance(ahead / 2)
				if ahead > 0 {
					h.Crash()
				}
				h.Advance(ahead - ahead/2)
				if k.count("act") != 2 || k.count("note") != 1 {
					t.Errorf("ran: %q", k.noted(""))
				}
			})
		})
	}
}

// G12: what is due when the directory is opened runs then, in whatever state the
// app was left, and an app that has nothing due is not touched.
func TestG12_OverdueAtOpen(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
		for i, app := range []storage.AppID{"a", "b", "c"} {
			mustAfter(t, h, app, time.Duration(i+1)*time.Hour, addEntry.With("x"))
		}
		h.Kill()
		h.StepClock(2 * time.Hour) // the machine was off
		h.Open()
		wantState(t, h, "a", h.Jobs("a")[0].ID, storage.StateSuccess, 1)
		wantState(t, h, "b", h.Jobs("b")[0].ID, storage.StateSuccess, 1)
		if i := h.Inspect("c"); !i.Asleep {
			t.Errorf("an app with nothing due was touched: %+v", i)
		}
	})
}

// G12: after the wall was far ahead for a while, everything that counts from now
// counts from the wall as it is now, though scheduler time stands.
func TestG12_AfterTheWallWasAheadNothingWaitsForIt(t *testing.T) {
	k := newKit()
	flaky := k.action("t:flaky", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("flaky "+name, ctx.Job)
		if ctx.Job.Attempt == 1 {
			return dispatch.Errorf(dispatch.CodeUnavailable, "not yet")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
		begin := h.Now()
		h.StepClock(10 * year)
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "then"))
		h.StepClock(-10 * year)
		h.Advance(2 * time.Second)
		for range 2 {
			soon := mustAfter(t, h, "acme", 0, addEntry.With("soon"))
			later := mustAfter(t, h, "acme", time.Minute, addEntry.With("later"))
			retried := mustAfter(t, h, "acme", 0, flaky.With("x"))
			dead := mustAfter(t, h, "acme", 0, flaky.With("dead"), dispatch.NoRetry())
			h.Settle()
			wantState(t, h, "acme", soon, storage.StateSuccess, 1)
			wantState(t, h, "acme", dead, storage.StateFailed, 1)
			if ok, err := h.Scheduler("acme").RetryDead(dead); !ok || err != nil {
				t.Error(ok, err)
			}
			h.Settle()
			if n := h.Job("acme", dead).State; n != storage.StateFailed {
				t.Errorf("retried by hand, it is %s: it should have run at once", n)
			}
			h.Advance(30 * time.Second)
			wantState(t, h, "acme", retried, storage.StateSuccess, 2)
			h.Advance(30 * time.Second)
			wantState(t, h, "acme", later, storage.StateSuccess, 1)
			h.Scheduler("acme").DropDead(dead)
			h.Crash() // the high-water mark is on disk
		}
		if h.Now().Sub(begin) > time.Hour {
			t.Error("the wall is not what this test believes")
		}
	})
}

// stamps are all the ways in which an engine shows the instant of just now.
func stamps(t *testing.T, h *actorstest.Harness, k *kit) map[string]time.Time {
	t.Helper()
	seen := map[string]time.Time{}
	note := func(what string, at time.Time) { seen[what] = at }
	k.plan = func(ctx *dispatch.MutationCtx) error {
		note("a mutation's Now", ctx.Now)
		id, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With("x"))
		if err != nil {
			return err
		}
		job, _, err := ctx.Scheduler.Get(id)
		note("EnqueuedAt in a mutation", job.EnqueuedAt)
		return err
	}
	must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
	note("a query's Now", must[time.Time](t)(lookNow.Run(h.Caller("acme"), none{})))
	note("an action's Now", must[time.Time](t)(askNow.Run(h.Caller("acme"), none{})))
	id := mustAfter(t, h, "acme", 0, addEntry.With("x"))
	bad := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.NoRetry())
	h.Settle()
	job := h.Job("acme", id)
	note("EnqueuedAt", job.EnqueuedAt)
	note("StartedAt", job.StartedAt)
	note("CompletedAt", job.CompletedAt)
	note("EndedAt", h.Job("acme", bad).History[0].EndedAt)
	return seen
}

var (
	lookNow = dispatch.Query[none, time.Time]("kit:look")
	askNow  = dispatch.Action[none, time.Time]("kit:ask")
)

func withNow(k *kit) *kit {
	lookNow.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (time.Time, error) { return ctx.Now, nil })
	askNow.Handle(k.reg, func(ctx *dispatch.ActionCtx, _ none) (time.Time, error) { return ctx.Now, nil })
	return k
}

// G15: what is written down and shown follows the wall: at once if that is ahead,
// or more than five minutes behind, and else at half the speed until it has caught
// up, so that it neither goes back nor stands still. It is so over a crash, too.
func TestG15_WrittenInstantsFollowTheWall(t *testing.T) {
	const most = 5 * time.Minute
	for _, crash := range []bool{false, true} {
		for _, step := range []time.Duration{
			0, time.Millisecond, time.Hour, 10 * year, -time.Millisecond, -time.Second, -90 * time.Second,
			-most, -most - time.Millisecond, -time.Hour, -10 * year,
		} {
			t.Run(fmt.Sprintf("%v,crash=%v", step, crash), func(t *testing.T) {
				k := withNow(newKit())
				actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
					h.Advance(1500 * time.Millisecond)
					stamps(t, h, k)
					shown := h.Now()
					if crash {
						h.Kill()
					}
					h.StepClock(step)
					if crash {
						h.Open()
					}
					stepped := time.Now()
					before := shown.Add(-time.Millisecond)
					for _, wait := range []time.Duration{0, time.Second, 29 * time.Second, time.Minute, 90 * time.Second, time.Second, 7 * time.Minute, 10 * time.Minute} {
						h.Advance(wait)
						want := h.Now()
						bridge := step < 0 && step >= -most
						if smooth := shown.Add(time.Since(stepped) / 2); bridge && smooth.After(want) {
							want = smooth
						}
						for what, at := range stamps(t, h, k) {
							if off := at.Sub(want); off < -time.Millisecond || off > time.Millisecond {
								t.Errorf("%v after the step %s is %v off what it should be, %v ahead of the wall", time.Since(stepped), what, off, at.Sub(h.Now()))
							}
							if (step >= 0 || bridge) && wait > 0 && !at.After(before) {
								t.Errorf("%v after the step %s is %v, and %v was shown before", time.Since(stepped), what, at, before)
							}
						}
						before = want.Add(-time.Millisecond)
					}
				})
			})
		}
	}
}

// G15: what is written down is never more than five minutes ahead of the wall,
// however many small steps back there were.
func TestG15_StepsBackAreNotBridgedTogether(t *testing.T) {
	k := withNow(newKit())
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		for i, ahead := range []time.Duration{4 * time.Minute, 0, 4 * time.Minute, 0} {
			h.StepClock(-4 * time.Minute)
			if at := must[time.Time](t)(askNow.Run(h.Caller("acme"), none{})); at.Sub(h.Now()) != ahead {
				t.Errorf("after step %d it is %v ahead of the wall, want %v", i, at.Sub(h.Now()), ahead)
			}
		}
	})
}

// G15: what ended later is listed later, and what was made later has the greater
// number, however the wall is stepped, across crashes too.
func TestG15_OrderNeverGoesBack(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second, Retention: 200 * year}, func(h *actorstest.Harness) {
		var order []storage.JobID
		seq := uint64(0)
		for i, step := range []time.Duration{0, -time.Millisecond, time.Hour, -3 * time.Hour, -time.Hour, time.Second, 11 * year, -year, 0} {
			h.StepClock(step)
			h.Advance(time.Duration(i) * 700 * time.Microsecond)
			for range 2 {
				id := mustAfter(t, h, "acme", 0, addEntry.With("x"))
				h.Advance(time.Millisecond)
				job := wantState(t, h, "acme", id, storage.StateSuccess, 1)
				if job.Seq() <= seq {
					t.Errorf("job %d has number %d, one before it %d", len(order), job.Seq(), seq)
				}
				seq = job.Seq()
				order = append(order, id)
			}
			if i%2 == 1 {
				h.Crash()
			}
		}
		var listed []storage.JobID
		for _, job := range h.Jobs("acme", storage.StateSuccess) {
			listed = append(listed, job.ID)
		}
		if !slices.Equal(listed, order) {
			t.Errorf("they ended as\n%v\nand are listed as\n%v", order, listed)
		}
	})
}

// G15: a job's instants are in order, and are the instants of the engine's clock.
func TestG15_InstantsOfAJob(t *testing.T) {
	k := newKit()
	slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, _ string) error {
		time.Sleep(2500 * time.Millisecond)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		begin := h.Now()
		id := mustAfter(t, h, "acme", 1500500*time.Microsecond, slow.With("x")) // B8
		h.Advance(time.Minute)
		job := h.Job("acme", id)
		for _, tt := range []struct {
			what string
			got  time.Time
			want time.Duration
		}{
			{"EnqueuedAt", job.EnqueuedAt, 0},
			{"ScheduledFor", job.ScheduledFor, 1501 * time.Millisecond},
			{"Due", job.Due, 1501 * time.Millisecond},
			{"StartedAt", job.StartedAt, 1501 * time.Millisecond},
			{"CompletedAt", job.CompletedAt, 4001 * time.Millisecond},
		} {
			if got := tt.got.Sub(begin); got != tt.want || tt.got.Location() != time.UTC {
				t.Errorf("%s is %v (%v), want %v", tt.what, got, tt.got, tt.want)
			}
		}
	})
}

// G11: bounds of what can be scheduled.
func TestG11_InstantsThatCanBeScheduled(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Hour}, func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		for _, tt := range []struct {
			name string
			at   time.Time
			ok   bool
		}{
			{"the latest", storage.MaxInstant, true},
			{"past the latest", storage.MaxInstant.Add(1), false},
			{"1970", time.UnixMilli(0), false},
			{"just after 1970", time.UnixMilli(0).Add(1), true},
			{"long past", time.UnixMilli(1), true},
			{"the zero time", time.Time{}, false},
			{"just now", h.Now(), true},
		} {
			id, err := s.RunAt(tt.at, addEntry.With(tt.name))
			if (err == nil) != tt.ok {
				t.Errorf("%s: %v", tt.name, err)
			}
			if err != nil {
				wantCode(t, err, dispatch.CodeInvalidArgument)
				continue
			}
			h.Settle()
			job := h.Job("acme", id)
			if want := tt.at.Add(time.Millisecond - 1).Truncate(time.Millisecond); !job.ScheduledFor.Equal(want) {
				t.Errorf("%s: scheduled for %v, want %v", tt.name, job.ScheduledFor, want)
			}
			if due := !tt.at.After(h.Now()); (job.State == storage.StateSuccess) != due {
				t.Errorf("%s is %s", tt.name, job.State)
			}
		}
		if _, err := s.RunAfter(-1, addEntry.With("x")); err == nil {
			t.Error("a negative delay is accepted")
		}
		h.Advance(48 * time.Hour) // the far one must not make the alarm spin, B6
	})
}

// G11: a retry past the last possible instant is none: the job is dead, not lost.
func TestG11_ARetryPastTheLastInstant(t *testing.T) {
	for _, tt := range []struct {
		base time.Duration
		want storage.State
	}{
		{time.Minute, storage.StatePending},
		{time.Minute + 1, storage.StateFailed},
		{1<<63 - 1, storage.StateFailed},
	} {
		k := newKit()
		var begin time.Time
		opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Clock: func() time.Time {
			// A duration does not reach that far from the bubble's own time.
			return storage.MaxInstant.Add(time.Since(begin) - time.Minute)
		}}}
		begin = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // when the bubble begins
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			id := mustAfter(t, h, "acme", 0, failAlways.With("x"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 6, Base: tt.base}))
			h.Settle()
			wantState(t, h, "acme", id, tt.want, 1)
		})
	}
}
