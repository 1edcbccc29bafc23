package actors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G13: jobs of one instant start in the order they were scheduled, within a
// mutation, across mutations, and from the host (W4).
func TestG13_SameInstantInOrderOfScheduling(t *testing.T) {
	for _, due := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond, time.Second, time.Hour} {
		t.Run(due.String(), func(t *testing.T) {
			k := newKit()
			var at time.Time
			three := k.mutation("t:three", func(ctx *dispatch.MutationCtx, name string) error {
				for i := range 3 {
					if _, err := ctx.Scheduler.RunAt(at, addEntry.With(fmt.Sprintf("%s%d", name, i))); err != nil {
						return err
					}
				}
				return nil
			})
			actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
				at = h.Now().Add(due)
				var want []string
				for i := range 20 {
					name := string(rune('a' + i))
					if i%3 == 0 {
						must[storage.JobID](t)(h.Scheduler("acme").RunAt(at, addEntry.With(name)))
						want = append(want, "add "+name)
						continue
					}
					must[none](t)(three.Run(h.Caller("acme"), name))
					want = append(want, "add "+name+"0", "add "+name+"1", "add "+name+"2")
				}
				h.AdvanceTo(at)
				h.Settle()
				if got := k.noted("add"); !slices.Equal(got, want) {
					t.Errorf("started %s, want %s", brief(got), brief(want))
				}
			})
		})
	}
}

// G13: whatever order they were scheduled in, jobs start by due instant, then by
// sequence; also after crashes, and after a time in which nothing could run.
func TestG13_ByDueInstantThenSequence(t *testing.T) {
	const jobs = 300
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprint("overdue ", down), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(13, 1))
			k := newKit()
			actorstest.Run(t, actors.Options{Functions: k.reg, ClockCheck: time.Second}, func(h *actorstest.Harness) {
				type planned struct {
					name string
					due  int
				}
				var plan []planned
				base := h.Now().Add(time.Second)
				for i := range jobs {
					p := planned{fmt.Sprint(i), rnd.IntN(100)}
					plan = append(plan, p)
					must[storage.JobID](t)(h.Scheduler("acme").RunAt(base.Add(time.Duration(p.due)*time.Millisecond), addEntry.With(p.name)))
				}
				h.Advance(500 * time.Millisecond)
				if down {
					h.Kill()
					h.StepClock(time.Hour)
					h.Open()
				}
				h.Advance(2 * time.Second)
				slices.SortStableFunc(plan, func(a, b planned) int { return a.due - b.due })
				var want []string
				for _, p := range plan {
					want = append(want, "add "+p.name)
				}
				if got := k.noted("add"); !slices.Equal(got, want) {
					t.Errorf("started %s, want %s", brief(got), brief(want))
				}
			})
		})
	}
}

// G13: a crash in the middle of a backlog does not change its order: what was
// cut off comes before what was due after it, and what is overdue before that.
func TestG13_OrderAfterACrash(t *testing.T) {
	k := newKit()
	note := k.mutation("t:note", func(ctx *dispatch.MutationCtx, name string) error {
		k.note("run "+name, ctx.Job)
		if name == "hang" && ctx.Job.Attempt == 1 {
			actorstest.Hang(ctx)
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, MutationTimeout: time.Hour}, func(h *actorstest.Harness) {
		s, base := h.Scheduler("acme"), h.Now().Add(time.Second)
		for i, name := range []string{"hang", "b", "c", "d"} {
			must[storage.JobID](t)(s.RunAt(base.Add(time.Duration(i)*10*time.Millisecond), note.With(name)))
		}
		h.Advance(1015 * time.Millisecond) // hang runs, b waits for the turn, c and d are claimed or not
		h.Kill()
		h.Open()
		h.Advance(time.Second)
		want := []string{"run hang", "run hang", "run b", "run c", "run d"}
		if got := k.noted("run"); !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

// G13: actions, too, where one slot makes their order visible.
func TestG13_ActionsInOneSlot(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("act "+name, ctx.Job)
		time.Sleep(10 * time.Millisecond)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, AppConcurrency: 1}, func(h *actorstest.Harness) {
		var want []string
		for i, due := range []int{30, 10, 20, 10, 30, 0} {
			mustAfter(t, h, "acme", time.Second+time.Duration(due)*time.Millisecond, act.With(fmt.Sprintf("%02d-%d", due, i)))
			want = append(want, fmt.Sprintf("act %02d-%d", due, i))
		}
		h.Advance(2 * time.Second)
		slices.Sort(want)
		if got := k.noted("act"); !slices.Equal(got, want) {
			t.Errorf("started %q, want %q", got, want)
		}
	})
}

// G13: jobs that run as their caller keep their place among the others.
func TestG13_AsCallerKeepsItsPlace(t *testing.T) {
	k := newKit()
	schedule := k.mutation("t:schedule", func(ctx *dispatch.MutationCtx, _ string) error {
		for i := range 40 {
			var opts []dispatch.RunOption
			if i%3 == 0 {
				opts = append(opts, dispatch.AsCaller())
			}
			if _, err := ctx.Scheduler.RunAfter(time.Second, addEntry.With(fmt.Sprintf("%02d", i)), opts...); err != nil {
				return err
			}
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(schedule.Run(h.CallerAs("acme", &dispatch.Identity{Subject: "ada"}), ""))
		h.Advance(time.Second)
		if got := k.noted("add"); len(got) != 40 || !slices.IsSorted(got) {
			t.Errorf("started %q", got)
		}
	})
}

// G13: neither a job that waits for its retry, nor one that runs for long, nor
// one whose handler does not return, nor one at most once holds up another.
func TestG13_NobodyIsHeldUp(t *testing.T) {
	k := newKit()
	var free chan struct{}
	deaf := k.action("t:deaf", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("deaf", ctx.Job)
		<-free
		return nil
	})
	hang := k.hangs("t:hang")
	late := map[string]time.Duration{}
	quick := k.mutation("t:quick", func(ctx *dispatch.MutationCtx, name string) error {
		late[name] = time.Since(ctx.Job.ScheduledFor)
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		free = make(chan struct{})
		mustAfter(t, h, "acme", 0, failAlways.With("x"))
		mustAfter(t, h, "acme", 0, deaf.With("x"), dispatch.Timeout(time.Second), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1000, Base: time.Second}))
		mustAfter(t, h, "acme", 0, hang.With("x"), dispatch.Timeout(time.Hour))
		once := mustAfter(t, h, "acme", time.Second, hang.With("once"), dispatch.AtMostOnce(), dispatch.Timeout(time.Hour))
		for i := range 50 {
			mustAfter(t, h, "acme", time.Duration(i)*time.Second, quick.With(fmt.Sprint(i)))
		}
		h.Advance(time.Minute)
		for i := range 50 {
			if d, ran := late[fmt.Sprint(i)]; !ran || d != 0 {
				t.Errorf("job %d: ran %v, %v late", i, ran, d)
			}
		}
		wantState(t, h, "acme", once, storage.StateRunning, 1)
		close(free)
		h.Drain()
	})
}

// G13: the order of the listing is the order of the starts.
func TestG13_ListingIsInOrder(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		rnd := rand.New(rand.NewPCG(13, 2))
		for i := range 250 {
			mustAfter(t, h, "acme", time.Duration(1+rnd.IntN(20))*time.Second, addEntry.With(fmt.Sprint(i)))
		}
		var want []string
		for _, job := range h.Jobs("acme", storage.StatePending) {
			want = append(want, "add "+strings.Trim(string(job.Args), `"`))
		}
		h.Advance(time.Minute)
		if got := k.noted("add"); !slices.Equal(got, want) {
			t.Errorf("started %s, listed %s", brief(got), brief(want))
		}
	})
}
