package actors_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// filesOf are the contents of the files of a directory, by name.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestStillEngineBeginsNothing: neither what is due, nor what a crash cut off, nor a trigger,
// while what is asked for is done; the next engine goes on as if there had been none between.
func TestStillEngineBeginsNothing(t *testing.T) {
	k := newKit()
	hang := k.action("t:hang", func(ctx *dispatch.ActionCtx, name string) error {
		k.note("hang "+name, ctx.Job)
		if k.count("hang ") == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	crons := []dispatch.Trigger{{Name: "tick", Schedule: cron.Expr("*/30 * * * *"), Call: addEntry.With("tick")}}
	actorstest.Run(t, actors.Options{Functions: k.reg, Crons: crons, Logger: quiet}, func(h *actorstest.Harness) {
		due := mustAfter(t, h, "acme", time.Hour, addEntry.With("due"))
		gone := mustAfter(t, h, "acme", 10*time.Hour, addEntry.With("gone"))
		many := mustSchedule(t, h, 20, "many")
		cut := mustAfter(t, h, "acme", 0, hang.With("x"))
		h.Settle()
		h.Kill()
		eng := must[*actors.Engine](t)(actors.Open(h.Dir(), on(h.Dir(), actors.Options{Functions: k.reg, Crons: crons, Logger: quiet, Still: true})))
		time.Sleep(2 * time.Hour) // due is overdue, tick has missed slots, hang is claimed
		app := must[*actors.App](t)(eng.App("acme"))
		s := app.Scheduler(h.Context())
		jobs := func() int {
			page := must[storage.JobPage](t)(s.List(storage.JobFilter{Limit: 1000}))
			return len(page.Jobs)
		}
		n := jobs()
		at := must[storage.JobID](t)(s.RunAfter(0, addEntry.With("now")))
		if c, err := s.Cancel(gone); err != nil || !c.Canceled {
			t.Errorf("cancel: %+v, %v", c, err)
		}
		o := must[storage.Operation](t)(s.Operate(actors.Operation{Action: storage.OperationCancel, Filter: storage.JobFilter{Tags: []string{"many"}}}))
		time.Sleep(time.Hour)
		if o, _, err := s.Operation(o.ID); err != nil || o.Outcome != storage.OperationDone || o.Done != len(many) {
			t.Errorf("the operation: %+v, %v", o, err)
		}
		for _, id := range []storage.JobID{at, due} {
			if job, ok, err := s.Get(id); err != nil || !ok || job.State != storage.StatePending || job.Attempts != 0 {
				t.Errorf("%s: %+v, %v", id, job, err)
			}
		}
		if job, ok, err := s.Get(cut); err != nil || !ok || job.State != storage.StatePending || job.Attempts+job.Interruptions != 0 {
			t.Errorf("what was cut off: %+v, %v", job, err)
		}
		if m := jobs(); m != n+1 {
			t.Errorf("%d jobs, want %d", m, n+1)
		}
		if n := k.count("add "); n != 0 || k.count("hang ") != 1 {
			t.Errorf("%d functions were run", n)
		}
		if _, err := addEntry.Run(app.As(h.Context(), nil), "call"); err == nil || dispatch.AsError(err).Code != dispatch.CodeFailedPrecondition {
			t.Errorf("a call: %v", err)
		}
		globex := must[*actors.App](t)(eng.App("globex"))
		if _, err := globex.Scheduler(h.Context()).RunAfter(time.Hour, addEntry.With("born")); err == nil || dispatch.AsError(err).Code != dispatch.CodeNotFound {
			t.Errorf("a job of an app that is not there: %v", err)
		}
		if err := errors.Join(eng.Check(), eng.Close(h.Context())); err != nil {
			t.Errorf("check and close: %v", err)
		}
		h.Open()
		h.Advance(time.Minute)
		wantState(t, h, "acme", at, storage.StateSuccess, 1)
		wantState(t, h, "acme", due, storage.StateSuccess, 1)
		wantState(t, h, "acme", gone, storage.StateCanceled, 0)
		if k.count("hang ") != 2 || k.count("add tick") == 0 {
			t.Errorf("not taken up: %q", k.noted(""))
		}
	})
}

// TestReadOnlyEngineChangesNoFile: it shows what is there, refuses each change, and shares the
// directory with others that read.
func TestReadOnlyEngineChangesNoFile(t *testing.T) {
	k := newKit()
	dir := t.TempDir()
	open := func(opts actors.Options) *actors.Engine {
		t.Helper()
		opts.Functions, opts.Logger, opts.Volumes = k.reg, quiet, 1
		return must[*actors.Engine](t)(actors.Open(dir, opts))
	}
	shut := func(eng *actors.Engine) {
		t.Helper()
		if err := eng.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	scheduler := func(eng *actors.Engine) *actors.HostScheduler {
		return must[*actors.App](t)(eng.App("acme")).Scheduler(t.Context())
	}
	eng := open(actors.Options{Program: "one"})
	id := must[storage.JobID](t)(scheduler(eng).RunAfter(time.Hour, addEntry.With("later")))
	shut(eng)
	before := filesOf(t, dir)
	first, second := open(actors.Options{Program: "another", ReadOnly: true}), open(actors.Options{ReadOnly: true})
	for _, eng := range []*actors.Engine{first, second} {
		if job, ok, err := scheduler(eng).Get(id); err != nil || !ok || job.State != storage.StatePending {
			t.Errorf("get: %+v, %v, %v", job, ok, err)
		} else if job.Wait != storage.WaitNotDue {
			t.Errorf("it waits for %s, %s", job.Wait, job.Reason)
		}
		if c, err := scheduler(eng).Cancel(id); err == nil {
			t.Errorf("a cancel: %+v", c)
		}
		if job, ok, err := scheduler(eng).Get(id); err != nil || !ok || job.State != storage.StatePending {
			t.Errorf("get after a refused change: %+v, %v, %v", job, ok, err)
		}
	}
	shut(first)
	shut(second)
	after := filesOf(t, dir)
	for path, content := range after {
		if before[path] != content && !strings.HasSuffix(path, ".lock") {
			t.Errorf("%s has changed", path)
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d files, there were %d", len(after), len(before))
	}
}
