package actors_test

import (
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

// batchers are the ways to a RunMany: from the host, an action and a mutation.
func batchers(k *kit) map[string]func(h *actorstest.Harness, calls []dispatch.Scheduled) ([]storage.JobID, error) {
	var mu sync.Mutex // a handler may outlive the call of it that a crash cuts off
	var calls []dispatch.Scheduled
	var ids []storage.JobID
	runMany := func(scheduler dispatch.Scheduler) error {
		mu.Lock()
		todo := calls
		mu.Unlock()
		made, err := scheduler.RunMany(todo)
		mu.Lock()
		defer mu.Unlock()
		ids = made
		return err
	}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error { return runMany(ctx.Scheduler) })
	mutate := k.mutation("t:mutate", func(ctx *dispatch.MutationCtx, _ string) error { return runMany(ctx.Scheduler) })
	through := func(run func(dispatch.Caller) error) func(*actorstest.Harness, []dispatch.Scheduled) ([]storage.JobID, error) {
		return func(h *actorstest.Harness, todo []dispatch.Scheduled) ([]storage.JobID, error) {
			mu.Lock()
			calls, ids = todo, nil
			mu.Unlock()
			err := run(h.Caller("acme"))
			mu.Lock()
			defer mu.Unlock()
			return ids, err
		}
	}
	return map[string]func(h *actorstest.Harness, calls []dispatch.Scheduled) ([]storage.JobID, error){
		"host": func(h *actorstest.Harness, calls []dispatch.Scheduled) ([]storage.JobID, error) {
			return h.Scheduler("acme").RunMany(calls)
		},
		"action":   through(func(c dispatch.Caller) error { _, err := act.Run(c, ""); return err }),
		"mutation": through(func(c dispatch.Caller) error { _, err := mutate.Run(c, ""); return err }),
	}
}

// batchOf is n calls in an hour.
func batchOf(n int) []dispatch.Scheduled {
	calls := make([]dispatch.Scheduled, n)
	for i := range calls {
		calls[i] = dispatch.After(time.Hour, addEntry.With(fmt.Sprint(i)))
	}
	return calls
}

// TestG30_ABatchIsAllOrNothing: the jobs of a batch are one commit, each as if it had been
// scheduled by itself and in the order of the calls; a call at fault is named by its
// index, and nothing is scheduled then.
func TestG30_ABatchIsAllOrNothing(t *testing.T) {
	k := newKit()
	for name, run := range batchers(k) {
		t.Run(name, func(t *testing.T) {
			opts := actors.Options{Functions: k.reg, MaxJobs: 200, TxLimits: storage.TxLimits{Jobs: 100}, Logger: quiet}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				begin := h.Now()
				if ids, err := run(h, nil); err != nil || len(ids) != 0 {
					t.Errorf("no calls are %q, %v", ids, err)
				}
				mustAfter(t, h, "acme", 2*time.Hour, addEntry.With("held"), dispatch.ID("taken"))
				good := batchOf(5)
				for want, bad := range map[string]dispatch.Scheduled{
					"negative":             dispatch.After(-1, addEntry.With("x")),
					"1970":                 dispatch.At(time.Time{}, addEntry.With("x")),
					`no function "t:none"`: dispatch.After(0, dispatch.Path("t:none").With(nil)),
					"query":                dispatch.After(0, dispatch.Path("kit:list").With(nil)),
					"is held by":           dispatch.After(0, addEntry.With("x"), dispatch.ID("taken")),
					"given twice":          dispatch.After(0, addEntry.With("x"), dispatch.Tags("a", "a")),
					`no function ""`:       {},
				} {
					for _, at := range []int{0, 3, 5} {
						_, err := run(h, slices.Insert(slices.Clone(good), at, bad))
						if e := dispatch.AsError(err); err == nil || !strings.Contains(e.Message, fmt.Sprintf("call %d of the batch: ", at)) || !strings.Contains(e.Message, want) {
							t.Errorf("%s as call %d: %v", want, at, err)
						}
					}
				}
				twice := dispatch.After(time.Hour, addEntry.With("twice"), dispatch.ID("twice"))
				if _, err := run(h, []dispatch.Scheduled{twice, good[0], twice}); !strings.Contains(fmt.Sprint(err), "call 2 of") {
					t.Errorf("an id that is in a batch twice: %v, want already_exists of call 2", err)
				}
				_, err := run(h, batchOf(101))
				if wantCode(t, err, dispatch.CodeResourceExhausted); !errors.Is(err, storage.ErrTxLimit) || !strings.Contains(err.Error(), "call 100 of") {
					t.Errorf("101 jobs where a transaction has 100: %v", err)
				}
				wantPending := func(n int) {
					t.Helper()
					if got := len(h.Jobs("acme", storage.StatePending)); got != n {
						t.Fatalf("%d jobs are pending, want %d", got, n)
					}
				}
				wantPending(1)

				calls := batchOf(100)
				calls[0] = dispatch.At(begin.Add(2*time.Hour), addEntry.With("at"), dispatch.ID("chosen"), dispatch.Tags("late"), dispatch.NoRetry())
				ids, err := run(h, calls)
				if err != nil || len(ids) != 100 || ids[0] != "chosen" {
					t.Fatalf("a batch of 100: %d ids, %v", len(ids), err)
				}
				if job := h.Job("acme", "chosen"); !job.Due.Equal(begin.Add(2*time.Hour)) || job.Retry.Limit != 0 || len(job.Tags) != 1 {
					t.Errorf("it has lost its options: %+v", job)
				}
				h.Crash()
				wantPending(101)
				_, err = run(h, batchOf(100)) // MaxJobs is 200
				if wantCode(t, err, dispatch.CodeResourceExhausted); !errors.Is(err, storage.ErrLimit) || !strings.Contains(err.Error(), "call 99 of") {
					t.Errorf("99 jobs more than there is room for 98: %v", err)
				}
				wantPending(101)
				for i, job := range h.Jobs("acme", storage.StatePending)[:99] {
					if job.ID != ids[i+1] || !job.Due.Equal(h.Job("acme", ids[1]).Due) {
						t.Fatalf("job %d of the listing is %s, due %v; want %s and one instant for all", i, job.ID, job.Due, ids[i+1])
					}
				}
				h.Advance(time.Hour)
				wantPending(2)
			})
		})
	}
}

// TestG30_ABatchWithinAMutation: a batch that was refused has scheduled nothing, what the
// mutation has done beside it stands, and all of it goes if the mutation fails.
func TestG30_ABatchWithinAMutation(t *testing.T) {
	k := newKit()
	var fails error
	k.plan = func(ctx *dispatch.MutationCtx) error {
		if _, err := addEntry.Run(ctx, "beside"); err != nil {
			return err
		}
		if _, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With("before")); err != nil {
			return err
		}
		bad := append(batchOf(10), dispatch.After(time.Hour, addEntry.With("bad"), dispatch.ID("-")))
		if _, err := ctx.Scheduler.RunMany(bad); err == nil {
			return errors.New("a batch with a bad id was taken")
		}
		bad[10] = dispatch.After(time.Hour, addEntry.With("bad"), dispatch.ID("other"))
		if _, err := ctx.Scheduler.RunMany(bad); err == nil {
			return errors.New("a batch with a taken id was taken")
		}
		ids, err := ctx.Scheduler.RunMany(batchOf(3))
		if err != nil {
			return err
		}
		if job, ok, err := ctx.Scheduler.Get(ids[2]); !ok || err != nil || string(job.Args) != `"2"` {
			return fmt.Errorf("the transaction sees of its batch %+v, %t, %w", job, ok, err)
		}
		return fails
	}
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 2*time.Hour, addEntry.With("other"), dispatch.ID("other"))
		fails = errors.New("changed my mind")
		if _, err := runPlan.Run(h.Caller("acme"), none{}); !errors.Is(err, fails) {
			t.Fatal(err)
		}
		if n := len(h.Jobs("acme")); n != 1 {
			t.Errorf("%d jobs after a mutation that failed, want 1", n)
		}
		fails = nil
		must[none](t)(runPlan.Run(h.Caller("acme"), none{}))
		h.Crash()
		h.Advance(time.Hour)
		wantEntries(t, h, "acme", "beside", "before", "0", "1", "2")
	})
}

// TestG30_BatchSize: MaxBatch calls are one batch, and one more is refused.
func TestG30_BatchSize(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		_, err := h.Scheduler("acme").RunMany(batchOf(dispatch.MaxBatch + 1))
		if wantCode(t, err, dispatch.CodeInvalidArgument); !strings.Contains(fmt.Sprint(err), "10000 at most") {
			t.Errorf("one call too many: %v", err)
		}
		commits := h.Engine.Stats().Commits
		ids, err := h.Scheduler("acme").RunMany(batchOf(dispatch.MaxBatch))
		if n := h.Engine.Stats().Commits - commits; err != nil || len(ids) != dispatch.MaxBatch || n != 1 {
			t.Errorf("%d ids, %v, in %d commits", len(ids), err, n)
		}
		if n, err := h.Scheduler("acme").CountJobs(storage.JobFilter{}); err != nil || n != dispatch.MaxBatch {
			t.Errorf("%d jobs, %v", n, err)
		}
	})
}

// TestG30_ABatchAtEveryCommit: whatever commit a crash comes at, a batch is there
// whole or not at all, and whole once it was acknowledged.
func TestG30_ABatchAtEveryCommit(t *testing.T) {
	const jobs = 300
	k := newKit()
	run := batchers(k)
	for _, name := range []string{"host", "action", "mutation"} {
		acked := 0
		options := func() actors.Options {
			acked = 0
			return actors.Options{Functions: k.reg, Logger: quiet}
		}
		act := func(h *actorstest.Harness) {
			for range 3 {
				if _, err := run[name](h, batchOf(jobs)); err == nil {
					acked++
				}
			}
		}
		everyCrash(t, options, act, func(h *actorstest.Harness) {
			n := len(h.Jobs("acme", storage.StatePending))
			if n%jobs != 0 || n < acked*jobs || n > 3*jobs {
				t.Errorf("%s: %d jobs are there, and %d batches of %d were acknowledged", name, n, acked, jobs)
			}
		})
	}
}
