package actors_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/actors"
	"carillon/actors/actorstest"
	"carillon/dispatch"
	"carillon/storage"
)

var (
	callerSpan = storage.ParseTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "a=1")
	otelSpan   = storage.ParseTrace("00-11111111111111111111111111111111-2222222222222222-00", "")
)

// traces are what handlers were told of where they are.
type traces struct {
	mu   sync.Mutex
	seen map[string][]dispatch.Trace
}

func (s *traces) note(ctx context.Context, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = map[string][]dispatch.Trace{}
	}
	s.seen[what] = append(s.seen[what], dispatch.TraceOf(ctx))
}

func (s *traces) of(tb testing.TB, what string, n int) []dispatch.Trace {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen[what]) != n {
		tb.Fatalf("%s has run %d times, want %d", what, len(s.seen[what]), n)
	}
	return s.seen[what]
}

// TestTraces: a call is a child of its caller's span, and so is what it runs; a job is linked to the
// span that has scheduled it, each attempt in a trace of its own, over a restart, an export and an
// import; what came from nowhere is nowhere.
func TestTraces(t *testing.T) {
	k, seen, log := newKit(), new(traces), new(bytes.Buffer)
	job := k.action("t:job", func(ctx *dispatch.ActionCtx, _ string) error {
		seen.note(ctx, "job")
		ctx.Log.Info("it runs")
		return errors.New("again")
	}, dispatch.Retry(dispatch.RetryPolicy{MaxAttempts: 3, Base: time.Minute}))
	then := k.mutation("t:then", func(ctx *dispatch.MutationCtx, _ string) error { seen.note(ctx, "then"); return nil })
	inner := k.mutation("t:inner", func(ctx *dispatch.MutationCtx, _ string) error {
		seen.note(ctx, "inner")
		_, err := ctx.Scheduler.RunAfter(time.Minute, job.With(""), dispatch.ID("job"), dispatch.OnDone(then.With("")))
		return err
	})
	outer := k.action("t:outer", func(ctx *dispatch.ActionCtx, _ string) error {
		seen.note(ctx, "outer")
		if _, err := ctx.Scheduler.RunAfter(time.Hour, then.With(""), dispatch.ID("late")); err != nil {
			return err
		}
		_, err := inner.Run(ctx, "")
		return err
	})
	plain := k.mutation("t:plain", func(ctx *dispatch.MutationCtx, _ string) error { seen.note(ctx, "plain"); return nil })
	actorstest.Run(t, actors.Options{Functions: k.reg, Logger: slog.New(slog.NewTextHandler(log, nil))}, func(h *actorstest.Harness) {
		must[none](t)(outer.Run(h.App("acme").As(dispatch.WithTrace(h.Context(), callerSpan), nil), ""))
		o, i := seen.of(t, "outer", 1)[0], seen.of(t, "inner", 1)[0]
		if *o.Parent != *callerSpan || *i.Parent != *o.Span || o.Span.ID != callerSpan.ID || i.Span.ID != callerSpan.ID || !i.Span.Sampled || i.Span.State != "a=1" || o.Link != nil ||
			o.Span.Span == callerSpan.Span || i.Span.Span == o.Span.Span {
			t.Errorf("the calls are in %+v and %+v", o, i)
		}
		if late := h.Job("acme", "late"); *late.Trace != *o.Span {
			t.Errorf("the action's job is of %+v", late.Trace)
		}
		h.Restart()
		var out bytes.Buffer
		if err := errors.Join(h.Engine.Export(h.Context(), "acme", &out), h.Engine.Delete(h.Context(), "acme"), h.Engine.Import(h.Context(), "acme", &out)); err != nil {
			t.Fatal(err)
		}
		h.Advance(10 * time.Minute)
		ids := map[[16]byte]bool{callerSpan.ID: true}
		for _, run := range append(seen.of(t, "job", 3), seen.of(t, "then", 1)...) {
			if *run.Link != *i.Span || run.Parent != nil || !run.Span.Sampled || run.Span.State != "" || ids[run.Span.ID] {
				t.Errorf("an attempt is in %+v of %+v", run, run.Span)
			}
			ids[run.Span.ID] = true
			if !strings.Contains(run.Span.Traceparent(), "-01") {
				t.Errorf("it hands on %s", run.Span.Traceparent())
			}
		}
		if n := strings.Count(log.String(), "trace="); n != 3 {
			t.Errorf("%d lines of the log have a trace: %s", n, log)
		}
		must[none](t)(plain.Run(h.Caller("acme"), ""))
		id := must[storage.JobID](t)(h.App("acme").Scheduler(dispatch.WithTrace(h.Context(), otelSpan)).RunAfter(0, plain.With("")))
		mustAfter(t, h, "acme", 0, plain.With(""))
		h.Settle()
		runs := seen.of(t, "plain", 3)
		if runs[0] != (dispatch.Trace{}) || *runs[1].Link != *otelSpan || runs[1].Span.Sampled || runs[2] != (dispatch.Trace{}) || *h.Job("acme", id).Trace != *otelSpan {
			t.Errorf("plain runs are in %+v", runs)
		}
	})
}

// TestAMiddlewareMakesTheSpans: what it says where the handler is, what that schedules is linked to,
// mutation or action, but not what is scheduled beside a function that ran inside.
func TestAMiddlewareMakesTheSpans(t *testing.T) {
	k, seen := newKit(), new(traces)
	k.reg.Use(func(ctx context.Context, run dispatch.HandlerRun, next func(context.Context) error) error {
		if run.Path == "t:other" {
			return next(ctx)
		}
		seen.note(ctx, "around "+run.Path)
		span := *otelSpan
		span.Span[0] += byte(run.Depth)
		return next(dispatch.WithTrace(ctx, &span))
	})
	later := k.mutation("t:later", func(ctx *dispatch.MutationCtx, _ string) error { return nil })
	inner := k.mutation("t:inner", func(ctx *dispatch.MutationCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(time.Hour, later.With(""), dispatch.ID("inner"))
		return err
	})
	outer := k.mutation("t:outer", func(ctx *dispatch.MutationCtx, _ string) error {
		seen.note(ctx, "outer")
		if _, err := inner.Run(ctx, ""); err != nil {
			return err
		}
		_, err := ctx.Scheduler.RunAfter(time.Hour, later.With(""), dispatch.ID("outer"))
		return err
	})
	act := k.action("t:act", func(ctx *dispatch.ActionCtx, _ string) error {
		_, err := ctx.Scheduler.RunAfter(time.Hour, later.With(""), dispatch.ID("act"))
		return err
	})
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		must[none](t)(outer.Run(h.App("acme").As(dispatch.WithTrace(h.Context(), callerSpan), nil), ""))
		must[none](t)(act.Run(h.Caller("acme"), "")) // it comes from nowhere
		if around := seen.of(t, "around t:outer", 1)[0]; *around.Parent != *callerSpan {
			t.Errorf("the middleware is in %+v", around)
		}
		if o := seen.of(t, "outer", 1)[0]; *o.Span != *otelSpan || *o.Parent != *callerSpan {
			t.Errorf("the handler is in %+v", o)
		}
		nested := *otelSpan
		nested.Span[0]++
		for id, want := range map[storage.JobID]*storage.Trace{"outer": otelSpan, "act": otelSpan, "inner": &nested} {
			if got := h.Job("acme", id).Trace; got == nil || *got != *want {
				t.Errorf("job %s is linked to %+v, want %+v", id, got, want)
			}
		}
	})
}

// TestG39_ATraceIsNoPartOfACall: a repeat comes from another span.
func TestG39_ATraceIsNoPartOfACall(t *testing.T) {
	k := newKit()
	actorstest.Run(t, actors.Options{Functions: k.reg}, func(h *actorstest.Harness) {
		ctx := dispatch.WithIdempotencyKey(h.Context(), "k")
		first := must[storage.JobID](t)(h.App("acme").Scheduler(dispatch.WithTrace(ctx, callerSpan)).RunAfter(time.Hour, addEntry.With("x")))
		if again := must[storage.JobID](t)(h.App("acme").Scheduler(dispatch.WithTrace(ctx, otelSpan)).RunAfter(time.Hour, addEntry.With("x"))); again != first {
			t.Errorf("the repeat has another job, %s", again)
		}
	})
}
