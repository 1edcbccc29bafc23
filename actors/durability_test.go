package actors_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// G1: whatever was acknowledged is there after a crash at any commit, before or
// after it reached the disk: a mutation, a schedule, a cancel, a retry of a dead job.
func TestG1_AcknowledgedIsNeverLost(t *testing.T) {
	type acknowledged struct {
		added, doomed, revived bool
		job, canceled, dead    storage.JobID
	}
	var k *kit
	var ack acknowledged
	options := func() actors.Options {
		k, ack = newKit(), acknowledged{}
		return actors.Options{Functions: k.reg}
	}
	act := func(h *actorstest.Harness) {
		s := h.Scheduler("acme")
		if _, err := addEntry.Run(h.Caller("acme"), "called"); err == nil {
			ack.added = true
		}
		if id, err := s.RunAfter(time.Hour, addEntry.With("later")); err == nil {
			ack.job = id
		}
		if id, err := s.RunAfter(time.Hour, addEntry.With("canceled")); err == nil {
			if answer, err := s.Cancel(id); err == nil && answer.Canceled {
				ack.canceled = id
			}
		}
		if id, err := s.RunAfter(0, failAlways.With("x"), dispatch.NoRetry()); err == nil {
			ack.dead = id
			h.Settle()
			if ok, err := s.RetryDead(id); err == nil && ok {
				ack.revived = true
			}
			h.Settle()
			if ok, err := s.DropDead(id); err == nil && ok {
				ack.doomed = true
			}
		}
	}
	everyCrash(t, options, act, func(h *actorstest.Harness) {
		h.Advance(2 * time.Hour)
		names := must[[]string](t)(listEntries.Run(h.Caller("acme"), none{}))
		if ack.added && !slices.Contains(names, "called") {
			t.Error("an acknowledged mutation is lost")
		}
		if ack.job != "" && (!slices.Contains(names, "later") || h.Job("acme", ack.job).State != storage.StateSuccess) {
			t.Error("an acknowledged schedule is lost")
		}
		if ack.canceled != "" && (slices.Contains(names, "canceled") || h.Job("acme", ack.canceled).State != storage.StateCanceled) {
			t.Error("an acknowledged cancel is lost")
		}
		_, known, err := h.Scheduler("acme").Get(ack.dead)
		if ack.dead != "" && !ack.doomed && (!known || err != nil) {
			// It may have been dropped without that being acknowledged.
			if !ack.revived {
				t.Errorf("an acknowledged job is lost: %v", err)
			}
		}
		if ack.doomed && known {
			t.Error("an acknowledged drop is lost")
		}
		if ack.revived && k.count("fail") < 2 {
			t.Error("an acknowledged retry is lost")
		}
	})
}

// G2: a mutation writes documents, schedules, cancels and runs another inside it;
// after a crash at any commit it happened wholly or not at all.
func TestG2_WhollyPresentOrWhollyAbsent(t *testing.T) {
	var err error
	var victim storage.JobID
	options := func() actors.Options {
		k := newKit()
		k.mutation("t:big", func(ctx *dispatch.MutationCtx, _ string) error {
			for i := range 3 {
				if _, err := addEntry.Run(ctx, fmt.Sprintf("doc %d", i)); err != nil {
					return err
				}
				if _, err := ctx.Scheduler.RunAfter(time.Hour, addEntry.With(fmt.Sprintf("job %d", i))); err != nil {
					return err
				}
			}
			_, err := ctx.Scheduler.Cancel(victim)
			return err
		})
		err, victim = nil, ""
		return actors.Options{Functions: k.reg}
	}
	act := func(h *actorstest.Harness) {
		if victim, err = h.Scheduler("acme").RunAfter(2*time.Hour, addEntry.With("victim")); err == nil {
			_, err = h.Caller("acme").Invoke("t:big", []byte(`""`))
		}
	}
	everyCrash(t, options, act, func(h *actorstest.Harness) {
		l := must[ledger](t)(ledgerOf.Run(h.Caller("acme"), none{}))
		switch {
		case len(l.Entries) == 3 && l.Open == 3 && h.Job("acme", victim).State == storage.StateCanceled:
		case len(l.Entries) == 0 && l.Open == 1 && err != nil:
		case len(l.Entries) == 0 && l.Open == 0 && err != nil:
		default:
			t.Errorf("half a mutation is left: %+v, it answered %v", l, err)
		}
	})
}

// consistent demands that what is done and what the jobs say agree, in one
// snapshot: effect and completion are one commit.
func consistent(t *testing.T, h *actorstest.Harness) ledger {
	t.Helper()
	l := must[ledger](t)(ledgerOf.Run(h.Caller("acme"), none{}))
	slices.Sort(l.Entries)
	slices.Sort(l.Success)
	if !slices.Equal(l.Entries, l.Success) {
		t.Errorf("done: %s, jobs that succeeded: %s", brief(l.Entries), brief(l.Success))
	}
	return l
}

// G3: at every commit, before and after.
func TestG3_ScheduledMutationsAreExactlyOnceAtEveryCommit(t *testing.T) {
	const jobs = 5
	options := func() actors.Options { return actors.Options{Functions: newKit().reg} }
	act := func(h *actorstest.Harness) {
		for i := range jobs {
			h.Scheduler("acme").RunAfter(time.Duration(i/2)*time.Second, addEntry.With(fmt.Sprint(i)))
		}
		h.Advance(time.Minute)
	}
	everyCrash(t, options, act, func(h *actorstest.Harness) {
		consistent(t, h)
		h.Advance(time.Minute)
		if l := consistent(t, h); l.Open != 0 {
			t.Errorf("%d jobs are left", l.Open)
		}
	})
}

// G3: with the crash inside the handler, of each job once, while others wait.
func TestG3_ScheduledMutationsAreExactlyOnceThoughTheirHandlersAreCutOff(t *testing.T) {
	const jobs = 20
	k := newKit()
	work := k.mutation("t:work", func(ctx *dispatch.MutationCtx, name string) error {
		_, err := addEntry.Run(ctx, name)
		if ctx.Job.Attempt == 1 || err != nil {
			actorstest.Hang(ctx)
		}
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg, MutationTimeout: time.Hour, MaxInterruptions: 1000}, func(h *actorstest.Harness) {
		// All are due after the last of them was scheduled: a handler that hangs has the turn.
		var want []string
		for i := range jobs {
			want = append(want, fmt.Sprint(i))
			mustAfter(t, h, "acme", time.Duration(1+i%3)*time.Second, work.With(want[i]))
		}
		h.Advance(time.Second)
		for range 2 * jobs {
			h.Advance(time.Second)
			consistent(t, h)
			h.Crash()
		}
		h.Drain()
		if n := h.Now().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)); n > 10*time.Minute {
			t.Errorf("that took %v of virtual time: something has waited for a deadline", n)
		}
		consistent(t, h)
		wantEntries(t, h, "acme", want...)
	})
}

// G3: with crashes at arbitrary instants, during claims, completions and retries.
func TestG3_ScheduledMutationsAreExactlyOnceAtArbitraryInstants(t *testing.T) {
	const jobs = 100
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 3))
			k := newKit()
			work := k.mutation("t:work", func(ctx *dispatch.MutationCtx, name string) error {
				if ctx.Job.Attempt == 1 && name[len(name)-1] == '7' {
					return dispatch.Errorf(dispatch.CodeUnavailable, "not now")
				}
				_, err := addEntry.Run(ctx, name)
				return err
			})
			actorstest.Run(t, actors.Options{Functions: k.reg, MaxInterruptions: 1000}, func(h *actorstest.Harness) {
				var want []string
				for i := range jobs {
					want = append(want, fmt.Sprint(i))
				}
				schedule := func() {
					for i := range jobs {
						due := time.Duration(rnd.IntN(300)) * time.Millisecond
						h.Scheduler("acme").RunAfter(due, work.With(want[i]), dispatch.ID(storage.JobID("job-"+want[i])),
							dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 4, Base: time.Millisecond}))
					}
				}
				for h.CrashAt([]string{"commit", "committed"}[rnd.IntN(2)], 1+rnd.IntN(20), schedule) {
					// A schedule that was not acknowledged is made again; if it is there, its id says so.
				}
				h.Advance(time.Duration(rnd.IntN(10)) * time.Millisecond)
				for range 30 {
					h.CrashAt([]string{"commit", "committed"}[rnd.IntN(2)], 1+rnd.IntN(4), func() { h.Advance(time.Duration(rnd.IntN(20)) * time.Millisecond) })
					consistent(t, h)
				}
				h.Advance(time.Minute)
				h.Drain()
				l := must[ledger](t)(ledgerOf.Run(h.Caller("acme"), none{}))
				if l.Open > 0 {
					t.Errorf("%d jobs are left", l.Open)
				}
				// An id is free again when its job is done, so a schedule that was made
				// again may have done it twice; but never is a job done without its entry.
				consistent(t, h)
				for _, name := range want {
					if !slices.Contains(l.Entries, name) {
						t.Errorf("job %s was never done", name)
					}
				}
			})
		})
	}
}
