package actors_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// legal are the changes of a job's state that may be seen between two looks at
// it, if no dead job is retried by hand: a running attempt may have come and gone.
var legal = map[storage.State][]storage.State{
	storage.StatePending: {storage.StatePending, storage.StateRunning, storage.StateSuccess, storage.StateFailed, storage.StateCanceled},
	storage.StateRunning: {storage.StatePending, storage.StateRunning, storage.StateSuccess, storage.StateFailed, storage.StateCanceled},
}

// watcherOfJobs looks at jobs again and again and knows what it has seen.
type jobWatch struct {
	seen map[storage.JobID]storage.Job
	back map[storage.JobID]bool // retried by hand since
}

// look demands of every job that it has changed legally since the last look.
func (w *jobWatch) look(t *testing.T, h *actorstest.Harness, app storage.AppID, when string) {
	t.Helper()
	now := map[storage.JobID]storage.Job{}
	for _, job := range h.Jobs(app) {
		if _, twice := now[job.ID]; twice {
			t.Errorf("%s: job %s is listed twice", when, job.ID)
		}
		now[job.ID] = job
		byID := h.Job(app, job.ID)
		if byID.State != job.State || byID.Attempts != job.Attempts {
			t.Errorf("%s: job %s is listed as %s after %d, found as %s after %d", when, job.ID, job.State, job.Attempts, byID.State, byID.Attempts)
		}
		if job.State.Ended() == job.CompletedAt.IsZero() {
			t.Errorf("%s: job %s is %s, completed at %v", when, job.ID, job.State, job.CompletedAt)
		}
		if (job.State == storage.StateFailed) != (job.State.Ended() && job.Error != nil && job.State != storage.StateCanceled) {
			t.Errorf("%s: job %s is %s with the error %+v", when, job.ID, job.State, job.Error)
		}
		if n := len(job.History); n > 0 && job.History[n-1].Number > job.Attempts && !w.back[job.ID] {
			t.Errorf("%s: job %s has %d attempts, and the history %+v", when, job.ID, job.Attempts, job.History)
		}
	}
	for id, before := range w.seen {
		after, known := now[id]
		switch {
		case w.back[id]:
		case !known:
			t.Errorf("%s: job %s, which was %s, is gone", when, id, before.State)
		case before.State.Ended():
			if after.State != before.State || after.Attempts != before.Attempts || !after.CompletedAt.Equal(before.CompletedAt) {
				t.Errorf("%s: job %s had ended as %s, and is %s now", when, id, before.State, after.State)
			}
		default:
			ok := false
			for _, s := range legal[before.State] {
				ok = ok || s == after.State
			}
			if !ok || after.Attempts < before.Attempts {
				t.Errorf("%s: job %s went from %s after %d to %s after %d", when, id, before.State, before.Attempts, after.State, after.Attempts)
			}
		}
	}
	w.seen, w.back = now, map[storage.JobID]bool{}
}

// G8: over random lives with crashes, failed commits, cancels and retries by hand,
// jobs change as they may, and what has ended stays so.
func TestG8_OnlyLegalChangesOfState(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 8))
			k, f := newKit(), newFaults()
			// What a job does depends on its argument and attempt only.
			behave := func(name string, attempt int) (wait time.Duration, err error) {
				switch n := int(name[0]) + attempt*7; n % 5 {
				case 0:
					return time.Duration(n) * 37 * time.Millisecond, dispatch.Errorf(dispatch.CodeUnavailable, "no")
				case 1:
					return 0, dispatch.Errorf(dispatch.CodeUnavailable, "no")
				case 2:
					return time.Duration(n) * 11 * time.Millisecond, nil
				case 3:
					return 0, dispatch.Permanent(dispatch.Errorf(dispatch.CodeNotFound, "never"))
				}
				return 0, nil
			}
			act := k.action("t:act", func(ctx *dispatch.ActionCtx, name string) error {
				wait, err := behave(name, ctx.Job.Attempt)
				select {
				case <-time.After(wait):
				case <-ctx.Done():
					return ctx.Err()
				}
				return err
			})
			mutate := k.mutation("t:mutate", func(ctx *dispatch.MutationCtx, name string) error {
				_, err := behave(name, ctx.Job.Attempt)
				return err
			})
			opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet, IdleAfter: 700 * time.Millisecond, ClockCheck: time.Minute, Retention: 1000 * time.Hour}
			actorstest.Run(t, opts, func(h *actorstest.Harness) {
				w := &jobWatch{seen: map[storage.JobID]storage.Job{}, back: map[storage.JobID]bool{}}
				pick := func(states ...storage.State) (storage.JobID, bool) {
					jobs := h.Jobs("acme", states...)
					if len(jobs) == 0 {
						return "", false
					}
					return jobs[rnd.IntN(len(jobs))].ID, true
				}
				for i := range 200 {
					name := string(rune('a' + rnd.IntN(26)))
					delay := time.Duration(rnd.IntN(2000)) * time.Millisecond
					policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1 + rnd.IntN(4), Base: time.Duration(rnd.IntN(300)) * time.Millisecond})
					what := ""
					switch rnd.IntN(9) {
					case 0, 1:
						what = "schedule an action"
						h.Scheduler("acme").RunAfter(delay, act.With(name), policy)
					case 2:
						what = "schedule a mutation"
						h.Scheduler("acme").RunAfter(delay, mutate.With(name), policy)
					case 3:
						what = "schedule at most once"
						h.Scheduler("acme").RunAfter(delay, act.With(name), dispatch.AtMostOnce())
					case 4:
						what = "cancel"
						if id, ok := pick(); ok {
							before := h.Job("acme", id)
							answer, err := h.Scheduler("acme").Cancel(id)
							if err != nil || answer.Canceled == before.State.Ended() || answer.Found != before.State {
								t.Errorf("cancel of a %s job: %+v, %v", before.State, answer, err)
							}
						}
					case 5:
						if id, ok := pick(); ok {
							before := h.Job("acme", id)
							var done bool
							var err error
							if what = "retry by hand"; rnd.IntN(2) == 0 {
								what = "drop"
								done, err = h.Scheduler("acme").DropDead(id)
							} else {
								done, err = h.Scheduler("acme").RetryDead(id)
							}
							if err != nil || done != (before.State == storage.StateFailed) {
								t.Errorf("%s of a %s job: %v, %v", what, before.State, done, err)
							}
							w.back[id] = done
						}
					case 6:
						what = "fail a commit"
						f.fail([]string{"commit", "committed"}[rnd.IntN(2)], 1)
						h.Advance(time.Duration(rnd.IntN(500)) * time.Millisecond)
						f.fail("commit", 0)
						f.fail("committed", 0)
						h.Advance(2 * time.Second) // the volume has rested, and is up
					case 7:
						what = "crash"
						h.Crash()
					default:
						what = "advance"
						h.Advance(time.Duration(rnd.IntN(1500)) * time.Millisecond)
					}
					h.Settle()
					w.look(t, h, "acme", fmt.Sprintf("step %d, %s", i, what))
					if t.Failed() {
						return
					}
				}
				h.Advance(time.Hour)
				w.look(t, h, "acme", "at the end")
				if jobs := h.Jobs("acme", storage.StatePending, storage.StateRunning); len(jobs) > 0 {
					t.Errorf("%d jobs have not ended: %+v", len(jobs), jobs[0])
				}
			})
		})
	}
}

// G8: the states of one job as a reader sees them, from outside and inside of a
// mutation, and in the system table.
func TestG8_StatesAsReadersSeeThem(t *testing.T) {
	k := newKit()
	var free chan struct{}
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		<-free
		return nil
	})
	stateOf := dispatch.Query[storage.JobID, storage.State]("t:state")
	stateOf.Handle(k.reg, func(ctx *dispatch.QueryCtx, id storage.JobID) (storage.State, error) {
		job, _, err := ctx.DB.System().Get(id)
		return job.State, err
	})
	inside := dispatch.Mutation[storage.JobID, storage.State]("t:inside")
	inside.Handle(k.reg, func(ctx *dispatch.MutationCtx, id storage.JobID) (storage.State, error) {
		job, _, err := ctx.Scheduler.Get(id)
		return job.State, err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		free = make(chan struct{})
		id := mustAfter(t, h, "acme", time.Second, act.With(""))
		want := func(state storage.State) {
			t.Helper()
			h.Settle()
			for how, got := range map[string]storage.State{
				"by the host": h.Job("acme", id).State,
				"in a query":  must[storage.State](t)(stateOf.Run(h.Caller("acme"), id)),
				"inside":      must[storage.State](t)(inside.Run(h.Caller("acme"), id)),
			} {
				if got != state {
					t.Errorf("%s it is %s, want %s", how, got, state)
				}
			}
			if jobs := h.Jobs("acme", state); len(jobs) != 1 {
				t.Errorf("%d jobs are listed as %s", len(jobs), state)
			}
		}
		want(storage.StatePending)
		h.Advance(950 * time.Millisecond) // its claim is durable; it has not started
		want(storage.StatePending)
		h.Advance(50 * time.Millisecond)
		want(storage.StateRunning)
		close(free)
		want(storage.StateSuccess)
	})
}
