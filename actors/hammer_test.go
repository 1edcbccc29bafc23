package actors_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
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

// G1: many callers at once, in real time: every acknowledged change is there,
// each once, in one history (a counter that is read and written never loses one).
func TestG1_ConcurrentCallersHammer(t *testing.T) {
	const callers, calls = 16, 40
	k := newKit()
	type tally struct {
		N int `json:"n"`
	}
	tallies := storage.NewTable[tally]("tallies")
	bump := func(db storage.Writer) error {
		doc, ok, err := tallies.Query(db).First()
		if err != nil {
			return err
		}
		if !ok {
			_, err = tallies.Insert(db, tally{1})
			return err
		}
		return tallies.Patch(db, doc.ID, func(v *tally) error { v.N++; return nil })
	}
	add := k.mutation("t:bump", func(ctx *dispatch.MutationCtx, _ string) error { return bump(ctx.DB) })
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := add.Run(ctx, "")
		return err
	})
	read := dispatch.Query[none, int]("t:read")
	read.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (int, error) {
		doc, _, err := tallies.Query(ctx.DB).First()
		return doc.Value.N, err
	})
	eng := openPlain(t, actors.Options{Functions: k.reg, Volumes: 2})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	apps := []*actors.App{must[*actors.App](t)(eng.App("a")), must[*actors.App](t)(eng.App("b"))}
	var want [2]atomic.Int64
	var done sync.WaitGroup
	for c := range callers {
		done.Go(func() {
			app, n := apps[c%2], &want[c%2]
			for i := range calls {
				var err error
				switch i % 4 {
				case 0:
					_, err = add.Run(app.As(ctx, nil), "")
				case 1:
					_, err = act.Run(app.As(ctx, nil), "")
				case 2:
					_, err = app.Scheduler(ctx).RunAfter(time.Duration(i%3)*time.Millisecond, add.With(""))
				case 3:
					_, err = app.Scheduler(ctx).RunAfter(0, act.With(""))
				}
				if err != nil {
					t.Errorf("caller %d, call %d: %v", c, i, err)
					return
				}
				n.Add(1)
			}
		})
	}
	done.Wait()
	for i, app := range apps {
		for {
			n := must[int](t)(read.Run(app.As(ctx, nil), none{}))
			if n == int(want[i].Load()) {
				break
			}
			if n > int(want[i].Load()) {
				t.Fatalf("app %d counts %d, want %d", i, n, want[i].Load())
			}
			time.Sleep(time.Millisecond) // the last jobs are on their way, and bounded by ctx
		}
	}
}

// G2: callers who give up, at any moment: what they asked for happened wholly or
// not at all, and nobody writes to what they have taken back.
func TestG2_CallersWhoGiveUpHammer(t *testing.T) {
	const callers, calls = 8, 60
	k := newKit()
	pair := k.mutation("t:pair", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := entries.Insert(ctx.DB, entry{Name: "a" + name}); err != nil {
			return err
		}
		runtime.Gosched()
		_, err := entries.Insert(ctx.DB, entry{Name: "b" + name})
		return err
	})
	eng := openPlain(t, actors.Options{Functions: k.reg, IdleAfter: time.Millisecond})
	var acked sync.Map
	var done sync.WaitGroup
	for c := range callers {
		done.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(c), 2))
			app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", c%2))))
			for i := range calls {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(1500))*time.Microsecond)
				name := fmt.Sprint(c, ".", i)
				s := app.Scheduler(ctx)
				switch i % 6 {
				case 0, 1:
					if _, err := pair.Run(app.As(ctx, nil), name); err == nil {
						acked.Store(fmt.Sprint(c%2, " ", name), true)
					}
				case 2:
					if _, err := s.RunAfter(0, pair.With(name)); err == nil {
						acked.Store(fmt.Sprint(c%2, " ", name), true)
					}
				case 3:
					s.RunAfter(0, failAlways.With(name), dispatch.NoRetry(), dispatch.ID(storage.JobID(fmt.Sprint("dead", c))))
				case 4:
					s.RetryDead(storage.JobID(fmt.Sprint("dead", c)))
					s.DropDead(storage.JobID(fmt.Sprint("dead", c)))
				case 5:
					s.Cancel("nobody")
					s.Get("nobody")
					s.List(storage.JobFilter{})
					app.Inspect(ctx)
				}
				cancel()
			}
		})
	}
	done.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for n := range 2 {
		app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", n))))
		for {
			l := must[ledger](t)(ledgerOf.Run(app.As(ctx, nil), none{}))
			if l.Open > 0 {
				time.Sleep(time.Millisecond) // the last jobs are on their way, and bounded by ctx
				continue
			}
			var a, b []string
			for _, name := range l.Entries {
				if rest, ok := strings.CutPrefix(name, "a"); ok {
					a = append(a, rest)
				} else {
					b = append(b, name[1:])
				}
			}
			if !slices.Equal(a, b) || len(slices.Compact(slices.Sorted(slices.Values(a)))) != len(a) {
				t.Errorf("app %d has half a pair, or one twice", n)
			}
			acked.Range(func(key, _ any) bool {
				if name, ok := strings.CutPrefix(key.(string), fmt.Sprint(n, " ")); ok && !slices.Contains(a, name) {
					t.Errorf("app %d: %s was acknowledged, and is lost", n, name)
				}
				return true
			})
			break
		}
	}
}

// G24: functions that loop for ever, in every kind, cost their app its deadline
// and other apps nothing.
func TestG24_EndlessLoops(t *testing.T) {
	k := newKit()
	var stop atomic.Bool
	spin := func() {
		for !stop.Load() {
			runtime.Gosched()
		}
	}
	m := k.mutation("t:m", func(*dispatch.MutationCtx, string) error { spin(); return nil }, dispatch.Deadline(20*time.Millisecond))
	a := k.action("t:a", func(*dispatch.ActionCtx, string) error { spin(); return nil }, dispatch.Deadline(20*time.Millisecond))
	q := dispatch.Query[none, none]("t:q", dispatch.Deadline(20*time.Millisecond))
	q.Handle(k.reg, func(*dispatch.QueryCtx, none) (none, error) { spin(); return none{}, nil })
	eng := openPlain(t, actors.Options{Functions: k.reg, Grace: time.Second})
	defer stop.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	bad := must[*actors.App](t)(eng.App("bad")).As(ctx, nil)
	good := must[*actors.App](t)(eng.App("good")).As(ctx, nil)
	var done sync.WaitGroup
	for range 2 {
		done.Go(func() { _, err := m.Run(bad, ""); wantCode(t, err, dispatch.CodeDeadlineExceeded) })
		done.Go(func() { _, err := a.Run(bad, ""); wantCode(t, err, dispatch.CodeDeadlineExceeded) })
		done.Go(func() { _, err := q.Run(bad, none{}); wantCode(t, err, dispatch.CodeDeadlineExceeded) })
	}
	done.Go(func() { must[storage.ID[entry]](t)(addEntry.Run(good, "x")) })
	done.Wait()
	// The bad app itself goes on.
	must[storage.ID[entry]](t)(addEntry.Run(bad, "x"))
}

// G24: two apps know nothing of each other: neither documents, nor jobs, nor ids,
// nor each other's panics, quota, or broken arguments.
func TestG24_TwoAppsDoNotSeeEachOther(t *testing.T) {
	k := newKit()
	get := dispatch.Query[storage.ID[entry], string]("t:get")
	get.Handle(k.reg, func(ctx *dispatch.QueryCtx, id storage.ID[entry]) (string, error) {
		doc, err := entries.Get(ctx.DB, id)
		return doc.Name, err
	})
	burn := k.mutation("t:burn", func(ctx *dispatch.MutationCtx, id string) error {
		return entries.Delete(ctx.DB, storage.ID[entry](id))
	})
	boom := k.mutation("t:boom", func(*dispatch.MutationCtx, string) error { panic("boom") })
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxJobs: 3, Logger: quiet}, func(h *actorstest.Harness) {
		id := must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "secret"))
		job := mustAfter(t, h, "acme", time.Hour, addEntry.With("acme's"), dispatch.ID("same"))
		must[storage.ID[entry]](t)(addEntry.Run(h.Caller("other"), "public"))

		_, err := get.Run(h.Caller("other"), id)
		wantCode(t, err, dispatch.CodeNotFound)
		_, err = burn.Run(h.Caller("other"), string(id))
		wantCode(t, err, dispatch.CodeNotFound)
		if _, known, err := h.Scheduler("other").Get(job); known || err != nil {
			t.Errorf("a job of another app is known: %v, %v", known, err)
		}
		wantCancel(t, h, "other", job, false, "")
		mustAfter(t, h, "other", time.Hour, addEntry.With("other's"), dispatch.ID("same"))
		for range 2 {
			mustAfter(t, h, "other", time.Hour, boom.With(""), dispatch.NoRetry())
		}
		_, err = h.Scheduler("other").RunAfter(time.Hour, boom.With(""))
		wantCode(t, err, dispatch.CodeResourceExhausted)
		mustAfter(t, h, "acme", time.Hour, addEntry.With("acme's own quota"))
		_, err = boom.Run(h.Caller("other"), "")
		wantCode(t, err, dispatch.CodeInternal)
		if strings.Contains(dispatch.AsError(err).Message, "boom") {
			t.Error("a caller is told what a panic said")
		}
		wantCancel(t, h, "other", "same", true, storage.StatePending)
		h.Crash()
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "secret", "acme's", "acme's own quota")
		wantEntries(t, h, "other", "public")
		if jobs := h.Jobs("other", storage.StateFailed); len(jobs) != 2 {
			t.Errorf("%d dead jobs", len(jobs))
		}
	})
}

// G24: what broke inside the engine's own actor is overcome: it is started
// again, nothing acknowledged is lost, and what was under way goes on or is said
// to have failed. (The clock that panics stands for a bug of ours.)
func TestG24_AnActorThatPanicsIsStartedAgain(t *testing.T) {
	for _, times := range []int32{1, 2, 5} {
		t.Run(fmt.Sprint(times), func(t *testing.T) {
			k := newKit()
			var armed atomic.Int32
			clock := func() time.Time {
				if armed.Load() > 0 && inScheduler() && armed.Add(-1) >= 0 {
					panic("a bug")
				}
				return time.Now()
			}
			slow := k.action("t:slow", func(ctx *dispatch.ActionCtx, name string) error {
				k.note("slow "+name, ctx.Job)
				time.Sleep(30 * time.Second)
				_, err := addEntry.Run(ctx, name)
				return err
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, Testing: actors.Testing{Clock: clock}, Logger: quiet}, func(h *actorstest.Harness) {
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "before"))
				soon := mustAfter(t, h, "acme", time.Minute, addEntry.With("soon"))
				running := mustAfter(t, h, "acme", 0, slow.With("running"))
				h.Settle()
				armed.Store(times)
				ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
				defer cancel()
				// The message that met the bug is lost, and its caller is told so in time.
				h.App("acme").Scheduler(ctx).Cancel("x")
				h.Advance(20 * time.Second)
				must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "after"))
				h.Advance(2 * time.Minute)
				if armed.Load() > 0 {
					t.Fatal("the actor did not panic")
				}
				if i := h.Inspect("acme"); !i.Asleep {
					t.Errorf("at rest: %+v", i)
				}
				wantState(t, h, "acme", soon, storage.StateSuccess, 1)
				wantState(t, h, "acme", running, storage.StateSuccess, 1)
				wantEntries(t, h, "acme", "before", "after", "soon", "running")
				if n := k.count("slow"); n != 1 {
					t.Errorf("the action that was running was started %d times", n)
				}
			})
		})
	}
}

// inScheduler says whether the caller is the SchedulerActor.
func inScheduler() bool {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, "actors.(*scheduler).step") {
			return true
		}
		if !more {
			return false
		}
	}
}

// G16, G17, G5: jobs of every kind and fate, at once and in real time.
func TestG16_JobsOfEveryFateHammer(t *testing.T) {
	const jobs, perApp, all = 240, 4, 6
	k := newKit()
	leave := func(name string, attempt int) error {
		switch (len(name) + attempt) % 4 {
		case 0:
			return dispatch.Errorf(dispatch.CodeUnavailable, "no")
		case 1:
			panic("no")
		case 2:
			runtime.Goexit()
		}
		return nil
	}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		app := name[:4]
		defer k.enter("all")()
		defer k.enter(app)()
		defer k.enter(app + string(ctx.Job.ID))()
		runtime.Gosched()
		return leave(name, ctx.Job.Attempt)
	})
	mutate := k.mutation("t:mutate", func(ctx *dispatch.MutationCtx, name string) error {
		defer k.enter(name[:4] + string(ctx.Job.ID))()
		return leave(name, ctx.Job.Attempt)
	})
	eng := openPlain(t, actors.Options{Functions: k.reg, AppConcurrency: perApp, Concurrency: all, IdleAfter: time.Millisecond})
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 11, Base: time.Millisecond, Max: 2 * time.Millisecond})
	var done sync.WaitGroup
	for a := range 3 {
		name := fmt.Sprint("app", a)
		app := must[*actors.App](t)(eng.App(storage.AppID(name)))
		done.Go(func() {
			for i := range jobs / 3 {
				arg := name + strings.Repeat("x", i%7)
				call := act.With(arg)
				if i%2 == 0 {
					call = mutate.With(arg)
				}
				id, err := app.Scheduler(ctx).RunAfter(time.Duration(i%5)*time.Millisecond, call, policy)
				if err != nil {
					t.Error(err)
					return
				}
				if i%9 == 0 {
					if _, err := app.Scheduler(ctx).Cancel(id); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	done.Wait()
	for a := range 3 {
		app := must[*actors.App](t)(eng.App(storage.AppID(fmt.Sprint("app", a))))
		for {
			page, err := app.Scheduler(ctx).List(storage.JobFilter{States: []storage.State{storage.StatePending, storage.StateRunning}})
			if err != nil {
				t.Fatal(err)
			}
			if len(page.Jobs) == 0 {
				break
			}
			time.Sleep(time.Millisecond) // they are on their way, and bounded by ctx
		}
		page, err := app.Scheduler(ctx).List(storage.JobFilter{States: []storage.State{storage.StateFailed}})
		if err != nil || len(page.Jobs) > 0 {
			t.Errorf("dead jobs: %+v, %v", page.Jobs, err)
		}
	}
	for name, most := range k.most {
		limit := 1 // of one job
		switch {
		case name == "all":
			limit = all
		case len(name) == 4:
			limit = perApp
		}
		if most > limit {
			t.Errorf("%s: %d at once, the cap is %d", name, most, limit)
		}
	}
}

// G24: a function that leaks a goroutine which goes on using its context after it
// has returned gets errors, and harms nobody.
func TestG24_ContextsAreDeadAfterTheirFunction(t *testing.T) {
	k := newKit()
	var leaked *dispatch.MutationCtx
	var leakedAction *dispatch.ActionCtx
	m := k.mutation("t:m", func(ctx *dispatch.MutationCtx, _ string) error { leaked = ctx; return nil })
	a := k.action("t:a", func(ctx *dispatch.ActionCtx, _ string) error { leakedAction = ctx; return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(m.Run(h.Caller("acme"), ""))
		must[none](t)(a.Run(h.Caller("acme"), ""))
		_, err := entries.Insert(leaked.DB, entry{})
		if !errors.Is(err, storage.ErrTxDone) {
			t.Errorf("insert: %v", err)
		}
		if _, err = addEntry.Run(leaked, "x"); !errors.Is(err, storage.ErrTxDone) {
			t.Errorf("run: %v", err)
		}
		if _, err = leaked.Scheduler.RunAfter(0, addEntry.With("x")); !errors.Is(err, storage.ErrTxDone) {
			t.Errorf("schedule: %v", err)
		}
		if _, err = addEntry.Run(leakedAction, "x"); err == nil {
			t.Error("an action runs a mutation after it has returned")
		}
		if _, err = leakedAction.Scheduler.RunAfter(0, addEntry.With("x")); err == nil {
			t.Error("an action schedules after it has returned")
		}
		h.Advance(time.Minute)
		wantEntries(t, h, "acme")
	})
}
