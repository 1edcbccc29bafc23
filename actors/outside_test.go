package actors_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/cron"
	"carillon/dispatch"
	"carillon/storage"
)

// desk is what is outside: the tokens that an action has handed on, in order, and the last of each job.
type desk struct {
	mu     sync.Mutex
	tokens []string
	of     map[storage.JobID]string
	ask    *dispatch.ActionRef[string, string]
}

// desk binds t:ask, which asks for a token and then does what its argument says.
func (k *kit) desk(opts ...dispatch.FunctionOption) *desk {
	d := &desk{of: map[storage.JobID]string{}, ask: dispatch.InternalAction[string, string]("t:ask", opts...)}
	d.ask.Handle(k.reg, func(ctx *dispatch.ActionCtx, what string) (string, error) {
		k.note("ask "+what, ctx.Job)
		timeout := time.Hour
		if rest, ok := strings.CutPrefix(what, "for "); ok {
			timeout, _ = time.ParseDuration(rest)
		}
		token, err := ctx.Pending(timeout)
		if err != nil {
			return "", err
		}
		d.mu.Lock()
		d.tokens, d.of[ctx.Job.ID] = append(d.tokens, token), token
		d.mu.Unlock()
		if strings.HasPrefix(what, "slow") {
			time.Sleep(time.Minute)
		}
		switch what {
		case "slow error":
			return "", errors.New("it fails")
		case "slow result":
			return "its own", nil
		case "slow panic":
			panic("it panics")
		}
		return "", fmt.Errorf("sent: %w", dispatch.ErrPending)
	})
	return d
}

// token is the n-th that was handed on, from 1.
func (d *desk) token(tb testing.TB, n int) string {
	tb.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.tokens) < n {
		tb.Fatalf("%d tokens were handed on, want %d", len(d.tokens), n)
	}
	return d.tokens[n-1]
}

// tampered is the token with another secret.
func tampered(token string) string {
	changed := []byte(token)
	if changed[3]++; changed[3] == 'z'+1 || changed[3] == 'Z'+1 || changed[3] == '9'+1 || changed[3] < '0' || changed[3] == '`' {
		changed[3] = 'a'
	}
	return string(changed)
}

// wantOutside demands that the job is pending outside.
func wantOutside(tb testing.TB, h *actorstest.Harness, id storage.JobID, attempts int) storage.Job {
	tb.Helper()
	job := wantState(tb, h, "acme", id, storage.StatePending, attempts)
	if !job.PendingOutside() || job.Wait != storage.WaitOutside || !strings.Contains(job.Reason, "from outside, by "+job.Due.Format(time.RFC3339)) {
		tb.Errorf("job %s waits for %q: %s; want %q", id, job.Wait, job.Reason, storage.WaitOutside)
	}
	return job
}

// wantEnds demands what an end from outside is answered with.
func wantEnds(tb testing.TB, ok bool, err error, want bool, code dispatch.Code) {
	tb.Helper()
	switch {
	case code != "":
		wantCode(tb, err, code)
	case err != nil || ok != want:
		tb.Errorf("answered %t, %v; want %t", ok, err, want)
	}
}

func complete(tb testing.TB, h *actorstest.Harness, token string, result any, want bool, code dispatch.Code) {
	tb.Helper()
	ok, err := h.App("acme").Complete(h.Context(), token, result)
	wantEnds(tb, ok, err, want, code)
}

func fail(tb testing.TB, h *actorstest.Harness, token string, failure error, want bool, code dispatch.Code) {
	tb.Helper()
	ok, err := h.App("acme").Fail(h.Context(), token, failure)
	wantEnds(tb, ok, err, want, code)
}

// TestG33_AnEndFromOutside: a job whose handler has returned pending holds no permit, of pool,
// app or engine, through a restart, a crash, an export and an import; then it ends by its token, once,
// with its result, its follow-up and its waiters.
func TestG33_AnEndFromOutside(t *testing.T) {
	k := newKit()
	d, after, pool := k.desk(), k.after("t:after"), dispatch.NewPool("desk", 1)
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Concurrency: 1, AppConcurrency: 1}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, d.ask.With("x"), dispatch.InPool(pool), dispatch.OnDone(after.With("a")))
		h.Settle()
		due := wantOutside(t, h, id, 1).Due
		second := mustAfter(t, h, "acme", 0, d.ask.With("y"), dispatch.InPool(pool))
		mustAfter(t, h, "acme", 0, addEntry.With("beside"))
		h.Settle()
		wantOutside(t, h, second, 1)
		wantEntries(t, h, "acme", "beside")
		if i := h.Inspect("acme"); i.Running+i.Claimed != 0 || len(h.Jobs("acme", storage.StatePending)) != 2 {
			t.Errorf("%d jobs run, %d are claimed, want none", i.Running, i.Claimed)
		}
		h.Restart()
		h.Crash()
		var out bytes.Buffer
		if err := errors.Join(h.Engine.Export(h.Context(), "acme", &out), h.Engine.Delete(h.Context(), "acme"), h.Engine.Import(h.Context(), "acme", &out)); err != nil {
			t.Fatal(err)
		}
		h.Advance(30 * time.Minute)
		if job := wantOutside(t, h, id, 1); job.Interruptions != 0 || len(job.History) != 0 || !job.Due.Equal(due) {
			t.Errorf("it has changed: %+v", job)
		}
		w := wait(h.Context(), h, id)
		h.Settle()
		complete(t, h, d.token(t, 1), "yes", true, "")
		h.Settle()
		w.want(t, storage.StateSuccess)
		if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); string(job.Result) != `"yes"` || job.StartedAt.IsZero() || !job.Due.Equal(job.ScheduledFor) {
			t.Errorf("it has ended with %s, begun at %v, due at %v", job.Result, job.StartedAt, job.Due)
		}
		wantFollowUps(t, h, "a: success 1, 3 bytes", "beside")
		complete(t, h, d.token(t, 1), "no", false, "")
		fail(t, h, d.token(t, 1), errors.New("no"), false, "")
		h.Crash()
		complete(t, h, d.token(t, 1), "no", false, "")
		if got, err := d.ask.Await(h.Context(), h.App("acme"), id); got != "yes" || err != nil {
			t.Errorf("its result is %q, %v", got, err)
		}
		wantOutside(t, h, second, 1)
		if n := k.count("ask"); n != 2 {
			t.Errorf("handlers ran %d times, want 2", n)
		}
	})
}

// TestG33_AnEndFromOutsideThatFails: it is retried by its policy, with another token, and dead when
// that is spent, at once if a retry cannot mend it, or it was to run once.
func TestG33_AnEndFromOutsideThatFails(t *testing.T) {
	k := newKit()
	d := k.desk()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute})
		id := mustAfter(t, h, "acme", 0, d.ask.With(""), policy)
		h.Settle()
		fail(t, h, d.token(t, 1), nil, false, dispatch.CodeInvalidArgument)
		fail(t, h, d.token(t, 1), dispatch.Errorf(dispatch.CodeUnavailable, "declined"), true, "")
		if job := wantState(t, h, "acme", id, storage.StatePending, 1); job.Wait != storage.WaitBackoff || job.Failures != 1 || job.Error == nil || job.Error.Message != "declined" {
			t.Errorf("it waits for %s after %d failures: %v", job.Wait, job.Failures, job.Error)
		}
		if err := h.Engine.Check(); err != nil {
			t.Error(err)
		}
		complete(t, h, d.token(t, 1), "late", false, dispatch.CodeNotFound)
		h.Advance(time.Minute)
		wantOutside(t, h, id, 2)
		complete(t, h, d.token(t, 1), "late", false, dispatch.CodeNotFound)
		fail(t, h, d.token(t, 2), errors.New("secret"), true, "")
		if job := wantState(t, h, "acme", id, storage.StateFailed, 2); job.Error.Code != string(dispatch.CodeInternal) || len(job.History) != 2 {
			t.Errorf("it is dead: %v, %+v", job.Error, job.History)
		}
		fail(t, h, d.token(t, 2), errors.New("again"), false, "")
		if ok, err := h.Scheduler("acme").RetryDead(id); !ok || err != nil {
			t.Fatal(ok, err)
		}
		h.Settle()
		complete(t, h, d.token(t, 2), "late", false, dispatch.CodeNotFound)
		complete(t, h, d.token(t, 3), "yes", true, "")
		wantState(t, h, "acme", id, storage.StateSuccess, 1)

		once := mustAfter(t, h, "acme", 0, d.ask.With(""), dispatch.AtMostOnce())
		h.Settle()
		fail(t, h, d.token(t, 4), errors.New("no"), true, "")
		wantState(t, h, "acme", once, storage.StateFailed, 1)
		good := mustAfter(t, h, "acme", 0, d.ask.With(""))
		h.Settle()
		fail(t, h, d.token(t, 5), dispatch.Permanent(errors.New("no")), true, "")
		wantState(t, h, "acme", good, storage.StateFailed, 1)
	})
}

// TestG33_AnEndFromOutsideThatDoesNotCome: the attempt fails when its timeout has passed, not before,
// asleep or after a crash, in a paused function and a full pool; it is retried then, and its NotAfter
// holds for the next attempt only. At the bounds of the timeout and beyond.
func TestG33_AnEndFromOutsideThatDoesNotCome(t *testing.T) {
	k := newKit()
	pool := dispatch.NewPool("desk", 1)
	d, slow := k.desk(), k.action("t:slow", func(ctx *dispatch.ActionCtx, _ string) error { <-ctx.Done(); return nil }, dispatch.Deadline(time.Hour))
	opts := actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{pool}, Logger: quiet}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		policy := dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Minute})
		id := mustAfter(t, h, "acme", 0, d.ask.With("for 10m"), policy, dispatch.InPool(pool), dispatch.Priority(4))
		h.Settle() // its token is the first
		late := mustAfter(t, h, "acme", 0, d.ask.With("for 10m"), policy, dispatch.NotAfter(h.Now().Add(5*time.Minute)))
		day := mustAfter(t, h, "acme", 0, d.ask.With("for 0s"))
		most := mustAfter(t, h, "acme", 0, d.ask.With("for 2160h"))
		over := mustAfter(t, h, "acme", 0, d.ask.With("for 2160h0m0.001s"))
		under := mustAfter(t, h, "acme", 0, d.ask.With("for -1ms"))
		h.Settle()
		begun := wantOutside(t, h, id, 1).StartedAt
		for _, bad := range []storage.JobID{over, under} {
			if job := wantState(t, h, "acme", bad, storage.StatePending, 1); job.PendingOutside() || job.Error.Code != string(dispatch.CodeInvalidArgument) {
				t.Errorf("job %s: %v", bad, job.Error)
			}
		}
		if got := wantOutside(t, h, day, 1).Due.Sub(begun); got != 24*time.Hour {
			t.Errorf("the default timeout is %v", got)
		}
		if got := wantOutside(t, h, most, 1).Due.Sub(begun); got != 90*24*time.Hour {
			t.Errorf("the longest timeout is %v", got)
		}
		if err := h.App("acme").Pause(h.Context(), dispatch.OfFunction("t:ask"), "test", ""); err != nil {
			t.Fatal(err)
		}
		mustAfter(t, h, "acme", 0, slow.With(""), dispatch.InPool(pool))
		h.AdvanceTo(begun.Add(9 * time.Minute))
		h.Crash()
		h.AdvanceTo(begun.Add(10*time.Minute - time.Millisecond))
		wantOutside(t, h, id, 1)
		wantOutside(t, h, late, 1)
		h.Advance(time.Millisecond)
		for id, state := range map[storage.JobID]storage.State{id: storage.StatePending, late: storage.StateExpired} {
			job := wantState(t, h, "acme", id, state, 1)
			if job.PendingOutside() || job.Failures != 1 || job.Error == nil || job.Error.Code != string(dispatch.CodeDeadlineExceeded) {
				t.Errorf("job %s: %v", id, job.Error)
			}
		}
		complete(t, h, d.token(t, 1), "late", false, dispatch.CodeNotFound)
		if _, err := h.App("acme").Resume(h.Context(), dispatch.OfFunction("t:ask")); err != nil {
			t.Fatal(err)
		}
		h.AdvanceTo(begun.Add(75 * time.Minute)) // the other job of the pool has ended
		wantOutside(t, h, id, 2)
	})
}

// TestG33_AnEndFromOutsideBeforeTheHandlerReturns: it stands, whatever the handler does then, over a
// crash, too; a cancel takes the job from it.
func TestG33_AnEndFromOutsideBeforeTheHandlerReturns(t *testing.T) {
	for what, then := range map[string]func(h *actorstest.Harness){
		"slow":        nil,
		"slow error":  nil,
		"slow result": nil,
		"slow panic":  nil,
		"slow crash":  func(h *actorstest.Harness) { h.Crash() },
		"slow close":  func(h *actorstest.Harness) { h.Restart() },
	} {
		t.Run(what, func(t *testing.T) {
			k := newKit()
			d := k.desk()
			actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
				id := mustAfter(t, h, "acme", 0, d.ask.With(what), dispatch.AtMostOnce())
				h.Settle()
				complete(t, h, tampered(d.token(t, 1)), "no", false, dispatch.CodeNotFound)
				complete(t, h, d.token(t, 1), "yes", true, "")
				complete(t, h, d.token(t, 1), "no", false, "")
				fail(t, h, d.token(t, 1), errors.New("no"), false, "")
				wantState(t, h, "acme", id, storage.StateRunning, 1)
				if then != nil {
					then(h)
				}
				h.Advance(time.Minute)
				if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); string(job.Result) != `"yes"` {
					t.Errorf("its result is %s", job.Result)
				}
				complete(t, h, d.token(t, 1), "no", false, "")
			})
		})
	}
	k := newKit()
	d := k.desk(dispatch.Deadline(30 * time.Second))
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet, Grace: time.Second}, func(h *actorstest.Harness) {
		stuck := mustAfter(t, h, "acme", 0, d.ask.With("slow"))
		canceled := mustAfter(t, h, "acme", 0, d.ask.With("slow"))
		retried := mustAfter(t, h, "acme", 0, d.ask.With("slow crash"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 2, Base: time.Hour}))
		dead := mustAfter(t, h, "acme", 0, d.ask.With("slow crash"))
		h.Settle()
		complete(t, h, d.of[stuck], "yes", true, "")
		complete(t, h, d.of[canceled], "yes", true, "")
		fail(t, h, d.of[retried], dispatch.Errorf(dispatch.CodeUnavailable, "declined"), true, "")
		fail(t, h, d.of[dead], dispatch.Permanent(errors.New("no")), true, "")
		if answer, err := h.Scheduler("acme").Cancel(canceled); !answer.Canceled || err != nil {
			t.Fatal(answer, err)
		}
		h.Advance(32 * time.Second)
		wantState(t, h, "acme", stuck, storage.StateSuccess, 1)
		wantState(t, h, "acme", canceled, storage.StateCanceled, 1)
		complete(t, h, d.of[canceled], "yes", false, "")
		h.Advance(time.Minute)
		if job := wantState(t, h, "acme", retried, storage.StatePending, 1); job.Failures != 1 || job.Error.Message != "declined" {
			t.Errorf("it failed %d times: %v", job.Failures, job.Error)
		}
		wantState(t, h, "acme", dead, storage.StateFailed, 1)
	})
}

// TestG33_ATokenOfNothing: one that is made up, of another app, of a former attempt, of a job that was
// canceled or was cut off ends nothing; nor does what fits no result. A handler that may not be pending
// is told so, and its job is not retried.
func TestG33_ATokenOfNothing(t *testing.T) {
	k := newKit()
	d := k.desk()
	number := dispatch.InternalAction[string, int]("t:number")
	numbers := make(chan string, 9)
	number.Handle(k.reg, func(ctx *dispatch.ActionCtx, _ string) (int, error) {
		token, err := ctx.Pending(0)
		numbers <- token
		return 0, errors.Join(err, dispatch.ErrPending)
	})
	untold := k.action("t:untold", func(*dispatch.ActionCtx, string) error { return dispatch.ErrPending })
	mutation := k.mutation("t:mutation", func(*dispatch.MutationCtx, string) error { return dispatch.ErrPending })
	nested := k.action("t:nested", func(ctx *dispatch.ActionCtx, what string) error {
		_, err := d.ask.Run(ctx, what)
		return err
	})
	late := make(chan error, 9)
	overran := k.action("t:overran", func(ctx *dispatch.ActionCtx, _ string) error {
		time.Sleep(time.Minute)
		_, err := ctx.Pending(0)
		late <- err
		return err
	}, dispatch.Deadline(time.Second))
	opts := actors.Options{Functions: k.reg, Logger: quiet, Limits: dispatch.Limits{Result: 100}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		id := mustAfter(t, h, "acme", 0, d.ask.With(""))
		h.Settle()
		token := d.token(t, 1)
		for _, bad := range []string{"", "x", "!", tampered(token), token + "A", token[1:], strings.Repeat("A", 1<<20), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
			complete(t, h, bad, "no", false, dispatch.CodeNotFound)
		}
		if ok, err := h.App("other").Complete(h.Context(), token, "no"); ok || dispatch.AsError(err).Code != dispatch.CodeNotFound {
			t.Errorf("another app: %t, %v", ok, err)
		}
		if there, err := h.App("other").Exists(); there || err != nil {
			t.Errorf("it has brought the other app into being: %v", err)
		}
		for _, bad := range []any{12, struct{ A int }{}, func() {}, json.RawMessage("{"), strings.Repeat("x", 99), json.RawMessage("\"\xff\"")} {
			complete(t, h, token, bad, false, dispatch.CodeInvalidArgument)
		}
		wantOutside(t, h, id, 1)
		complete(t, h, token, strings.Repeat("x", 98), true, "")

		other := mustAfter(t, h, "acme", 0, number.With(""))
		h.Settle()
		token = <-numbers
		complete(t, h, token, "text", false, dispatch.CodeInvalidArgument)
		complete(t, h, token, json.RawMessage("7"), true, "")
		if n, err := number.Await(h.Context(), h.App("acme"), other); n != 7 || err != nil {
			t.Error(n, err)
		}

		canceled := mustAfter(t, h, "acme", 0, d.ask.With(""))
		h.Settle()
		if answer, err := h.Scheduler("acme").Cancel(canceled); !answer.Canceled || err != nil {
			t.Fatal(answer, err)
		}
		complete(t, h, d.token(t, 2), "no", false, "")
		wantState(t, h, "acme", canceled, storage.StateCanceled, 1)
		cut := mustAfter(t, h, "acme", 0, d.ask.With("slow"))
		h.Settle()
		h.Crash()
		complete(t, h, d.token(t, 3), "no", false, dispatch.CodeNotFound)
		h.Advance(time.Minute)
		wantOutside(t, h, cut, 2)

		for _, call := range []dispatch.Call{untold.With(""), mutation.With(""), nested.With("")} {
			id := mustAfter(t, h, "acme", 0, call)
			h.Drain()
			if job := wantState(t, h, "acme", id, storage.StateFailed, 1); job.Error.Code != string(dispatch.CodeFailedPrecondition) || !strings.Contains(job.Error.Message, "only the action of a job") {
				t.Errorf("%s: %v", job.Function, job.Error)
			}
		}
		mustAfter(t, h, "acme", 0, overran.With(""), dispatch.NoRetry())
		h.Advance(2 * time.Minute)
		wantCode(t, <-late, dispatch.CodeAborted)
		_, err := d.ask.Run(h.Caller("acme"), "")
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		if ok, err := h.App("acme").Complete(ctx, d.token(t, 4), "no"); ok || err == nil {
			t.Error("a call without a context was answered")
		}
	})
}

// TestG33_WhatAnEndFromOutsideKeepsBack: a job that is pending outside has its turn in an ordered
// pool and its unique key, cannot be rescheduled, and keeps its trigger's next tick waiting; that goes on
// when it has ended.
func TestG33_WhatAnEndFromOutsideKeepsBack(t *testing.T) {
	k := newKit()
	d, line := k.desk(), dispatch.NewPool("line", 1, dispatch.Ordered())
	actorstest.Run(t, actors.Options{Functions: k.reg, Pools: []*dispatch.Pool{line}}, func(h *actorstest.Harness) {
		key := func(p dispatch.UniquePolicy) []dispatch.RunOption {
			return []dispatch.RunOption{dispatch.InPool(line), dispatch.Unique("k", p)}
		}
		id := mustAfter(t, h, "acme", 0, d.ask.With(""), key(dispatch.Keep())...)
		h.Settle()
		h.Crash()
		next := mustAfter(t, h, "acme", 0, addEntry.With("next"), dispatch.InPool(line))
		h.Settle()
		if job := wantState(t, h, "acme", next, storage.StatePending, 0); job.Wait != storage.WaitPredecessor {
			t.Errorf("the next of the pool waits for %s", job.Wait)
		}
		if kept := mustAfter(t, h, "acme", 0, d.ask.With("b"), key(dispatch.Keep())...); kept != id {
			t.Errorf("the key is job %s's", kept)
		}
		for _, p := range []dispatch.UniquePolicy{dispatch.Refuse(), dispatch.Replace(), dispatch.Throttle(time.Minute), dispatch.Replace().PendingOnly()} {
			_, err := h.Scheduler("acme").RunAfter(0, d.ask.With("b"), key(p)...)
			wantCode(t, err, dispatch.CodeAlreadyExists)
		}
		for _, change := range []dispatch.ChangeOption{dispatch.DueIn(0), dispatch.Priority(1), dispatch.NewArgs(d.ask.With("b"))} {
			if answer, err := h.Scheduler("acme").Reschedule(id, change); answer.Changed || answer.Found != storage.StateRunning || err != nil {
				t.Errorf("rescheduled: %+v, %v", answer, err)
			}
		}
		wantOutside(t, h, id, 1)
		complete(t, h, d.token(t, 1), "yes", true, "")
		h.Drain()
		wantState(t, h, "acme", next, storage.StateSuccess, 1)

		// A later job of the key that came while the handler ran takes the place of the attempt.
		first := mustAfter(t, h, "acme", 0, d.ask.With("slow"), dispatch.Unique("k", dispatch.Replace()))
		h.Settle()
		later := mustAfter(t, h, "acme", 0, d.ask.With(""), dispatch.Unique("k", dispatch.Replace()))
		h.Advance(time.Minute)
		wantState(t, h, "acme", first, storage.StateCanceled, 1)
		wantOutside(t, h, later, 1)
	})
}

// TestG33_AnEndFromOutsideOfATick: the next tick waits for it, and begins when it has come.
func TestG33_AnEndFromOutsideOfATick(t *testing.T) {
	k := newKit()
	d := k.desk()
	opts := actors.Options{Functions: k.reg, Crons: []dispatch.Trigger{
		{Name: "often", Schedule: cron.Every(10 * time.Minute), Call: d.ask.With(""), Overlap: storage.OverlapQueue},
	}}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		mustAfter(t, h, "acme", 0, addEntry.With("x"))
		h.Advance(35 * time.Minute)
		if n := k.count("ask"); n != 1 {
			t.Fatalf("%d ticks have run, want 1", n)
		}
		complete(t, h, d.token(t, 1), "yes", true, "")
		h.Advance(time.Second)
		if n := k.count("ask"); n != 2 {
			t.Errorf("%d ticks have run, want 2", n)
		}
	})
}

// TestG33_AnEndFromOutsideOverEveryCrash: at whichever commit the process dies, or that fails, an
// end that was acknowledged is the end of the job, and the handler of an attempt that was left outside
// does not run again.
func TestG33_AnEndFromOutsideOverEveryCrash(t *testing.T) {
	for _, what := range []string{"", "slow"} {
		var k *kit
		var d *desk
		var told string
		everyCrash(t, func() actors.Options {
			k, told = newKit(), ""
			d = k.desk()
			return actors.Options{Functions: k.reg, Logger: quiet}
		}, func(h *actorstest.Harness) {
			if _, err := h.Scheduler("acme").RunAfter(time.Second, d.ask.With(what), dispatch.ID("a")); err != nil {
				return
			}
			time.Sleep(2 * time.Second)
			d.mu.Lock()
			n := len(d.tokens)
			d.mu.Unlock()
			if n == 0 {
				return
			}
			if ok, err := h.App("acme").Complete(h.Context(), d.token(t, n), "first"); ok && err == nil {
				told = "first"
			}
			time.Sleep(2 * time.Minute)
		}, func(h *actorstest.Harness) {
			h.Advance(3 * time.Minute)
			jobs := h.Jobs("acme")
			if len(jobs) == 0 {
				if told != "" {
					t.Error("the job is lost")
				}
				return
			}
			job := jobs[0]
			if job.PendingOutside() {
				if told != "" {
					t.Errorf("an end that was acknowledged is lost: %s after %d attempts", job.State, job.Attempts)
				}
				d.mu.Lock()
				n := len(d.tokens)
				d.mu.Unlock()
				complete(t, h, d.token(t, n), "second", true, "")
				job = h.Job("acme", "a")
			}
			if job.State != storage.StateSuccess || told != "" && (string(job.Result) != `"first"` || job.Attempts != 1) {
				t.Errorf("told %q, it is %s with %s after %d attempts", told, job.State, job.Result, job.Attempts)
			}
			if n := k.count("ask"); n > job.Attempts {
				t.Errorf("%d handlers ran in %d attempts", n, job.Attempts)
			}
		})
	}
}

// TestG33_AnEndFromOutsideWhoseCommitFails: what was answered with an error is asked for again, and is
// told whether it was written after all.
func TestG33_AnEndFromOutsideWhoseCommitFails(t *testing.T) {
	for _, what := range []string{"", "slow"} {
		for point, again := range map[string]bool{"commit": true, "committed": false} {
			t.Run(what+" "+point, func(t *testing.T) {
				k, f := newKit(), newFaults()
				d := k.desk()
				opts := actors.Options{Functions: k.reg, Testing: actors.Testing{Fault: f.ask}, Logger: quiet}
				actorstest.Run(t, opts, func(h *actorstest.Harness) {
					id := mustAfter(t, h, "acme", 0, d.ask.With(what))
					h.Settle()
					f.fail(point, 1)
					if ok, err := h.App("acme").Complete(h.Context(), d.token(t, 1), "yes"); ok || err == nil {
						t.Error("an end was acknowledged whose commit has failed")
					}
					h.Advance(time.Second)
					complete(t, h, d.token(t, 1), "again", again, "")
					h.Advance(time.Minute)
					want := map[bool]string{true: `"again"`, false: `"yes"`}[again]
					if job := wantState(t, h, "acme", id, storage.StateSuccess, 1); string(job.Result) != want {
						t.Errorf("its result is %s, want %s", job.Result, want)
					}
				})
			})
		}
	}
}

// TestG33_OneEndOfMany: of many ends that come at once, and with the timeout, one counts.
func TestG33_OneEndOfMany(t *testing.T) {
	k := newKit()
	d := k.desk()
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: quiet}, func(h *actorstest.Harness) {
		for round, at := range []time.Duration{0, 10*time.Minute - time.Millisecond, 10 * time.Minute} {
			id := mustAfter(t, h, "acme", 0, d.ask.With("for 10m"), dispatch.WithRetry(dispatch.RetryPolicy{MaxAttempts: 1}))
			h.Settle()
			token := d.token(t, round+1)
			var mu sync.Mutex
			var won []string
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					time.Sleep(at)
					result := fmt.Sprint(i)
					ok, err := h.App("acme").Complete(h.Context(), token, result)
					if err != nil {
						t.Errorf("%v", err)
					}
					mu.Lock()
					defer mu.Unlock()
					if ok {
						won = append(won, result)
					}
				})
			}
			wg.Wait()
			h.Settle()
			switch job := h.Job("acme", id); {
			case len(won) == 1 && job.State == storage.StateSuccess && string(job.Result) == `"`+won[0]+`"`:
			case len(won) == 0 && job.State == storage.StateFailed && at == 10*time.Minute:
			default:
				t.Errorf("at %v: %d calls have won, and the job is %s with %s", at, len(won), job.State, job.Result)
			}
		}
	})
}
