package actors_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// logsOf are the logs of the job, as "attempt(dropped): line; line".
func logsOf(h *actorstest.Harness, id storage.JobID) (logs []string) {
	h.TB().Helper()
	app, err := h.Engine.App("acme")
	if err != nil {
		h.TB().Fatal(err)
	}
	err = app.Read(h.Context(), func(r storage.Reader) error {
		job, _, err := r.System().Get(id)
		if err != nil {
			return err
		}
		kept, err := r.System().Logs(&job)
		for _, log := range kept {
			var lines []string
			for _, l := range log.Lines {
				lines = append(lines, l.Text)
			}
			logs = append(logs, fmt.Sprintf("%d(%d): %s", log.Attempt, log.Dropped, strings.Join(lines, "; ")))
		}
		return err
	})
	if err != nil {
		h.TB().Fatal(err)
	}
	return logs
}

func wantLogged(h *actorstest.Harness, id storage.JobID, want ...string) {
	h.TB().Helper()
	if got := logsOf(h, id); fmt.Sprint(got) != fmt.Sprint(want) {
		h.TB().Errorf("the job has logged %.300q, want %.300q", got, want)
	}
}

// TestLogLinesOfEachAttempt: what handlers log, and what they run, is kept with the attempt, however
// that ends; of an action also while it runs, a second late at most.
func TestLogLinesOfEachAttempt(t *testing.T) {
	k := newKit()
	inner := dispatch.InternalMutation[none, none]("t:inner")
	inner.Handle(k.reg, func(ctx *dispatch.MutationCtx, _ none) (none, error) {
		ctx.Log.Info("within")
		return none{}, errors.New("no")
	})
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		ctx.Log.Debug("not kept")
		ctx.Log.With("user", "ann").WithGroup("g").Warn("begun", "n", ctx.Job.Attempt)
		if _, err := inner.Run(ctx, none{}); err == nil {
			return errors.New("it has not failed")
		}
		time.Sleep(5 * time.Second)
		ctx.Log.Info("last")
		if ctx.Job.Attempt == 1 {
			return errors.New("oops")
		}
		return nil
	}, eager)
	mut := dispatch.InternalMutation[bool, none]("t:mut")
	mut.Handle(k.reg, func(ctx *dispatch.MutationCtx, ok bool) (none, error) {
		ctx.Log.Error("mutated")
		if !ok {
			return none{}, errors.New("oops")
		}
		return none{}, nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: slog.New(slog.DiscardHandler)}, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, act.With(""))
		h.Advance(500 * time.Millisecond)
		wantLogged(h, id)
		h.Advance(600 * time.Millisecond)
		wantLogged(h, id, "1(0): begun user=ann g.n=1; within")
		h.Advance(5 * time.Second)
		wantLogged(h, id, "1(0): begun user=ann g.n=1; within; last")
		h.Advance(2 * time.Second)
		h.Crash() // in the second attempt, which has stored its first lines
		h.Advance(10 * time.Second)
		wantLogged(h, id, "1(0): begun user=ann g.n=1; within; last", "2(0): begun user=ann g.n=2; within", "3(0): begun user=ann g.n=3; within; last")
		wantState(t, h, "acme", id, storage.StateSuccess, 3)

		good := mustAfter(t, h, "acme", 0, mut.With(true))
		bad := mustAfter(t, h, "acme", 0, mut.With(false), dispatch.NoRetry())
		stopped := mustAfter(t, h, "acme", 0, act.With(""))
		h.Settle()
		if answer, err := h.Scheduler("acme").Cancel(stopped); err != nil || !answer.Canceled {
			t.Error(answer, err)
		}
		h.Settle()
		wantLogged(h, good, "1(0): mutated")
		wantLogged(h, bad, "1(0): mutated")
		wantLogged(h, stopped, "1(0): begun user=ann g.n=1; within")
		if ok, err := h.Scheduler("acme").DropDead(bad); !ok || err != nil {
			t.Error(ok, err)
		}
		h.Advance(10 * time.Second)
		wantLogged(h, stopped, "1(0): begun user=ann g.n=1; within") // and no later line
		if err := h.Engine.Check(); err != nil {
			t.Error(err)
		}
	})
}

// TestLogLinesAreBounded: the last 50 lines of an attempt are kept, each of at most 1 KiB, and those
// that come quickly are written once a second.
func TestLogLinesAreBounded(t *testing.T) {
	k := newKit()
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, n string) error {
		lines := storage.MaxLogLines
		if n == "more" {
			lines++
		}
		for i := range lines {
			ctx.Log.Info(fmt.Sprint(i))
		}
		if n == "long" {
			ctx.Log.Info(strings.Repeat("x", storage.MaxLogLine))
			ctx.Log.Info(strings.Repeat("y", storage.MaxLogLine+1))
		}
		for range 30 {
			time.Sleep(100 * time.Millisecond)
			if n == "often" {
				ctx.Log.Info("once more")
			}
		}
		return nil
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		logged := func(n string) string {
			t.Helper()
			id := mustAfter(t, h, "acme", 0, act.With(n))
			h.Advance(4 * time.Second)
			logs := logsOf(h, id)
			if len(logs) != 1 {
				t.Fatalf("%s: %q", n, logs)
			}
			return logs[0]
		}
		if got := logged("as many"); !strings.HasPrefix(got, "1(0): 0; 1; ") || !strings.HasSuffix(got, "; 49") {
			t.Errorf("of 50 lines: %s", got)
		}
		if got := logged("more"); !strings.HasPrefix(got, "1(1): 1; 2; ") || !strings.HasSuffix(got, "; 50") {
			t.Errorf("of 51 lines: %s", got)
		}
		got := logged("long")
		if strings.Count(got, "x") != storage.MaxLogLine || strings.Count(got, "y") > storage.MaxLogLine || strings.Count(got, "y") < storage.MaxLogLine-8 {
			t.Errorf("of long lines %d and %d bytes are kept", strings.Count(got, "x"), strings.Count(got, "y"))
		}
		before := h.Engine.Stats().Commits
		logged("often")
		if n := h.Engine.Stats().Commits - before; n > 9 {
			t.Errorf("30 lines in 3 s are %d commits", n)
		}
	})
}
