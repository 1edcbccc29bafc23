package actors_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

// text binds an action and a mutation that return a JSON string of so many bytes, which
// begins with the number of the attempt.
func (k *kit) text(opts ...dispatch.FunctionOption) (action *dispatch.ActionRef[int, string], mutation *dispatch.MutationRef[int, string]) {
	result := func(n, attempt int) string { return fmt.Sprint(attempt) + strings.Repeat("x", n-3) }
	action = dispatch.InternalAction[int, string]("t:action", opts...)
	action.Handle(k.reg, func(ctx *dispatch.ActionCtx, n int) (string, error) { return result(n, ctx.Job.Attempt), nil })
	mutation = dispatch.InternalMutation[int, string]("t:mutation", opts...)
	mutation.Handle(k.reg, func(ctx *dispatch.MutationCtx, n int) (string, error) { return result(n, ctx.Job.Attempt), nil })
	return action, mutation
}

// wantResult demands a result of so many bytes; 0: it is not kept, for a reason that has the words.
func wantResult(tb testing.TB, h *actorstest.Harness, id storage.JobID, size int, words string) storage.Job {
	tb.Helper()
	job := wantState(tb, h, "acme", id, storage.StateSuccess, 1)
	switch {
	case size > 0 && (len(job.Result) != size || job.ResultSize != size || job.NotKept != nil):
		tb.Errorf("job %s has a result of %d bytes, said to be %d, not kept: %v; want %d", id, len(job.Result), job.ResultSize, job.NotKept, size)
	case size == 0 && (job.Result != nil || job.NotKept == nil || !strings.Contains(job.NotKept.Reason, words) || job.NotKept.Bytes != job.ResultSize):
		tb.Errorf("job %s has a result of %d bytes (%d), not kept: %v; want none, since %q", id, len(job.Result), job.ResultSize, job.NotKept, words)
	}
	return job
}

// TestG33_AResultIsKeptWithItsJob: of mutations and actions, short and long, through a restart,
// a crash, an export and an import.
func TestG33_AResultIsKeptWithItsJob(t *testing.T) {
	k := newKit()
	action, mutation := k.text()
	nothing := k.mutation("t:nothing", func(*dispatch.MutationCtx, string) error { return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		ids := map[storage.JobID]int{mustAfter(t, h, "acme", 0, nothing.With("")): len("null")}
		for _, n := range []int{3, 256, 257, 64 << 10} {
			ids[mustAfter(t, h, "acme", 0, action.With(n))] = n
			ids[mustAfter(t, h, "acme", 0, mutation.With(n))] = n
		}
		h.Drain()
		check := func() {
			t.Helper()
			for id, n := range ids {
				wantResult(t, h, id, n, "")
			}
			for _, job := range h.Jobs("acme", storage.StateSuccess) {
				if len(job.Result) != ids[job.ID] {
					t.Errorf("a listing shows %d bytes of job %s, want %d", len(job.Result), job.ID, ids[job.ID])
				}
			}
		}
		check()
		h.Restart()
		check()
		h.Crash()
		check()
		if i := h.Inspect("acme"); !i.Asleep && i.ResultBytes != 2*(257+64<<10) {
			t.Errorf("%d bytes of results are counted", i.ResultBytes)
		}
		var out bytes.Buffer
		if err := errors.Join(h.Engine.Export(h.Context(), "acme", &out), h.Engine.Delete(h.Context(), "acme"), h.Engine.Import(h.Context(), "acme", &out)); err != nil {
			t.Fatal(err)
		}
		check()
	})
}

// TestG33_WhatIsNotKept: a result that is too large, or not to be kept, by job or function; at
// the bound and one above.
func TestG33_WhatIsNotKept(t *testing.T) {
	k := newKit()
	action, mutation := k.text(dispatch.KeepResult(false))
	list := dispatch.InternalAction[int, string]("t:list")
	list.Handle(k.reg, func(_ *dispatch.ActionCtx, n int) (string, error) { return strings.Repeat("x", n-2), nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, MaxResult: 1000, Logger: quiet}, func(h *actorstest.Harness) {
		never := mustAfter(t, h, "acme", 0, action.With(10))
		chosen := mustAfter(t, h, "acme", 0, mutation.With(10), dispatch.KeepResult(true))
		neverOf := mustAfter(t, h, "acme", 0, list.With(10), dispatch.KeepResult(false))
		fits := mustAfter(t, h, "acme", 0, list.With(1000))
		large := mustAfter(t, h, "acme", 0, list.With(1001))
		h.Drain()
		wantResult(t, h, never, 0, "not to be kept")
		wantResult(t, h, chosen, 10, "")
		wantResult(t, h, neverOf, 0, "not to be kept")
		wantResult(t, h, fits, 1000, "")
		if job := wantResult(t, h, large, 0, "larger than 1000 bytes"); job.ResultSize != 1001 {
			t.Errorf("it is said to have %d bytes", job.ResultSize)
		}
		_, err := list.Await(h.Context(), h.App("acme"), large)
		wantCode(t, err, dispatch.CodeFailedPrecondition)
		h.Reconfigure(func(o *actors.Options) { o.MaxResult = -1 })
		none := mustAfter(t, h, "acme", 0, list.With(10))
		h.Drain()
		wantResult(t, h, none, 0, "not to be kept")
	})
}

// TestG33_TheOldestResultsMakeRoom: when all that an app may keep is kept; their jobs stay, and
// say so. What purge takes away is room again, and so is it after a crash.
func TestG33_TheOldestResultsMakeRoom(t *testing.T) {
	k := newKit()
	_, mutation := k.text()
	opts := actors.Options{Functions: k.reg, MaxResultBytes: 3000, Retention: time.Hour}
	actorstest.Run(t, opts, func(h *actorstest.Harness) {
		var ids []storage.JobID
		run := func(n int) {
			ids = append(ids, mustAfter(t, h, "acme", 0, mutation.With(n)))
			h.Drain()
		}
		want := func(sizes ...int) {
			t.Helper()
			for i, n := range sizes {
				wantResult(t, h, ids[i], n, "MaxResultBytes")
			}
		}
		run(1000)
		run(100)
		run(1000)
		run(1000)
		want(1000, 100, 1000, 1000)
		run(257)
		want(0, 100, 1000, 1000, 257)
		h.Crash()
		run(744)
		want(0, 100, 0, 1000, 257, 744)
		run(3001)
		want(0, 100, 0, 1000, 257, 744, 0)
		run(3000)
		want(0, 100, 0, 0, 0, 0, 0, 3000)
		h.Advance(2 * time.Hour)
		if err := h.Engine.Check(); err != nil {
			t.Error(err)
		}
		ids = nil
		run(1500)
		run(1500)
		want(1500, 1500)
		h.Reconfigure(func(o *actors.Options) { o.MaxResultBytes = 1500 })
		run(3)
		want(1500, 1500, 3)
		run(300)
		want(0, 0, 3, 300)
	})
}
