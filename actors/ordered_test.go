package actors_test

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// ordered is a kit whose jobs run in an ordered pool, under the key "ada". An action that is
// called "fail", "dead", "once" or "hang" and then anything does so; the others take a second.
type ordered struct {
	*kit
	pool     *dispatch.Pool
	work     *dispatch.ActionRef[string, none]
	write    *dispatch.MutationRef[string, none]
	failures atomic.Int32 // that are left to those called "fail"
}

func newOrdered() *ordered {
	o := &ordered{kit: newKit(), pool: dispatch.NewPool("user", 1, dispatch.Ordered())}
	retry := dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 4, Base: 10 * time.Second, Backoff: dispatch.Linear})
	o.work = o.action("t:work", func(ctx *dispatch.ActionCtx, name string) error {
		o.note("do "+name, ctx.Job)
		defer o.enter("all")()
		switch {
		case strings.HasPrefix(name, "fail") && o.failures.Add(-1) >= 0, strings.HasPrefix(name, "dead"):
			return errors.New("oops")
		case strings.HasPrefix(name, "hang"):
			<-ctx.Done()
			return ctx.Err()
		}
		time.Sleep(time.Second)
		return nil
	}, retry)
	o.write = o.mutation("t:write", func(ctx *dispatch.MutationCtx, name string) error {
		o.note("do "+name, ctx.Job)
		if strings.HasPrefix(name, "fail") && o.failures.Add(-1) >= 0 {
			return errors.New("oops")
		}
		_, err := entries.Insert(ctx.DB, entry{Name: name})
		return err
	}, retry)
	return o
}

func (o *ordered) options() actors.Options {
	return actors.Options{Functions: o.reg, Pools: []*dispatch.Pool{o.pool}, Logger: quiet}
}

func (o *ordered) in(key string) dispatch.RunOption { return dispatch.InPool(o.pool, key) }

// want demands what has begun since it was last asked.
func (o *ordered) want(t *testing.T, after, want string) {
	t.Helper()
	if got := o.args("do "); got != want {
		t.Errorf("%s: %q have begun, want %q", after, got, want)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = nil
}

// TestG27_AnOrderedPoolRunsOneAfterAnother: what is behind a job of its key waits until that
// has ended, also between its attempts, whatever its priority; what waits says for which job,
// writes nothing, and keeps no job of another key, or outside, back.
func TestG27_AnOrderedPoolRunsOneAfterAnother(t *testing.T) {
	o := newOrdered()
	o.failures.Store(2)
	var commits atomic.Int64
	opts := o.options()
	opts.Testing.Fault = func(point string) error {
		if point == "commit" {
			commits.Add(1)
		}
		return nil
	}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		first := mustAfter(t, h, "acme", time.Second, o.work.With("fail"), o.in("ada"), dispatch.Priority(4))
		second := mustAfter(t, h, "acme", 2*time.Second, o.work.With("second"), o.in("ada"), dispatch.Priority(3))
		mustAfter(t, h, "acme", 2*time.Second, o.write.With("third"), o.in("ada"), dispatch.Priority(1))
		mustAfter(t, h, "acme", 3*time.Second, o.work.With("bob"), o.in("bob"))
		mustAfter(t, h, "acme", 4*time.Second, o.work.With("outside"))
		h.Advance(time.Second)
		o.want(t, "at first", "fail")
		h.Advance(4 * time.Second)
		o.want(t, "later", "bob outside")
		if reason := h.Job("acme", second).Reason; reason != fmt.Sprintf("predecessor %s in key \"ada\" of pool user has not ended", first) {
			t.Errorf("the second waits because of %q", reason)
		}
		before := commits.Load()
		mustAfter(t, h, "acme", 0, o.work.With("fifth"), o.in("ada"))
		h.Settle()
		if n := commits.Load() - before; n != 1 {
			t.Errorf("%d commits for a job that waits", n)
		}
		o.want(t, "while it waits for its retry", "")
		before = commits.Load()
		h.Advance(5 * time.Second)
		if n := commits.Load() - before; n != 0 {
			t.Errorf("%d commits while they waited", n)
		}
		h.Advance(2 * time.Second)
		o.want(t, "at the retry", "fail")
		h.Restart()
		h.Advance(10 * time.Second)
		o.want(t, "after a restart", "")
		h.Advance(9*time.Second + 500*time.Millisecond)
		o.want(t, "at the last attempt", "fail")
		if reason := h.Job("acme", second).Reason; reason != fmt.Sprintf("predecessor %s in key \"ada\" of pool user runs", first) {
			t.Errorf("the second waits because of %q", reason)
		}
		h.Drain()
		o.want(t, "then", "second third fifth")
	})
}

// TestG27_AnOrderedPoolGoesOn: however the job ends whose turn it is, the next begins, and not
// before.
func TestG27_AnOrderedPoolGoesOn(t *testing.T) {
	for name, tt := range map[string]struct {
		job  string
		opts []dispatch.RunOption
		end  func(t *testing.T, h *actorstest.Harness, id storage.JobID)
	}{
		"canceled between attempts": {job: "dead", end: func(t *testing.T, h *actorstest.Harness, id storage.JobID) {
			wantCancel(t, h, "acme", id, true, storage.StatePending)
		}},
		"canceled while it runs": {job: "hang", end: func(t *testing.T, h *actorstest.Harness, id storage.JobID) {
			wantCancel(t, h, "acme", id, true, storage.StateRunning)
		}},
		"canceled by a filter": {job: "dead", end: func(t *testing.T, h *actorstest.Harness, id storage.JobID) {
			if n, err := h.Scheduler("acme").CancelMany(storage.JobFilter{Tags: []string{"first"}}); n != 1 || err != nil {
				t.Errorf("%d are canceled, %v", n, err)
			}
		}},
		"dead":         {job: "dead", end: func(t *testing.T, h *actorstest.Harness, id storage.JobID) { h.Advance(time.Minute) }},
		"at most once": {job: "dead", opts: []dispatch.RunOption{dispatch.AtMostOnce()}, end: func(*testing.T, *actorstest.Harness, storage.JobID) {}},
	} {
		o := newOrdered()
		actorstest.Run(t, o.options(), func(h *actorstest.Harness) {
			id := mustAfter(t, h, "acme", 0, o.work.With(tt.job), append(tt.opts, o.in("ada"), dispatch.Tags("first"))...)
			h.Advance(500 * time.Millisecond)
			o.want(t, name, tt.job)
			mustAfter(t, h, "acme", 0, o.work.With("next"), o.in("ada"))
			h.Advance(time.Second)
			if len(tt.opts) == 0 {
				o.want(t, name+": before", "")
			}
			tt.end(t, h, id)
			h.Settle()
			if got := o.args("do "); !strings.HasSuffix(got, "next") {
				t.Errorf("%s: then %q have begun, want the next", name, got)
			}
			h.Advance(time.Minute)
		})
	}
}

// TestG27_AHeldJobKeepsItsTurn: what no program can run keeps what is behind it back, and
// not what is before it.
func TestG27_AHeldJobKeepsItsTurn(t *testing.T) {
	o := newOrdered()
	o.failures.Store(1)
	actorstest.Run(t, o.options(), func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, o.work.With("fail first"), o.in("ada"))
		gone := mustAfter(t, h, "acme", time.Second, o.write.With("gone"), o.in("ada"))
		last := mustAfter(t, h, "acme", 2*time.Second, o.work.With("last"), o.in("ada"))
		h.Settle()
		o.want(t, "at first", "fail first")
		without := newOrdered()
		reg := dispatch.NewRegistry()
		without.kit.reg = reg
		work := dispatch.InternalAction[string, none]("t:work")
		work.Handle(reg, func(ctx *dispatch.ActionCtx, name string) (none, error) {
			o.note("do "+name, ctx.Job)
			return none{}, nil
		})
		h.Reconfigure(func(opts *actors.Options) { opts.Functions = reg })
		h.Restart()
		h.Advance(5 * time.Second)
		o.want(t, "before the retry", "")
		wantState(t, h, "acme", gone, storage.StatePending, 0)
		h.Advance(5 * time.Second)
		o.want(t, "at the retry", "fail first")
		h.Settle()
		wantHeld(t, h, "acme", gone, `no function "t:write"`)
		mustAfter(t, h, "acme", 0, work.With("new"), dispatch.InPool(o.pool, "ada"))
		h.Advance(time.Hour)
		o.want(t, "while it is held", "")
		if reason := h.Job("acme", last).Reason; !strings.Contains(reason, "predecessor "+string(gone)) {
			t.Errorf("the last waits because of %q, want job %s named", reason, gone)
		}
		h.Restart()
		h.Advance(time.Minute)
		o.want(t, "after a restart", "")
		if ok, err := h.Scheduler("acme").DropDead(gone); !ok || err != nil {
			t.Error(ok, err)
		}
		h.Advance(time.Minute)
		o.want(t, "when it is dropped", "last new")
	})
}

// TestG27_AJobThatIsKeptBackKeepsItsTurn: one that waits for another job of its unique key.
func TestG27_AJobThatIsKeptBackKeepsItsTurn(t *testing.T) {
	o := newOrdered()
	actorstest.Run(t, o.options(), func(h *actorstest.Harness) {
		unique(t, h, 0, o.work.With("holder"), dispatch.Replace())
		h.Settle()
		var done storage.Told
		second := mustAfter(t, h, "acme", 0, o.work.With("second"), o.in("ada"), dispatch.Unique("k", dispatch.Replace()), dispatch.Tell(&done))
		last := mustAfter(t, h, "acme", 0, o.work.With("last"), o.in("ada"))
		h.Advance(500 * time.Millisecond)
		o.want(t, "while the holder runs", "holder")
		if reason := h.Job("acme", last).Reason; !strings.Contains(reason, "predecessor "+string(second)) {
			t.Errorf("the last waits because of %q, want job %s named", reason, second)
		}
		h.Advance(600 * time.Millisecond)
		o.want(t, "when it has ended", "second")
		h.Drain()
		o.want(t, "then", "last")
	})
}

// TestG27_AReplacedJobKeepsItsTurn: another call under its key changes what is done, and when,
// and not the order, once it has been tried.
func TestG27_AReplacedJobKeepsItsTurn(t *testing.T) {
	o := newOrdered()
	actorstest.Run(t, o.options(), func(h *actorstest.Harness) {
		replace := func(d time.Duration, name string) storage.JobID {
			return mustAfter(t, h, "acme", d, o.work.With(name), o.in("ada"), dispatch.Unique("k", dispatch.Replace()))
		}
		id := replace(time.Second, "dead")
		mustAfter(t, h, "acme", 2*time.Second, o.work.With("next"), o.in("ada"))
		h.Advance(3 * time.Second)
		o.want(t, "at first", "dead")
		if got := replace(20*time.Second, "again"); got != id {
			t.Errorf("the call is job %s, want %s", got, id)
		}
		h.Advance(19 * time.Second)
		o.want(t, "before the new instant", "")
		h.Drain()
		o.want(t, "then", "again next")

		replace(time.Second, "first") // not tried: it is in the order at its new instant
		mustAfter(t, h, "acme", 2*time.Second, o.work.With("second"), o.in("ada"))
		replace(3*time.Second, "third")
		h.Advance(time.Minute)
		o.want(t, "of those not tried", "second third")
	})
}

// TestG27_TheOrderOutlivesACrash: at each point of it, of actions and of mutations.
func TestG27_TheOrderOutlivesACrash(t *testing.T) {
	var o *ordered
	options := func() actors.Options {
		o = newOrdered()
		o.failures.Store(2)
		return o.options()
	}
	names := []string{"fail 0", "1", "fail 2", "3"}
	everyCrash(t, options, func(h *actorstest.Harness) {
		for i, name := range names {
			var call dispatch.Call = o.work.With(name)
			if i%2 == 1 {
				call = o.write.With(name)
			}
			if _, err := h.Scheduler("acme").RunAfter(time.Second, call, o.in("ada")); err != nil {
				return
			}
		}
		h.Advance(15 * time.Second)
	}, func(h *actorstest.Harness) {
		h.Advance(time.Minute)
		h.Drain()
		last := 0
		for _, e := range o.events("do ") {
			for i, name := range names {
				if e.What != "do "+name {
					continue
				}
				if i < last {
					t.Errorf("%s is tried after %s", name, names[last])
				}
				last = max(last, i)
			}
		}
		if most := o.mostAtOnce("all"); most > 1 {
			t.Errorf("%d ran at once", most)
		}
		for _, job := range h.Jobs("acme") {
			if job.State != storage.StateSuccess {
				t.Errorf("job %s is %s", job.ID, job.State)
			}
		}
	})
}
