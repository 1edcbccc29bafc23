package actors_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// TestG18_StartsPerSecond: of an app's jobs no more begin in any second than may, as many do,
// and none is refused. Those that wait say why and hold none of the engine's permits, and
// the alarm is set for the instant when the next may begin.
func TestG18_StartsPerSecond(t *testing.T) {
	const most, jobs = 10, 47
	k := newKit()
	flaky := k.action("t:flaky", func(ctx *dispatch.ActionCtx, app string) error {
		k.note("start "+app, ctx.Job)
		if ctx.Job.Attempt == 1 && app == "slow" {
			return dispatch.Errorf(dispatch.CodeUnavailable, "once")
		}
		return nil
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Millisecond}))
	opts := actors.Options{
		Functions: k.reg, Logger: quiet, Concurrency: 2,
		AppLimits: func(id storage.AppID) actors.AppLimits {
			return actors.AppLimits{StartsPerSecond: map[storage.AppID]int{"slow": most}[id]}
		},
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		begin := h.Now()
		must[none](t)(k.scheduleMany(h, "slow", jobs, time.Second, flaky.With("slow")))
		h.Advance(time.Second)
		if n := k.count("start slow"); n != most {
			t.Errorf("%d have begun at once, want %d", n, most)
		}
		waiting := h.Jobs("slow", storage.StatePending)
		if len(waiting) != jobs {
			t.Fatalf("%d jobs are pending, want %d", len(waiting), jobs)
		}
		h.Advance(100 * time.Millisecond)
		if why := h.Job("slow", waiting[len(waiting)-1].ID).Reason; !strings.Contains(why, fmt.Sprint(most)) {
			t.Errorf("a job waits because of %q, want the limit", why)
		}
		if i := h.Inspect("slow"); i.Permits != 0 || i.Running != 0 || i.AlarmAt.Sub(begin.Add(2*time.Second)).Abs() > time.Millisecond {
			t.Errorf("%d permits, %d run, the alarm is at %v, want none, and 2 s after %v", i.Permits, i.Running, i.AlarmAt, begin)
		}
		at := h.Now()
		mustAfter(t, h, "other", 0, flaky.With("other"))
		h.Settle()
		if got := k.events("start other"); len(got) != 1 || got[0].At.Sub(at) > 20*time.Millisecond {
			t.Errorf("the other app's job: %v, want it to begin at once", got)
		}
		h.Drain()
		events := k.events("start slow")
		if len(events) != 2*jobs {
			t.Fatalf("%d attempts, want %d", len(events), 2*jobs)
		}
		for i := most; i < len(events); i++ {
			if d := events[i].At.Sub(events[i-most].At); d < time.Second {
				t.Errorf("attempts %d and %d began within %v", i-most, i, d)
			}
		}
		if took := events[len(events)-1].At.Sub(events[0].At); took > time.Duration((2*jobs-1)/most)*1010*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
}

// TestG18_ArgBytes: the arguments of an app's jobs come to the limit and not beyond, over a
// crash, too. A refusal rolls back what is not let through with it, and names the limit.
func TestG18_ArgBytes(t *testing.T) {
	k := newKit()
	text := strings.Repeat("x", 98) // 100 bytes as JSON
	over := k.mutation("t:over", func(ctx *dispatch.MutationCtx, name string) error {
		if _, err := addEntry.Run(ctx, name); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With(text))
		return err
	})
	opts := actors.Options{Functions: k.reg, MaxArgBytes: 300, AppLimits: func(id storage.AppID) actors.AppLimits {
		return actors.AppLimits{MaxArgBytes: map[storage.AppID]int64{"small": 200}[id]}
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		for app, jobs := range map[storage.AppID]int{"small": 2, "acme": 3} {
			refused := func() {
				t.Helper()
				_, err := h.Scheduler(app).RunMany([]dispatch.Scheduled{dispatch.After(0, addEntry.With("")), dispatch.After(0, addEntry.With(text))})
				if wantCode(t, err, dispatch.CodeResourceExhausted); !strings.Contains(fmt.Sprint(err), "MaxArgBytes") {
					t.Errorf("%s: the refusal does not name its limit: %v", app, err)
				}
				_, err = over.Run(h.Caller(app), "over")
				wantCode(t, err, dispatch.CodeResourceExhausted)
				wantEntries(t, h, app)
				if n, i := len(h.Jobs(app, storage.StatePending)), h.Inspect(app); n != jobs || i.ArgBytes != int64(100*jobs) {
					t.Errorf("%s: %d jobs with %d bytes, want %d", app, n, i.ArgBytes, jobs)
				}
			}
			var ids []storage.JobID
			for range jobs {
				ids = append(ids, mustAfter(t, h, app, time.Hour, addEntry.With(text)))
			}
			refused()
			h.Crash()
			refused()
			wantCancel(t, h, app, ids[0], true, storage.StatePending)
			mustAfter(t, h, app, time.Hour, addEntry.With(text))
			refused()
			h.Advance(2 * time.Hour)
			if i := h.Inspect(app); len(h.Jobs(app, storage.StateSuccess)) != jobs || i.ArgBytes != 0 && !i.Asleep {
				t.Errorf("%s: when all have run %d bytes are counted", app, i.ArgBytes)
			}
		}
	})
}
