package actors_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG27_AllAppsShareAPool: no more attempts than the limit run in all apps together, or of a
// key; the permits go round the apps that wait; what waits for one keeps nothing back that
// needs none, and writes nothing.
func TestG27_AllAppsShareAPool(t *testing.T) {
	for _, key := range []string{"", "one"} {
		k := newKit()
		pool := dispatch.NewSharedPool("payments", 2)
		pay := k.action("t:pay", func(ctx *dispatch.ActionCtx, name string) error {
			k.note("pay "+name, ctx.Job)
			defer k.enter("pay")()
			time.Sleep(time.Second)
			return nil
		}, dispatch.InPool(pool, key))
		mail := k.action("t:mail", func(ctx *dispatch.ActionCtx, _ string) error { k.note("mail", ctx.Job); return nil })
		opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 3, Concurrency: 8}
		actorstest.Run(t, opts, func(h *actorstest.Harness) {
			begin := h.Now()
			for i := range 10 {
				mustAfter(t, h, "deep", time.Second, pay.With(fmt.Sprint("deep", i)))
			}
			for i, app := range []storage.AppID{"a", "b", "c"} {
				mustAfter(t, h, app, time.Second+time.Duration(i+1)*time.Millisecond, pay.With(string(app)))
			}
			h.Advance(1500 * time.Millisecond)
			at := h.Now()
			mustAfter(t, h, "deep", 0, mail.With(""))
			mustAfter(t, h, "a", 0, mail.With(""))
			h.Settle()
			if events := k.events("mail"); len(events) != 2 || events[1].At.Sub(at) > 20*time.Millisecond {
				t.Errorf("the mails began at %v after %v", events, at)
			}
			waits := h.Jobs("b")[0]
			if want := "payments, which all apps share, is full: 2 of 2 permits are taken"; !strings.HasSuffix(waits.Reason, want) {
				t.Errorf("a job waits because of %q, want %q", waits.Reason, want)
			}
			if got, want := h.Engine.SharedPools(), (actors.SharedPoolStatus{Name: "payments", Limit: 2, Running: 2, Apps: 3}); !slices.Equal(got, []actors.SharedPoolStatus{want}) {
				t.Errorf("the pool is %+v, want %+v", got, want)
			}
			status := must[[]actors.PoolStatus](t)(h.App("deep").Pools(h.Context()))
			if len(status) != 1 || !status[0].Shared || status[0].Running != 2 || status[0].Queued != 8 {
				t.Errorf("of the app it is %+v", status)
			}
			h.Advance(10 * time.Second)
			h.Drain()
			if got := k.mostAtOnce("pay"); got != 2 {
				t.Errorf("%d ran at once, want 2", got)
			}
			events := k.events("pay")
			if len(events) != 13 {
				t.Fatalf("%d began, want 13", len(events))
			}
			for i, e := range events {
				want := begin.Add(time.Second + time.Duration(i/2)*time.Second)
				if e.At.Before(want) || e.At.Sub(want) > 20*time.Millisecond {
					t.Errorf("job %d, %s, began after %v, want %v", i, e.What, e.At.Sub(begin), want.Sub(begin))
				}
			}
			for _, app := range []string{"a", "b", "c"} {
				if at := slices.IndexFunc(events, func(e event) bool { return e.What == "pay "+app }); at > 6 {
					t.Errorf("the job of %s began as number %d", app, at)
				}
			}
			if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Apps != 0 {
				t.Errorf("at the end the pool is %+v", got)
			}
		})
	}
}

// TestG27_ASharedPermitComesBack: whatever ends an attempt gives its permit to the app that
// waits, and so does the end of an app.
func TestG27_ASharedPermitComesBack(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("one", 1)
	in := dispatch.InPool(pool)
	sleep := func(ctx *dispatch.ActionCtx, _ string) error { time.Sleep(time.Second); return nil }
	ends := map[string]dispatch.Call{
		"success": k.action("t:success", sleep, in).With(""),
		"failure": k.action("t:failure", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Second); return errors.New("no") }, in).With(""),
		"panic":   k.action("t:panic", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Second); panic("no") }, in).With(""),
		"timeout": k.action("t:timeout", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }, in, dispatch.Deadline(time.Second)).With(""),
		"given up": k.action("t:givenup", func(*dispatch.ActionCtx, string) error {
			time.Sleep(time.Hour)
			return nil
		}, in, dispatch.Deadline(time.Second)).With(""),
		"mutation": k.mutation("t:mutation", func(*dispatch.MutationCtx, string) error { return errors.New("no") }, in).With(""),
		"cancel":   k.action("t:cancel", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }, in).With(""),
		"goexit":   k.action("t:goexit", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Second); runtime.Goexit(); return nil }, in).With(""),
		"put off": k.action("t:putoff", func(*dispatch.ActionCtx, string) error {
			time.Sleep(time.Second)
			return dispatch.RetryAfter(24 * time.Hour)
		}, in).With(""),
		"delete": k.action("t:delete", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return ctx.Err() }, in).With(""),
	}
	next := k.action("t:next", func(ctx *dispatch.ActionCtx, name string) error { k.note("next "+name, ctx.Job); return nil }, in)
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}, func(h *actorstest.Harness) {
		for name, call := range ends {
			id := mustAfter(t, h, "acme", 0, call, dispatch.NoRetry())
			h.Settle()
			mustAfter(t, h, "other", 0, next.With(name))
			h.Advance(500 * time.Millisecond)
			switch name {
			case "cancel":
				wantCancel(t, h, "acme", id, true, storage.StateRunning)
			case "delete":
				// A job that waits is deleted with its app, too.
				mustAfter(t, h, "waits", 0, next.With("never"))
				if err := h.Engine.Delete(h.Context(), "waits"); err != nil {
					t.Error(err)
				}
				if err := h.Engine.Delete(h.Context(), "acme"); err != nil {
					t.Error(err)
				}
			}
			h.Advance(time.Minute)
			if k.count("next "+name) != 1 {
				t.Errorf("after %s the next job did not begin", name)
			}
			if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Apps != 0 {
				t.Errorf("after %s the pool is %+v", name, got)
			}
		}
		if k.count("next never") != 0 {
			t.Error("a job of a deleted app has begun")
		}
	})
}

// TestG27_NoSharedPermitIsLostWhateverBecomesOfAnApp: that has some or waits for one, nor of
// the engine. Afterwards as many jobs as there are permits run at once in a third app.
func TestG27_NoSharedPermitIsLostWhateverBecomesOfAnApp(t *testing.T) {
	for name, do := range map[string]func(h *actorstest.Harness, disk *faults, waiting []storage.JobID){
		"it falls asleep after its job was canceled": func(h *actorstest.Harness, _ *faults, waiting []storage.JobID) {
			for _, id := range waiting {
				wantCancel(t, h, "waits", id, true, storage.StatePending)
			}
		},
		"it is deleted while it waits": func(h *actorstest.Harness, _ *faults, _ []storage.JobID) {
			must[none](t)(none{}, h.Engine.Delete(h.Context(), "waits"))
		},
		"it is deleted while it runs": func(h *actorstest.Harness, _ *faults, _ []storage.JobID) {
			must[none](t)(none{}, h.Engine.Delete(h.Context(), "acme"))
		},
		"a commit fails": func(h *actorstest.Harness, disk *faults, _ []storage.JobID) {
			for _, app := range []storage.AppID{"waits", "acme"} {
				disk.fail("commit", 1)
				mustFail(t, h, app)
				h.Settle()
			}
		},
		"its volume is opened again": func(h *actorstest.Harness, disk *faults, _ []storage.JobID) {
			disk.fail("reopen", 50)
			disk.fail("commit", 1)
			mustFail(t, h, "waits")
		},
		"the engine is closed":   func(h *actorstest.Harness, _ *faults, _ []storage.JobID) { h.Restart() },
		"the engine has crashed": func(h *actorstest.Harness, _ *faults, _ []storage.JobID) { h.Crash() },
	} {
		t.Run(name, func(t *testing.T) {
			const permits = 2
			k, disk := newKit(), newFaults()
			pool := dispatch.NewSharedPool("payments", permits)
			work := k.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
				defer k.enter(name)()
				k.note("work "+name, ctx.Job)
				select {
				case <-ctx.Done():
				case <-time.After(10 * time.Minute):
				}
				return ctx.Err()
			}, dispatch.InPool(pool), dispatch.Deadline(time.Hour))
			opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, IdleAfter: time.Second, Testing: actors.Testing{Fault: disk.ask}, Logger: quiet}
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
				do(h, disk, waiting)
				h.Advance(2 * time.Hour)
				for range 2 * permits {
					mustAfter(t, h, "fresh", 0, work.With("fresh"))
				}
				h.Advance(time.Hour)
				if n := k.mostAtOnce("fresh"); n != permits || k.count("work fresh") != 2*permits {
					t.Errorf("%d jobs of another app have run, %d at once, want %d at once", k.count("work fresh"), n, permits)
				}
				if n := k.mostAtOnce("busy"); n > permits {
					t.Errorf("%d ran at once before", n)
				}
				if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Apps != 0 || got.Stuck != 0 {
					t.Errorf("at rest the pool is %+v", got)
				}
			})
		})
	}
}

// TestG27_AnAppWithoutAPermitOfItsOwnKeepsNoneOfAllApps: while an app runs as many jobs as it
// may, those of its jobs that wait for a shared pool take none of its permits.
func TestG27_AnAppWithoutAPermitOfItsOwnKeepsNoneOfAllApps(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("payments", 1)
	pay := k.worker("t:pay", dispatch.InPool(pool))
	long := k.action("t:long", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.Deadline(2*time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, AppConcurrency: 2}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for range 2 {
			mustAfter(t, h, "busy", 0, long.With(""))
		}
		h.Settle()
		mustAfter(t, h, "busy", 0, pay.With("busy"))
		h.Advance(time.Second)
		mustAfter(t, h, "other", 0, pay.With("other"))
		h.Advance(10 * time.Second)
		if got := k.args("work "); got != "other" {
			t.Errorf("%q have begun, want the one of the other app", got)
		}
		h.Advance(time.Hour)
		if got := k.args("work "); got != "other busy" {
			t.Errorf("%q have begun, want that of the busy app when a job of it has ended", got)
		}
		h.Drain()
	})
}

// TestG27_AStuckHandlerKeepsASharedPermit, if the pool says so, until it returns or is abandoned.
func TestG27_AStuckHandlerKeepsASharedPermit(t *testing.T) {
	for _, abandons := range []bool{false, true} {
		k := newKit()
		pool := dispatch.NewSharedPool("one", 1, dispatch.HoldWhileStuck())
		pay := k.worker("t:pay", dispatch.InPool(pool))
		stuck := k.action("t:stuck", func(*dispatch.ActionCtx, string) error { time.Sleep(time.Hour); return nil }, dispatch.InPool(pool), dispatch.Deadline(time.Second))
		actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}, func(h *actorstest.Harness) {
			id := mustAfter(t, h, "acme", 0, stuck.With(""), dispatch.NoRetry())
			h.Settle()
			mustAfter(t, h, "other", 0, pay.With("x"))
			h.Advance(30 * time.Minute)
			if k.count("work") != 0 || h.Engine.SharedPools()[0].Stuck != 1 {
				t.Errorf("beside a stuck handler %q have begun, and the pool is %+v", k.noted("work"), h.Engine.SharedPools())
			}
			if abandons {
				if ok, err := h.Scheduler("acme").Abandon(id, "test"); !ok || err != nil {
					t.Error(ok, err)
				}
			} else {
				h.Advance(time.Hour)
			}
			h.Settle()
			if k.count("work") != 1 {
				t.Error("when it is over the next has not begun")
			}
			h.Advance(time.Hour)
			if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Stuck != 0 {
				t.Errorf("at the end the pool is %+v", got)
			}
		})
	}
}

// TestG27_ASharedPoolOutlivesACrash: the limit holds, and all is done, whatever crashes.
func TestG27_ASharedPoolOutlivesACrash(t *testing.T) {
	var k *kit
	options := func() actors.Options {
		k = newKit()
		pool := dispatch.NewSharedPool("payments", 2)
		k.worker("t:pay", dispatch.InPool(pool))
		return actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for i := range 4 {
			app := storage.AppID(fmt.Sprint("app", i%2))
			if _, err := h.Scheduler(app).RunAfter(time.Second, dispatch.Path("t:pay").With(fmt.Sprint(i))); err != nil {
				return
			}
		}
		h.Advance(5 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(time.Minute)
		h.Drain()
		if got := k.mostAtOnce("work"); got > 2 {
			t.Errorf("%d ran at once, want 2", got)
		}
		for _, app := range must[[]storage.AppID](t)(h.Engine.Apps()) {
			for _, job := range h.Jobs(app) {
				if !job.State.Ended() {
					t.Errorf("job %s is %s", job.ID, job.State)
				}
			}
		}
		if got := h.Engine.SharedPools()[0]; got.Running != 0 || got.Apps != 0 {
			t.Errorf("at the end the pool is %+v", got)
		}
	})
}

// TestG27_AnAppsOwnLimitOfASharedPool: an app that was given one, or is paused, keeps to it,
// and holds up none of the others.
func TestG27_AnAppsOwnLimitOfASharedPool(t *testing.T) {
	k := newKit()
	pool := dispatch.NewSharedPool("payments", 4)
	pay := k.action("t:pay", func(ctx *dispatch.ActionCtx, app string) error {
		defer k.enter(app)()
		time.Sleep(time.Second)
		return nil
	}, dispatch.InPool(pool))
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}}, func(h *actorstest.Harness) {
		succeeded := func(app storage.AppID) (n int) {
			for _, job := range h.Jobs(app) {
				if job.State == storage.StateSuccess {
					n++
				}
			}
			return n
		}
		if err := h.App("one").LimitPool(h.Context(), "payments", 1); err != nil {
			t.Fatal(err)
		}
		if err := h.App("none").Pause(h.Context(), dispatch.OfPool("payments"), "ann", "locked"); err != nil {
			t.Fatal(err)
		}
		for range 9 {
			for _, app := range []storage.AppID{"one", "none", "all"} {
				mustAfter(t, h, app, time.Second, pay.With(string(app)))
			}
		}
		h.Advance(4500 * time.Millisecond) // three rounds are over
		if got := k.mostAtOnce("one"); got != 1 {
			t.Errorf("%d of the app with a limit of 1 ran at once", got)
		}
		if got := succeeded("none"); got != 0 {
			t.Errorf("%d of the paused app have run", got)
		}
		if one, all := succeeded("one"), succeeded("all"); one < 2 || all != 9 {
			t.Errorf("%d and %d of the apps have run, want 2 or 3 and 9", one, all)
		}
		must[bool](t)(h.App("none").Resume(h.Context(), dispatch.OfPool("payments")))
		must[bool](t)(h.App("one").ClearPoolLimit(h.Context(), "payments"))
		h.Advance(10 * time.Second)
		if one, none := succeeded("one"), succeeded("none"); one != 9 || none != 9 {
			t.Errorf("at last %d and %d have run, want 9 and 9", one, none)
		}
	})
}
