package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// counted binds an action that takes a while and counts itself while it does, in
// all and for its app.
func (k *kit) counted(path string, takes time.Duration) *dispatch.ActionRef[string, none] {
	return k.action(path, func(ctx *dispatch.ActionCtx, app string) error {
		defer k.enter("all")()
		defer k.enter(app)()
		k.note("start "+app, ctx.Job)
		select {
		case <-time.After(takes):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// G16: the caps at n and n+1 jobs, with the defaults and with others, are
// reached and never exceeded.
func TestG16_CapsAreReachedAndNotExceeded(t *testing.T) {
	for _, tt := range []struct {
		name               string
		perApp, all        int // options; 0 is the default
		apps, jobs         int // jobs of each app
		wantApp, wantInAll int
	}{
		{"one", 1, 0, 1, 2, 1, 1},
		{"the app's default, just full", 0, 0, 1, 64, 64, 64},
		{"the app's default, one more", 0, 0, 1, 65, 64, 64},
		{"the engine's, one app", 10, 3, 1, 4, 3, 3},
		{"the engine's, just full", 10, 20, 2, 10, 10, 20},
		{"the engine's, one more", 10, 20, 3, 7, 7, 20},
		{"both", 4, 6, 3, 9, 4, 6},
		{"the engine's default, one more app than fits", 0, 0, 17, 64, 64, 1024},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKit()
			work := k.counted("t:work", time.Minute)
			opts := actors.Options{Functions: k.reg, AppConcurrency: tt.perApp, Concurrency: tt.all}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				for a := range tt.apps {
					app := storage.AppID(fmt.Sprint("app", a))
					must[none](t)(k.scheduleMany(h, app, tt.jobs, time.Second, work.With(string(app))))
				}
				h.Advance(time.Second)
				running := 0
				for a := range tt.apps {
					i := h.Inspect(storage.AppID(fmt.Sprint("app", a)))
					running += i.Running
					if i.Running > i.Permits {
						t.Errorf("app %d runs %d jobs with %d permits", a, i.Running, i.Permits)
					}
				}
				if running != tt.wantInAll {
					t.Errorf("%d jobs hold a permit, want %d", running, tt.wantInAll)
				}
				h.Drain()
				most := 0
				for a := range tt.apps {
					most = max(most, k.mostAtOnce(fmt.Sprint("app", a)))
				}
				if most != tt.wantApp || k.mostAtOnce("all") != tt.wantInAll {
					t.Errorf("at most %d jobs of one app at once, want %d; %d in all, want %d", most, tt.wantApp, k.mostAtOnce("all"), tt.wantInAll)
				}
				if n := k.count("start"); n != tt.apps*tt.jobs {
					t.Errorf("%d jobs ran, want %d", n, tt.apps*tt.jobs)
				}
			})
		})
	}
}

// scheduleMany schedules n jobs of one call in a single mutation.
func (k *kit) scheduleMany(h *actorstest.Harness, app storage.AppID, n int, after time.Duration, call dispatch.Call, opts ...dispatch.RunOption) (none, error) {
	k.mu.Lock()
	k.plan = func(ctx *dispatch.MutationCtx) error {
		for range n {
			if _, err := ctx.Scheduler.RunAfter(after, call, opts...); err != nil {
				return err
			}
		}
		return nil
	}
	k.mu.Unlock()
	return runPlan.Run(h.Caller(app), none{})
}

// ways are how a job can end. Each binds an action or a mutation that ends so.
var ways = map[string]func(k *kit) dispatch.Call{
	"success": func(k *kit) dispatch.Call {
		return k.action("t:end", func(*dispatch.ActionCtx, string) error { return nil }).With("")
	},
	"error": func(k *kit) dispatch.Call {
		return k.action("t:end", func(*dispatch.ActionCtx, string) error { return errors.New("no") }).With("")
	},
	"panic": func(k *kit) dispatch.Call {
		return k.action("t:end", func(*dispatch.ActionCtx, string) error { panic("no") }).With("")
	},
	"panic with nil": func(k *kit) dispatch.Call {
		return k.action("t:end", func(*dispatch.ActionCtx, string) error { panic(nil) }).With("")
	},
	"Goexit": func(k *kit) dispatch.Call {
		return k.action("t:end", func(*dispatch.ActionCtx, string) error { runtime.Goexit(); return nil }).With("")
	},
	"timeout": func(k *kit) dispatch.Call {
		return k.action("t:end", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }, dispatch.Deadline(time.Second)).With("")
	},
	"given up": func(k *kit) dispatch.Call {
		return k.action("t:end", func(ctx *dispatch.ActionCtx, _ string) error { time.Sleep(time.Minute); return nil }, dispatch.Deadline(time.Second)).With("")
	},
	"canceled by itself": func(k *kit) dispatch.Call {
		return k.action("t:end", func(ctx *dispatch.ActionCtx, _ string) error {
			_, err := ctx.Scheduler.Cancel(ctx.Job.ID)
			return err
		}).With("")
	},
	"a nested call that is refused": func(k *kit) dispatch.Call {
		return k.action("t:end", func(ctx *dispatch.ActionCtx, _ string) error {
			_, err := failAlways.Run(ctx, "x")
			return err
		}).With("")
	},
	"a mutation's success": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(*dispatch.MutationCtx, string) error { return nil }).With("")
	},
	"a mutation's error": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(*dispatch.MutationCtx, string) error { return errors.New("no") }).With("")
	},
	"a mutation's panic": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(*dispatch.MutationCtx, string) error { panic("no") }).With("")
	},
	"a mutation's Goexit": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(*dispatch.MutationCtx, string) error { runtime.Goexit(); return nil }).With("")
	},
	"a mutation's timeout": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(*dispatch.MutationCtx, string) error { time.Sleep(3 * time.Second); return nil }, dispatch.Deadline(time.Second)).With("")
	},
	"a mutation that cancels itself": func(k *kit) dispatch.Call {
		return k.mutation("t:end", func(ctx *dispatch.MutationCtx, _ string) error {
			_, err := ctx.Scheduler.Cancel(ctx.Job.ID)
			return err
		}).With("")
	},
	"a huge result": func(k *kit) dispatch.Call {
		ref := dispatch.InternalAction[string, string]("t:end")
		ref.Handle(k.reg, func(*dispatch.ActionCtx, string) (string, error) { return strings.Repeat("x", 2<<10), nil })
		return ref.With("")
	},
	"a mutation's huge result": func(k *kit) dispatch.Call {
		ref := dispatch.InternalMutation[string, string]("t:end")
		ref.Handle(k.reg, func(*dispatch.MutationCtx, string) (string, error) { return strings.Repeat("x", 2<<10), nil })
		return ref.With("")
	},
}

// G17: however jobs end, their permits are free again: many more of them than
// there are permits, and then as many jobs as there are permits at once.
func TestG17_NoPermitIsLostHoweverAJobEnds(t *testing.T) {
	const permits = 3
	for name, bind := range ways {
		for _, retries := range []int{0, 2} {
			t.Run(fmt.Sprint(name, ", retries ", retries), func(t *testing.T) {
				k := newKit()
				call, work := bind(k), k.counted("t:work", time.Minute)
				opts := actors.Options{
					Functions: k.reg, AppConcurrency: permits, Concurrency: permits, Logger: quiet, Limits: dispatch.Limits{Result: 1 << 10}, ClockCheck: time.Minute,
				}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1 + retries, Base: 10 * time.Millisecond})
					must[none](t)(k.scheduleMany(h, "acme", 4*permits, 0, call, policy))
					h.Advance(time.Hour)
					if jobs := h.Jobs("acme", storage.StatePending, storage.StateRunning); len(jobs) > 0 {
						t.Fatalf("%d jobs are left: %+v; %+v", len(jobs), jobs[0], h.Inspect("acme"))
					}
					wantFree(t, h, k, work, permits)
				})
			})
		}
	}
}

// wantFree demands that so many jobs can run at once, in another app and then in
// acme, and that none holds a permit afterwards.
func wantFree(t *testing.T, h *actorstest.Harness, k *kit, work *dispatch.ActionRef[string, none], permits int) {
	t.Helper()
	for _, app := range []storage.AppID{"fresh", "acme"} {
		must[none](t)(k.scheduleMany(h, app, 2*permits, 0, work.With(string(app))))
		h.Drain()
		if n := k.mostAtOnce(string(app)); n != permits {
			t.Errorf("app %s can run %d jobs at once, want %d", app, n, permits)
		}
		h.Advance(time.Minute)
		if i := h.Inspect(app); !i.Asleep && (i.Running != 0 || i.Permits != 0 || i.Claimed != 0) {
			t.Errorf("app %s at rest: %+v", app, i)
		}
	}
}

// G17: jobs that never get as far as their handler give their permits back, too,
// however many there are: their arguments do not fit any more, their function is
// gone, or has become a query, or their identity is refused.
func TestG17_JobsThatNeverStart(t *testing.T) {
	const jobs = 600 // more than half of what is claimed ahead
	type obj struct {
		N int `json:"n"`
	}
	for _, kind := range []dispatch.Kind{dispatch.KindMutation, dispatch.KindAction} {
		for _, tt := range []struct {
			name   string
			rebind func(k *kit)
			opts   []dispatch.RunOption
			code   dispatch.Code // "": they are held
		}{
			{"other arguments", func(k *kit) {
				if kind == dispatch.KindMutation {
					dispatch.InternalMutation[obj, none]("t:end").Handle(k.reg, func(*dispatch.MutationCtx, obj) (none, error) { return none{}, nil })
				} else {
					dispatch.InternalAction[obj, none]("t:end").Handle(k.reg, func(*dispatch.ActionCtx, obj) (none, error) { return none{}, nil })
				}
			}, nil, ""},
			{"gone", func(*kit) {}, nil, ""},
			{"a query now", func(k *kit) {
				dispatch.Query[string, none]("t:end").Handle(k.reg, func(*dispatch.QueryCtx, string) (none, error) { return none{}, nil })
			}, nil, ""},
			{"identity refused", func(k *kit) {
				if kind == dispatch.KindMutation {
					k.mutation("t:end", func(*dispatch.MutationCtx, string) error { return nil })
				} else {
					k.action("t:end", func(*dispatch.ActionCtx, string) error { return nil })
				}
			}, []dispatch.RunOption{dispatch.AsCaller()}, dispatch.CodePermissionDenied},
		} {
			t.Run(fmt.Sprint(kind, " ", tt.name), func(t *testing.T) {
				k := newKit()
				var call dispatch.Call
				if kind == dispatch.KindMutation {
					call = k.mutation("t:end", func(*dispatch.MutationCtx, string) error { return nil }).With("")
				} else {
					call = k.action("t:end", func(*dispatch.ActionCtx, string) error { return nil }).With("")
				}
				opts := actors.Options{Functions: k.reg, Logger: quiet, Reauthorize: func(context.Context, storage.AppID, *dispatch.Identity) (*dispatch.Identity, error) {
					return nil, dispatch.Errorf(dispatch.CodePermissionDenied, "no more")
				}}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					k.plan = func(ctx *dispatch.MutationCtx) error {
						for range jobs {
							if _, err := ctx.Scheduler.RunAfter(time.Hour, call, tt.opts...); err != nil {
								return err
							}
						}
						return nil
					}
					must[none](t)(runPlan.Run(h.CallerAs("acme", &dispatch.Identity{Subject: "ada"}), none{}))
					next := newKit()
					tt.rebind(next)
					work := next.counted("t:work", time.Minute)
					h.Reconfigure(func(o *actors.Options) { o.Functions = next.reg })
					h.Advance(2 * time.Hour)
					state := storage.StateFailed
					if tt.code == "" {
						state = storage.StateHeld
					}
					never := h.Jobs("acme", state)
					if len(never) != jobs {
						t.Fatalf("%d jobs are %s, want %d: %+v", len(never), state, jobs, h.Inspect("acme"))
					}
					for _, job := range never {
						if tt.code == "" {
							continue
						}
						if job.Error.Code != string(tt.code) || job.Attempts != 1 {
							t.Fatalf("a job says %+v after %d attempts, want %s", job.Error, job.Attempts, tt.code)
						}
					}
					wantFree(t, h, next, work, 64)
				})
			})
		}
	}
}

// G17: nor is a permit lost when the app is canceled, sleeps, crashes or is deleted
// while it holds permits or waits for some.
func TestG17_NoPermitIsLostWhateverBecomesOfTheApp(t *testing.T) {
	const permits = 2
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, h *actorstest.Harness, waiting []storage.JobID)
	}{
		{"its job is canceled while it waits, and it sleeps", func(t *testing.T, h *actorstest.Harness, waiting []storage.JobID) {
			for _, id := range waiting {
				wantCancel(t, h, "waits", id, true, storage.StatePending)
			}
		}},
		{"it is deleted while it waits", func(t *testing.T, h *actorstest.Harness, _ []storage.JobID) {
			if err := h.Engine.Delete(h.Context(), "waits"); err != nil {
				t.Error(err)
			}
		}},
		{"it is deleted while it runs", func(t *testing.T, h *actorstest.Harness, _ []storage.JobID) {
			if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
				t.Error(err)
			}
			h.Drain()
		}},
		{"a commit fails", func(t *testing.T, h *actorstest.Harness, _ []storage.JobID) {
			diskFails.fail("commit", 1)
			mustFail(t, h, "waits")
			h.Settle() // or a claim made while the app recovers would meet the next failure
			diskFails.fail("commit", 1)
			mustFail(t, h, "acme")
		}},
		{"the volume is down", func(t *testing.T, h *actorstest.Harness, _ []storage.JobID) {
			diskFails.fail("reopen", 50)
			diskFails.fail("commit", 1)
			mustFail(t, h, "waits")
		}},
		{"the engine crashes", func(_ *testing.T, h *actorstest.Harness, _ []storage.JobID) { h.Crash() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := newKit()
			work := k.counted("t:work", 10*time.Minute)
			diskFails = newFaults()
			opts := actors.Options{Functions: k.reg, Concurrency: permits, IdleAfter: time.Second, Testing: actors.Testing{Fault: diskFails.ask}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				for range permits {
					mustAfter(t, h, "acme", 0, work.With("busy"), dispatch.NoRetry())
				}
				h.Settle()
				var waiting []storage.JobID
				for range 3 {
					waiting = append(waiting, mustAfter(t, h, "waits", 0, work.With("busy"), dispatch.NoRetry()))
				}
				h.Settle()
				tt.do(t, h, waiting)
				h.Advance(2 * time.Hour)
				wantFree(t, h, k, work, permits)
			})
		})
	}
}

// diskFails are the faults of TestG17_NoPermitIsLostWhateverBecomesOfTheApp.
var diskFails *faults

func mustFail(t *testing.T, h *actorstest.Harness, app storage.AppID) {
	t.Helper()
	if _, err := addEntry.Run(h.Caller(app), "x"); err == nil {
		t.Error("it should have failed")
	}
}

// G16: caps hold over random lives with crashes, failures and cancels.
func TestG16_CapsHoldInARandomLife(t *testing.T) {
	const perApp, all = 3, 5
	for seed := range uint64(3) {
		rnd, inner := rand.New(rand.NewPCG(seed, 16)), rand.New(rand.NewPCG(seed, 17))
		k := newKit()
		work := k.action("t:work", func(ctx *dispatch.ActionCtx, app string) error {
			if err := ctx.Err(); err != nil {
				return err // the engine dies: it has begun in the permit of one that is about to return
			}
			defer k.enter("all")()
			defer k.enter(app)()
			k.mu.Lock()
			takes, end := time.Duration(inner.IntN(3000))*time.Millisecond, inner.IntN(5)
			k.mu.Unlock()
			select {
			case <-time.After(takes):
			case <-ctx.Done():
				return ctx.Err()
			}
			switch end {
			case 0:
				return errors.New("no")
			case 1:
				panic("no")
			}
			return nil
		})
		opts := actors.Options{Functions: k.reg, AppConcurrency: perApp, Concurrency: all, Logger: quiet, IdleAfter: time.Second}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			for range 150 {
				app := storage.AppID(fmt.Sprint("app", rnd.IntN(4)))
				switch rnd.IntN(6) {
				case 0, 1, 2:
					policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Second})
					mustAfter(t, h, app, time.Duration(rnd.IntN(3000))*time.Millisecond, work.With(string(app)), policy, dispatch.Timeout(2*time.Second))
				case 3:
					if jobs := h.Jobs(app, storage.StateRunning, storage.StatePending); len(jobs) > 0 {
						h.Scheduler(app).Cancel(jobs[rnd.IntN(len(jobs))].ID)
					}
				case 4:
					h.Advance(time.Duration(rnd.IntN(1500)) * time.Millisecond)
				case 5:
					if rnd.IntN(5) == 0 {
						h.Crash()
					}
				}
			}
			h.Advance(time.Hour)
			for name, most := range k.most {
				if limit := map[bool]int{true: all, false: perApp}[name == "all"]; most > limit {
					t.Errorf("%s: %d at once, the cap is %d", name, most, limit)
				}
			}
			for a := range 4 {
				app := storage.AppID(fmt.Sprint("app", a))
				if jobs := h.Jobs(app, storage.StateRunning, storage.StatePending); len(jobs) > 0 {
					t.Errorf("app %s has jobs left: %+v", app, jobs)
				}
			}
		})
	}
}
