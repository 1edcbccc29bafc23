package actors_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// TestTagsGoWithTheJob: what a mutation, the host or a trigger tags keeps its tags over
// retries, crashes and its end, is chosen by them, sees them, and its log lines have them.
func TestTagsGoWithTheJob(t *testing.T) {
	k := newKit()
	see := k.mutation("t:see", func(ctx *dispatch.MutationCtx, _ string) error {
		ctx.Log.Info("seen")
		if ctx.Job.Attempt == 1 {
			return errors.New("again")
		}
		_, err := entries.Insert(ctx.DB, entry{Name: strings.Join(ctx.Job.Tags, "+")})
		return err
	})
	k.plan = func(ctx *dispatch.MutationCtx) error {
		_, err := ctx.Scheduler.RunAfter(time.Minute, see.With(""), dispatch.Tags("eu", "mail"))
		return err
	}
	var log heldLog
	opts := actors.Options{Functions: k.reg, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		retry := dispatch.WithRetry(dispatch.RetryPolicy{Base: time.Minute})
		must[storage.JobID](t)(h.Scheduler("acme").RunAfter(time.Minute, see.With(""), dispatch.Tags("us", "mail"), retry))
		must[storage.JobID](t)(h.Scheduler("acme").RunAfter(time.Minute, see.With(""), retry))
		if err := h.Scheduler("acme").Crons().Create(dispatch.Trigger{
			Name: "hourly", Schedule: cron.Expr("@every 1h"), Call: see.With(""), Tags: []string{"tick"},
			Retry: &dispatch.RetryPolicy{Base: time.Minute},
		}); err != nil {
			t.Fatal(err)
		}
		want := func(n int, tags ...string) {
			t.Helper()
			if got, err := h.Scheduler("acme").CountJobs(storage.JobFilter{Tags: tags}); err != nil || got != n {
				t.Errorf("%d jobs have the tags %q, %v; want %d", got, tags, err, n)
			}
		}
		want(2, "mail")
		want(1, "mail", "us")
		want(1, "tick")
		want(0, "mai")
		for _, tags := range [][]string{{"a", "a"}, {""}, {"1", "2", "3", "4", "5", "6", "7", "8", "9"}} {
			_, err := h.Scheduler("acme").RunAfter(0, see.With(""), dispatch.Tags(tags...))
			if e := dispatch.AsError(err); e.Code != dispatch.CodeInvalidArgument || !strings.Contains(e.Message, "tag") {
				t.Errorf("tags %q: %v, want invalid_argument", tags, err)
			}
			_, err = h.Scheduler("acme").List(storage.JobFilter{Tags: tags})
			if e := dispatch.AsError(err); e.Code != dispatch.CodeInvalidArgument {
				t.Errorf("a filter with the tags %q: %v, want invalid_argument", tags, err)
			}
		}
		h.Advance(90 * time.Second) // all but the tick have failed once
		h.Crash()
		h.Advance(90 * time.Minute)
		want(2, "mail")
		want(2, "tick") // and the next
		names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		slices.Sort(names)
		if got := fmt.Sprint(names); got != "[ eu+mail tick us+mail]" {
			t.Errorf("the handlers saw the tags %s", got)
		}
	})
	for _, line := range []string{`msg=seen .*tags="[eu mail]"`, `msg="job failed, and will be tried again" .*tags=[tick]`} {
		msg, tags, _ := strings.Cut(line, " .*")
		if !slices.ContainsFunc(strings.Split(log.text(), "\n"), func(l string) bool { return strings.Contains(l, msg) && strings.Contains(l, tags) }) {
			t.Errorf("no line of the log has %s and %s:\n%s", msg, tags, log.text())
		}
	}
}
