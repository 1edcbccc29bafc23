package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G24: a mutation that overruns its deadline loses the turn: its transaction is
// dead, its caller is told at the deadline, and the app goes on.
func TestG24_AMutationThatOverrunsLosesTheTurn(t *testing.T) {
	k := newKit()
	after := make(map[string]error)
	overrun := k.mutation("t:overrun", func(ctx *dispatch.MutationCtx, name string) error {
		id, err := addEntry.Run(ctx, name)
		if err != nil {
			return err
		}
		time.Sleep(7 * time.Second)
		_, after["get"] = entries.Get(ctx.DB, id)
		_, after["insert"] = entries.Insert(ctx.DB, entry{Name: "late"})
		_, after["nested mutation"] = addEntry.Run(ctx, "late")
		_, after["nested query"] = listEntries.Run(ctx, none{})
		_, after["schedule"] = ctx.Scheduler.RunAfter(0, addEntry.With("late"))
		_, _, after["job"] = ctx.Scheduler.Get("x")
		_, after["list"] = ctx.Scheduler.List(storage.JobFilter{})
		_, _, after["system"] = ctx.DB.System().Get("x")
		_, after["count"] = entries.Query(ctx.DB).Count()
		if ctx.Err() == nil {
			t.Error("its context goes on")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		begin := h.Now()
		var done sync.WaitGroup
		var err, other error
		done.Go(func() { _, err = overrun.Run(h.Caller("acme"), "overrun") })
		h.Settle()
		done.Go(func() { _, other = addEntry.Run(h.Caller("acme"), "other") })
		done.Wait()
		wantCode(t, err, dispatch.CodeDeadlineExceeded)
		if other != nil {
			t.Errorf("the next one: %v", other)
		}
		if took := h.Now().Sub(begin); took != 5*time.Second {
			t.Errorf("they were told after %v, want the default deadline of 5 s", took)
		}
		h.Advance(time.Minute)
		for what, err := range after {
			if !errors.Is(err, storage.ErrTxDone) {
				t.Errorf("%s, after it has lost the turn: %v, want ErrTxDone", what, err)
			}
		}
		if len(after) != 9 {
			t.Errorf("it tried %d things", len(after))
		}
		wantEntries(t, h, "acme", "other")

		// As a job it is retried, and dead in the end, like one that fails.
		id := mustAfter(t, h, "acme", 0, overrun.With("job"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Second}))
		h.Advance(time.Minute)
		job := wantState(t, h, "acme", id, storage.StateFailed, 2)
		if job.Error.Code != string(dispatch.CodeDeadlineExceeded) {
			t.Errorf("the job says %+v", job.Error)
		}
		wantEntries(t, h, "acme", "other")
	})
}

// G24: each mutation has its own deadline, whoever had the turn before it: a
// shorter one, a longer one, a job's.
func TestG24_DeadlinesOfMutations(t *testing.T) {
	k := newKit()
	wait := func(ctx *dispatch.MutationCtx, d string) error {
		span, err := time.ParseDuration(d)
		if err != nil {
			return err
		}
		time.Sleep(span) // deaf to its context
		return nil
	}
	refs := map[time.Duration]*dispatch.MutationRef[string, none]{
		50 * time.Millisecond: k.mutation("t:short", wait, dispatch.Deadline(50*time.Millisecond)),
		5 * time.Second:       k.mutation("t:default", wait),
		10 * time.Minute:      k.mutation("t:long", wait, dispatch.Deadline(10*time.Minute)),
	}
	for first := range refs {
		for second, ref := range refs {
			for _, together := range []bool{false, true} {
				t.Run(fmt.Sprint(first, " then ", second, " together ", together), func(t *testing.T) {
					actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
						// Somebody has the turn until both wait for it, so that they get it together.
						var done sync.WaitGroup
						if together {
							done.Go(func() { must[none](t)(refs[5*time.Second].Run(h.Caller("acme"), "10ms")) })
							h.Settle()
						}
						done.Go(func() { must[none](t)(refs[first].Run(h.Caller("acme"), "1ms")) })
						h.Settle()
						if !together {
							h.Advance(time.Second)
						}
						began := h.Now()
						_, err := ref.Run(h.Caller("acme"), "1h")
						wantCode(t, err, dispatch.CodeDeadlineExceeded)
						if took := h.Now().Sub(began); took < second || took > second+20*time.Millisecond {
							t.Errorf("it was told after %v, want its deadline of %v", took, second)
						}
						done.Wait()
						h.Advance(2 * time.Hour)
					})
				})
			}
		}
	}
}

// G24: the order of deadlines: the engine's default, the function's, the job's.
func TestG24_WhichDeadlineHolds(t *testing.T) {
	k := newKit()
	var mu sync.Mutex // an action runs beside a mutation
	left := map[string]time.Duration{}
	note := func(ctx context.Context, name string) {
		deadline, _ := ctx.Deadline()
		mu.Lock()
		defer mu.Unlock()
		left[name] = time.Until(deadline).Round(time.Millisecond)
	}
	m := k.mutation("t:m", func(ctx *dispatch.MutationCtx, name string) error { note(ctx, name); return nil })
	m7 := k.mutation("t:m7", func(ctx *dispatch.MutationCtx, name string) error { note(ctx, name); return nil }, dispatch.Deadline(7*time.Second))
	a := k.action("t:a", func(ctx *dispatch.ActionCtx, name string) error { note(ctx, name); return nil })
	a7 := k.action("t:a7", func(ctx *dispatch.ActionCtx, name string) error { note(ctx, name); return nil }, dispatch.Deadline(7*time.Second))
	q := dispatch.Query[string, none]("t:q")
	q.Handle(k.reg, func(ctx *dispatch.QueryCtx, name string) (none, error) { note(ctx, name); return none{}, nil })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		c := h.Caller("acme")
		must[none](t)(m.Run(c, "mutation"))
		must[none](t)(m7.Run(c, "mutation's own"))
		must[none](t)(a.Run(c, "action"))
		must[none](t)(a7.Run(c, "action's own"))
		must[none](t)(q.Run(c, "query"))
		three := dispatch.Timeout(3*time.Second - 1) // rounded up
		mustAfter(t, h, "acme", 0, m.With("mutation's job"))
		mustAfter(t, h, "acme", 0, m7.With("mutation's own, job"))
		mustAfter(t, h, "acme", 0, m7.With("mutation's own, job's own"), three)
		mustAfter(t, h, "acme", 0, a7.With("action's own, job's own"), three)
		h.Settle()
		for name, want := range map[string]time.Duration{
			"mutation": 5 * time.Second, "mutation's own": 7 * time.Second, "action": 10 * time.Minute, "action's own": 7 * time.Second,
			"query": 5 * time.Second, "mutation's job": 5 * time.Second, "mutation's own, job": 7 * time.Second,
			"mutation's own, job's own": 3 * time.Second, "action's own, job's own": 3 * time.Second,
		} {
			if left[name] != want {
				t.Errorf("%s has %v, want %v", name, left[name], want)
			}
		}
	})
}

// G24: a query that overruns loses its snapshot, and its caller is told; an
// action that overruns is told, and given up after the grace.
func TestG24_QueriesAndActionsThatOverrun(t *testing.T) {
	k := newKit()
	var afterQuery error
	query := dispatch.Query[none, none]("t:query")
	query.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (none, error) {
		time.Sleep(7 * time.Second)
		_, afterQuery = namesOf(ctx.DB)
		return none{}, nil
	})
	deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, _ string) error {
		time.Sleep(time.Hour)
		return nil
	}, dispatch.Deadline(time.Second))
	polite := k.action("t:polite", func(ctx *dispatch.ActionCtx, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}, dispatch.Deadline(time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Grace: 2 * time.Second}, func(h *actorstest.Harness) {
		for _, tt := range []struct {
			name string
			run  func() error
			want time.Duration
		}{
			{"query", func() error { _, err := query.Run(h.Caller("acme"), none{}); return err }, 5 * time.Second},
			{"deaf action", func() error { _, err := deaf.Run(h.Caller("acme"), ""); return err }, 3 * time.Second},
			{"polite action", func() error { _, err := polite.Run(h.Caller("acme"), ""); return err }, time.Second},
		} {
			begin := h.Now()
			wantCode(t, tt.run(), dispatch.CodeDeadlineExceeded)
			if took := h.Now().Sub(begin); took != tt.want {
				t.Errorf("%s: told after %v, want %v", tt.name, took, tt.want)
			}
		}
		h.Advance(10 * time.Second)
		if !errors.Is(afterQuery, storage.ErrTxDone) {
			t.Errorf("a query after its deadline: %v, want ErrTxDone", afterQuery)
		}
		h.Advance(2 * time.Hour)
	})
}

// G2: a nested mutation that fails, or panics, loses its own writes and jobs and
// nothing else, when its caller goes on (B48); the outer one's failure takes all.
func TestG2_NestedMutations(t *testing.T) {
	k := newKit()
	inner := k.mutation("t:inner", func(ctx *dispatch.MutationCtx, how string) error {
		if _, err := addEntry.Run(ctx, "inner "+how); err != nil {
			return err
		}
		if _, err := ctx.Scheduler.RunAfter(time.Second, addEntry.With("inner job "+how)); err != nil {
			return err
		}
		switch how {
		case "fails":
			return errors.New("no")
		case "panics":
			panic("no")
		}
		return nil
	})
	outer := k.mutation("t:outer", func(ctx *dispatch.MutationCtx, how string) error {
		if _, err := addEntry.Run(ctx, "outer"); err != nil {
			return err
		}
		if _, err := ctx.Scheduler.RunAfter(time.Second, addEntry.With("outer job")); err != nil {
			return err
		}
		for _, h := range []string{"works", "fails", "panics"} {
			if _, err := inner.Run(ctx, h); (err == nil) != (h == "works") {
				return fmt.Errorf("the nested one that %s: %v", h, err)
			}
		}
		names, err := namesOf(ctx.DB)
		if want := []string{"outer", "inner works"}; !slices.Equal(names, want) {
			t.Errorf("the outer mutation sees %q, %v", names, err)
		}
		page, err := ctx.Scheduler.List(storage.JobFilter{})
		if len(page.Jobs) != 2 {
			t.Errorf("the outer mutation sees the jobs %+v, %v", page.Jobs, err)
		}
		if how == "fails" {
			return errors.New("no")
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		if _, err := outer.Run(h.Caller("acme"), "fails"); err == nil {
			t.Error("it should have failed")
		}
		h.Advance(time.Minute)
		wantEntries(t, h, "acme")
		if apps := must[[]storage.AppID](t)(h.Engine.Apps()); len(apps) != 0 {
			t.Errorf("a mutation that failed made the app: %q", apps)
		}
		must[none](t)(outer.Run(h.Caller("acme"), "works"))
		h.Advance(time.Minute)
		wantEntries(t, h, "acme", "outer", "inner works", "outer job", "inner job works")
	})
}

// G24: a mutation that calls its own app from outside would wait for itself: it
// is refused, however deep, and other apps may be called.
func TestG24_Reentrant(t *testing.T) {
	k := newKit()
	var h *actorstest.Harness
	errs := map[string]error{}
	wrong := k.mutation("t:wrong", func(ctx *dispatch.MutationCtx, _ string) error {
		self := h.App("acme")
		_, errs["mutation"] = addEntry.Run(self.As(ctx, nil), "x")
		_, errs["query"] = listEntries.Run(self.As(ctx, nil), none{})
		_, errs["derived"] = addEntry.Run(self.As(context.WithoutCancel(ctx), nil), "x")
		_, errs["embedded"] = addEntry.Run(self.As(ctx.Context, nil), "x")
		_, errs["schedule"] = self.Scheduler(ctx).RunAfter(0, addEntry.With("x"))
		_, errs["cancel"] = self.Scheduler(ctx).Cancel("x")
		_, errs["retry"] = self.Scheduler(ctx).RetryDead("x")
		_, err := addEntry.Run(h.App("other").As(ctx, nil), "by acme")
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(harness *actorstest.Harness) {
		h = harness
		begin := h.Now()
		must[none](t)(wrong.Run(h.Caller("acme"), ""))
		if took := h.Now().Sub(begin); took != 0 {
			t.Errorf("it has waited %v for itself", took)
		}
		for what, err := range errs {
			wantCode(t, err, dispatch.CodeFailedPrecondition)
			if !errors.Is(err, storage.ErrReentrant) {
				t.Errorf("%s: %v, want ErrReentrant in it", what, err)
			}
		}
		if len(errs) != 7 {
			t.Errorf("it tried %d things", len(errs))
		}
		wantEntries(t, h, "other", "by acme")
		wantEntries(t, h, "acme")
	})
}

// G24: a mutation that calls its own app with another context than its own waits for
// itself until its deadline, and is told so, whatever it asks for; one that is slow
// with nobody waiting is not.
func TestG24_WhoWaitsForItselfIsTold(t *testing.T) {
	k := newKit()
	var h *actorstest.Harness
	outside := func() context.Context { return context.Background() }
	asks := map[string]func() error{
		"mutation": func() error { _, err := addEntry.Run(h.App("acme").As(outside(), nil), "x"); return err },
		"schedule": func() error {
			_, err := h.App("acme").Scheduler(outside()).RunAfter(time.Hour, addEntry.With("x"))
			return err
		},
		"cancel": func() error { _, err := h.App("acme").Scheduler(outside()).Cancel("x"); return err },
		"pause":  func() error { return h.App("acme").Scheduler(outside()).Crons().Pause("x", "") },
		"delete": func() error { return h.Engine.Delete(outside(), "acme") },
		"sleep":  func() error { time.Sleep(time.Minute); return nil },
	}
	wrong := k.mutation("t:wrong", func(_ *dispatch.MutationCtx, ask string) error { return asks[ask]() })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(harness *actorstest.Harness) {
		h = harness
		for ask := range asks {
			_, err := wrong.Run(h.Caller("acme"), ask)
			wantCode(t, err, dispatch.CodeDeadlineExceeded)
			e := dispatch.AsError(err)
			if told := strings.Contains(e.Message, "through its context"); told != (ask != "sleep") || e.Path != "t:wrong" {
				t.Errorf("%s: got %v", ask, err)
			}
			h.Advance(2 * time.Minute)
		}
	})
}

// G13: callers get the turn in the order they came, and one who has gone by then
// is passed over, with nothing done.
func TestG13_CallersGetTheTurnInOrder(t *testing.T) {
	k := newKit()
	slow := k.mutation("t:slow", func(ctx *dispatch.MutationCtx, name string) error {
		time.Sleep(100 * time.Millisecond)
		_, err := addEntry.Run(ctx, name)
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		var done sync.WaitGroup
		var gone error
		var want []string
		for i := range 10 {
			if i == 5 {
				ctx, cancel := context.WithTimeout(h.Context(), 50*time.Millisecond)
				defer cancel()
				done.Go(func() { _, gone = slow.Run(h.App("acme").As(ctx, nil), "gone") })
			} else {
				done.Go(func() { must[none](t)(slow.Run(h.Caller("acme"), fmt.Sprint(i))) })
				want = append(want, fmt.Sprint(i))
			}
			h.Settle()
		}
		done.Wait()
		wantCode(t, gone, dispatch.CodeDeadlineExceeded)
		if got := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{})); !slices.Equal(got, want) {
			t.Errorf("the turn went to %q, want %q", got, want)
		}
	})
}

// G1: an acknowledged write is visible to every read that starts after the
// acknowledgement; a query has one snapshot; a mutation sees its own writes.
func TestG1_ReadYourWrites(t *testing.T) {
	k := newKit()
	twice := dispatch.Query[none, bool]("t:twice")
	var meanwhile func()
	twice.Handle(k.reg, func(ctx *dispatch.QueryCtx, _ none) (bool, error) {
		before, err := namesOf(ctx.DB)
		if err != nil {
			return false, err
		}
		meanwhile()
		after, err := namesOf(ctx.DB)
		return slices.Equal(before, after), err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		for i := range 50 {
			must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), fmt.Sprint(i)))
			if names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{})); len(names) != i+1 {
				t.Fatalf("after write %d a read sees %d", i+1, len(names))
			}
		}
		meanwhile = func() { must[storage.ID[entry]](t)(addEntry.Run(h.Caller("acme"), "meanwhile")) }
		if !must[bool](t)(twice.Run(h.Caller("acme"), none{})) {
			t.Error("a query's snapshot has changed under it")
		}
	})
}
